//! `nearframe mcp`: the API's tools for one agent, on stdin and stdout.
//!
//! **Architecture invariant:** stdout carries the protocol alone.

use crate::api::{Api, Question};
use crate::options::Agent;
use anyhow::{Context, Result};
use async_trait::async_trait;
use bytes::Bytes;
use hyper::StatusCode;
use nearframe_mcp::{Tools, Unreachable, Way};
use rmcp::ServiceExt;
use rmcp::transport::io::stdio_pipes;

#[async_trait]
impl Way for Api {
    async fn ask(&self, question: nearframe_mcp::Question<'_>) -> Result<(StatusCode, Bytes), Unreachable> {
        let key = question.idempotency_key.map(|key| ("idempotency-key", key));
        let asked = Question {
            method: question.method,
            path: question.path,
            headers: key.into_iter().collect(),
            body: question.body,
        };
        self.exchange(&asked).await.map_err(|error| Unreachable(format!("{error:#}")))
    }
    fn key(&self) -> Option<&str> {
        self.key()
    }
    fn origin(&self) -> String {
        self.origin()
    }
    fn address(&self, path: &str, web_socket: bool) -> String {
        self.address(path, web_socket)
    }
}

/// Serves one client on stdin and stdout until it hangs up.
pub(crate) async fn serve(options: &Agent) -> Result<()> {
    let api = Api::configure(options)?;
    if api.key().is_none() {
        tracing::warn!("no key: only what anybody may do works; set NEARFRAME_KEY");
    }
    let service = Tools::new(api).serve(stdio_pipes()).await.context("greeting the client on stdin")?;
    service.waiting().await.context("serving the client on stdin")?;
    Ok(())
}
