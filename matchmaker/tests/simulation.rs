//! The control plane in simulated time: three replicas, nodes and players, while replicas are killed, the bus loses
//! and delays, databases and networks go away, and nodes stop.
//!
//! Each seed is another history. `NEARFRAME_SEEDS` says how many, `NEARFRAME_SEED` runs one of them.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "simulation/dice.rs"]
mod dice;
#[path = "simulation/node.rs"]
mod node;
#[path = "simulation/replica.rs"]
mod replica;
#[path = "simulation/store.rs"]
mod store;

use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use dice::Dice;
use nearframe_ledger::chain::LATE_WINDOW_MS;
use nearframe_ledger::verify;
use nearframe_matchmaker::bus::network::{Faults, SimulatedNetwork};
use nearframe_matchmaker::store::Store;
use nearframe_protocol::api::{CreateSession, CreatedSession};
use nearframe_protocol::link::{HeldTitle, NodeOffer};
use nearframe_protocol::terms::NodeTerms;
use nearframe_protocol::title::{TitleEntry, TitleKind, TouchControls};
use nearframe_protocol::{EndReason, NodeKey, SessionId, TitleHash, TitleId};
use node::{Memory, Node, Places};
use replica::{Place, World};
use std::collections::HashSet;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use store::Database;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};
use tower::ServiceExt;

const REPLICAS: usize = 3;
const NODES: u8 = 4;
const PLAYERS: u64 = 10;
/// Accidents happen for this long; then everything is mended.
const TROUBLE: Duration = Duration::from_secs(60);
/// By then, all is over: the longest session, and what takes notice of its end.
const CALM: Duration = Duration::from_secs(120);

fn player() -> NodeKey {
    NodeKey::from_seed([200; 32])
}

fn offer(slots: u32, region: &str) -> NodeOffer {
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
        name: "simulated".into(),
        region: region.into(),
        slots,
        adapter: String::new(),
        encoders: vec![],
        titles: vec![HeldTitle { entry, cover_base64: None }],
        terms: NodeTerms::default(),
    }
}

/// A machine that runs a node, or is off.
struct Machine {
    memory: Arc<Mutex<Memory>>,
    task: JoinHandle<()>,
    has_stopped: bool,
}

struct Simulation {
    dice: Dice,
    world: World,
    places: Places,
    machines: Vec<Machine>,
    created: Arc<Mutex<HashSet<SessionId>>>,
}

impl Simulation {
    async fn start(seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let world =
            World { database: Arc::new(Database::default()), network: SimulatedNetwork::new(dice.draw()) };
        let mut places = Vec::new();
        for _ in 0..REPLICAS {
            let mut place = Place::new(world.clone(), dice.split());
            place.start().await;
            places.push(place);
        }
        let codes: Vec<String> = {
            let matchmaker = places[0].matchmaker().unwrap();
            let mut codes = Vec::new();
            for _ in 0..NODES {
                codes.push(matchmaker.enrolment_code().await.unwrap());
            }
            codes
        };
        let places: Places = Arc::new(tokio::sync::Mutex::new(places));
        let mut simulation = Self { dice, world, places, machines: Vec::new(), created: Arc::default() };
        for (n, code) in (0..NODES).zip(codes) {
            let memory = Arc::new(Mutex::new(Memory::default()));
            let task = simulation.boot(n, code, &memory);
            simulation.machines.push(Machine { memory, task, has_stopped: false });
        }
        simulation
    }

    fn boot(&mut self, n: u8, code: String, memory: &Arc<Mutex<Memory>>) -> JoinHandle<()> {
        let region = ["DE", "DE", "FR", "US-CA"][usize::from(n % 4)];
        let node = Node {
            key: NodeKey::from_seed([n + 1; 32]),
            offer: offer(1 + u32::from(n % 3), region),
            code,
            places: Arc::clone(&self.places),
            memory: Arc::clone(memory),
            dice: self.dice.split(),
            player: player(),
        };
        tokio::spawn(node.run())
    }

