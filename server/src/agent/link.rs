//! The link to the matchmaker: dials out, proves the key, reconnects by itself.

use super::reflector::TheirClock;
use super::{Config, Event};
use crate::capability;
use anyhow::{Context, Result, bail};
use futures_util::{SinkExt, StreamExt};
use nearframe_protocol::link::{
    self, FromNode, HEARTBEAT_MS, MAX_LINK_BYTES, NodeOffer, RunningSession, ToNode, sign_hello,
};
use nearframe_protocol::uplink::FEATURE;
use nearframe_protocol::{NodeKey, VersionOffer};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{Connector, MaybeTlsStream, WebSocketStream, connect_async_tls_with_config};
use tracing::{error, info};

pub(crate) mod pin;
mod uplink;

pub(super) use uplink::Uplinks;

/// Messages that may wait for the socket.
const OUT_CAPACITY: usize = 256;
/// First and longest pause between two tries to connect.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(5));
/// The whole handshake must be over within this.
const HANDSHAKE_TIME: Duration = Duration::from_secs(10);
/// A matchmaker that says nothing for this long, pings included, is taken for gone. Others give a node 3 s and their grace, 10 s,
/// to link anew; a database that is away may keep a link waiting for 5 s.
const SILENCE: Duration = Duration::from_secs(8);

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;
/// Sessions that run on this node, as heartbeats tell them.
pub(crate) type Running = Arc<Mutex<Vec<RunningSession>>>;

