//! An authenticator in software: makes passkeys and signs with them, as a test tells it to, right or wrong.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// User present, user verified.
const PRESENT_AND_VERIFIED: u8 = 0b101;
/// A credential follows.
const WITH_CREDENTIAL: u8 = 0b100_0000;

pub(crate) struct Authenticator {
    key: EcdsaKeyPair,
    credential: Vec<u8>,
    /// Whose it says that it is.
    pub(crate) user: Vec<u8>,
    pub(crate) counter: u32,
    /// The page that the browser says it is on.
    pub(crate) origin: String,
    /// The name that the browser says it belongs to.
    pub(crate) host: String,
    pub(crate) flags: u8,
}

fn text(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// A CBOR head: major type and length.
fn head(kind: u8, length: usize) -> Vec<u8> {
    match length {
        0..24 => vec![kind << 5 | length as u8],
        24..256 => vec![kind << 5 | 24, length as u8],
        _ => [&[kind << 5 | 25][..], &(length as u16).to_be_bytes()].concat(),
    }
}
fn bytes(value: &[u8]) -> Vec<u8> {
    [head(2, value.len()), value.to_vec()].concat()
}
fn word(value: &str) -> Vec<u8> {
    [head(3, value.len()), value.as_bytes().to_vec()].concat()
}

impl Authenticator {
    pub(crate) fn new(origin: &str, host: &str) -> Self {
        Self {
            key: EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap(),
            credential: vec![0x5a; 32],
            user: vec![],
            counter: 1,
            origin: origin.to_owned(),
            host: host.to_owned(),
            flags: PRESENT_AND_VERIFIED,
        }
    }

    /// Another with the same key.
    pub(crate) fn named(mut self, credential: u8) -> Self {
        self.credential = vec![credential; 32];
        self
    }

    fn client_data(&self, kind: &str, options: &Value) -> Vec<u8> {
        let challenge = &options["publicKey"]["challenge"];
        json!({"type": kind, "challenge": challenge, "origin": self.origin, "crossOrigin": false})
            .to_string()
            .into_bytes()
    }

    fn data(&self, flags: u8) -> Vec<u8> {
        let mut data = Sha256::digest(self.host.as_bytes()).to_vec();
        data.push(flags);
        data.extend(self.counter.to_be_bytes());
        data
    }

    /// What `navigator.credentials.create` gives.
    pub(crate) fn create(&mut self, options: &Value) -> Value {
        assert_eq!(options["publicKey"]["authenticatorSelection"]["residentKey"], "required");
        assert_eq!(options["publicKey"]["rp"]["id"], "play.example");
        self.user = URL_SAFE_NO_PAD.decode(options["publicKey"]["user"]["id"].as_str().unwrap()).unwrap();
        let point = self.key.public_key().as_ref();
        // COSE: kty EC2, alg ES256, crv P-256, x, y.
        let key = [
            &[0xa5, 0x01, 0x02, 0x03, 0x26, 0x20, 0x01, 0x21][..],
            &bytes(&point[1..33]),
            &[0x22],
            &bytes(&point[33..]),
        ];
        let mut data = self.data(self.flags | WITH_CREDENTIAL);
        data.extend([0; 16]);
        data.extend((self.credential.len() as u16).to_be_bytes());
        data.extend(&self.credential);
        data.extend(key.concat());
        let object = [
            head(5, 3),
            word("fmt"),
            word("none"),
            word("attStmt"),
            head(5, 0),
            word("authData"),
            bytes(&data),
        ];
        json!({
            "id": text(&self.credential), "rawId": text(&self.credential), "type": "public-key", "extensions": {},
            "response": {
                "clientDataJSON": text(&self.client_data("webauthn.create", options)),
                "attestationObject": text(&object.concat()),
            },
        })
    }

    /// What `navigator.credentials.get` gives.
    pub(crate) fn get(&self, options: &Value) -> Value {
        let (client, data) = (self.client_data("webauthn.get", options), self.data(self.flags));
        let signed = [&data[..], &Sha256::digest(&client)].concat();
        let signature = self.key.sign(&SystemRandom::new(), &signed).unwrap();
        json!({
            "id": text(&self.credential), "rawId": text(&self.credential), "type": "public-key", "extensions": {},
            "response": {
                "clientDataJSON": text(&client), "authenticatorData": text(&data),
                "signature": text(signature.as_ref()), "userHandle": text(&self.user),
            },
        })
    }
}