    /// Lets everything go wrong that may.
    async fn trouble(&mut self) {
        let calm_faults = Faults { lost_permille: 0, twice_permille: 0, delay: Duration::from_millis(2) };
        let until = Instant::now() + TROUBLE;
        while Instant::now() < until {
            sleep(Duration::from_millis(500 + self.dice.below(4000))).await;
            let at = self.dice.below(REPLICAS as u64) as usize;
            let lasts = Duration::from_millis(500 + self.dice.below(9000));
            match self.dice.below(7) {
                0 | 1 => {
                    self.places.lock().await[at].kill();
                    sleep(lasts).await;
                    self.places.lock().await[at].start().await;
                }
                2 => {
                    self.places.lock().await[at].set_bus_cut(true);
                    sleep(lasts).await;
                    self.places.lock().await[at].set_bus_cut(false);
                }
                3 => {
                    self.places.lock().await[at].set_store_cut(true);
                    sleep(lasts).await;
                    self.places.lock().await[at].set_store_cut(false);
                }
                4 => {
                    self.world.database.is_away.store(true, Ordering::Relaxed);
                    sleep(lasts * 2).await;
                    self.world.database.is_away.store(false, Ordering::Relaxed);
                }
                5 => {
                    let delay = Duration::from_millis(self.dice.below(400));
                    let (lost_permille, twice_permille) =
                        (self.dice.below(100) as u32, self.dice.below(200) as u32);
                    self.world.network.set_faults(Faults { lost_permille, twice_permille, delay });
                    self.world.database.lost_answers_permille.store(10, Ordering::Relaxed);
                    sleep(lasts).await;
                    self.world.network.set_faults(calm_faults);
                    self.world.database.lost_answers_permille.store(0, Ordering::Relaxed);
                }
                _ => {
                    let n = self.dice.below(NODES.into()) as u8;
                    let machine = &mut self.machines[usize::from(n)];
                    machine.has_stopped = true;
                    machine.task.abort();
                    // A machine that stops forgets what it ran, and keeps its receipts.
                    machine.memory.lock().unwrap().running.clear();
                    sleep(lasts).await;
                    let memory = Arc::clone(&self.machines[usize::from(n)].memory);
                    self.machines[usize::from(n)].task = self.boot(n, String::new(), &memory);
                }
            }
        }
        let mut places = self.places.lock().await;
        for place in places.iter_mut().filter(|place| !place.is_alive()) {
            place.start().await;
        }
    }

    fn play(&mut self) -> Vec<JoinHandle<()>> {
        let mut players = Vec::new();
        for n in 0..PLAYERS {
            let (places, created, dice) =
                (Arc::clone(&self.places), Arc::clone(&self.created), self.dice.split());
            players.push(tokio::spawn(play(n, places, created, dice)));
        }
        players
    }

    /// What must be true when all is over.
    async fn judge(&self, seed: u64) {
        let store = &self.world.database.inner;
        let active = store.active_sessions().await.unwrap();
        assert!(active.is_empty(), "seed {seed}: sessions that do not end: {active:#?}");
        assert!(store.busy().await.unwrap().is_empty(), "seed {seed}: slots that stay taken");
        for machine in &self.machines {
            let taken = {
                let memory = machine.memory.lock().unwrap();
                assert!(memory.running.is_empty(), "seed {seed}: runs without a lease: {:?}", memory.running);
                assert!(memory.spool.is_empty(), "seed {seed}: receipts nobody takes: {:?}", memory.spool);
                // Time after the end is refused, and rightly, with what follows it; nothing else is.
                let mut overrun = HashSet::new();
                let lost: Vec<_> = memory
                    .refused
                    .iter()
                    .filter(|(id, _, why)| {
                        !(overrun.contains(id) || why.contains("lasted") && overrun.insert(*id))
                    })
                    .collect();
                assert!(lost.is_empty(), "seed {seed}: money lost: {lost:?}");
                if !machine.has_stopped {
                    let touched = &memory.ended_as_lost;
                    assert!(touched.is_empty(), "seed {seed}: streams that ran were ended: {touched:?}");
                }
                memory.taken.clone()
            };
            for (id, sequence) in taken {
                let receipts = store.receipts(id, 0, 1000).await.unwrap();
                let counted = receipts.iter().filter(|it| it.signed.receipt.sequence == sequence).count();
                assert_eq!(counted, 1, "seed {seed}: {id} {sequence} was acknowledged");
                let row = store.session(id).await.unwrap().unwrap();
                assert_eq!(
                    row.billed_us,
                    receipts.len() as u64 * 10_000_000,
                    "seed {seed}: counted once each"
                );
            }
        }
        let late = store.clock_ms().await.unwrap() + LATE_WINDOW_MS + 1000;
        while store.close_accounts(late).await.unwrap() > 0 {}
        let balances = verify(&store.journal().await.unwrap()).unwrap();
        let pending: i128 = balances.values().map(|balance| balance.pending_micros).sum();
        assert_eq!(pending, 0, "seed {seed}: money that stays set aside");
    }
}

