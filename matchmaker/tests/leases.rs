//! Random concurrent requests: a node never holds more leases than it has slots, and nothing is
//! counted twice, whatever crashes in between.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod postgres;

use nearframe_ledger::{Tariff, verify};
use nearframe_matchmaker::store::{
    Admission, Created, Idempotency, MemoryStore, NewSession, PostgresStore, SqliteStore, Store,
};
use nearframe_protocol::link::NodeOffer;
use nearframe_protocol::receipt::{Receipt, ReceiptHash, SignedReceipt};
use nearframe_protocol::terms::NodeTerms;
use nearframe_protocol::{
    Currency, EndReason, Generation, GuestId, LeaseId, NodeId, NodeKey, SessionId, TitleHash, TitleId,
};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use std::collections::HashMap;
use std::sync::Arc;

const NOW: u64 = 1_700_000_000_000;
const NODES: u8 = 2;

#[derive(Clone, Copy, Debug)]
enum Step {
    Create { session: u8, node: u8 },
    End { session: u8 },
    Live { session: u8 },
    Receipt { session: u8, sequence: u32 },
    Crash,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..12u8, 0..NODES).prop_map(|(session, node)| Step::Create { session, node }),
        2 => (0..12u8).prop_map(|session| Step::End { session }),
        1 => (0..12u8).prop_map(|session| Step::Live { session }),
        3 => (0..12u8, 0..3u32).prop_map(|(session, sequence)| Step::Receipt { session, sequence }),
        1 => Just(Step::Crash),
    ]
}

fn key(node: u8) -> NodeKey {
    NodeKey::from_seed([node + 1; 32])
}
fn id(session: u8) -> SessionId {
    SessionId::from_random([session; 16])
}

async fn enrol(store: &dyn Store, slots: &[u32]) -> Vec<NodeId> {
    let mut nodes = Vec::new();
    for (n, &slots) in (0..).zip(slots) {
        store.add_enrolment([n; 32], u64::MAX).await.unwrap();
        let offer = NodeOffer {
            name: "n".into(),
            region: String::new(),
            slots,
            adapter: String::new(),
            encoders: vec![],
            titles: vec![],
            capability: None,
            terms: NodeTerms::default(),
        };
        match store.admit_node(&key(n).public(), Some([n; 32]), &offer, NOW).await.unwrap() {
            Admission::Admitted(node) => nodes.push(node),
            other => panic!("{other:?}"),
        }
    }
    nodes
}

fn new(session: u8, lease: [u8; 16], node: NodeId) -> NewSession {
    NewSession {
        id: id(session),
        guest: GuestId::from_random([session; 16]),
        guest_limit: 1,
        title: TitleId::new("meteor").unwrap(),
        title_hash: TitleHash::from_bytes([0; 32]),
        node,
        player_key: key(9).public(),
        lease: LeaseId::from_random(lease),
        tariff: Tariff {
            price_micros_per_hour: 1_234_567,
            fee_permille: 123,
            currency: Currency::new("EUR").unwrap(),
        },
        basis: None,
        now_ms: NOW,
        // The same request again is the same session: ids never collide.
        idempotency: Some(Idempotency { key: [session; 32], request: [session; 32] }),
        fence: None,
        payer: None,
        reservation: None,
        player: None,
    }
}

/// The receipt that an honest node writes: the same one however often it is asked.
fn receipt(session: u8, node: u8, sequence: u32) -> SignedReceipt {
    let mut previous = ReceiptHash::ZERO;
    for at in 0..=sequence {
        let receipt = Receipt {
            session: id(session),
            generation: Generation(0),
            sequence: at,
            previous,
            duration_us: 10_000_000,
            frames: 1,
            bytes: 1,
            encoder_us: 1,
            width: 2,
            height: 2,
            rtt_us: 0,
            packets_sent: 1,
            packets_lost: 0,
        };
        if at == sequence {
            let mut signed = SignedReceipt::sign(&key(node), receipt);
            signed.player_signature = Some(key(9).sign(&signed.receipt.signed_bytes()));
            return signed;
        }
        previous = receipt.hash();
    }
    unreachable!("the loop returns at `sequence`")
}

async fn take_step(store: &dyn Store, nodes: &[NodeId], step: Step) {
    match step {
        Step::Create { session, node } => {
            let _ = store.create_session(&new(session, [session; 16], nodes[usize::from(node)])).await;
        }
        Step::End { session } => {
            let _ = store.end_session(id(session), EndReason::PlayerLeft, NOW + 60_000).await;
        }
        Step::Live { session } => {
            let _ = store.set_live(id(session), Generation(0)).await;
        }
        Step::Receipt { session, sequence } => {
            for node in 0..NODES {
                let _ = store.take_receipt(&receipt(session, node, sequence), NOW + 60_000).await;
            }
        }
        Step::Crash => {}
    }
}

