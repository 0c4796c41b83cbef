//! A provider of identities on loopback that says what a test tells it to say, right or wrong.
#![allow(dead_code, reason = "each test program uses a part of it")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use axum::Form;
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use nearframe_matchmaker::OidcProvider;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::net::TcpListener;
use url::Url;

pub(crate) const CLIENT: &str = "nearframe";
pub(crate) const SECRET: &str = "hush";

/// How an answer is spoilt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Spoilt {
    #[default]
    No,
    Hangs,
    Huge,
    Status,
    Rubbish,
}

/// How tokens are signed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Signed {
    #[default]
    Right,
    /// `alg: none`, and no signature.
    Not,
    /// With the secret that the client knows as well.
    Shared,
    /// With another key under the same name.
    Forged,
}

pub(crate) struct Script {
    pub(crate) discovery: Spoilt,
    pub(crate) keys: Spoilt,
    pub(crate) token: Spoilt,
    pub(crate) signed: Signed,
    /// What discovery says beside the usual.
    pub(crate) says: Value,
    /// Laid over the claims; `null` takes one out.
    pub(crate) claims: Value,
    pub(crate) subject: String,
    /// Names of keys that are shown.
    pub(crate) shown: Vec<String>,
    /// The one that signs.
    pub(crate) signer: String,
    /// Requests to discovery, keys and token.
    pub(crate) asked: [u32; 3],
    codes: HashMap<String, (String, String)>,
}

pub(crate) struct Issuer {
    pub(crate) url: String,
    pub(crate) script: Arc<Mutex<Script>>,
    server: tokio::task::JoinHandle<()>,
}

struct Shared {
    url: String,
    keys: HashMap<String, EcdsaKeyPair>,
    script: Arc<Mutex<Script>>,
}

impl Issuer {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let script = Arc::new(Mutex::new(Script {
            discovery: Spoilt::No,
            keys: Spoilt::No,
            token: Spoilt::No,
            signed: Signed::Right,
            says: json!({}),
            claims: json!({}),
            subject: "vera".into(),
            shown: vec!["one".into()],
            signer: "one".into(),
            asked: [0; 3],
            codes: HashMap::new(),
        }));
        let fresh = || EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        let keys = ["one", "two", "forger"].map(|name| (name.to_owned(), fresh())).into();
        let shared = Arc::new(Shared { url: url.clone(), keys, script: Arc::clone(&script) });
        let router = Router::new()
            .route("/.well-known/openid-configuration", get(discovery))
            .route("/keys", get(keys_shown))
            .route("/token", post(token))
            .with_state(shared);
        let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, script, server }
    }

    pub(crate) fn provider(&self, id: &str) -> OidcProvider {
        OidcProvider {
            id: id.into(),
            label: "Acme".into(),
            issuer: self.url.clone(),
            client_id: CLIENT.into(),
            client_secret: Some(SECRET.into()),
            scopes: vec!["profile".into()],
        }
    }

    pub(crate) fn set(&self, change: impl FnOnce(&mut Script)) {
        change(&mut self.script.lock().unwrap());
    }

    pub(crate) fn asked(&self) -> [u32; 3] {
        self.script.lock().unwrap().asked
    }

    /// What its page does once the person agreed: gives the way back.
    pub(crate) fn agree(&self, page: &Url) -> String {
        assert!(page.as_str().starts_with(&format!("{}/authorize?", self.url)), "{page}");
        let said: HashMap<_, _> = page.query_pairs().into_owned().collect();
        assert_eq!((said["response_type"].as_str(), said["client_id"].as_str()), ("code", CLIENT));
        assert_eq!(said["code_challenge_method"], "S256");
        assert_eq!(said["scope"], "openid profile");
        let code = format!("code-{}", said["state"]);
        let bound = (said["code_challenge"].clone(), said["nonce"].clone());
        self.set(|script| drop(script.codes.insert(code.clone(), bound)));
        let redirect = Url::parse(&said["redirect_uri"]).unwrap();
        format!("{}?state={}&code={code}&iss={}", redirect.path(), said["state"], self.url)
    }
}

