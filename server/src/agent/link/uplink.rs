//! The uplink, measured once for each way to the matchmaker, on a link that is used for nothing else.

use super::{Greeting, Running, Socket, receive, send};
use crate::agent::Config;
use crate::capability;
use anyhow::{Context, Result, bail};
use futures_util::{SinkExt, StreamExt};
use nearframe_protocol::NodeKey;
use nearframe_protocol::link::{FromNode, NodeOffer, ToNode};
use nearframe_protocol::uplink::{ANSWERED_WITHIN, FEATURE, MOST_BYTES, MOST_CHUNK_BYTES, Uplink};
use std::path::PathBuf;
use std::pin::pin;
use std::time::{Duration, Instant};
use tokio_tungstenite::MaybeTlsStream;
use tokio_tungstenite::tungstenite::{Bytes, Message};
use tracing::{info, warn};

/// After a measurement that did not come about.
const AGAIN_AFTER: Duration = Duration::from_secs(60);

/// Knows which way was measured.
pub(in crate::agent) struct Uplinks {
    data_dir: PathBuf,
    key: NodeKey,
    measured: Option<String>,
    /// What was measured is not the way of now.
    due: bool,
    failed: Option<Instant>,
}

impl Uplinks {
    pub(in crate::agent) fn new(data_dir: PathBuf, key: NodeKey) -> Self {
        let measured = capability::measured_way(&data_dir);
        Self { data_dir, key, due: measured.is_none(), measured, failed: None }
    }

    /// Whether the next link is to be one that only measures. Not while anybody plays: it would take what they need.
    pub(super) fn is_due(&self, running: &Running) -> bool {
        let free = running.lock().is_ok_and(|sessions| sessions.is_empty());
        self.due && free && self.failed.is_none_or(|at| at.elapsed() >= AGAIN_AFTER)
    }

    /// Whether this link goes another way than the one that was measured, and is to make room for one that measures.
    pub(super) fn is_another_way(
        &mut self,
        config: &Config,
        socket: &Socket,
        greeting: &Greeting,
        running: &Running,
    ) -> bool {
        self.due |= greeting.versions.has(FEATURE) && self.measured != way(config, socket);
        self.is_due(running)
    }

    /// Measures and puts what was found into the offer; the link is not to be used any further.
    pub(super) async fn measure(
        &mut self,
        config: &Config,
        mut socket: Socket,
        greeting: &Greeting,
        offer: &mut NodeOffer,
    ) {
        self.failed = Some(Instant::now());
        let way = way(config, &socket).filter(|_| greeting.versions.has(FEATURE));
        let (Some(report), Some(way)) = (&offer.capability, way) else { return };
        let answered = tokio::time::timeout(ANSWERED_WITHIN, ask(&mut socket)).await;
        match answered.context("nothing was heard in time").flatten() {
            Ok(uplink) => {
                let mbps = uplink.map(|uplink| uplink.bps() as f64 / 1e6);
                info!(
                    mbps,
                    at_least = uplink.is_some_and(|uplink| uplink.at_least),
                    "the uplink was measured"
                );
                let signed = capability::with_uplink(&self.data_dir, &self.key, report, uplink, &way);
                offer.capability = Some(signed);
                (self.measured, self.due, self.failed) = (Some(way), false, None);
            }
            Err(error) => warn!("the uplink is not known yet: {error:#}"),
        }
        let _ = tokio::time::timeout(Duration::from_millis(100), socket.close(None)).await;
    }
}

/// Where the link goes, and from which of this machine's addresses: another uplink has another.
fn way(config: &Config, socket: &Socket) -> Option<String> {
    let local = match socket.get_ref() {
        MaybeTlsStream::Plain(tcp) => tcp.local_addr(),
        MaybeTlsStream::Rustls(tls) => tls.get_ref().0.local_addr(),
        _ => return None,
    };
    let host = config.matchmaker.host_str()?;
    Some(format!("{} to {host}", local.ok()?.ip()))
}