/// A player: asks for a session until it gets one, plays, and leaves, or just goes.
async fn play(n: u64, places: Places, created: Arc<Mutex<HashSet<SessionId>>>, mut dice: Dice) {
    for round in 0..3 {
        sleep(Duration::from_millis(dice.below(20_000))).await;
        let request = CreateSession::of(TitleId::new("meteor").unwrap(), player().public());
        let mut session = None;
        for _ in 0..20 {
            let asked = Request::post("/v1/sessions")
                .header(header::CONTENT_TYPE, "application/json")
                .header("idempotency-key", format!("{n}/{round}"))
                .body(Body::from(serde_json::to_string(&request).unwrap()));
            if let Some((StatusCode::CREATED, body)) = ask(&places, &mut dice, asked.unwrap()).await {
                session = serde_json::from_slice::<CreatedSession>(&body).ok();
                break;
            }
            sleep(Duration::from_millis(500 + dice.below(1500))).await;
        }
        let Some(session) = session else { continue };
        created.lock().unwrap().insert(session.session.id);
        sleep(Duration::from_millis(dice.below(40_000))).await;
        if dice.below(3) == 0 {
            continue;
        }
        for _ in 0..20 {
            let asked = Request::delete(format!("/v1/sessions/{}", session.session.id))
                .header(header::AUTHORIZATION, format!("Bearer {}", session.ticket))
                .body(Body::empty());
            if let Some((StatusCode::OK, _)) = ask(&places, &mut dice, asked.unwrap()).await {
                break;
            }
            sleep(Duration::from_millis(500)).await;
        }
    }
}

/// Asks any replica; `None` where it does not answer.
async fn ask(places: &Places, dice: &mut Dice, request: Request<Body>) -> Option<(StatusCode, Vec<u8>)> {
    let router = {
        let places = places.lock().await;
        places[dice.below(places.len() as u64) as usize].router()?
    };
    let answered = timeout(Duration::from_secs(15), router.oneshot(request)).await.ok()?;
    let answer = answered.unwrap();
    let status = answer.status();
    let body = axum::body::to_bytes(answer.into_body(), usize::MAX).await.ok()?;
    Some((status, body.to_vec()))
}

async fn run(seed: u64) {
    let mut simulation = Simulation::start(seed).await;
    let players = simulation.play();
    simulation.trouble().await;
    for player in players {
        player.await.unwrap();
    }
    sleep(CALM).await;
    simulation.judge(seed).await;
    for place in simulation.places.lock().await.iter_mut() {
        place.kill();
    }
    simulation.machines.iter().for_each(|machine| machine.task.abort());
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// Runs seeds on as many threads as there are processors.
fn run_seeds(seeds: std::ops::Range<u64>) {
    let next = std::sync::atomic::AtomicU64::new(seeds.start);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end {
                        return;
                    }
                    let runtime =
                        tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
                    runtime.unwrap().block_on(run(seed));
                }
            });
        }
    });
}

#[test]
fn nothing_is_booked_twice_no_receipt_is_lost_and_every_session_ends() {
    match number("NEARFRAME_SEED") {
        Some(seed) => run_seeds(seed..seed + 1),
        None => run_seeds(0..number("NEARFRAME_SEEDS").unwrap_or(200)),
    }
}

#[test]
fn a_player_who_leaves_is_told_apart_from_a_node_that_is_lost() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
    runtime.unwrap().block_on(async {
        let mut simulation = Simulation::start(1).await;
        sleep(Duration::from_secs(2)).await;
        for player in simulation.play() {
            player.await.unwrap();
        }
        sleep(CALM).await;
        simulation.judge(1).await;
        let mut reasons = HashSet::new();
        let created: Vec<SessionId> = simulation.created.lock().unwrap().iter().copied().collect();
        for id in created {
            reasons.extend(simulation.world.database.inner.session(id).await.unwrap().unwrap().end_reason);
        }
        assert_eq!(reasons, HashSet::from([EndReason::PlayerLeft]), "in calm times nothing else happens");
        assert!(simulation.created.lock().unwrap().len() > 10, "most players get a machine");
    });
}