impl Drop for Issuer {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn spoil(how: Spoilt, right: Value) -> Response {
    match how {
        Spoilt::No => axum::Json(right).into_response(),
        Spoilt::Hangs => std::future::pending().await,
        Spoilt::Huge => ([(header::CONTENT_TYPE, "application/json")], " ".repeat(1 << 20)).into_response(),
        Spoilt::Status => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        Spoilt::Rubbish => ([(header::CONTENT_TYPE, "application/json")], "[1").into_response(),
    }
}

fn lay(over: &Value, base: &mut Value) {
    for (name, value) in over.as_object().unwrap() {
        match value {
            Value::Null => drop(base.as_object_mut().unwrap().remove(name)),
            value => base[name] = value.clone(),
        }
    }
}

async fn discovery(State(shared): State<Arc<Shared>>) -> Response {
    let url = &shared.url;
    let mut right = json!({
        "issuer": url,
        "authorization_endpoint": format!("{url}/authorize"),
        "token_endpoint": format!("{url}/token"),
        "jwks_uri": format!("{url}/keys"),
        "response_types_supported": ["code"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["ES256", "HS256", "none"],
    });
    let how = {
        let mut script = shared.script.lock().unwrap();
        script.asked[0] += 1;
        lay(&script.says, &mut right);
        script.discovery
    };
    spoil(how, right).await
}

async fn keys_shown(State(shared): State<Arc<Shared>>) -> Response {
    let (how, shown) = {
        let mut script = shared.script.lock().unwrap();
        script.asked[1] += 1;
        (script.keys, script.shown.clone())
    };
    let key = |name: &String| {
        let point = shared.keys[name].public_key().as_ref();
        let [x, y] = [&point[1..33], &point[33..]].map(|part| URL_SAFE_NO_PAD.encode(part));
        json!({"kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": name, "x": x, "y": y})
    };
    spoil(how, json!({"keys": shown.iter().map(key).collect::<Vec<_>>()})).await
}

async fn token(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    Form(form): Form<HashMap<String, String>>,
) -> Response {
    let (how, bound, claims, subject) = {
        let mut script = shared.script.lock().unwrap();
        script.asked[2] += 1;
        // A code works once.
        (script.token, script.codes.remove(&form["code"]), script.claims.clone(), script.subject.clone())
    };
    let basic = format!("Basic {}", STANDARD.encode(format!("{CLIENT}:{SECRET}")));
    let proof = URL_SAFE_NO_PAD.encode(Sha256::digest(form["code_verifier"].as_bytes()));
    let is_known = headers.get(header::AUTHORIZATION).is_some_and(|value| value == basic.as_str());
    let Some((_, nonce)) = bound.filter(|(challenge, _)| is_known && *challenge == proof) else {
        return (StatusCode::BAD_REQUEST, axum::Json(json!({"error": "invalid_grant"}))).into_response();
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let mut said = json!({
        "iss": shared.url, "sub": subject, "aud": CLIENT, "iat": now, "exp": now + 300, "nonce": nonce,
        "name": "Vera Lind",
    });
    lay(&claims, &mut said);
    let token = shared.sign(&said);
    spoil(how, json!({"access_token": "a", "token_type": "Bearer", "id_token": token})).await
}

impl Shared {
    fn sign(&self, claims: &Value) -> String {
        let (signed, signer) = {
            let script = self.script.lock().unwrap();
            (script.signed, script.signer.clone())
        };
        let alg = match signed {
            Signed::Right | Signed::Forged => "ES256",
            Signed::Not => "none",
            Signed::Shared => "HS256",
        };
        let head = json!({"alg": alg, "kid": signer, "typ": "JWT"});
        let [head, body] = [&head, claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string()));
        let text = format!("{head}.{body}");
        let with = |name: &str| {
            let signature = self.keys[name].sign(&SystemRandom::new(), text.as_bytes()).unwrap();
            URL_SAFE_NO_PAD.encode(signature)
        };
        let signature = match signed {
            Signed::Right => with(&signer),
            Signed::Forged => with("forger"),
            Signed::Not => String::new(),
            Signed::Shared => {
                let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
                URL_SAFE_NO_PAD.encode(hmac::sign(&key, text.as_bytes()))
            }
        };
        format!("{text}.{signature}")
    }
}
