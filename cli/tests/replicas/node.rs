//! A stand-in for a node, in threads: links to whichever matchmaker takes it, runs what it is told to, and keeps
//! receipts until they are taken.

use nearframe_protocol::link::{FromNode, HeldTitle, NodeOffer, RunningSession, ToNode, sign_hello};
use nearframe_protocol::receipt::{Receipt, ReceiptHash, SignedReceipt};
use nearframe_protocol::terms::NodeTerms;
use nearframe_protocol::title::{TitleEntry, TitleKind, TouchControls};
use nearframe_protocol::{EndReason, Generation, NodeKey, SessionId, TitleHash, TitleId, VersionOffer};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};
use tokio_tungstenite::tungstenite::{Error, Message, WebSocket, client};

const HEARTBEAT: Duration = Duration::from_secs(1);
const RECEIPT_EVERY: Duration = Duration::from_secs(2);
const AGAIN: Duration = Duration::from_millis(300);
/// How long a read waits before the node looks at its watch.
const LOOK: Duration = Duration::from_millis(50);
/// A matchmaker that answers no ping for this long is gone, as for a real node.
const SILENCE: Duration = Duration::from_secs(8);

#[derive(Debug, Default)]
pub(crate) struct Memory {
    running: BTreeMap<SessionId, Running>,
    pub(crate) most_running: usize,
    pub(crate) spool: BTreeMap<(SessionId, u32), SignedReceipt>,
    pub(crate) taken: BTreeSet<(SessionId, u32)>,
    pub(crate) refused: Vec<(SessionId, String)>,
    /// Sessions that ran and were told to stop because this node, which never stopped, was lost.
    pub(crate) touched: Vec<SessionId>,
    untold: Vec<FromNode>,
    links: usize,
}

impl Memory {
    pub(crate) fn is_idle(&self) -> bool {
        self.running.is_empty() && self.spool.is_empty() && self.untold.is_empty()
    }
}

#[derive(Debug)]
struct Running {
    generation: Generation,
    live: bool,
    sequence: u32,
    head: ReceiptHash,
    receipted: Instant,
}

pub(crate) struct Node {
    pub(crate) key: NodeKey,
    pub(crate) player: NodeKey,
    pub(crate) region: &'static str,
    pub(crate) slots: u32,
    pub(crate) code: String,
    pub(crate) doors: Vec<SocketAddr>,
    pub(crate) memory: Arc<Mutex<Memory>>,
    pub(crate) stop: Arc<AtomicBool>,
}

type Wire = WebSocket<TcpStream>;

impl Node {
    pub(crate) fn run(self) {
        let mut at = usize::from(self.key.public().as_bytes()[0]);
        while !self.stop.load(Ordering::Relaxed) {
            at += 1;
            if let Some(wire) = self.link(self.doors[at % self.doors.len()]) {
                // A link that ends is made again.
                let _ = self.serve(wire);
            }
            thread::sleep(AGAIN);
        }
    }

