//! A WebSocket that speaks JSON: bounded in size, rate and silence.

use axum::extract::ws::{CloseFrame, Message, WebSocket, close_code};
use nearframe_protocol::uplink::MOST_CHUNK_BYTES;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::time::Duration;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at, timeout};

/// The first message must come within this time.
pub(super) const HELLO_TIMEOUT: Duration = Duration::from_secs(5);
/// A peer that does not read for this long is given up.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);
/// A silent peer is pinged this often, so that middle boxes keep the connection open.
const PING_INTERVAL: Duration = Duration::from_secs(15);
/// A peer that answers no ping for this long is gone.
const SILENCE: Duration = Duration::from_secs(45);

/// A JSON WebSocket.
pub(super) struct Socket {
    inner: WebSocket,
    pings: Interval,
    heard: Instant,
}

/// Why nothing more comes from the peer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Gone {
    /// It closed, vanished or stayed silent.
    Closed,
    /// It sent something that is not allowed: a stable code and what to do.
    Rubbish(&'static str, String),
}

impl Socket {
    pub(super) fn new(inner: WebSocket) -> Self {
        let now = Instant::now();
        let mut pings = interval_at(now + PING_INTERVAL, PING_INTERVAL);
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { inner, pings, heard: now }
    }

    /// The next message. Safe to drop while waiting: nothing is lost.
    pub(super) async fn next<T: DeserializeOwned>(&mut self) -> Result<T, Gone> {
        loop {
            let message = tokio::select! {
                message = self.inner.recv() => message,
                _ = self.pings.tick() => {
                    if self.heard.elapsed() > SILENCE || !self.write(Message::Ping(Vec::new().into())).await {
                        return Err(Gone::Closed);
                    }
                    continue;
                }
            };
            self.heard = Instant::now();
            match message {
                Some(Ok(Message::Text(text))) => {
                    return serde_json::from_str(&text).map_err(|error| {
                        Gone::Rubbish("bad_message", format!("This message was not understood: {error}."))
                    });
                }
                Some(Ok(Message::Binary(_))) => {
                    let message = "Binary messages are not used here; send JSON as text.";
                    return Err(Gone::Rubbish("bad_message", message.to_owned()));
                }
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                Some(Ok(Message::Close(_))) | None => return Err(Gone::Closed),
                Some(Err(error)) => return Err(read_error(&error)),
            }
        }
    }

    /// The length of the next message that is nothing but bytes, at most [`MOST_CHUNK_BYTES`]; what does not come in time
    /// is the caller's to end.
    pub(super) async fn binary(&mut self) -> Result<usize, Gone> {
        loop {
            match self.inner.recv().await {
                Some(Ok(Message::Binary(bytes))) if bytes.len() <= MOST_CHUNK_BYTES => {
                    self.heard = Instant::now();
                    return Ok(bytes.len());
                }
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                Some(Ok(Message::Close(_))) | None => return Err(Gone::Closed),
                Some(Ok(Message::Binary(_) | Message::Text(_))) => {
                    let message =
                        format!("Only binary messages of at most {MOST_CHUNK_BYTES} bytes belong here.");
                    return Err(Gone::Rubbish("bad_message", message));
                }
                Some(Err(error)) => return Err(read_error(&error)),
            }
        }
    }

    /// The first message, within [`HELLO_TIMEOUT`].
    pub(super) async fn first<T: DeserializeOwned>(&mut self) -> Result<T, Gone> {
        let late = || {
            let message = format!("The first message must be `hello`, within {} s.", HELLO_TIMEOUT.as_secs());
            Gone::Rubbish("hello_needed", message)
        };
        timeout(HELLO_TIMEOUT, self.next()).await.unwrap_or_else(|_| Err(late()))
    }

    /// Sends a message; false when the peer is gone.
    pub(super) async fn send(&mut self, message: &impl Serialize) -> bool {
        match serde_json::to_string(message) {
            Ok(text) => self.write(Message::Text(text.into())).await,
            Err(error) => {
                tracing::error!(%error, "a message of our own has no JSON form");
                false
            }
        }
    }

    /// Sends a last message and closes.
    pub(super) async fn finish(mut self, last: Option<&impl Serialize>, code: u16) {
        if let Some(last) = last {
            self.send(last).await;
        }
        let frame = CloseFrame { code, reason: "".into() };
        self.write(Message::Close(Some(frame))).await;
        // Reading to the end lets the peer see the close instead of a reset.
        let drain = async { while let Some(Ok(_)) = self.inner.recv().await {} };
        let _ = timeout(Duration::from_secs(1), drain).await;
    }

    async fn write(&mut self, message: Message) -> bool {
        matches!(timeout(WRITE_TIMEOUT, self.inner.send(message)).await, Ok(Ok(())))
    }
}

/// Close codes of RFC 6455, section 7.4.1.
pub(super) const NORMAL: u16 = close_code::NORMAL;
pub(super) const GOING_AWAY: u16 = close_code::AWAY;
pub(super) const POLICY: u16 = close_code::POLICY;

fn read_error(error: &axum::Error) -> Gone {
    let text = error.to_string();
    if text.contains("too long") || text.contains("too large") {
        return Gone::Rubbish("too_large", "The message is larger than this door allows.".to_owned());
    }
    if text.contains("UTF-8") || text.contains("Utf8") {
        return Gone::Rubbish("bad_message", "Text messages are UTF-8.".to_owned());
    }
    Gone::Closed
}

/// How many messages a peer may send: a bucket that refills steadily.
#[derive(Debug)]
pub(super) struct Pace {
    burst: f64,
    per_second: f64,
    tokens: f64,
    at: Instant,
}

impl Pace {
    pub(super) fn new(burst: u32, per_second: u32) -> Self {
        let burst = f64::from(burst);
        Self { burst, per_second: per_second.into(), tokens: burst, at: Instant::now() }
    }
    /// False when the peer is too fast.
    pub(super) fn take(&mut self) -> bool {
        let now = Instant::now();
        let refill = now.duration_since(self.at).as_secs_f64() * self.per_second;
        self.tokens = (self.tokens + refill).min(self.burst) - 1.0;
        self.at = now;
        self.tokens >= 0.0
    }
}
