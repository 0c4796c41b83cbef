//! NATS. The client connects again by itself; meanwhile nothing is kept, and what was missed is said to be.

use super::{Delivery, Network, NetworkError, REPLY_WITHIN, Subscription};
use async_nats::connection::State;
use async_nats::{Client, ConnectOptions, Event, RequestErrorKind, Subscriber};
use async_trait::async_trait;
use bytes::Bytes;
use futures_util::StreamExt;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::timeout;

/// The server must answer within this at the start.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// Pauses between tries to connect again: short, because replicas are blind meanwhile.
const AGAIN_AFTER: Duration = Duration::from_millis(250);
/// A server that answers no ping for two of these is gone.
const PING: Duration = Duration::from_secs(1);
/// Messages that wait for a subscription's reader before some are dropped, which counts as a gap.
const WAITING: usize = 16_384;

/// Why NATS cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum NatsError {
    /// The address is not one.
    #[error("{0}")]
    Address(String),
    /// The server does not answer, or does not let us in.
    #[error("{0}; start the server, or correct bus_url")]
    Connect(#[from] async_nats::ConnectError),
}

/// A connection to a NATS server.
#[derive(Debug)]
pub struct Nats {
    client: Client,
    gaps: watch::Receiver<u64>,
}

impl Nats {
    /// Connects to the servers of `nats://` or `tls://` addresses, with commas between them; a user and a
    /// password, or a token, stand in the address.
    pub async fn connect(url: &str) -> Result<Self, NatsError> {
        let addresses: Result<Vec<async_nats::ServerAddr>, _> = url.split(',').map(str::parse).collect();
        let addresses = addresses.map_err(|error| NatsError::Address(error.to_string()))?;
        let (gap, gaps) = watch::channel(0);
        let gap = Arc::new(gap);
        let client = ConnectOptions::new()
            .name("nearframe-matchmaker")
            .connection_timeout(CONNECT_WITHIN)
            .ping_interval(PING)
            .request_timeout(Some(REPLY_WITHIN))
            .subscription_capacity(WAITING)
            .reconnect_delay_callback(|_| AGAIN_AFTER)
            .event_callback(move |event| {
                let gap = Arc::clone(&gap);
                async move { heed(&event, &gap) }
            })
            .connect(addresses)
            .await?;
        Ok(Self { client, gaps })
    }

    /// Whether the server is there. The client would keep what is sent meanwhile, and send it when it is stale.
    fn is_connected(&self) -> bool {
        self.client.connection_state() == State::Connected
    }

    /// Waits until the server has taken in what was sent to it before.
    async fn settle(&self) -> Result<(), NetworkError> {
        // Nobody listens to a fresh inbox, and the server says so after it has read everything before.
        if !self.is_connected() {
            return Err(NetworkError::Silent);
        }
        let nobody = self.client.new_inbox();
        match self.client.request(nobody, Bytes::new()).await {
            Ok(_) => Ok(()),
            Err(error) if error.kind() == RequestErrorKind::NoResponders => Ok(()),
            Err(_) => Err(NetworkError::Silent),
        }
    }
}

fn heed(event: &Event, gap: &watch::Sender<u64>) {
    match event {
        // Subscriptions are made again by then; what was sent before is lost.
        Event::Connected | Event::SlowConsumer(_) => gap.send_modify(|count| *count += 1),
        _ => {}
    }
    tracing::info!(%event, "NATS");
}

#[async_trait]
impl Network for Nats {
    async fn publish(&self, subject: String, payload: Bytes) {
        if !self.is_connected() {
            return;
        }
        let size = payload.len();
        let sent = timeout(REPLY_WITHIN, self.client.publish(subject, payload)).await;
        if !matches!(sent, Ok(Ok(()))) {
            tracing::warn!(size, "NATS does not take a message");
        }
    }

    async fn request(&self, subject: String, payload: Bytes) -> Result<Bytes, NetworkError> {
        if !self.is_connected() {
            return Err(NetworkError::Silent);
        }
        // The client's own timeout starts when the message is queued, which may take as long again.
        let answered = timeout(REPLY_WITHIN, self.client.request(subject, payload)).await;
        match answered.map_err(|_| NetworkError::Silent)? {
            Ok(message) => Ok(message.payload),
            Err(error) if error.kind() == RequestErrorKind::NoResponders => Err(NetworkError::Nobody),
            Err(_) => Err(NetworkError::Silent),
        }
    }

    async fn subscribe(&self, subject: String) -> Result<Box<dyn Subscription>, NetworkError> {
        let subscriber = timeout(REPLY_WITHIN, self.client.subscribe(subject)).await;
        let subscriber = subscriber.map_err(|_| NetworkError::Silent)?.map_err(|_| NetworkError::Silent)?;
        self.settle().await?;
        Ok(Box::new(Listening(subscriber)))
    }

    fn gaps(&self) -> watch::Receiver<u64> {
        self.gaps.clone()
    }
}

struct Listening(Subscriber);

#[async_trait]
impl Subscription for Listening {
    async fn next(&mut self) -> Option<Delivery> {
        let message = self.0.next().await?;
        Some(Delivery { payload: message.payload, reply: message.reply.map(|subject| subject.to_string()) })
    }
}
