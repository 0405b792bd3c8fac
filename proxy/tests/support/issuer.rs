//! An issuer of tokens: a discovery document, a set of keys that can be rotated, and signatures of three kinds. It can be made to fail.
#![allow(dead_code, reason = "each test binary uses a part")]

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair,
};
use data_encoding::BASE64URL_NOPAD;
use serde_json::{Value, json};

/// Seconds since 1970.
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs()
}

fn base64(bytes: &[u8]) -> String {
    BASE64URL_NOPAD.encode(bytes)
}

/// A key that signs.
pub struct Key {
    id: String,
    secret: Secret,
}

enum Secret {
    Es256(EcdsaKeyPair),
    Rs256(RsaKeyPair),
    EdDsa(Ed25519KeyPair),
}

impl Key {
    /// Signs with ES256.
    pub fn es256(id: &str) -> Key {
        let secret = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("a key");
        Key { id: id.to_owned(), secret: Secret::Es256(secret) }
    }

    /// Signs with RS256.
    pub fn rs256(id: &str) -> Key {
        Key { id: id.to_owned(), secret: Secret::Rs256(RsaKeyPair::generate(KeySize::Rsa2048).expect("a key")) }
    }

    /// Signs with `EdDSA`.
    pub fn eddsa(id: &str) -> Key {
        Key { id: id.to_owned(), secret: Secret::EdDsa(Ed25519KeyPair::generate().expect("a key")) }
    }

    /// The public part.
    pub fn jwk(&self) -> Value {
        match &self.secret {
            Secret::Es256(key) => {
                let point = key.public_key().as_ref();
                let (x, y) = (base64(&point[1..33]), base64(&point[33..]));
                json!({"kty": "EC", "crv": "P-256", "kid": self.id, "use": "sig", "x": x, "y": y})
            }
            Secret::Rs256(key) => {
                let n = base64(key.public_key().modulus().big_endian_without_leading_zero());
                let e = base64(key.public_key().exponent().big_endian_without_leading_zero());
                json!({"kty": "RSA", "kid": self.id, "alg": "RS256", "n": n, "e": e})
            }
            Secret::EdDsa(key) => {
                json!({"kty": "OKP", "crv": "Ed25519", "kid": self.id, "x": base64(key.public_key().as_ref())})
            }
        }
    }

    /// A token that says this.
    pub fn token(&self, claims: &Value) -> String {
        let algorithm = match &self.secret {
            Secret::Es256(_) => "ES256",
            Secret::Rs256(_) => "RS256",
            Secret::EdDsa(_) => "EdDSA",
        };
        let head = json!({"alg": algorithm, "kid": self.id, "typ": "JWT"});
        let signed = format!("{}.{}", base64(head.to_string().as_bytes()), base64(claims.to_string().as_bytes()));
        let signature = match &self.secret {
            Secret::Es256(key) => key.sign(&SystemRandom::new(), signed.as_bytes()).expect("signed").as_ref().to_vec(),
            Secret::Rs256(key) => {
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature).expect("signed");
                signature
            }
            Secret::EdDsa(key) => key.sign(signed.as_bytes()).as_ref().to_vec(),
        };
        format!("{signed}.{}", base64(&signature))
    }
}

/// What an issuer does.
#[derive(Default)]
pub struct Manner {
    /// The set of keys; what is no list is sent as it is.
    pub keys: Vec<Value>,
    /// Who its discovery document says it is; `None`: itself.
    pub says: Option<String>,
    /// It hangs up.
    pub is_down: bool,
    /// It answers with this status.
    pub status: Option<(u16, String)>,
    /// Bytes behind its set of keys.
    pub padding: usize,
}

/// Serves them.
pub struct Issuer {
    address: String,
    manner: Arc<Mutex<Manner>>,
    asked: Arc<[AtomicUsize; 2]>,
}

impl Issuer {
    /// Starts to listen.
    pub fn new(keys: &[&Key]) -> Issuer {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = format!("http://{}", listener.local_addr().expect("it is bound"));
        let manner = Manner { keys: keys.iter().map(|key| key.jwk()).collect(), ..Manner::default() };
        let issuer = Issuer { address, manner: Arc::new(Mutex::new(manner)), asked: Arc::default() };
        let (address, manner, asked) = (issuer.address.clone(), issuer.manner.clone(), issuer.asked.clone());
        thread::spawn(move || {
            for socket in listener.incoming().flatten() {
                // Who has asked may be gone.
                let _ = answer(socket, &address, &manner, &asked);
            }
        });
        issuer
    }

    /// What its tokens say under `iss`.
    pub fn name(&self) -> &str {
        &self.address
    }

    /// How often its discovery document and its keys were asked for, answered or not.
    pub fn asked(&self) -> (usize, usize) {
        (self.asked[0].load(Ordering::Acquire), self.asked[1].load(Ordering::Acquire))
    }

    /// Changes what it does.
    pub fn manner(&self) -> MutexGuard<'_, Manner> {
        self.manner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has these keys from now on.
    pub fn rotate(&self, keys: &[&Key]) {
        self.manner().keys = keys.iter().map(|key| key.jwk()).collect();
    }

    /// Claims of a token of its own that holds for an hour, and more.
    pub fn claims(&self, more: &Value) -> Value {
        let mut claims = json!({"iss": self.address, "sub": "joe", "aud": "web", "exp": now() + 3_600});
        for (name, value) in more.as_object().expect("an object") {
            claims[name] = value.clone();
        }
        claims
    }
}

fn answer(
    mut socket: TcpStream,
    address: &str,
    manner: &Mutex<Manner>,
    asked: &[AtomicUsize; 2],
) -> std::io::Result<()> {
    let mut head = Vec::new();
    let mut room = [0; 1024];
    while !head.ends_with(b"\r\n\r\n") {
        let count = socket.read(&mut room)?;
        if count == 0 {
            return Ok(());
        }
        head.extend_from_slice(&room[..count]);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let target = head.split([' ', '?']).nth(1).unwrap_or_default().to_owned();
    let manner = manner.lock().unwrap_or_else(PoisonError::into_inner);
    asked[usize::from(target == "/keys")].fetch_add(1, Ordering::AcqRel);
    if manner.is_down {
        return Ok(());
    }
    let (status, field, body) = match (&manner.status, target.as_str()) {
        (Some((status, to)), _) => (*status, format!("Location: {to}\r\n"), String::new()),
        (None, "/.well-known/openid-configuration") => {
            let says = manner.says.as_deref().unwrap_or(address);
            (200, String::new(), json!({"issuer": says, "jwks_uri": format!("{address}/keys")}).to_string())
        }
        (None, "/keys") => (200, String::new(), json!({"keys": manner.keys}).to_string() + &" ".repeat(manner.padding)),
        (None, _) => (404, String::new(), String::new()),
    };
    let length = body.len();
    write!(socket, "HTTP/1.1 {status} X\r\n{field}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}")
}
