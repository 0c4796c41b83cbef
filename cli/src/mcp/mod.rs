//! `nearframe mcp`: the API as tools of the Model Context Protocol, for agents that book and pay by themselves.
//!
//! A thin client of the HTTP API with a key of an account: it decides nothing, keeps nothing, and may do no more than its
//! key. What an agent may spend is limited by the key, on the server.
//!
//! **Architecture invariant:** stdout carries the protocol alone.

mod answers;
mod client;
mod tools;

use crate::api::Api;
use crate::options::Agent;
use anyhow::{Context, Result};
use client::Client;
use rmcp::ServiceExt;
use rmcp::transport::io::stdio_pipes;

/// Serves one client on stdin and stdout until it hangs up.
pub(crate) async fn serve(options: &Agent) -> Result<()> {
    let client = Client(Api::configure(options)?);
    if !client.has_key() {
        tracing::warn!("no key: only what anybody may do works; set NEARFRAME_KEY");
    }
    let service =
        tools::Tools::new(client).serve(stdio_pipes()).await.context("greeting the client on stdin")?;
    service.waiting().await.context("serving the client on stdin")?;
    Ok(())
}
