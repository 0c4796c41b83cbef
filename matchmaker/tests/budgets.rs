//! Money on every store: a budget holds against many requests at once and what it refuses leaves nothing behind; bills
//! are computed again; what hosts earned is added up and settled once.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod postgres;

use nearframe_ledger::hash::Hash32;
use nearframe_ledger::rates::RateCard;
use nearframe_ledger::settlement::{Epoch, Settlement, SignedRoot, Totals};
use nearframe_ledger::verify;
use nearframe_matchmaker::audit::audit;
use nearframe_matchmaker::store::billing::{
    CardRow, CardSource, UsageBy, UsageKey, UsageOf, UsageRow, UsageSums,
};
use nearframe_matchmaker::store::{
    Admission, Created, MemoryStore, NewSession, PostgresStore, SqliteStore, Store, StoreError, Taken,
};
use nearframe_protocol::link::NodeOffer;
use nearframe_protocol::prices::{Basis, Work};
use nearframe_protocol::receipt::{Receipt, ReceiptHash, SignedReceipt};
use nearframe_protocol::terms::NodeTerms;
use nearframe_protocol::{
    Currency, EndReason, Generation, GuestId, LeaseId, NodeId, NodeKey, SessionId, SpendLimit, TitleHash,
    TitleId,
};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

const NOW: u64 = 1_700_000_000_000;
const HOUR_MICROS: i64 = 1_234_567;
const REQUESTS: u32 = 1_000;

fn title() -> TitleId {
    TitleId::new("meteor").unwrap()
}
fn currency() -> Currency {
    Currency::new("EUR").unwrap()
}
fn node_key() -> NodeKey {
    NodeKey::from_seed([1; 32])
}
fn player() -> NodeKey {
    NodeKey::from_seed([2; 32])
}
fn session(n: u32) -> SessionId {
    let mut bytes = [7; 16];
    bytes[..4].copy_from_slice(&n.to_le_bytes());
    SessionId::from_bytes(bytes)
}

async fn enrol(store: &dyn Store) -> NodeId {
    cards(store).await;
    store.add_enrolment([1; 32], NOW + 1).await.unwrap();
    let offer = NodeOffer {
        name: "node".into(),
        region: String::new(),
        slots: 5_000,
        adapter: String::new(),
        encoders: vec![],
        titles: vec![],
        capability: None,
        terms: NodeTerms::default(),
    };
    match store.admit_node(&node_key().public(), Some([1; 32]), &offer, NOW).await.unwrap() {
        Admission::Admitted(node) => node,
        other => panic!("{other:?}"),
    }
}

fn card() -> RateCard {
    RateCard::flat(currency(), 137, HOUR_MICROS)
}

fn basis() -> Basis {
    Basis { rate_card: 1, work: Work::Interactive, region: "DE-BY".into(), gpu_tier: 3 }
}

fn request(node: NodeId, n: u32) -> NewSession {
    NewSession {
        id: session(n),
        guest: GuestId::from_bytes(*session(n).as_bytes()),
        guest_limit: 1,
        title: title(),
        title_hash: TitleHash::from_bytes([4; 32]),
        node,
        player_key: player().public(),
        lease: LeaseId::from_bytes(*session(n).as_bytes()),
        tariff: card().tariff(&basis()),
        basis: Some(basis()),
        now_ms: NOW,
        idempotency: None,
        fence: None,
        payer: None,
        reservation: None,
        player: None,
    }
}

fn receipt(n: u32, sequence: u32, previous: ReceiptHash, duration_us: u64) -> SignedReceipt {
    let receipt = Receipt {
        session: session(n),
        generation: Generation(0),
        sequence,
        previous,
        duration_us,
        frames: 600,
        bytes: 1,
        encoder_us: 1,
        width: 1280,
        height: 720,
        rtt_us: 0,
        packets_sent: 1,
        packets_lost: 0,
    };
    let mut signed = SignedReceipt::sign(&node_key(), receipt);
    signed.player_signature = Some(player().sign(&signed.receipt.signed_bytes()));
    signed
}

async fn committed(store: &dyn Store) -> i128 {
    let rows = store.budgets().await.unwrap();
    rows.iter().find(|row| row.title == title()).map_or(0, |row| row.committed.amount_micros)
}

/// Asks until there is an answer: where all connections are taken for long, a request is told to come again.
async fn ask(store: &dyn Store, new: &NewSession) -> Created {
    loop {
        match store.create_session(new).await {
            Ok(answer) => return answer,
            Err(StoreError::Database(_)) => tokio::time::sleep(Duration::from_millis(50)).await,
            Err(error) => panic!("{error}"),
        }
    }
}

