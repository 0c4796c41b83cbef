//! A studio that reserves, and stand-ins for nodes that bid, stand by and play.
#![allow(dead_code, reason = "each test program uses a part of it")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use crate::support::{self, FakeNode, Service, json, player};
use axum::body::Body;
use axum::http::{Method, Request, Response, header};
use nearframe_ledger::rates::Rate;
use nearframe_matchmaker::Config;
use nearframe_protocol::account::{Account, CreatedKey};
use nearframe_protocol::auction::{Bid, OpenBid, SealedBid};
use nearframe_protocol::key::Nonce;
use nearframe_protocol::link::{FromNode, RunningSession, ToNode};
use nearframe_protocol::market::Reservation;
use nearframe_protocol::prices::Work;
use nearframe_protocol::receipt::{Receipt, ReceiptHash, SignedReceipt};
use nearframe_protocol::{AuctionId, Generation, NodeId, NodeKey, SessionId};
use serde_json::{Value, json as object};
use std::collections::HashMap;
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;
use tokio::time::interval;

/// An hour of play, and the dearest hour of standing by.
pub(crate) const PLAY: i64 = 7_200_000;
pub(crate) const RESERVE: i64 = 3_600_000;
/// A stand-in states the time this often; a real node, every 10 s.
const RECEIPT: Duration = Duration::from_millis(700);

pub(crate) fn config() -> Config {
    let reserve =
        Rate { work: Work::Reserve, region: String::new(), gpu_tier: 0, price_micros_per_hour: RESERVE };
    Config { price_micros_per_hour: PLAY, rates: vec![reserve], auction_s: 2, ..Config::default() }
}

/// What a stand-in states about something that runs on it.
struct Stated {
    generation: Generation,
    sequence: u32,
    previous: ReceiptHash,
    since: Instant,
    plays: bool,
}

/// A stand-in that bids a price, stands by and plays, as a real node does.
pub(crate) struct Bidder {
    node: FakeNode,
    price: u64,
    sealed: HashMap<AuctionId, OpenBid>,
    running: HashMap<SessionId, Stated>,
}

impl Bidder {
    pub(crate) fn live(node: FakeNode, price: u64) -> JoinHandle<()> {
        let bidder = Self { node, price, sealed: HashMap::new(), running: HashMap::new() };
        tokio::spawn(bidder.run())
    }

    async fn run(mut self) {
        let mut ticks = interval(Duration::from_millis(200));
        loop {
            tokio::select! {
                _ = ticks.tick() => self.tick().await,
                command = self.node.wire.hear() => match command {
                    Some(command) => self.obey(command).await,
                    None => return,
                },
            }
        }
    }

    async fn tick(&mut self) {
        let due: Vec<_> =
            self.running.iter().filter(|(_, it)| it.since.elapsed() >= RECEIPT).map(|(id, _)| *id).collect();
        for session in due {
            self.state(session).await;
        }
        let running = self.running.iter();
        let running =
            running.map(|(session, it)| RunningSession { session: *session, generation: it.generation });
        let running = running.collect();
        self.node.heartbeat(running).await;
    }

    async fn state(&mut self, session: SessionId) {
        let Some(stated) = self.running.get_mut(&session) else { return };
        let (plays, duration) = (stated.plays, stated.since.elapsed());
        stated.since = Instant::now();
        let receipt = Receipt {
            session,
            generation: stated.generation,
            sequence: stated.sequence,
            previous: stated.previous,
            duration_us: duration.as_micros() as u64,
            frames: if plays { 60 } else { 0 },
            bytes: u64::from(plays),
            encoder_us: u64::from(plays),
            width: 0,
            height: 0,
            rtt_us: 0,
            packets_sent: u32::from(plays),
            packets_lost: 0,
        };
        (stated.sequence, stated.previous) = (stated.sequence + 1, receipt.hash());
        let mut signed = SignedReceipt::sign(&self.node.key, receipt);
        if plays {
            signed.player_signature = Some(player().sign(&signed.receipt.signed_bytes()));
        }
        self.node.wire.say(&FromNode::Receipt { receipt: Box::new(signed) }).await;
    }

    async fn begin(&mut self, session: SessionId, generation: Generation, plays: bool) {
        let (sequence, previous, since) = (0, ReceiptHash::ZERO, Instant::now());
        let stated = Stated { generation, sequence, previous, since, plays };
        self.running.entry(session).or_insert(stated);
        self.node.wire.say(&FromNode::Live { session, generation }).await;
    }

