//! A reservation from end to end, with stand-ins for nodes: they bid, the cheapest stand by, a session takes the place of
//! one, another goes and is replaced, all of it is billed, and programs of another language compute bill and auction again.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use axum::body::Body;
use axum::http::{Method, Request, Response, StatusCode, header};
use nearframe_ledger::rates::Rate;
use nearframe_matchmaker::Config;
use nearframe_matchmaker::audit::audit;
use nearframe_matchmaker::store::{SqliteStore, Store};
use nearframe_protocol::account::{Account, CreatedKey};
use nearframe_protocol::api::{CreatedSession, Page, Problem};
use nearframe_protocol::auction::{Bid, OpenBid, SealedBid};
use nearframe_protocol::key::Nonce;
use nearframe_protocol::link::{FromNode, RunningSession, ToNode};
use nearframe_protocol::market::{AuctionRecord, Reservation, ReservationState, SpendCap};
use nearframe_protocol::prices::{PriceIndex, Work};
use nearframe_protocol::receipt::{Receipt, ReceiptHash, SignedReceipt};
use nearframe_protocol::{AuctionId, Generation, NodeId, NodeKey, SessionId};
use serde_json::{Value, json as object};
use std::collections::HashMap;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};
use support::{FakeNode, Service, bytes, create_session, json, player, problem};
use tokio::task::JoinHandle;
use tokio::time::interval;

/// An hour of play, and the dearest hour of standing by.
const PLAY: i64 = 7_200_000;
const RESERVE: i64 = 3_600_000;
/// A stand-in states the time this often; a real node, every 10 s.
const RECEIPT: Duration = Duration::from_millis(700);