/// A thousand guests ask at once; the budget is for 137 hours and a bit.
async fn a_thousand_requests(store: Arc<dyn Store>) {
    let node = enrol(store.as_ref()).await;
    let limit = i128::from(HOUR_MICROS) * 137 + 99;
    store.set_budget(&title(), &currency(), Some(limit)).await.unwrap();
    let asked: Vec<_> = (0..REQUESTS)
        .map(|n| {
            let store = Arc::clone(&store);
            tokio::spawn(async move { ask(store.as_ref(), &request(node, n)).await })
        })
        .collect();
    let (mut created, mut refused) = (0, 0);
    for answer in asked {
        match answer.await.unwrap() {
            Created::New(_) => created += 1,
            Created::OverBudget => refused += 1,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((created, refused), (137, REQUESTS - 137));
    assert_eq!(committed(store.as_ref()).await, i128::from(HOUR_MICROS) * 137);
    assert_eq!(store.active_sessions().await.unwrap().len(), 137, "what was refused holds no slot");
    verify(&store.journal().await.unwrap()).unwrap();
    audit(store.as_ref()).await.unwrap();
}

/// One session of an hour, on a budget of an hour.
async fn one_hour(store: Arc<dyn Store>) {
    let store = store.as_ref();
    let node = enrol(store).await;
    store.set_budget(&title(), &currency(), Some(HOUR_MICROS.into())).await.unwrap();
    assert!(matches!(store.create_session(&request(node, 0)).await.unwrap(), Created::New(_)));
    assert!(matches!(store.create_session(&request(node, 1)).await.unwrap(), Created::OverBudget));
    let late = NOW + 2 * 3_600_000;
    let whole = receipt(0, 0, ReceiptHash::ZERO, 3_600_000_000);
    assert!(matches!(store.take_receipt(&whole, late).await.unwrap(), Taken::Counted { .. }));
    let more = receipt(0, 1, whole.receipt.hash(), 10_000_000);
    assert_eq!(store.take_receipt(&more, late).await.unwrap(), Taken::OverBudget(SpendLimit::TitleBudget));
    assert_eq!(committed(store).await, HOUR_MICROS.into());

    store.set_budget(&title(), &currency(), None).await.unwrap();
    assert!(matches!(store.take_receipt(&more, late).await.unwrap(), Taken::Counted { .. }));
    store.end_session(session(0), EndReason::PlayerLeft, late).await.unwrap();
    store.close_accounts(late + 48 * 3_600_000).await.unwrap();
    let cost = i128::from(HOUR_MICROS) * 3_610_000_000 / 3_600_000_000;
    assert_eq!(committed(store).await, cost, "what was set aside and not used is free again");
    let audited = audit(store).await.unwrap();
    assert_eq!((audited.leases, audited.receipts), (1, 2));
    let (hosts, platform) = audited.earned[&currency()];
    assert_eq!(hosts + platform, cost);
    let totals = store.host_totals(late + 1, None).await.unwrap();
    assert_eq!(totals, Totals::from([((node, currency()), hosts)]));
    assert!(store.host_totals(late, None).await.unwrap().is_empty(), "nothing was posted before");
    let stranger = NodeId::from_bytes([0x77; 16]);
    assert_eq!(store.host_totals(late + 1, Some(&[stranger, node])).await.unwrap(), totals);
    for (before_ms, among) in [(late, &[node][..]), (late + 1, &[stranger][..]), (late + 1, &[][..])] {
        assert!(store.host_totals(before_ms, Some(among)).await.unwrap().is_empty(), "{among:?}");
    }
    let sums = UsageSums {
        leases: 1,
        receipts: 2,
        billed_us: 3_610_000_000,
        host_micros: hosts,
        platform_micros: platform,
    };
    usages(store, node, late, sums).await;
    roots(store, &totals).await;
}

/// Versions follow each other, each once, and stay.
async fn cards(store: &dyn Store) {
    let dearer = RateCard { note: "dearer".into(), ..RateCard::flat(currency(), 100, 9) };
    let first = card();
    let add =
        async |card, source, over| store.add_card(card, source, over, NOW + u64::from(over)).await.unwrap();
    assert_eq!(store.newest_card(None).await.unwrap(), None);
    assert!(!add(&dearer, CardSource::Operator, 1).await, "there is no version 1");
    assert!(add(&first, CardSource::Configuration, 0).await);
    assert!(!add(&dearer, CardSource::Operator, 0).await);
    assert!(add(&dearer, CardSource::Operator, 1).await);
    let row = |version: u32, card| Some(CardRow { version, since_ms: NOW + u64::from(version) - 1, card });
    assert_eq!(store.newest_card(None).await.unwrap(), row(2, dearer.clone()));
    assert_eq!(store.newest_card(Some(CardSource::Operator)).await.unwrap(), row(2, dearer));
    assert_eq!(store.newest_card(Some(CardSource::Configuration)).await.unwrap(), row(1, card()));
    assert_eq!(store.card(1).await.unwrap(), row(1, card()));
    assert_eq!(store.card(3).await.unwrap(), None);
}

/// The same sums whatever they are added up by, and nothing of other titles, nodes and times.
async fn usages(store: &dyn Store, node: NodeId, late: u64, sums: UsageSums) {
    let row = |key| UsageRow { key, currency: currency(), sums };
    let all = UsageOf::all(late..late + 1);
    let by = async |of: &UsageOf, by| store.usage(of, by).await.unwrap();
    assert_eq!(by(&all, UsageBy::Title).await, [row(UsageKey::Title(title()))]);
    assert_eq!(by(&all, UsageBy::Node).await, [row(UsageKey::Node(node))]);
    let hours = UsageOf::all(late - 5 * 3_600_000 - 7..late + 1);
    assert_eq!(by(&hours, UsageBy::Step(3_600_000)).await, [row(UsageKey::From(late - 7))]);
    let Basis { work, region, gpu_tier, .. } = basis();
    assert_eq!(by(&all, UsageBy::Rate).await, [row(UsageKey::Rate { work, region, gpu_tier })]);
    let own = UsageOf { title: Some(title()), node: Some(node), ..all.clone() };
    assert_eq!(by(&own, UsageBy::Title).await.len(), 1);
    let others = [
        UsageOf::all(0..late),
        UsageOf { title: Some(TitleId::new("doom").unwrap()), ..all.clone() },
        UsageOf { node: Some(NodeId::from_bytes([9; 16])), ..all.clone() },
    ];
    for other in &others {
        assert!(by(other, UsageBy::Node).await.is_empty());
        assert!(store.lease_usage(other, None, 9).await.unwrap().is_empty());
    }
    let [lease] = &store.lease_usage(&own, None, 9).await.unwrap()[..] else { panic!("one lease was used") };
    assert_eq!((lease.session, lease.node, lease.sums), (session(0), node, sums));
    assert_eq!((lease.tariff.price_micros_per_hour, &lease.basis), (HOUR_MICROS, &Some(basis())));
    assert!(store.lease_usage(&own, Some(lease.lease), 9).await.unwrap().is_empty());
    let [evidence] = &store.evidence_of(session(0)).await.unwrap()[..] else { panic!("it has one lease") };
    assert_eq!(evidence.recompute().unwrap().host_micros, sums.host_micros);
    assert_eq!(evidence.basis, Some(basis()));
    assert!(store.evidence_of(session(7)).await.unwrap().is_empty());
}

/// The first root of an epoch stays, whoever comes later, and the last epoch is the one that is read.
async fn roots(store: &dyn Store, totals: &Totals) {
    let root = |epoch, seed| {
        let settlement =
            Settlement { epoch: Some(Epoch(epoch)), totals: totals.clone(), held: BTreeMap::new() };
        SignedRoot::sign(&settlement, Hash32([seed; 32]), &NodeKey::from_seed([seed; 32])).unwrap()
    };
    assert_eq!(store.last_settlement().await.unwrap(), None);
    for (epoch, seed, last) in [(5, 1, (5, 1)), (5, 2, (5, 1)), (9, 3, (9, 3)), (9, 4, (9, 3))] {
        store.settle(&root(epoch, seed), &Totals::new()).await.unwrap();
        assert_eq!(store.last_settlement().await.unwrap(), Some(root(last.0, last.1)));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn in_memory_a_budget_holds_against_a_thousand_requests_at_once() {
    a_thousand_requests(Arc::new(MemoryStore::new())).await;
    one_hour(Arc::new(MemoryStore::new())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn on_sqlite_a_budget_holds_against_a_thousand_requests_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(&folder.path().join("a")).await.unwrap();
    a_thousand_requests(Arc::new(store)).await;
    let store = SqliteStore::open(&folder.path().join("b")).await.unwrap();
    one_hour(Arc::new(store)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn on_postgresql_a_budget_holds_against_a_thousand_requests_at_once() {
    let server = postgres::Server::start().await;
    let store = PostgresStore::open(&server.database("a").await).await.unwrap();
    a_thousand_requests(Arc::new(store)).await;
    let store = PostgresStore::open(&server.database("b").await).await.unwrap();
    one_hour(Arc::new(store)).await;
}