/// Sends as much as is taken, until the matchmaker says what it saw.
async fn ask(socket: &mut Socket) -> Result<Option<Uplink>> {
    send(socket, &FromNode::MeasureUplink).await?;
    loop {
        match receive(socket).await? {
            ToNode::UplinkOpen => break,
            ToNode::UplinkLater => bail!("others are being measured; it is tried again in a minute"),
            _ => {}
        }
    }
    // Nothing on the way is to make less of it.
    let mut chunk = vec![0; MOST_CHUNK_BYTES];
    getrandom::fill(&mut chunk)
        .map_err(|error| anyhow::anyhow!("the system gives no randomness: {error}"))?;
    let (mut out, mut heard) = socket.split();
    let sending = async {
        let chunk = Bytes::from(chunk);
        for _ in 0..MOST_BYTES as usize / MOST_CHUNK_BYTES {
            out.send(Message::Binary(chunk.clone())).await?;
        }
        anyhow::Ok(())
    };
    let hearing = async {
        while let Some(frame) = heard.next().await {
            if let Message::Text(text) = frame?
                && let ToNode::UplinkMeasured { uplink } = serde_json::from_str(&text)?
            {
                uplink.map_or(Ok(()), |uplink| uplink.check()).context("no measurement gives this answer")?;
                return Ok(uplink);
            }
        }
        bail!("the matchmaker closed the connection")
    };
    let (mut sending, mut hearing) = (pin!(sending), pin!(hearing));
    tokio::select! {
        answer = &mut hearing => return answer,
        // Where sending fails, the answer may be there nevertheless.
        _ = &mut sending => {}
    }
    hearing.await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::config_for_tests;
    use crate::agent::link::TheirClock;
    use nearframe_protocol::capability::{Capability, SignedCapability};
    use nearframe_protocol::link::{self, RunningSession};
    use nearframe_protocol::uplink::{Seen, UplinkMeter};
    use nearframe_protocol::{Generation, SessionId, VersionOffer};
    use std::sync::{Arc, Mutex};
    use tokio::net::TcpListener;
    use tokio_tungstenite::{WebSocketStream, accept_async, connect_async};

    /// What a matchmaker does with one link, from where it has heard the question.
    enum Part {
        Measures,
        Later,
        Lies,
        Leaves,
    }

    async fn serve(listener: TcpListener, part: Part) {
        let mut socket = accept_async(listener.accept().await.unwrap().0).await.unwrap();
        assert!(matches!(socket.next().await, Some(Ok(Message::Text(_)))));
        let told = match part {
            Part::Leaves => return,
            Part::Later => ToNode::UplinkLater,
            Part::Measures | Part::Lies => ToNode::UplinkOpen,
        };
        tell(&mut socket, &told).await;
        let uplink = match part {
            Part::Lies => Some(Uplink { bytes: u32::MAX, elapsed_us: 1, at_least: false }),
            _ => {
                let (mut meter, mut first) = (UplinkMeter::default(), None);
                loop {
                    let Some(Ok(Message::Binary(bytes))) = socket.next().await else { return };
                    let since = first.get_or_insert_with(Instant::now).elapsed();
                    if let Seen::Over(seen) = meter.arrived(since, bytes.len()) {
                        break seen;
                    }
                }
            }
        };
        tell(&mut socket, &ToNode::UplinkMeasured { uplink }).await;
        while let Some(Ok(_)) = socket.next().await {}
    }

    async fn tell(socket: &mut WebSocketStream<tokio::net::TcpStream>, message: &ToNode) {
        socket.send(Message::text(serde_json::to_string(message).unwrap())).await.unwrap();
    }

    fn report(key: &NodeKey) -> SignedCapability {
        SignedCapability::sign(key, Capability { sessions: 3, ..Capability::default() })
    }

    /// What is known after one link, and whether it is to be tried again some time.
    async fn after(part: Part) -> (Option<Uplink>, bool) {
        let (dir, key) = (tempfile::tempdir().unwrap(), NodeKey::from_seed([5; 32]));
        let config = config_for_tests(dir.path());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("ws://{}", listener.local_addr().unwrap());
        let serving = tokio::spawn(serve(listener, part));
        let socket = connect_async(&address).await.unwrap().0;
        let (versions, running) = (link::versions(), Arc::new(Mutex::new(Vec::new())));
        let greeting = Greeting { versions, clock: TheirClock::showed(0) };
        let mut uplinks = Uplinks::new(dir.path().to_owned(), key.clone());
        assert!(uplinks.is_due(&running), "nothing is known yet");
        let mut offer = crate::agent::link::tests::offer(report(&key));
        uplinks.measure(&config, socket, &greeting, &mut offer).await;
        let signed = offer.capability.unwrap();
        signed.verify(&key.public()).unwrap();
        serving.abort();
        assert!(!uplinks.is_due(&running), "the next link is for playing, whatever came of this one");
        (signed.capability.uplink, uplinks.due)
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_the_matchmaker_counted_is_signed_and_not_measured_twice() {
        let (uplink, again) = after(Part::Measures).await;
        let uplink = uplink.expect("loopback carries more than nothing");
        assert!(uplink.check().is_ok() && uplink.bps() > 1_000_000, "{uplink:?}");
        assert!(!again);
    }

    #[tokio::test]
    async fn a_matchmaker_that_is_busy_lies_or_leaves_costs_nothing_but_the_knowledge() {
        for part in [Part::Later, Part::Lies, Part::Leaves] {
            assert_eq!(after(part).await, (None, true), "nothing is signed, and it is tried again");
        }
    }

    #[tokio::test]
    async fn another_way_is_measured_anew_unless_somebody_plays_or_the_matchmaker_cannot() {
        let (dir, key) = (tempfile::tempdir().unwrap(), NodeKey::from_seed([5; 32]));
        let config = config_for_tests(dir.path());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("ws://{}", listener.local_addr().unwrap());
        let serving = tokio::spawn(async move { accept_async(listener.accept().await.unwrap().0).await });
        let socket = connect_async(&address).await.unwrap().0;
        let running: Running = Arc::default();
        let greeting = |versions| Greeting { versions, clock: TheirClock::showed(0) };
        let (knows, older) = (greeting(link::versions()), greeting(VersionOffer::current()));
        let measured = |way: &str| Uplinks {
            measured: Some(way.to_owned()),
            due: false,
            ..Uplinks::new(dir.path().to_owned(), key.clone())
        };
        let mut same = measured("127.0.0.1 to 127.0.0.1");
        assert!(!same.is_another_way(&config, &socket, &knows, &running));
        let mut moved = measured("192.0.2.7 to 127.0.0.1");
        assert!(!moved.is_another_way(&config, &socket, &older, &running));
        let session = RunningSession { session: SessionId::from_random([1; 16]), generation: Generation(1) };
        running.lock().unwrap().push(session);
        assert!(!moved.is_another_way(&config, &socket, &knows, &running));
        running.lock().unwrap().clear();
        assert!(moved.is_another_way(&config, &socket, &knows, &running));
        serving.abort();
    }
}
