//! A stand-in for a node that behaves as the real agent does: links to whichever replica takes it, runs what it is
//! told to, keeps receipts until they are taken, and links again by itself.

use super::dice::Dice;
use super::replica::Place;
use futures_util::{SinkExt, StreamExt};
use nearframe_protocol::link::{FromNode, HEARTBEAT_MS, NodeOffer, RunningSession, ToNode, sign_hello};
use nearframe_protocol::receipt::{Receipt, ReceiptHash, SignedReceipt};
use nearframe_protocol::{EndReason, Generation, NodeKey, SessionId, VersionOffer};
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::DuplexStream;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

/// What is said within this was said.
const PATIENCE: Duration = Duration::from_secs(10);
/// A session takes this long to its first picture.
const FIRST_PICTURE: Duration = Duration::from_millis(400);
/// Time in a receipt.
const RECEIPT_EVERY: Duration = Duration::from_secs(10);
/// A session whose player never left ends after this.
const LONGEST: Duration = Duration::from_secs(45);
/// Pause before the node links again.
const AGAIN: Duration = Duration::from_millis(300);

pub(crate) type Places = Arc<tokio::sync::Mutex<Vec<Place>>>;

/// What a node knows, whatever becomes of its links.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    pub(crate) running: BTreeMap<SessionId, Running>,
    /// Receipts that nobody has taken yet.
    pub(crate) spool: BTreeMap<(SessionId, u32), SignedReceipt>,
    /// Receipts that a matchmaker said it had taken.
    pub(crate) taken: BTreeSet<(SessionId, u32)>,
    /// Receipts that a matchmaker will never take.
    pub(crate) refused: Vec<(SessionId, u32, String)>,
    /// Sessions that were told to stop because the node was lost, while it ran all the time.
    pub(crate) ended_as_lost: HashSet<SessionId>,
    /// Words about ended sessions that wait for a link.
    untold: Vec<FromNode>,
}

#[derive(Debug)]
pub(crate) struct Running {
    generation: Generation,
    since: Instant,
    live: bool,
    sequence: u32,
    head: ReceiptHash,
    receipted: Instant,
}

pub(crate) struct Node {
    pub(crate) key: NodeKey,
    pub(crate) offer: NodeOffer,
    pub(crate) code: String,
    pub(crate) places: Places,
    pub(crate) memory: Arc<Mutex<Memory>>,
    pub(crate) dice: Dice,
    pub(crate) player: NodeKey,
}

type Wire = WebSocketStream<DuplexStream>;

impl Node {
    /// Runs until the task is aborted, which is what a machine that stops looks like.
    pub(crate) async fn run(mut self) {
        loop {
            if let Some(mut wire) = self.link().await {
                self.serve(&mut wire).await;
            }
            self.work();
            tokio::time::sleep(AGAIN + Duration::from_millis(self.dice.below(300))).await;
        }
    }

    async fn link(&mut self) -> Option<Wire> {
        let stream = {
            let mut places = self.places.lock().await;
            let at = self.dice.below(places.len() as u64) as usize;
            places[at].dial()?
        };
        timeout(PATIENCE, self.greet(stream)).await.ok().flatten()
    }

    async fn greet(&self, stream: DuplexStream) -> Option<Wire> {
        let (mut wire, _) =
            tokio_tungstenite::client_async("ws://replica/v1/nodes/link", stream).await.ok()?;
        let ToNode::Challenge { nonce, .. } = hear(&mut wire).await? else { return None };
        let hello = FromNode::Hello {
            versions: VersionOffer::current(),
            public_key: self.key.public(),
            signature: sign_hello(&self.key, &nonce),
            enrolment_code: Some(self.code.clone()),
            offer: Box::new(self.offer.clone()),
            sessions: self.running(),
        };
        say(&mut wire, &hello).await?;
        matches!(hear(&mut wire).await?, ToNode::Welcome { .. }).then_some(wire)
    }

    fn running(&self) -> Vec<RunningSession> {
        let memory = self.memory.lock().unwrap();
        memory
            .running
            .iter()
            .map(|(&session, it)| RunningSession { session, generation: it.generation })
            .collect()
    }