fn config() -> Config {
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
struct Bidder {
    node: FakeNode,
    price: u64,
    sealed: HashMap<AuctionId, OpenBid>,
    running: HashMap<SessionId, Stated>,
}

impl Bidder {
    fn live(node: FakeNode, price: u64) -> JoinHandle<()> {
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

struct Studio<'a> {
    service: &'a Service,
    operator: String,
    account: Account,
    secret: String,
}

impl Studio<'_> {
    async fn send(&self, method: Method, path: &str, body: Value) -> Response<Body> {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::AUTHORIZATION, format!("Bearer {}", self.secret))
            .header(header::CONTENT_TYPE, "application/json");
        self.service.ask(request.body(Body::from(body.to_string())).unwrap()).await
    }

    async fn operate(&self, method: &str, path: &str, body: Value) -> Response<Body> {
        support::send(self.service, method, path, &self.operator, body).await
    }

    async fn reservation(&self, id: impl std::fmt::Display) -> Reservation {
        json(self.send(Method::GET, &format!("/v1/reservations/{id}"), Value::Null).await).await
    }

    /// Looks until it is so.
    async fn until(
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

async fn studio<'a>(service: &'a Service, limit: &str) -> Studio<'a> {
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

fn wish(machines: u32, from_ms: u64, until_ms: u64) -> Value {
    object!({"title": "meteor", "region": "DE", "machines": machines, "from_ms": from_ms, "until_ms": until_ms})
}

fn now_ms() -> u64 {
    std::time::UNIX_EPOCH.elapsed().unwrap().as_millis() as u64
}

fn states(reservation: &Reservation) -> HashMap<NodeId, &str> {
    reservation.machine_states.iter().map(|machine| (machine.node, machine.state.as_str())).collect()
}

#[tokio::test]
async fn machines_are_bidden_for_stand_by_are_played_on_replaced_and_billed() {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(SqliteStore::open(&folder.path().join("db")).await.unwrap());
    let service = Service::with_store(config(), Arc::clone(&store) as Arc<dyn Store>).await;
    let mut nodes = vec![];
    let mut ids = vec![];
    for (n, price) in [(1, 1_000_000), (2, 1_500_000), (3, 2_000_001), (4, 9_000_000)] {
        let node = FakeNode::bidder(&service, n, 1).await;
        ids.push(node.id);
        nodes.push(Bidder::live(node, price));
    }
    let studio = studio(&service, "100").await;
    let answer = studio.send(Method::POST, "/v1/reservations", wish(2, 0, now_ms() + 24_000)).await;
    assert_eq!(answer.status(), StatusCode::CREATED);
    let wished: Reservation = json(answer).await;
    assert_eq!(
        (wished.state, wished.price_ceiling.amount_micros),
        (ReservationState::Bidding, RESERVE.into())
    );
    let during: AuctionRecord = json(service.get(&format!("/v1/auctions/{}", wished.auction)).await).await;
    assert_eq!((during.seed, during.price_micros_per_hour), (None, None), "nothing is told before the end");

    let stands = |node: NodeId| move |now: &Reservation| states(now).get(&node) == Some(&"standing");
    let booked = studio.until(wished.id, "booked", |now| now.state != ReservationState::Bidding).await;
    assert_eq!(booked.state, ReservationState::Booked);
    assert_eq!(booked.price_per_hour.unwrap().amount_micros, 2_000_001, "what the first loser asked");
    assert!(booked.held.amount_micros < wished.held.amount_micros, "no more is held than it costs");
    for node in &ids[..2] {
        studio.until(wished.id, "standing", stands(*node)).await;
    }
    studio.until(wished.id, "paid", |now| now.paid.amount_micros > 0).await;

    // Whoever did not reserve gets the machines that are left, and none of these.
    for node in &ids[2..] {
        let stranger = service.created("meteor").await;
        assert_ne!(stranger.session.node, ids[0]);
        assert!(ids[2..].contains(&stranger.session.node), "{node}");
        if stranger.session.node == ids[2] {
            let leave = format!("/v1/sessions/{}", stranger.session.id);
            studio.operate("DELETE", &leave, Value::Null).await;
            break;
        }
    }
    let session = serde_json::to_value(create_session("meteor")).unwrap();
    let created: CreatedSession = json(studio.send(Method::POST, "/v1/sessions", session).await).await;
    assert_eq!(created.session.node, ids[0], "the first that stands by");
    let playing = studio.reservation(wished.id).await;
    assert_eq!((states(&playing)[&ids[0]], states(&playing)[&ids[1]]), ("playing", "standing"));
    tokio::time::sleep(Duration::from_secs(2)).await;
    studio.send(Method::DELETE, &format!("/v1/sessions/{}", created.session.id), Value::Null).await;
    studio.until(wished.id, "standing again", stands(ids[0])).await;

    nodes[1].abort();
    let replaced = studio.until(wished.id, "replaced", stands(ids[2])).await;
    assert_eq!(states(&replaced)[&ids[1]], "gone");

    studio.until(wished.id, "over", |now| now.state == ReservationState::Over).await;
    // The last receipts are on their way.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let over = studio.reservation(wished.id).await;
    assert_eq!(over.held.amount_micros, 0);
    check(&studio, &over, folder.path()).await;
    let audited = audit(&*store).await.unwrap();
    assert!(audited.leases >= 5, "{audited:?}");
    nodes.iter().for_each(JoinHandle::abort);
}

/// What was billed and how the auction came out, computed again by programs of another language.
async fn check(studio: &Studio<'_>, over: &Reservation, folder: &Path) {
    let save = |name: &str, text: &str| {
        std::fs::write(folder.join(name), text).unwrap();
        folder.join(name).to_str().unwrap().to_owned()
    };
    let days = now_ms() / 86_400_000;
    let (year, month, _) = nearframe_ledger::settlement::Epoch(days as u32).date();
    let statement = format!("/v1/statements/meteor/{year:04}-{month:02}");
    let statement = bytes(studio.send(Method::GET, &statement, Value::Null).await).await;
    let statement = String::from_utf8(statement).unwrap();
    let stood: i128 = statement
        .lines()
        .filter(|line| line.contains(",reserve,"))
        .map(|line| line.split(',').nth(15).unwrap().parse::<i128>().unwrap())
        .sum();
    assert_eq!(stood, over.paid.amount_micros);
    assert!(statement.contains(",interactive,"), "{statement}");
    let card = String::from_utf8(bytes(studio.service.get("/v1/prices").await).await).unwrap();
    let auction = bytes(studio.service.get(&format!("/v1/auctions/{}", over.auction)).await).await;
    let auction = String::from_utf8(auction).unwrap();
    let record: AuctionRecord = serde_json::from_str(&auction).unwrap();
    assert_eq!((record.winners.len(), record.next.len(), record.bids.len()), (2, 1, 4));
    let (statement, card) =
        (save("statement.csv", &statement), format!("--card={}", save("card.json", &card)));
    let file = save("auction.json", &auction);
    let said = run("recompute-bill.py", &[&statement, &card, &format!("--auction={file}")]).unwrap();
    assert!(said.contains("every price follows"), "{said}");
    let said = run("recompute-auction.py", &[&file]).unwrap();
    assert!(said.contains("4 bids are right: 2 machines at 2000001"), "{said}");
    for (from, to) in [
        ("\"price_micros_per_hour\":2000001".to_owned(), "\"price_micros_per_hour\":1900000".to_owned()),
        (format!("\"winners\":[\"{}\"", record.winners[0]), format!("\"winners\":[\"{}\"", record.next[0])),
        (format!("\"seed\":\"{}", record.seed.unwrap()), format!("\"seed\":\"{}", "0".repeat(64))),
        (record.bids[0].nonce.unwrap().to_string(), "0".repeat(64)),
    ] {
        assert!(auction.contains(&from), "{from}");
        let file = save("changed.json", &auction.replace(&from, &to));
        run("recompute-auction.py", &[&file]).unwrap_err();
    }
    let index: PriceIndex = json(studio.service.get("/v1/prices/index").await).await;
    let reserve = index.prices.iter().find(|price| price.work == Work::Reserve).unwrap();
    let price = reserve.price_per_hour.amount_micros;
    assert!((1_990_000..=2_000_001).contains(&price), "{price}");
    assert_eq!(reserve.listed_per_hour.amount_micros, i128::from(RESERVE));
}

fn run(program: &str, arguments: &[&str]) -> Result<String, String> {
    let path = format!("{}/../scripts/{program}", env!("CARGO_MANIFEST_DIR"));
    let output = Command::new("python3").arg(path).args(arguments).output().expect("python3 is installed");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

#[tokio::test]
async fn what_cannot_be_reserved_is_told_and_what_is_not_paid_for_is_offered() {
    let service = Service::with(config()).await;
    let studio = studio(&service, "5").await;
    let hour = |hours: u64| now_ms() + hours * 3_600_000;
    let refused =
        async |body: Value| problem(studio.send(Method::POST, "/v1/reservations", body).await).await;
    let base = || wish(1, hour(1), hour(2));
    let with = |name: &str, value: Value| {
        let mut body = base();
        body[name] = value;
        body
    };
    for (name, value) in [
        ("machines", object!(0)),
        ("machines", object!(101)),
        ("gpu_tier", object!(8)),
        ("region", object!("Germany")),
        ("until_ms", object!(hour(1))),
        ("until_ms", object!(hour(24 * 40))),
        ("from_ms", object!(hour(24 * 100))),
        ("price_ceiling", object!({"amount": "-1", "currency": "EUR"})),
        ("price_ceiling", object!({"amount": "1", "currency": "USD"})),
        ("account", object!("6f1c1e1e-0b7a-4a51-9a61-2f5a3c0e9b11")),
        ("unheard_of", object!(1)),
    ] {
        assert_eq!(refused(with(name, value.clone())).await, "bad_body", "{name} = {value}");
    }
    assert_eq!(refused(with("quote", object!("x.y"))).await, "bad_quote");

    let answer = studio.send(Method::POST, "/v1/reservations", wish(2, hour(1), hour(2))).await;
    assert_eq!(answer.status(), StatusCode::PAYMENT_REQUIRED);
    let said: Problem = json(answer).await;
    let offer = said.offer.unwrap();
    assert_eq!((said.code.as_str(), offer.left.amount_micros), ("budget_used_up", 5_000_000));
    assert!(offer.needed.amount_micros >= 2 * i128::from(RESERVE));

    let answer = studio.send(Method::POST, "/v1/reservations", base()).await;
    assert_eq!(answer.status(), StatusCode::CREATED);
    let made: Reservation = json(answer).await;
    let path = format!("/v1/reservations/{}", made.id);
    let failed = studio.until(made.id, "failed", |now| now.state == ReservationState::Failed).await;
    assert_eq!(failed.held.amount_micros, 0, "nobody bid");
    let again: Reservation = json(studio.send(Method::DELETE, &path, Value::Null).await).await;
    assert_eq!(again.state, ReservationState::Failed, "there is nothing to cancel");
    let second: Reservation = json(studio.send(Method::POST, "/v1/reservations", base()).await).await;
    let path = format!("/v1/reservations/{}", second.id);
    let gone: Reservation = json(studio.send(Method::DELETE, &path, Value::Null).await).await;
    assert_eq!((gone.state, gone.held.amount_micros), (ReservationState::Cancelled, 0));
    let all: Page<Reservation> = json(studio.send(Method::GET, "/v1/reservations", Value::Null).await).await;
    assert_eq!(all.items.iter().map(|row| row.id).collect::<Vec<_>>(), [second.id, made.id]);

    let nobody = "/v1/reservations/6f1c1e1e-0b7a-4a51-9a61-2f5a3c0e9b11";
    let unknown = studio.send(Method::GET, nobody, Value::Null).await;
    assert_eq!(problem(unknown).await, "unknown_reservation");
    let unknown = service.get("/v1/auctions/6f1c1e1e-0b7a-4a51-9a61-2f5a3c0e9b11").await;
    assert_eq!(problem(unknown).await, "unknown_auction");
    let by_operator = studio.operate("POST", "/v1/reservations", base()).await;
    assert_eq!(problem(by_operator).await, "bad_body", "an operator says who pays");
    let mut named = base();
    named["account"] = object!(studio.account.id);
    assert_eq!(studio.operate("POST", "/v1/reservations", named).await.status(), StatusCode::CREATED);
}

#[tokio::test]
async fn a_studio_limits_what_each_of_its_players_spends_in_a_month() {
    let service = Service::with(config()).await;
    let _node = FakeNode::enrol(&service, 9).await;
    let studio = studio(&service, "1000").await;
    let cap = object!({"per_month": {"amount": "15", "currency": "EUR"}});
    let path = "/v1/titles/meteor/player-cap";
    let set: SpendCap = json(studio.operate("PUT", path, cap.clone()).await).await;
    assert_eq!(set.per_month.unwrap().amount_micros, 15_000_000);
    let ask = async |player: Option<&str>| {
        let mut body = serde_json::to_value(create_session("meteor")).unwrap();
        if let Some(player) = player {
            body["player"] = object!(player);
        }
        studio.send(Method::POST, "/v1/sessions", body).await
    };
    for _ in 0..2 {
        assert_eq!(ask(Some("anna")).await.status(), StatusCode::CREATED);
    }
    let third = ask(Some("anna")).await;
    assert_eq!(third.status(), StatusCode::PAYMENT_REQUIRED);
    assert_eq!(problem(third).await, "player_cap_reached");
    assert_eq!(ask(Some("bert")).await.status(), StatusCode::CREATED, "another player");
    assert_eq!(problem(ask(Some("")).await).await, "bad_body");
    let mut guest = serde_json::to_value(create_session("meteor")).unwrap();
    guest["player"] = object!("anna");
    let guest = service.ask(support::post("/v1/sessions", &guest)).await;
    assert_eq!(problem(guest).await, "bad_body", "a guest names nobody");

    let own = format!("/v1/accounts/{}/cap", studio.account.id);
    let none: SpendCap = json(studio.operate("GET", &own, Value::Null).await).await;
    assert_eq!(none.per_month, None);
    studio.operate("PUT", &own, cap).await;
    assert_eq!(problem(ask(Some("carl")).await).await, "player_cap_reached", "three hours are 21.6");
    for wrong in [object!({"per_month": {"amount": "-1", "currency": "EUR"}}), object!({"limit": 1})] {
        assert_eq!(problem(studio.operate("PUT", &own, wrong).await).await, "bad_body");
    }
    studio.operate("PUT", &own, object!({})).await;
    assert_eq!(ask(Some("carl")).await.status(), StatusCode::CREATED);
}
