//! What a token costs: verified for the first time, beside the bare signature, and remembered.

use std::hint::black_box;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, ParsedPublicKey,
};
use criterion::{Criterion, criterion_group, criterion_main};
use data_encoding::BASE64URL_NOPAD;
use policy::authorize::jwk::KeySet;
use policy::authorize::jws::{Algorithms, Jws};
use policy::authorize::jwt::{Issuer, Rules};
use proxy::tokens::verified::{Remembered, print};
use serde_json::json;

const NOW: u64 = 1_800_000_000;

struct Scene {
    token: String,
    keys: KeySet,
    bare: ParsedPublicKey,
    rules: Rules,
}

/// A token as issuers write them: some ten claims, some 700 bytes.
fn scene() -> Scene {
    let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("a key");
    let point = key.public_key().as_ref();
    let (x, y) = (BASE64URL_NOPAD.encode(&point[1..33]), BASE64URL_NOPAD.encode(&point[33..]));
    let jwk = json!({"keys": [{"kty": "EC", "crv": "P-256", "kid": "2026-11", "x": x, "y": y}]});
    let claims = json!({
        "iss": "https://id.example.com/realms/shop", "sub": "3f1c9c3e-6f0e-4c53-9d2f-0d5d8f4a8b11", "aud": ["web", "app"],
        "exp": NOW + 600, "iat": NOW - 10, "nbf": NOW - 10, "jti": "5b1f6a0c-8f43-4d8e-a5b5-6f7a1d6d1a11", "azp": "web",
        "scope": "openid profile email read:pets write:pets", "groups": ["staff", "keepers"], "email": "joe@example.com",
        "session_state": "a9f1d3d2-0d42-4b6f-8c5a-3c1d2e4f5a6b",
    });
    let head = json!({"alg": "ES256", "typ": "JWT", "kid": "2026-11"});
    let encoded = |part: &serde_json::Value| BASE64URL_NOPAD.encode(part.to_string().as_bytes());
    let signed = format!("{}.{}", encoded(&head), encoded(&claims));
    let signature = key.sign(&SystemRandom::new(), signed.as_bytes()).expect("signed");
    let issuer = Issuer { name: "https://id.example.com/realms/shop".into(), audiences: ["web".into()].into() };
    Scene {
        token: format!("{signed}.{}", BASE64URL_NOPAD.encode(signature.as_ref())),
        keys: KeySet::parse(jwk.to_string().as_bytes()).expect("a set"),
        bare: ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).expect("a key"),
        rules: Rules {
            issuers: [issuer].into(),
            algorithms: Algorithms::ALL,
            clock_skew: 0,
            kind: None,
            cognito: false,
            commas: false,
        },
    }
}

fn tokens(criterion: &mut Criterion) {
    let Scene { token, keys, bare, rules } = scene();
    let mut group = criterion.benchmark_group("jwt");
    let jws = Jws::parse(token.as_bytes()).expect("a token");
    group.bench_function("es256_bare", |bencher| {
        bencher.iter(|| bare.verify_sig(black_box(jws.signed), black_box(&jws.signature)).expect("signed"));
    });
    let verify = |token: &str| {
        let opened = rules.open(token.as_bytes()).expect("a token");
        rules.verify(opened, &keys, NOW, false).expect("a good one")
    };
    group.bench_function("es256_cold", |bencher| bencher.iter(|| verify(black_box(&token))));
    let remembered = Remembered::default();
    remembered.keep(print(1, false, token.as_bytes()), verify(&token));
    group.bench_function("cached", |bencher| {
        bencher.iter(|| {
            let print = print(1, false, black_box(token.as_bytes()));
            remembered.find(&print, NOW, &[]).expect("it was kept")
        });
    });
}

criterion_group!(benches, tokens);
criterion_main!(benches);