    async fn obey(&mut self, command: ToNode) {
        match command {
            ToNode::Auction { call } => {
                assert_eq!(call.node, self.node.id);
                assert_eq!(call.listed.amount_micros, i128::from(RESERVE));
                let bid = Bid {
                    auction: call.auction,
                    node: self.node.id,
                    price_micros_per_hour: self.price,
                    currency: call.ceiling.currency,
                };
                let open = OpenBid { bid, nonce: Nonce::from_bytes([self.price as u8; 32]) };
                // One that is not its own comes to nothing.
                let forged = SealedBid::of(&NodeKey::from_seed([99; 32]), &open.bid, &open.nonce);
                self.node.wire.say(&FromNode::Seal { sealed: forged }).await;
                let sealed = SealedBid::of(&self.node.key, &open.bid, &open.nonce);
                self.node.wire.say(&FromNode::Seal { sealed }).await;
                self.sealed.insert(call.auction, open);
            }
            ToNode::Reveal { auction } => {
                let open = Box::new(self.sealed[&auction].clone());
                self.node.wire.say(&FromNode::Open { open }).await;
            }
            ToNode::StandBy { session, generation } => self.begin(session, generation, false).await,
            ToNode::Start { session, generation, .. } => self.begin(session, generation, true).await,
            ToNode::Stop { session, reason, .. } => {
                self.state(session).await;
                if let Some(stated) = self.running.remove(&session) {
                    let generation = stated.generation;
                    let ended = FromNode::Ended { session, generation, reason, detail: String::new() };
                    self.node.wire.say(&ended).await;
                }
            }
            ToNode::ReceiptRefused { message, .. } => panic!("{message}"),
            _ => {}
        }
    }
}

pub(crate) struct Studio<'a> {
    pub(crate) service: &'a Service,
    operator: String,
    pub(crate) account: Account,
    secret: String,
}

impl Studio<'_> {
    pub(crate) async fn send(&self, method: Method, path: &str, body: Value) -> Response<Body> {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::AUTHORIZATION, format!("Bearer {}", self.secret))
            .header(header::CONTENT_TYPE, "application/json");
        self.service.ask(request.body(Body::from(body.to_string())).unwrap()).await
    }

    pub(crate) async fn operate(&self, method: &str, path: &str, body: Value) -> Response<Body> {
        support::send(self.service, method, path, &self.operator, body).await
    }

    pub(crate) async fn reservation(&self, id: impl std::fmt::Display) -> Reservation {
        json(self.send(Method::GET, &format!("/v1/reservations/{id}"), Value::Null).await).await
    }

    /// Looks until it is so.
    pub(crate) async fn until(
        &self,
        id: impl std::fmt::Display,
        what: &str,
        so: impl Fn(&Reservation) -> bool,
    ) -> Reservation {
        let end = Instant::now() + Duration::from_secs(30);
        loop {
            let now = self.reservation(&id).await;
            if so(&now) {
                return now;
            }
            assert!(Instant::now() < end, "never {what}: {now:?}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

pub(crate) async fn studio<'a>(service: &'a Service, limit: &str) -> Studio<'a> {
    let operator = service.operator().await;
    let send = async |method: &str, path: &str, body: Value| {
        let answer = support::send(service, method, path, &operator, body).await;
        assert!(answer.status().is_success(), "{path}: {}", answer.status());
        answer
    };
    let account = send("POST", "/v1/accounts", object!({"kind": "studio", "name": "Acme"})).await;
    let account: Account = json(account).await;
    let allowance = object!({"limit": {"amount": limit, "currency": "EUR"}});
    send("PUT", &format!("/v1/accounts/{}/allowance", account.id), allowance).await;
    let key = object!({"name": "agent", "scopes": ["sessions", "usage", "quotes"]});
    let key = send("POST", &format!("/v1/accounts/{}/keys", account.id), key).await;
    let key: CreatedKey = json(key).await;
    Studio { service, secret: key.secret, account, operator }
}

pub(crate) fn wish(machines: u32, from_ms: u64, until_ms: u64) -> Value {
    object!({"title": "meteor", "region": "DE", "machines": machines, "from_ms": from_ms, "until_ms": until_ms})
}

pub(crate) fn now_ms() -> u64 {
    std::time::UNIX_EPOCH.elapsed().unwrap().as_millis() as u64
}

pub(crate) fn states(reservation: &Reservation) -> HashMap<NodeId, &str> {
    reservation.machine_states.iter().map(|machine| (machine.node, machine.state.as_str())).collect()
}