    async fn serve(&mut self, wire: &mut Wire) {
        let mut ticks = interval(Duration::from_millis(HEARTBEAT_MS / 4));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut sequence = 0;
        let live: Vec<_> = {
            let memory = self.memory.lock().unwrap();
            let live = memory.running.iter().filter(|(_, it)| it.live);
            live.map(|(&session, it)| FromNode::Live { session, generation: it.generation }).collect()
        };
        for word in live {
            if say(wire, &word).await.is_none() {
                return;
            }
        }
        loop {
            tokio::select! {
                command = hear(wire) => match command {
                    Some(command) => self.obey(command),
                    None => return,
                },
                _ = ticks.tick() => {
                    sequence += 1;
                    let mut words = self.work();
                    if sequence % 4 == 0 {
                        words.push(FromNode::Heartbeat { sequence, sessions: self.running() });
                        let spool = self.memory.lock().unwrap().spool.values().cloned().collect::<Vec<_>>();
                        words.extend(spool.into_iter().map(|it| FromNode::Receipt { receipt: Box::new(it) }));
                    }
                    for word in words {
                        if say(wire, &word).await.is_none() {
                            return;
                        }
                    }
                }
            }
        }
    }

    fn obey(&mut self, command: ToNode) {
        let mut memory = self.memory.lock().unwrap();
        match command {
            ToNode::Start { session, generation, .. } => {
                if memory.running.contains_key(&session) {
                    return;
                }
                if memory.running.len() >= self.offer.slots as usize {
                    let detail = "full".to_owned();
                    let reason = EndReason::Drained;
                    memory.untold.push(FromNode::Ended { session, generation, reason, detail });
                    return;
                }
                let now = Instant::now();
                let running = Running {
                    generation,
                    since: now,
                    live: false,
                    sequence: 0,
                    head: ReceiptHash::ZERO,
                    receipted: now,
                };
                memory.running.insert(session, running);
            }
            ToNode::Stop { session, reason, .. } => {
                let ran = memory.running.remove(&session).is_some_and(|it| it.live);
                if ran && reason == EndReason::NodeLost {
                    memory.ended_as_lost.insert(session);
                }
            }
            ToNode::ReceiptTaken { session, sequence, .. } => {
                memory.spool.remove(&(session, sequence));
                memory.taken.insert((session, sequence));
            }
            ToNode::ReceiptRefused { session, sequence, message, .. } => {
                memory.spool.remove(&(session, sequence));
                memory.refused.push((session, sequence, message));
            }
            _ => {}
        }
    }

    /// What time brings, linked or not: pictures, receipts, the end of long sessions.
    fn work(&mut self) -> Vec<FromNode> {
        let mut memory = self.memory.lock().unwrap();
        let now = Instant::now();
        let mut words = std::mem::take(&mut memory.untold);
        let mut receipts = Vec::new();
        let mut over = Vec::new();
        for (&session, it) in &mut memory.running {
            if !it.live && now - it.since >= FIRST_PICTURE {
                (it.live, it.receipted) = (true, now);
                words.push(FromNode::Live { session, generation: it.generation });
            }
            if it.live && now - it.receipted >= RECEIPT_EVERY {
                let mut signed = SignedReceipt::sign(&self.key, receipt(session, it));
                signed.player_signature = Some(self.player.sign(&signed.receipt.signed_bytes()));
                (it.sequence, it.head, it.receipted) = (it.sequence + 1, signed.receipt.hash(), now);
                receipts.push(signed);
            }
            if now - it.since >= LONGEST {
                over.push((session, it.generation));
            }
        }
        memory.spool.extend(receipts.into_iter().map(|it| ((it.receipt.session, it.receipt.sequence), it)));
        for (session, generation) in over {
            memory.running.remove(&session);
            let (reason, detail) = (EndReason::PlayerLeft, String::new());
            words.push(FromNode::Ended { session, generation, reason, detail });
        }
        words
    }
}

fn receipt(session: SessionId, running: &Running) -> Receipt {
    Receipt {
        session,
        generation: running.generation,
        sequence: running.sequence,
        previous: running.head,
        duration_us: RECEIPT_EVERY.as_micros() as u64,
        frames: 600,
        bytes: 1000,
        encoder_us: 1,
        width: 1280,
        height: 720,
        rtt_us: 1,
        packets_sent: 10,
        packets_lost: 0,
    }
}

async fn say(wire: &mut Wire, word: &FromNode) -> Option<()> {
    let text = serde_json::to_string(word).unwrap();
    timeout(PATIENCE, wire.send(Message::text(text))).await.ok()?.ok()
}

async fn hear(wire: &mut Wire) -> Option<ToNode> {
    loop {
        match wire.next().await? {
            Ok(Message::Text(text)) => return Some(serde_json::from_str(&text).unwrap()),
            Ok(Message::Close(_)) | Err(_) => return None,
            Ok(_) => {}
        }
    }
}