async fn check_invariants(store: &dyn Store, slots: &HashMap<NodeId, u32>) {
    let mut held: HashMap<NodeId, u32> = HashMap::new();
    for row in store.active_sessions().await.unwrap() {
        *held.entry(row.node).or_default() += 1;
    }
    assert_eq!(held, store.busy().await.unwrap());
    for (node, held) in held {
        assert!(held <= slots[&node], "{held} leases on {} slots", slots[&node]);
    }
    let balances = verify(&store.journal().await.unwrap()).unwrap();
    let mut cost = 0;
    for session in 0..12 {
        let Some(row) = store.session(id(session)).await.unwrap() else { continue };
        assert_eq!(row.billed_us, u64::from(row.receipts) * 10_000_000, "each receipt is billed once");
        cost += row.cost.amount_micros;
    }
    let debits: i128 = balances.values().map(|balance| balance.debits_micros).sum();
    assert_eq!(debits, cost);
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn slots_are_never_exceeded_and_nothing_counts_twice_when_the_process_crashes(
        slots in prop::collection::vec(0..4u32, usize::from(NODES)),
        steps in prop::collection::vec((step(), 0..3u32), 1..60),
    ) {
        runtime().block_on(async {
            let store = MemoryStore::new();
            let nodes = enrol(&store, &slots).await;
            let slots: HashMap<_, _> = nodes.iter().copied().zip(slots).collect();
            for (step, commits) in steps {
                if matches!(step, Step::Crash) {
                    store.crash_after(commits);
                }
                take_step(&store, &nodes, step).await;
                check_invariants(&store, &slots).await;
            }
        });
    }
}

/// Takes all steps at once, each in a task of its own.
async fn race(store: Arc<dyn Store>, slots: Vec<u32>, steps: Vec<Step>) {
    let nodes = enrol(&*store, &slots).await;
    let slots: HashMap<_, _> = nodes.iter().copied().zip(slots).collect();
    let mut tasks = tokio::task::JoinSet::new();
    for step in steps {
        let (store, nodes) = (Arc::clone(&store), nodes.clone());
        tasks.spawn(async move { take_step(&*store, &nodes, step).await });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
    check_invariants(&*store, &slots).await;
    store.close().await;
}

fn threads() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

fn slots() -> impl Strategy<Value = Vec<u32>> {
    prop::collection::vec(0..4u32, usize::from(NODES))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 6, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn slots_are_never_exceeded_when_requests_race(
        slots in slots(),
        steps in prop::collection::vec(step(), 20..40),
    ) {
        threads().block_on(async {
            let folder = tempfile::tempdir().unwrap();
            race(Arc::new(SqliteStore::open(&folder.path().join("db")).await.unwrap()), slots, steps).await;
        });
    }
}

#[test]
fn in_postgres_as_well_slots_are_never_exceeded_when_requests_race() {
    let (runtime, cases) = (threads(), 12);
    let server = runtime.block_on(postgres::Server::start());
    let mut runner =
        TestRunner::new(ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() });
    let next = std::sync::atomic::AtomicU32::new(0);
    let steps = prop::collection::vec(step(), 20..60);
    let checked = runner.run(&(slots(), steps), |(slots, steps)| {
        let name = format!("case{}", next.fetch_add(1, std::sync::atomic::Ordering::Relaxed));
        runtime.block_on(async {
            race(Arc::new(PostgresStore::open(&server.database(&name).await).await.unwrap()), slots, steps)
                .await;
        });
        Ok(())
    });
    checked.unwrap();
}

async fn many_want_the_last_slots(store: Arc<dyn Store>) {
    let node = enrol(&*store, &[5]).await[0];
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..40u8 {
        let store = Arc::clone(&store);
        tasks.spawn(async move { store.create_session(&new(n, [n; 16], node)).await.unwrap() });
    }
    let created = tasks.join_all().await;
    assert_eq!(created.iter().filter(|c| matches!(c, Created::New(_))).count(), 5);
    assert_eq!(created.iter().filter(|c| matches!(c, Created::NoCapacity)).count(), 35);
    store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_players_who_want_the_last_slots_exactly_as_many_get_one() {
    let folder = tempfile::tempdir().unwrap();
    many_want_the_last_slots(Arc::new(SqliteStore::open(&folder.path().join("db")).await.unwrap())).await;
    let server = postgres::Server::start().await;
    let url = server.database("last_slots").await;
    many_want_the_last_slots(Arc::new(PostgresStore::open(&url).await.unwrap())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_matchmakers_on_one_database_count_the_same_slots_and_receipts() {
    let server = postgres::Server::start().await;
    let url = server.database("shared").await;
    let stores = [PostgresStore::open(&url), PostgresStore::open(&url)];
    let stores: Vec<Arc<dyn Store>> = futures_util::future::join_all(stores)
        .await
        .into_iter()
        .map(|store| Arc::new(store.unwrap()) as _)
        .collect();
    let node = enrol(&*stores[0], &[3]).await[0];
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..24u8 {
        let store = Arc::clone(&stores[usize::from(n % 2)]);
        tasks.spawn(async move { store.create_session(&new(n, [n; 16], node)).await.unwrap() });
    }
    let created = tasks.join_all().await;
    assert_eq!(created.iter().filter(|c| matches!(c, Created::New(_))).count(), 3);
    assert_eq!(stores[0].busy().await.unwrap(), stores[1].busy().await.unwrap());
    for store in stores {
        store.close().await;
    }
}
