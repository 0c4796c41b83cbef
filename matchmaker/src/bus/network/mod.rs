//! What carries bytes between replicas.
//!
//! Nothing here is durable: what must survive stands in the database before a word about it is sent
//! (docs/decisions/0019).

mod nats;
mod simulated;

pub use nats::{Nats, NatsError};
pub use simulated::{Faults, Simulated, SimulatedNetwork};

use async_trait::async_trait;
use bytes::Bytes;
use std::time::Duration;
use tokio::sync::watch;

/// Who is asked answers within this, or counts as away.
pub const REPLY_WITHIN: Duration = Duration::from_secs(2);

/// Why nothing came back, or nothing can be heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NetworkError {
    /// Nobody listens to this subject.
    #[error("nobody listens")]
    Nobody,
    /// The network is away, or nobody answered in time.
    #[error("no answer")]
    Silent,
}

/// The seam: subjects, which are words with dots between them.
#[async_trait]
pub trait Network: Send + Sync + 'static {
    /// Sends to all who listen, or to nobody.
    async fn publish(&self, subject: String, payload: Bytes);
    /// Sends to who listens and waits for an answer, at most [`REPLY_WITHIN`].
    async fn request(&self, subject: String, payload: Bytes) -> Result<Bytes, NetworkError>;
    /// Listens; what is published after the return is heard.
    async fn subscribe(&self, subject: String) -> Result<Box<dyn Subscription>, NetworkError>;
    /// Counts up whenever something may have been missed.
    fn gaps(&self) -> watch::Receiver<u64>;
}

/// The listening end of a subject; dropping it ends it.
#[async_trait]
pub trait Subscription: Send {
    /// The next message; `None` when the network is closed.
    async fn next(&mut self) -> Option<Delivery>;
}

/// A message.
#[derive(Debug)]
pub struct Delivery {
    /// What was sent.
    pub payload: Bytes,
    /// Where an answer is awaited.
    pub reply: Option<String>,
}
