//! Values that somebody wants to see again: encrypted at rest, under a key that stands beside the store.

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};

/// Encrypts and decrypts values (AES-256-GCM with a random nonce before the text; the key's id is bound to it).
pub struct Sealer(RandomizedNonceKey);

impl Sealer {
    /// With a secret of 32 random bytes.
    pub fn new(secret: &[u8; 32]) -> Self {
        Self(RandomizedNonceKey::new(&AES_256_GCM, secret).expect("AES-256 takes 32 bytes"))
    }

    /// The value of a key, sealed.
    pub fn seal(&self, id: &str, value: &str) -> Vec<u8> {
        let mut text = value.as_bytes().to_vec();
        let sealed = self.0.seal_in_place_append_tag(Aad::from(id.as_bytes()), &mut text);
        let nonce = sealed.expect("a value of 128 bytes is not too long for AES-GCM");
        [&nonce.as_ref()[..], &text].concat()
    }

    /// The value again; `None`: it was sealed for another key, under another secret, or has been changed.
    pub fn open(&self, id: &str, sealed: &[u8]) -> Option<String> {
        let (nonce, text) = sealed.split_at_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut text = text.to_vec();
        let value = self.0.open_in_place(nonce, Aad::from(id.as_bytes()), &mut text).ok()?;
        String::from_utf8(value.to_vec()).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_its_own_key_and_secret_open_a_value() {
        let sealer = Sealer::new(&[1; 32]);
        let sealed = sealer.seal("acme", "a value of some length");
        assert_eq!(sealer.open("acme", &sealed).as_deref(), Some("a value of some length"));
        assert_eq!(sealer.open("other", &sealed), None);
        assert_eq!(Sealer::new(&[2; 32]).open("acme", &sealed), None);
        assert_ne!(sealer.seal("acme", "a value of some length"), sealed, "a nonce is drawn each time");
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert_eq!(sealer.open("acme", &changed), None, "byte {at}");
            assert_eq!(sealer.open("acme", &sealed[..at]), None);
        }
    }
}
