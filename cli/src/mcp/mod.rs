//! `nearframe mcp`: the API as tools of the Model Context Protocol, for agents that book and pay by themselves.
//!
//! A thin client of the HTTP API with a key of an account: it decides nothing, keeps nothing, and may do no more than its
//! key. What an agent may spend is limited by the key, on the server.
//!
//! **Architecture invariant:** stdout carries the protocol alone.

mod answers;
mod client;
mod tools;

use crate::node::pin;
use crate::options::Agent;
use anyhow::{Context, Result, bail};
use client::Client;
use rmcp::ServiceExt;
use rmcp::transport::io::stdio_pipes;
use std::fs;
use url::Url;

/// Serves one client on stdin and stdout until it hangs up.
pub(crate) async fn serve(options: &Agent) -> Result<()> {
    let client = configure(options)?;
    if !client.has_key() {
        tracing::warn!("no key: only what anybody may do works; set NEARFRAME_KEY");
    }
    let service =
        tools::Tools::new(client).serve(stdio_pipes()).await.context("greeting the client on stdin")?;
    service.waiting().await.context("serving the client on stdin")?;
    Ok(())
}

fn configure(options: &Agent) -> Result<Client> {
    let text = options.server.as_deref().context(
        "server is missing: name the matchmaker with --server URL or NEARFRAME_SERVER, such as https://play.example.org",
    )?;
    let allowed = "allowed is an address such as https://play.example.org";
    let server = Url::parse(text).with_context(|| format!("server = {text:?}: {allowed}"))?;
    if !matches!(server.scheme(), "http" | "https") || server.host().is_none() {
        bail!("server = {text:?}: {allowed}");
    }
    let key = match (&options.key, &options.key_file) {
        (Some(_), Some(_)) => bail!("key and key_file are both given: allowed is one of them"),
        (Some(key), None) => Some(key.trim().to_owned()),
        (None, Some(path)) => {
            let key = fs::read_to_string(path).with_context(|| format!("key_file = {}", path.display()))?;
            Some(key.trim().to_owned())
        }
        (None, None) => None,
    };
    if key.as_ref().is_some_and(|key| !key.starts_with("nf_") || !key.bytes().all(|b| b.is_ascii_graphic())) {
        bail!("key: allowed is a key of an account, which begins with nf_live_; it is shown when it is made");
    }
    let pin = options.pin.as_deref().map(pin).transpose()?;
    Client::new(server, key, pin)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(options: &Agent) -> String {
        configure(options).err().map_or_else(|| "taken".to_owned(), |error| format!("{error:#}"))
    }

    #[test]
    fn what_cannot_work_is_refused_by_key() {
        let server = || Some("https://play.example.org".to_owned());
        let key = || Some("nf_live_abc".to_owned());
        assert!(told(&Agent::default()).contains("NEARFRAME_SERVER"));
        assert!(told(&Agent { server: Some("play".into()), ..Agent::default() }).starts_with("server"));
        assert!(told(&Agent { server: Some("ftp://a".into()), ..Agent::default() }).starts_with("server"));
        assert!(
            told(&Agent { server: server(), key: Some("secret".into()), ..Agent::default() })
                .starts_with("key")
        );
        let both = Agent { server: server(), key: key(), key_file: Some("/x".into()), ..Agent::default() };
        assert!(told(&both).contains("one of them"));
        let missing = Agent { server: server(), key_file: Some("/nonexistent/k".into()), ..Agent::default() };
        assert!(told(&missing).starts_with("key_file"));
        assert!(
            told(&Agent { server: server(), pin: Some("12".into()), ..Agent::default() }).starts_with("pin")
        );
        assert_eq!(told(&Agent { server: server(), key: key(), ..Agent::default() }), "taken");
        assert_eq!(told(&Agent { server: server(), ..Agent::default() }), "taken", "prices are for anybody");
    }

    #[test]
    fn the_line_end_of_a_key_file_is_not_part_of_the_key() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        fs::write(&path, "nf_live_abc\n").unwrap();
        let options =
            Agent { server: Some("http://127.0.0.1:1".into()), key_file: Some(path), ..Agent::default() };
        assert!(configure(&options).unwrap().has_key());
    }
}
