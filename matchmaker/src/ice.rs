//! STUN and TURN for both sides of a session, with TURN REST credentials
//! (draft-uberti-behave-turn-rest-00, as coturn's `use-auth-secret` reads them).

use crate::config::IceConfig;
use aws_lc_rs::hmac;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use nearframe_protocol::SessionId;
use nearframe_protocol::network::IceServer;

/// Credentials hold this long, in seconds: TURN checks them again whenever an allocation is
/// refreshed, so they must outlive the session.
const CREDENTIAL_S: u64 = 12 * 3600;

/// The servers a session may use, with credentials of its own.
pub(crate) fn servers(config: &IceConfig, session: SessionId, now_ms: u64) -> Vec<IceServer> {
    for_user(config, &session.to_string(), now_ms, CREDENTIAL_S)
}

/// The same without a session, for so many seconds.
pub(crate) fn short_lived(config: &IceConfig, now_ms: u64, seconds: u64) -> Vec<IceServer> {
    for_user(config, "survey", now_ms, seconds)
}

fn for_user(config: &IceConfig, user: &str, now_ms: u64, seconds: u64) -> Vec<IceServer> {
    let mut servers = Vec::new();
    if !config.stun.is_empty() {
        servers.push(IceServer { urls: config.stun.clone(), username: None, credential: None });
    }
    if let (false, Some(secret)) = (config.turn.is_empty(), &config.turn_secret) {
        let username = format!("{}:{user}", now_ms / 1000 + seconds);
        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret.as_bytes());
        let credential = BASE64_STANDARD.encode(hmac::sign(&key, username.as_bytes()));
        servers.push(IceServer {
            urls: config.turn.clone(),
            username: Some(username),
            credential: Some(credential),
        });
    }
    servers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_server_that_shares_the_secret_accepts_the_credentials() {
        let config = IceConfig {
            stun: vec!["stun:s:1".into()],
            turn: vec!["turn:t:1".into()],
            turn_secret: Some("north".into()),
        };
        let session = SessionId::from_bytes([0; 16]);
        let servers = servers(&config, session, 1_700_000_000_000);
        assert_eq!(servers[0].credential, None);
        let username = "1700043200:00000000-0000-0000-0000-000000000000";
        assert_eq!(servers[1].username.as_deref(), Some(username));
        // printf %s "$username" | openssl dgst -sha1 -hmac north -binary | base64
        assert_eq!(servers[1].credential.as_deref(), Some("Xbg9Vkz7pP3i7sglpBG44jVJQbM="));
    }
}
