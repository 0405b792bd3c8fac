//! What is kept of a password: bcrypt, argon2 (PHC strings), SHA-256-crypt and SHA-512-crypt. What is quick to try, or shows the password,
//! is refused; so is what would take a processor away for long.

use argon2::{Argon2, PasswordVerifier as _};
use sha_crypt::ShaCrypt;

use crate::limits::{
    ARGON2_LANES_MAX, ARGON2_MEMORY_KIB_MAX, ARGON2_PASSES_MAX, BCRYPT_COST_MAX, PASSWORD_HASH_BYTES_MAX,
    SHA_CRYPT_ROUNDS_MAX,
};

/// A hash of a password that can be verified.
#[derive(Clone, PartialEq, Eq)]
pub struct Hash {
    text: Box<str>,
    manner: Manner,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Manner {
    /// 2 to the power of so many rounds.
    Bcrypt { cost: u32 },
    /// Memory in KiB, and how often it is gone through.
    Argon2 { memory: u32, passes: u32 },
    /// SHA-256-crypt, SHA-512-crypt.
    Sha { rounds: u32 },
}

/// Why a text is no hash that a password is verified by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unfit {
    /// `$1$`, `$apr1$`.
    Md5,
    /// `{SHA}`, `{SSHA}`.
    Sha1,
    /// Thirteen characters of the old `crypt`.
    Des,
    /// Nothing that is known: perhaps the password itself.
    Unknown,
    /// Of a known kind, but not as that is written.
    Malformed,
    /// Verifying it would take seconds, or gigabytes.
    Costly,
}

impl Unfit {
    /// What is wrong, behind `it is …`; what stands there is not quoted.
    pub const fn says(self) -> &'static str {
        match self {
            Self::Md5 => "MD5, which is tried billions of times a second",
            Self::Sha1 => "SHA-1, which is tried billions of times a second",
            Self::Des => "the old DES crypt, of which every password can be found",
            Self::Unknown => "no hash of a known kind, or the password itself",
            Self::Malformed => "not whole, or not as its kind is written",
            Self::Costly => "so slow to verify that a few requests would take the machine",
        }
    }

    /// What to do.
    pub const HINT: &'static str =
        "make it with `htpasswd -nB -C 12 NAME` (bcrypt), `argon2 SALT -id -e`, or `openssl passwd -6` (SHA-512-crypt)";
}

impl Hash {
    /// Reads what stands behind a name.
    pub fn parse(text: &str) -> Result<Self, Unfit> {
        if text.len() > PASSWORD_HASH_BYTES_MAX {
            return Err(Unfit::Unknown);
        }
        let manner = match text {
            _ if ["$2a$", "$2b$", "$2y$"].iter().any(|start| text.starts_with(start)) => bcrypt(text)?,
            _ if text.starts_with("$argon2") => argon2(text)?,
            _ if text.starts_with("$5$") => sha(text, 43)?,
            _ if text.starts_with("$6$") => sha(text, 86)?,
            _ if text.starts_with("$1$") || text.starts_with("$apr1$") => return Err(Unfit::Md5),
            _ if text.starts_with("{SHA}") || text.starts_with("{SSHA}") => return Err(Unfit::Sha1),
            _ if text.len() == 13 && text.bytes().all(is_crypt_letter) => return Err(Unfit::Des),
            _ => return Err(Unfit::Unknown),
        };
        Ok(Self { text: text.into(), manner })
    }

    /// Whether it is of this password. As slow as it was made to be.
    pub fn fits(&self, password: &str) -> bool {
        match self.manner {
            Manner::Bcrypt { .. } => bcrypt::verify(password, &self.text).unwrap_or(false),
            Manner::Argon2 { .. } => Argon2::default().verify_password(password.as_bytes(), &*self.text).is_ok(),
            Manner::Sha { .. } => ShaCrypt::default().verify_password(password.as_bytes(), &*self.text).is_ok(),
        }
    }

    /// Whether it is tried faster than it should be: below what OWASP asks for.
    pub const fn is_quick(&self) -> bool {
        match self.manner {
            Manner::Bcrypt { cost } => cost < 10,
            Manner::Argon2 { memory, passes } => (memory as u64) * (passes as u64) < 2 * 7 * 1_024,
            // What `openssl passwd -6` writes: nobody asks for more.
            Manner::Sha { rounds } => rounds < 5_000,
        }
    }

    /// As it was written. For digests alone.
    pub fn as_bytes(&self) -> &[u8] {
        self.text.as_bytes()
    }
}

impl std::fmt::Debug for Hash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Hash")
    }
}

fn is_crypt_letter(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'/')
}

/// `$2y$12$` and 53 letters.
fn bcrypt(text: &str) -> Result<Manner, Unfit> {
    let rest = text.get(4..).unwrap_or_default();
    let (cost, letters) = rest.split_once('$').ok_or(Unfit::Malformed)?;
    let is_number = cost.len() == 2 && cost.bytes().all(|byte| byte.is_ascii_digit());
    let cost = cost.parse().ok().filter(|cost| is_number && (4..=31).contains(cost)).ok_or(Unfit::Malformed)?;
    if letters.len() != 53 || !letters.bytes().all(is_crypt_letter) || text.parse::<bcrypt::HashParts>().is_err() {
        return Err(Unfit::Malformed);
    }
    if cost > BCRYPT_COST_MAX { Err(Unfit::Costly) } else { Ok(Manner::Bcrypt { cost }) }
}