    fn link(&self, door: SocketAddr) -> Option<Wire> {
        let stream = TcpStream::connect_timeout(&door, Duration::from_secs(1)).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(8))).ok()?;
        let (mut wire, _) = client(format!("ws://{door}/v1/nodes/link"), stream).ok()?;
        let mut heard = Instant::now();
        let ToNode::Challenge { nonce, .. } = hear(&mut wire, &mut heard).ok()?? else { return None };
        let hello = FromNode::Hello {
            versions: VersionOffer::current(),
            public_key: self.key.public(),
            signature: sign_hello(&self.key, &nonce),
            enrolment_code: Some(self.code.clone()),
            offer: Box::new(offer(self.region, self.slots)),
            sessions: self.running(),
        };
        say(&mut wire, &hello).ok()?;
        let welcome = hear(&mut wire, &mut heard).ok()??;
        wire.get_ref().set_read_timeout(Some(LOOK)).ok()?;
        matches!(welcome, ToNode::Welcome { .. }).then_some(wire)
    }

    fn running(&self) -> Vec<RunningSession> {
        let memory = self.memory.lock().unwrap();
        memory
            .running
            .iter()
            .map(|(&session, it)| RunningSession { session, generation: it.generation })
            .collect()
    }

    fn serve(&self, mut wire: Wire) -> Result<(), Error> {
        let mut sequence = 0;
        let (mut beaten, mut heard): (Option<Instant>, _) = (None, Instant::now());
        {
            let mut memory = self.memory.lock().unwrap();
            memory.links += 1;
            let live = memory.running.iter().filter(|(_, it)| it.live);
            let words: Vec<_> =
                live.map(|(&session, it)| FromNode::Live { session, generation: it.generation }).collect();
            memory.untold.extend(words);
        }
        while !self.stop.load(Ordering::Relaxed) {
            if let Some(command) = hear(&mut wire, &mut heard)? {
                self.obey(command);
            }
            if heard.elapsed() > SILENCE {
                return Err(Error::ConnectionClosed);
            }
            let mut words = self.work();
            if beaten.is_none_or(|beaten| beaten.elapsed() >= HEARTBEAT) {
                (beaten, sequence) = (Some(Instant::now()), sequence + 1);
                wire.send(Message::Ping(Vec::new().into()))?;
                words.push(FromNode::Heartbeat { sequence, sessions: self.running() });
                let spool: Vec<_> = self.memory.lock().unwrap().spool.values().cloned().collect();
                words.extend(spool.into_iter().map(|it| FromNode::Receipt { receipt: Box::new(it) }));
            }
            for word in &words {
                say(&mut wire, word)?;
            }
        }
        Ok(())
    }

    fn obey(&self, command: ToNode) {
        let mut memory = self.memory.lock().unwrap();
        match command {
            ToNode::Start { session, generation, .. } => {
                if memory.running.contains_key(&session) {
                    return;
                }
                if memory.running.len() >= self.slots as usize {
                    let (reason, detail) = (EndReason::Drained, "full".to_owned());
                    memory.untold.push(FromNode::Ended { session, generation, reason, detail });
                    return;
                }
                let (head, receipted) = (ReceiptHash::ZERO, Instant::now());
                memory
                    .running
                    .insert(session, Running { generation, live: false, sequence: 0, head, receipted });
                memory.most_running = memory.most_running.max(memory.running.len());
            }
            ToNode::Stop { session, reason, .. } => {
                let ran = memory.running.remove(&session).is_some_and(|it| it.live);
                if ran && reason == EndReason::NodeLost {
                    memory.touched.push(session);
                }
            }
            ToNode::ReceiptTaken { session, sequence, .. } => {
                memory.spool.remove(&(session, sequence));
                memory.taken.insert((session, sequence));
            }
            ToNode::ReceiptRefused { session, sequence, message, .. } => {
                memory.spool.remove(&(session, sequence));
                memory.refused.push((session, message));
            }
            _ => {}
        }
    }

    /// Pictures and receipts, as time brings them.
    fn work(&self) -> Vec<FromNode> {
        let mut memory = self.memory.lock().unwrap();
        let mut words = std::mem::take(&mut memory.untold);
        let mut signed = Vec::new();
        for (&session, it) in &mut memory.running {
            if !it.live {
                (it.live, it.receipted) = (true, Instant::now());
                words.push(FromNode::Live { session, generation: it.generation });
            }
            if it.receipted.elapsed() >= RECEIPT_EVERY {
                let mut one = SignedReceipt::sign(&self.key, receipt(session, it));
                one.player_signature = Some(self.player.sign(&one.receipt.signed_bytes()));
                (it.sequence, it.head, it.receipted) = (it.sequence + 1, one.receipt.hash(), Instant::now());
                signed.push(one);
            }
        }
        memory.spool.extend(signed.into_iter().map(|it| ((it.receipt.session, it.receipt.sequence), it)));
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
        frames: 120,
        bytes: 1000,
        encoder_us: 1,
        width: 1280,
        height: 720,
        rtt_us: 1,
        packets_sent: 10,
        packets_lost: 0,
    }
}

fn offer(region: &str, slots: u32) -> NodeOffer {
    let entry = TitleEntry {
        id: TitleId::new("meteor").unwrap(),
        kind: TitleKind::Builtin,
        name: "Meteor".into(),
        version: "1".into(),
        hash: TitleHash::from_bytes([1; 32]),
        description: String::new(),
        cover: None,
        width: 1280,
        height: 720,
        fps: 60,
        controls: vec![],
        touch: TouchControls::default(),
    };
    NodeOffer {
        capability: None,
        name: format!("stand-in in {region}"),
        region: region.to_owned(),
        slots,
        adapter: "none".into(),
        encoders: vec![],
        titles: vec![HeldTitle { entry, cover_base64: None }],
        terms: NodeTerms::default(),
    }
}

fn say(wire: &mut Wire, word: &FromNode) -> Result<(), Error> {
    wire.send(Message::text(serde_json::to_string(word).unwrap()))
}

/// The next command; `None` where none came in the time that a read waits. Notes when anything was `heard`.
fn hear(wire: &mut Wire, heard: &mut Instant) -> Result<Option<ToNode>, Error> {
    loop {
        let read = wire.read();
        if read.is_ok() {
            *heard = Instant::now();
        }
        match read {
            Ok(Message::Text(text)) => return Ok(serde_json::from_str(&text).ok()),
            Ok(Message::Close(_)) => return Err(Error::ConnectionClosed),
            Ok(_) => {}
            Err(Error::Io(error))
                if matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) =>
            {
                return Ok(None);
            }
            Err(error) => return Err(error),
        }
    }
}