/// Keeps the link up; once `shutdown` is true, a link that ends is not made again.
pub(crate) async fn keep(
    config: Arc<Config>,
    key: NodeKey,
    mut offer: NodeOffer,
    mut uplinks: Option<Uplinks>,
    running: Running,
    events: mpsc::Sender<Event>,
    shutdown: watch::Receiver<bool>,
) {
    let mut pause = BACKOFF.0;
    loop {
        let measures = uplinks.as_mut().filter(|uplinks| uplinks.is_due(&running));
        if let Some(uplinks) = measures {
            // Nobody is placed on a link that is about to close.
            let said = NodeOffer { titles: Vec::new(), ..offer.clone() };
            if let Ok((socket, greeting)) = connect(&config, &key, &said, &running).await {
                uplinks.measure(&config, socket, &greeting, &mut offer).await;
            }
        }
        match connect(&config, &key, &offer, &running).await {
            Ok((socket, greeting)) => {
                if let Some(uplinks) = &mut uplinks
                    && uplinks.is_another_way(&config, &socket, &greeting, &running)
                {
                    continue;
                }
                info!(matchmaker = %config.matchmaker, "linked");
                pause = BACKOFF.0;
                let (out_in, out) = mpsc::channel(OUT_CAPACITY);
                if events.send(Event::LinkUp(out_in, greeting)).await.is_err() {
                    return;
                }
                let ended = pump(socket, out, &running, &events).await;
                if let Err(error) = ended
                    && !*shutdown.borrow()
                {
                    info!("the link to the matchmaker ended: {error:#}; it is made again");
                }
                if events.send(Event::LinkDown).await.is_err() {
                    return;
                }
            }
            Err(_) if *shutdown.borrow() => {}
            Err(error) => error!("no link to the matchmaker at {}: {error:#}", config.matchmaker),
        }
        if *shutdown.borrow() {
            return;
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(BACKOFF.1);
    }
}

/// What the matchmaker said when the link came up.
#[derive(Debug)]
pub(crate) struct Greeting {
    /// What it speaks.
    pub(crate) versions: VersionOffer,
    /// What its clock showed.
    pub(crate) clock: TheirClock,
}

async fn connect(
    config: &Config,
    key: &NodeKey,
    offer: &NodeOffer,
    running: &Running,
) -> Result<(Socket, Greeting)> {
    tokio::time::timeout(HANDSHAKE_TIME, handshake(config, key, offer, running))
        .await
        .context("the matchmaker did not answer in time")?
}

async fn handshake(
    config: &Config,
    key: &NodeKey,
    offer: &NodeOffer,
    running: &Running,
) -> Result<(Socket, Greeting)> {
    let mut url = config.matchmaker.join("/v1/nodes/link").context("the matchmaker's address")?;
    let scheme = if url.scheme() == "https" { "wss" } else { "ws" };
    url.set_scheme(scheme).map_err(|()| anyhow::anyhow!("the matchmaker's address must be http or https"))?;
    let limits = WebSocketConfig::default()
        .max_message_size(Some(MAX_LINK_BYTES))
        .max_frame_size(Some(MAX_LINK_BYTES));
    let connector = config
        .pin
        .map(|pin| pin::client_config(pin).map(|tls| Connector::Rustls(Arc::new(tls))))
        .transpose()?;
    let (mut socket, _) = connect_async_tls_with_config(url.as_str(), Some(limits), true, connector).await?;

    let ToNode::Challenge { nonce, versions } = receive(&mut socket).await? else {
        bail!("the matchmaker did not start with a challenge");
    };
    link::versions().agree(&versions)?;
    let mut offer = offer.clone();
    if !versions.has(FEATURE) {
        offer.capability = offer.capability.map(|report| capability::without_uplink(key, report));
    }
    let hello = FromNode::Hello {
        versions: link::versions(),
        public_key: key.public(),
        signature: sign_hello(key, &nonce),
        enrolment_code: config.enrolment_code.clone(),
        offer: Box::new(offer),
        sessions: snapshot(running),
    };
    send(&mut socket, &hello).await?;
    match receive(&mut socket).await? {
        ToNode::Welcome { now_ms, .. } => {
            Ok((socket, Greeting { versions, clock: TheirClock::showed(now_ms) }))
        }
        ToNode::Refused { code, message } => bail!("refused ({code}): {message}"),
        _ => bail!("the matchmaker answered hello with something else"),
    }
}

async fn pump(
    mut socket: Socket,
    mut out: mpsc::Receiver<FromNode>,
    running: &Running,
    events: &mpsc::Sender<Event>,
) -> Result<()> {
    let mut heartbeat = tokio::time::interval(Duration::from_millis(HEARTBEAT_MS));
    let mut sequence = 0;
    let mut heard = tokio::time::Instant::now();
    loop {
        tokio::select! {
            _ = heartbeat.tick() => {
                if heard.elapsed() > SILENCE {
                    bail!("nothing heard for {} s", SILENCE.as_secs());
                }
                sequence += 1;
                send(&mut socket, &FromNode::Heartbeat { sequence, sessions: snapshot(running) }).await?;
                socket.send(Message::Ping(Vec::new().into())).await?;
            }
            message = out.recv() => match message {
                Some(message) => send(&mut socket, &message).await?,
                None => return Ok(()),
            },
            frame = socket.next() => {
                heard = tokio::time::Instant::now();
                match frame.transpose()? {
                    Some(Message::Text(text)) => {
                        let command = serde_json::from_str(&text).context("a command that is not understood")?;
                        events.send(Event::Command(command)).await.context("the agent is gone")?;
                    }
                    Some(Message::Close(_)) | None => bail!("closed by the matchmaker"),
                    Some(_) => {}
                }
            }
        }
    }
}

async fn send(socket: &mut Socket, message: &FromNode) -> Result<()> {
    let text = serde_json::to_string(message)?;
    socket.send(Message::Text(text.into())).await.context("sending to the matchmaker")
}

async fn receive(socket: &mut Socket) -> Result<ToNode> {
    while let Some(frame) = socket.next().await {
        if let Message::Text(text) = frame? {
            return serde_json::from_str(&text).context("an answer that is not understood");
        }
    }
    bail!("the matchmaker closed the connection")
}

fn snapshot(running: &Running) -> Vec<RunningSession> {
    running.lock().map(|sessions| sessions.clone()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use nearframe_protocol::capability::SignedCapability;
    use nearframe_protocol::terms::NodeTerms;

    pub(super) fn offer(report: SignedCapability) -> NodeOffer {
        NodeOffer {
            name: "test".into(),
            region: String::new(),
            slots: 1,
            adapter: String::new(),
            encoders: vec![],
            titles: vec![],
            capability: Some(report),
            terms: NodeTerms::default(),
        }
    }
}