/// `$argon2id$v=19$m=19456,t=2,p=1$SALT$HASH`
fn argon2(text: &str) -> Result<Manner, Unfit> {
    let hash = argon2::PasswordHash::new(text).map_err(|_| Unfit::Malformed)?;
    let is_whole = hash.salt.is_some() && hash.hash.is_some();
    let is_known = argon2::Algorithm::try_from(hash.algorithm.as_str()).is_ok()
        && hash.version.is_none_or(|version| argon2::Version::try_from(version).is_ok());
    let params = argon2::Params::try_from(&hash).ok().filter(|_| is_whole && is_known).ok_or(Unfit::Malformed)?;
    let (memory, passes) = (params.m_cost(), params.t_cost());
    if memory > ARGON2_MEMORY_KIB_MAX || passes > ARGON2_PASSES_MAX || params.p_cost() > ARGON2_LANES_MAX {
        return Err(Unfit::Costly);
    }
    Ok(Manner::Argon2 { memory, passes })
}

/// `$6$SALT$HASH`, `$6$rounds=10000$SALT$HASH`
fn sha(text: &str, length: usize) -> Result<Manner, Unfit> {
    let parts: Vec<&str> = text.get(3..).unwrap_or_default().split('$').collect();
    let (rounds, salt, hash) = match parts[..] {
        [salt, hash] => (5_000, salt, hash),
        [rounds, salt, hash] => {
            let digits = rounds.strip_prefix("rounds=").ok_or(Unfit::Malformed)?;
            let is_number = !digits.starts_with('0') && digits.bytes().all(|byte| byte.is_ascii_digit());
            (digits.parse().ok().filter(|_| is_number).ok_or(Unfit::Malformed)?, salt, hash)
        }
        _ => return Err(Unfit::Malformed),
    };
    let is_crypt = |text: &str| text.bytes().all(is_crypt_letter);
    // Others take a longer salt, or fewer rounds, for what they make of it.
    if !(1..=16).contains(&salt.len()) || hash.len() != length || !is_crypt(salt) || !is_crypt(hash) || rounds < 1_000 {
        return Err(Unfit::Malformed);
    }
    if rounds > SHA_CRYPT_ROUNDS_MAX { Err(Unfit::Costly) } else { Ok(Manner::Sha { rounds }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of specifications and of the tests of other programs.
    const OF_OTHERS: &[(&str, &str)] = &[
        ("$2a$05$bvIG6Nmid91Mu9RcmmWZfO5HJIMCT8riNW0hEp8f6/FuA2/mHZFpe", "bcrypt of the Openwall test vectors"),
        ("$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5", "SHA-256-crypt of its specification"),
        (
            "$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1",
            "SHA-512-crypt of its specification",
        ),
        (
            "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
            "argon2id of the reference implementation",
        ),
    ];

    #[test]
    fn hashes_that_others_have_made_are_known() {
        for (hash, what) in OF_OTHERS {
            let read = Hash::parse(hash);
            assert!(read.is_ok(), "{what}: {read:?}");
        }
        let sha = Hash::parse(OF_OTHERS[1].0).unwrap();
        assert!(sha.fits("Hello world!") && !sha.fits("Hello world"));
        let sha = Hash::parse(OF_OTHERS[2].0).unwrap();
        assert!(sha.fits("Hello world!") && !sha.fits(""));
        // `U*U` of the tests of crypt_blowfish.
        let known = Hash::parse("$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW").unwrap();
        assert!(known.fits("U*U") && !known.fits("U*V") && known.is_quick());
    }

    #[test]
    fn argon2_of_the_reference_implementation() {
        // 256 KiB: its own test vectors with the least memory.
        let known = Hash::parse("$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4")
            .unwrap();
        assert!(known.fits("password") && !known.fits("Password") && known.is_quick());
    }

    #[test]
    fn what_is_quick_to_try_is_refused() {
        for (text, unfit) in [
            ("$apr1$x$y", Unfit::Md5),
            ("$1$x$y", Unfit::Md5),
            ("{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=", Unfit::Sha1),
            ("{SSHA}x", Unfit::Sha1),
            ("rl.3StKT.4T8M", Unfit::Des),
            ("hunter2", Unfit::Unknown),
            ("{PLAIN}hunter2", Unfit::Unknown),
            ("", Unfit::Unknown),
            ("$2x$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW", Unfit::Unknown),
            ("$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOe", Unfit::Malformed),
            ("$2a$5$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeWW", Unfit::Malformed),
            ("$2a$17$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW", Unfit::Costly),
            ("$2a$99$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW", Unfit::Malformed),
            ("$5$salt$short", Unfit::Malformed),
            ("$5$rounds=10$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc8", Unfit::Malformed),
            ("$5$rounds=99999999$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc8", Unfit::Costly),
            ("$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ", Unfit::Malformed),
            ("$argon2id$v=19$m=4194304,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4", Unfit::Costly),
            ("$argon2x$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4", Unfit::Malformed),
        ] {
            assert_eq!(Hash::parse(text), Err(unfit), "{text}");
        }
    }
}
