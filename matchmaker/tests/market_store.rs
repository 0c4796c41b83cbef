//! Auctions, reservations and caps of players, on every store: what was sealed is what counts, money is set aside once and
//! never more than there is, a slot is never given to two, and no player spends more than it may.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[macro_use]
mod contract;
mod payers;
mod postgres;

use nearframe_ledger::auction::{Wanted, clear};
use nearframe_ledger::hash::Hash32;
use nearframe_ledger::rates::RateCard;
use nearframe_ledger::verify;
use nearframe_matchmaker::audit::audit;
use nearframe_matchmaker::store::billing::CardSource;
use nearframe_matchmaker::store::market::{
    AuctionRow, CapOf, CapRow, LEAST_MS, MachineState, NewStandBy, ReservationRow, Reserved, Stood,
};
use nearframe_matchmaker::store::{
    Admission, Created, MemoryStore, NewSession, PostgresStore, SessionRow, SqliteStore, Store, StoreError,
    Taken,
};
use nearframe_protocol::auction::{Bid, OpenBid, SealedBid, seed_hash};
use nearframe_protocol::key::Nonce;
use nearframe_protocol::link::NodeOffer;
use nearframe_protocol::market::ReservationState;
use nearframe_protocol::prices::Work;
use nearframe_protocol::receipt::{Receipt, ReceiptHash, SignedReceipt};
use nearframe_protocol::terms::NodeTerms;
use nearframe_protocol::{
    AuctionId, EndReason, Generation, GuestId, LeaseId, NodeId, NodeKey, ReservationId, SessionId, TitleHash,
};
use payers::{HOUR_MICROS, NOW, account, account_id, committed, eur, key, key_id, request, title};
use std::sync::Arc;
use std::time::Duration;

const HOUR_MS: u64 = 3_600_000;
const CEILING: i64 = 900_000;
const SEED: Hash32 = Hash32([9; 32]);
const FROM: u64 = NOW + 10_000;

fn witness() -> NodeKey {
    NodeKey::from_seed([42; 32])
}

fn reservation_id(n: u8) -> ReservationId {
    ReservationId::from_bytes([n; 16])
}

fn auction_id(n: u8) -> AuctionId {
    AuctionId::from_bytes([n ^ 0xff; 16])
}

fn machine_key(n: u8) -> NodeKey {
    NodeKey::from_seed([n; 32])
}

async fn enrol(store: &dyn Store, n: u8, slots: u32) -> NodeId {
    store.add_enrolment([n; 32], NOW + 1).await.unwrap();
    let offer = NodeOffer {
        name: format!("node {n}"),
        region: "DE".into(),
        slots,
        adapter: String::new(),
        encoders: vec![],
        titles: vec![],
        capability: None,
        terms: NodeTerms::default(),
    };
    match store.admit_node(&machine_key(n).public(), Some([n; 32]), &offer, NOW).await.unwrap() {
        Admission::Admitted(node) => node,
        other => panic!("{other:?}"),
    }
}

/// A reservation of an hour for these machines, paid by account 1 with key 1.
fn wish(n: u8, machines: u32) -> ReservationRow {
    let wanted = Wanted {
        auction: auction_id(n),
        work: Work::Reserve,
        region: "DE".into(),
        gpu_tier: 0,
        machines,
        from_ms: FROM,
        until_ms: FROM + HOUR_MS,
        ceiling_micros_per_hour: CEILING,
        currency: eur(),
        seal_until_ms: NOW + 1_000,
        open_until_ms: NOW + 2_000,
        seed_hash: seed_hash(&SEED.0),
    };
    let row = ReservationRow {
        id: reservation_id(n),
        account: account_id(1),
        key: Some(key_id(1)),
        title: title(),
        rate_card: 1,
        fee_permille: 137,
        state: ReservationState::Bidding,
        held_micros: 0,
        created_at_ms: NOW + u64::from(n),
        stops_at_ms: None,
        auction: AuctionRow { wanted, seed: SEED, closed_at_ms: None, price_micros: None },
    };
    ReservationRow { held_micros: row.whole_micros().unwrap(), ..row }
}

fn open_bid(n: u8, auction: AuctionId, node: NodeId, price: u64) -> OpenBid {
    let bid = Bid { auction, node, price_micros_per_hour: price, currency: eur() };
    OpenBid { bid, nonce: Nonce::from_bytes([n; 32]) }
}

async fn bid(store: &dyn Store, n: u8, of: u8, node: NodeId, price: u64) {
    let open = open_bid(n, auction_id(of), node, price);
    let sealed = SealedBid::of(&machine_key(n), &open.bid, &open.nonce);
    assert!(store.seal_bid(node, &sealed, NOW + 500).await.unwrap());
    assert!(store.open_bid(node, &open, NOW + 1_500).await.unwrap());
}

async fn house(store: &dyn Store, limit: i128) -> Vec<NodeId> {
    account(store, 1, Some(limit)).await;
    key(store, 1, 1, None).await;
    let card = RateCard::flat(eur(), 137, HOUR_MICROS);
    assert!(store.add_card(&card, CardSource::Operator, 0, NOW).await.unwrap());
    vec![enrol(store, 1, 1).await, enrol(store, 2, 1).await, enrol(store, 3, 1).await]
}

/// Two machines at 400000 an hour, and a third that asked just that.
async fn booked(store: &dyn Store, limit: i128) -> (ReservationRow, Vec<NodeId>) {
    let nodes = house(store, limit).await;
    assert_eq!(store.reserve(&wish(1, 2)).await.unwrap(), Reserved::Bidding);
    for ((n, node), price) in (1..).zip(&nodes).zip([400_000, 250_000, 300_000]) {
        bid(store, n, 1, *node, price).await;
    }
    let row = store.close_auction(reservation_id(1), NOW + 2_001).await.unwrap().unwrap();
    (row, nodes)
}

fn standing(n: u8, node: NodeId, now_ms: u64) -> NewStandBy {
    NewStandBy {
        reservation: reservation_id(1),
        node,
        title_hash: TitleHash::from_bytes([4; 32]),
        region: "DE".into(),
        gpu_tier: 3,
        session: SessionId::from_bytes([n; 16]),
        lease: LeaseId::from_bytes([n; 16]),
        witness: witness().public(),
        now_ms,
    }
}

async fn stood(store: &dyn Store, new: &NewStandBy) -> SessionRow {
    match store.stand_by(new).await.unwrap() {
        Stood::New(row) => *row,
        other => panic!("{other:?}"),
    }
}

/// A receipt of a slot that stands by.
fn time_receipt(
    n: u8,
    session: SessionId,
    sequence: u32,
    previous: ReceiptHash,
    duration_us: u64,
) -> SignedReceipt {
    let receipt = Receipt {
        session,
        generation: Generation(0),
        sequence,
        previous,
        duration_us,
        frames: 0,
        bytes: 0,
        encoder_us: 0,
        width: 0,
        height: 0,
        rtt_us: 0,
        packets_sent: 0,
        packets_lost: 0,
    };
    let mut signed = SignedReceipt::sign(&machine_key(n), receipt);
    signed.player_signature = Some(witness().sign(&signed.receipt.signed_bytes()));
    signed
}

async fn held(store: &dyn Store, node: NodeId) -> u32 {
    store.busy().await.unwrap().get(&node).copied().unwrap_or(0)
}

async fn a_seal_is_kept_once_opened_in_time_and_only_as_it_was_sealed(store: &dyn Store) {
    let nodes = house(store, 100_000_000).await;
    store.reserve(&wish(1, 1)).await.unwrap();
    let open = open_bid(1, auction_id(1), nodes[0], 5);
    let sealed = SealedBid::of(&machine_key(1), &open.bid, &open.nonce);
    let other = open_bid(2, auction_id(1), nodes[0], 4);
    let again = SealedBid::of(&machine_key(1), &other.bid, &other.nonce);
    assert!(!store.open_bid(nodes[0], &open, NOW + 1_500).await.unwrap(), "nothing is sealed");
    assert!(store.seal_bid(nodes[0], &sealed, NOW + 1_000).await.unwrap());
    assert!(store.seal_bid(nodes[0], &sealed, NOW + 1_001).await.unwrap(), "the same once more");
    assert!(!store.seal_bid(nodes[0], &again, NOW + 900).await.unwrap(), "the first stands");
    assert!(!store.seal_bid(nodes[1], &again, NOW + 1_001).await.unwrap(), "too late");
    assert!(!store.open_bid(nodes[0], &open, NOW + 1_000).await.unwrap(), "too early");
    assert!(!store.open_bid(nodes[0], &other, NOW + 1_500).await.unwrap(), "not what was sealed");
    assert!(!store.open_bid(nodes[1], &open, NOW + 1_500).await.unwrap(), "another's");
    assert!(store.open_bid(nodes[0], &open, NOW + 2_000).await.unwrap());
    assert!(!store.open_bid(nodes[0], &open, NOW + 2_001).await.unwrap(), "too late");
    let bids = store.bids(auction_id(1)).await.unwrap();
    assert_eq!((bids.len(), bids[0].sealed, bids[0].opened.clone()), (1, sealed, Some((open, NOW + 2_000))));
    let early = store.close_auction(reservation_id(1), NOW + 2_000).await.unwrap().unwrap();
    assert_eq!(early.state, ReservationState::Bidding, "it is not over");
    let row = store.close_auction(reservation_id(1), NOW + 2_001).await.unwrap().unwrap();
    assert_eq!((row.state, row.auction.price_micros), (ReservationState::Booked, Some(CEILING)));
    assert_eq!(store.auction(auction_id(1)).await.unwrap(), Some(row.auction.clone()));
    assert_eq!(store.close_auction(reservation_id(1), NOW + 9_000).await.unwrap(), Some(row), "once");
}

async fn all_of_it_is_set_aside_at_the_ceiling_and_then_at_the_price(store: &dyn Store) {
    let whole = wish(1, 2).held_micros;
    let (row, nodes) = booked(store, whole).await;
    assert_eq!(row.auction.price_micros, Some(400_000));
    assert_eq!(row.held_micros, row.whole_micros().unwrap());
    assert!(row.held_micros < whole);
    assert_eq!(committed(store, 1, 1).await, (row.held_micros, row.held_micros));
    assert_eq!(store.reservation(row.id).await.unwrap(), Some(row.clone()));
    let machines = store.machines(row.id).await.unwrap();
    let order: Vec<_> = machines.iter().map(|machine| (machine.node, machine.is_next)).collect();
    assert_eq!(order, [(nodes[1], false), (nodes[2], false), (nodes[0], true)]);
    assert_eq!(store.reserve(&wish(2, 2)).await.unwrap(), Reserved::OverBudget, "the rest does not hold it");
    assert_eq!(store.reservation(reservation_id(2)).await.unwrap(), None);
    assert_eq!(store.reserve(&wish(1, 2)).await.unwrap(), Reserved::Bidding, "again");
    assert_eq!(store.reservations_alive().await.unwrap(), [row]);
}

async fn where_too_few_bid_nothing_is_held_any_more(store: &dyn Store) {
    let nodes = house(store, 100_000_000).await;
    store.reserve(&wish(1, 2)).await.unwrap();
    bid(store, 1, 1, nodes[0], 5).await;
    let row = store.close_auction(reservation_id(1), NOW + 2_001).await.unwrap().unwrap();
    assert_eq!((row.state, row.held_micros), (ReservationState::Failed, 0));
    assert_eq!(committed(store, 1, 1).await, (0, 0));
    assert_eq!(store.machines(row.id).await.unwrap(), []);
    assert_eq!(store.reservations_alive().await.unwrap(), []);
    assert_eq!(store.reservations(Some(account_id(1)), None, 9).await.unwrap(), std::slice::from_ref(&row));
    assert_eq!(store.reservations(Some(account_id(2)), None, 9).await.unwrap(), []);
    assert_eq!(store.reservations(None, Some(row.id), 9).await.unwrap(), []);
}

async fn a_machine_is_promised_to_no_more_than_it_has_slots_for(store: &dyn Store) {
    let (_, nodes) = booked(store, 100_000_000).await;
    assert_eq!(store.reserve(&wish(2, 1)).await.unwrap(), Reserved::Bidding);
    bid(store, 2, 2, nodes[1], 1).await;
    bid(store, 1, 2, nodes[0], 9).await;
    let row = store.close_auction(reservation_id(2), NOW + 2_001).await.unwrap().unwrap();
    assert_eq!(row.state, ReservationState::Failed, "both are promised, one as a replacement");
    let bids = store.bids(auction_id(2)).await.unwrap();
    assert!(bids.iter().all(|entry| entry.taken_by == [auction_id(1)]), "{bids:?}");

    store.cancel_reservation(reservation_id(1), NOW + 3_000).await.unwrap();
    assert_eq!(store.reserve(&wish(3, 1)).await.unwrap(), Reserved::Bidding);
    bid(store, 2, 3, nodes[1], 1).await;
    let row = store.close_auction(reservation_id(3), NOW + 2_001).await.unwrap().unwrap();
    assert_eq!(row.state, ReservationState::Booked, "what was cancelled takes nothing");
}

async fn cancelled_before_it_begins_it_is_free_and_after_that_it_runs_for_the_least_time(store: &dyn Store) {
    let (row, nodes) = booked(store, 100_000_000).await;
    let cut = store.cancel_reservation(row.id, FROM - 1).await.unwrap().unwrap();
    assert_eq!((cut.state, cut.held_micros), (ReservationState::Cancelled, 0));
    assert_eq!(committed(store, 1, 1).await, (0, 0));
    assert_eq!(store.cancel_reservation(row.id, FROM).await.unwrap(), Some(cut), "again");
    assert_eq!(store.cancel_reservation(reservation_id(9), FROM).await.unwrap(), None);

    store.reserve(&wish(2, 1)).await.unwrap();
    bid(store, 1, 2, nodes[0], 5).await;
    store.close_auction(reservation_id(2), NOW + 2_001).await.unwrap();
    let soon = store.cancel_reservation(reservation_id(2), FROM + 1).await.unwrap().unwrap();
    assert_eq!((soon.state, soon.until_ms()), (ReservationState::Booked, FROM + LEAST_MS));
    let late = store.cancel_reservation(reservation_id(2), FROM + 2 * LEAST_MS).await.unwrap().unwrap();
    assert_eq!(late.until_ms(), FROM + LEAST_MS, "it is over already");
}

async fn a_slot_stands_by_is_paid_and_gives_way_to_a_session(store: &dyn Store) {
    let (row, nodes) = booked(store, 100_000_000).await;
    let node = nodes[1];
    let whole = committed(store, 1, 1).await;
    assert_eq!(store.stand_by(&standing(50, node, FROM - 1)).await.unwrap(), Stood::Already, "too early");
    assert_eq!(
        store.stand_by(&standing(50, NodeId::from_bytes([8; 16]), FROM)).await.unwrap(),
        Stood::Already
    );
    let first = stood(store, &standing(50, node, FROM)).await;
    assert!(first.stands_by && first.reservation == Some(row.id) && first.node_slots.held == 1);
    assert_eq!(store.stand_by(&standing(51, node, FROM)).await.unwrap(), Stood::Already, "it does");
    assert_eq!(committed(store, 1, 1).await, whole, "what stands by is drawn from what is held");
    assert!(store.reservation(row.id).await.unwrap().unwrap().held_micros < row.held_micros);
    assert_eq!(store.sessions_of_account(account_id(1), None, 9).await.unwrap(), [], "nobody plays");

    let one = time_receipt(2, first.id, 0, ReceiptHash::ZERO, 600_000_000);
    let taken = store.take_receipt(&one, FROM + 600_000).await.unwrap();
    assert_eq!(taken, Taken::Counted { countersigned: true });
    let paid = 400_000 / 6;
    assert_eq!(store.stood_micros(row.id).await.unwrap(), paid);

    let stranger = NewSession { node, now_ms: FROM + 600_000, ..request(node, 1, Some((1, 1))) };
    assert_eq!(store.create_session(&stranger).await.unwrap(), Created::NoCapacity, "the slot is kept");
    let inside = NewSession { reservation: Some(row.id), ..stranger };
    let Created::New(plays) = store.create_session(&inside).await.unwrap() else { panic!("no slot") };
    assert_eq!((plays.node_slots.held, plays.stands_by), (1, false));
    let ended = store.session(first.id).await.unwrap().unwrap();
    assert_eq!(ended.end_reason, Some(EndReason::Preempted));
    let second = NewSession { reservation: Some(row.id), ..request(node, 2, Some((1, 1))) };
    let second = NewSession { now_ms: FROM + 600_000, ..second };
    assert_eq!(store.create_session(&second).await.unwrap(), Created::NoCapacity, "one plays there");
    assert_eq!(store.stand_by(&standing(52, node, FROM + 610_000)).await.unwrap(), Stood::Already);

    store.end_session(plays.id, EndReason::PlayerLeft, FROM + 1_200_000).await.unwrap();
    assert_eq!(held(store, node).await, 1, "the reservation keeps the slot");
    let again = stood(store, &standing(53, node, FROM + 1_200_000)).await;
    let two = time_receipt(2, again.id, 0, ReceiptHash::ZERO, 60_000_000);
    store.take_receipt(&two, FROM + 1_260_000).await.unwrap();

    let until = row.until_ms();
    assert_eq!(store.let_go(row.id, node, false).await.unwrap(), None, "it stands by");
    assert!(!store.finish_reservation(row.id, until).await.unwrap(), "a slot is held");
    store.end_session(again.id, EndReason::PlayerLeft, until).await.unwrap();
    assert_eq!(store.let_go(row.id, node, false).await.unwrap().unwrap().held, 0);
    assert_eq!(store.let_go(row.id, node, false).await.unwrap(), None, "once");
    assert!(store.finish_reservation(row.id, until).await.unwrap());
    assert!(!store.finish_reservation(row.id, until).await.unwrap(), "once");
    // A day later nothing can be claimed any more: the rest of each lease is free.
    store.close_accounts(until + 25 * HOUR_MS).await.unwrap();
    let posted = store.stood_micros(row.id).await.unwrap();
    assert_eq!(posted, paid + 400_000 / 60);
    assert_eq!(committed(store, 1, 1).await, (posted, posted), "the session cost nothing without receipts");
    assert_eq!(store.reservation(row.id).await.unwrap().unwrap().state, ReservationState::Over);
    verify(&store.journal().await.unwrap()).unwrap();
    assert_eq!(audit(store).await.unwrap().leases, 3);
}

async fn what_plays_on_keeps_its_slot_after_the_reservation(store: &dyn Store) {
    let (row, nodes) = booked(store, 100_000_000).await;
    let node = nodes[1];
    stood(store, &standing(50, node, FROM)).await;
    let inside = NewSession { reservation: Some(row.id), ..request(node, 1, Some((1, 1))) };
    let inside = NewSession { now_ms: FROM + 1_000, ..inside };
    let Created::New(plays) = store.create_session(&inside).await.unwrap() else { panic!("no slot") };
    assert_eq!(store.let_go(row.id, node, false).await.unwrap().unwrap().held, 1);
    assert!(store.finish_reservation(row.id, row.until_ms()).await.unwrap());
    assert_eq!(held(store, node).await, 1);
    store.end_session(plays.id, EndReason::PlayerLeft, row.until_ms() + 5).await.unwrap();
    assert_eq!(held(store, node).await, 0, "it gives its own slot back, once");
}

async fn a_full_machine_waits_and_one_that_is_gone_comes_back_no_more(store: &dyn Store) {
    let (row, nodes) = booked(store, 100_000_000).await;
    let node = nodes[1];
    let other = NewSession { now_ms: FROM - 5, ..request(node, 1, None) };
    assert!(matches!(store.create_session(&other).await.unwrap(), Created::New(_)));
    assert_eq!(store.stand_by(&standing(50, node, FROM)).await.unwrap(), Stood::Full);
    store.end_session(other.id, EndReason::PlayerLeft, FROM + 5).await.unwrap();
    let first = stood(store, &standing(50, node, FROM + 5)).await;
    store.end_session(first.id, EndReason::NodeLost, FROM + 10).await.unwrap();
    let kept = async |during| store.kept_ms(row.id, during).await.unwrap();
    assert_eq!(
        (kept(FROM..FROM + 20).await, kept(FROM + 6..FROM + 9).await),
        (5, 3),
        "what is missing is not kept"
    );
    assert_eq!(store.kept_ms(reservation_id(9), FROM..FROM + 20).await.unwrap(), 0);
    assert_eq!(store.let_go(row.id, node, true).await.unwrap().unwrap().held, 0);
    let machines = store.machines(row.id).await.unwrap();
    assert_eq!(machines[0].state, MachineState::Gone);
    assert_eq!(store.stand_by(&standing(51, node, FROM + 20)).await.unwrap(), Stood::Already);
    stood(store, &standing(52, nodes[0], FROM + 20)).await;
}

async fn a_cap_holds_for_each_player_and_month_whatever_came_before_it(store: &dyn Store) {
    house(store, 100_000_000).await;
    let node = enrol(store, 9, 100).await;
    let of = |n: u32, player: u8| NewSession {
        guest: GuestId::from_bytes([n as u8; 16]),
        player: Some([player; 32]),
        ..request(node, n, None)
    };
    // Played before there was a cap; it counts.
    assert!(matches!(store.create_session(&of(1, 1)).await.unwrap(), Created::New(_)));
    let limit_micros = i128::from(HOUR_MICROS) * 2 + 5;
    let cap = CapRow { currency: eur(), limit_micros };
    store.set_cap(&CapOf::Title(title()), Some(&cap)).await.unwrap();
    assert_eq!(store.cap(&CapOf::Title(title())).await.unwrap(), Some(cap));
    assert!(matches!(store.create_session(&of(2, 1)).await.unwrap(), Created::New(_)));
    assert_eq!(store.create_session(&of(3, 1)).await.unwrap(), Created::OverCap);
    assert_eq!(store.session(payers::session_id(3)).await.unwrap(), None, "it leaves nothing behind");
    assert!(matches!(store.create_session(&of(4, 2)).await.unwrap(), Created::New(_)), "another player");
    store.end_session(payers::session_id(2), EndReason::PlayerLeft, NOW + 50).await.unwrap();
    store.close_accounts(NOW + 25 * HOUR_MS).await.unwrap();
    assert!(matches!(store.create_session(&of(5, 1)).await.unwrap(), Created::New(_)), "what is free again");
    let later = NewSession { now_ms: NOW + 40 * 24 * HOUR_MS, ..of(6, 1) };
    assert!(matches!(store.create_session(&later).await.unwrap(), Created::New(_)), "another month");
    store.set_cap(&CapOf::Title(title()), None).await.unwrap();
    assert!(matches!(store.create_session(&of(7, 1)).await.unwrap(), Created::New(_)), "no cap");
}

async fn an_account_caps_itself(store: &dyn Store) {
    house(store, 100_000_000).await;
    let node = enrol(store, 9, 100).await;
    let cap = CapRow { currency: eur(), limit_micros: i128::from(HOUR_MICROS) };
    store.set_cap(&CapOf::Account(account_id(1)), Some(&cap)).await.unwrap();
    let ask = |n| request(node, n, Some((1, 1)));
    assert!(matches!(store.create_session(&ask(1)).await.unwrap(), Created::New(_)));
    assert_eq!(store.create_session(&ask(2)).await.unwrap(), Created::OverCap);
    assert_eq!(committed(store, 1, 1).await.0, i128::from(HOUR_MICROS), "what is refused is not set aside");
    assert!(
        matches!(store.create_session(&request(node, 3, None)).await.unwrap(), Created::New(_)),
        "a guest"
    );
}

contract! {
    a_seal_is_kept_once_opened_in_time_and_only_as_it_was_sealed
    all_of_it_is_set_aside_at_the_ceiling_and_then_at_the_price
    where_too_few_bid_nothing_is_held_any_more
    a_machine_is_promised_to_no_more_than_it_has_slots_for
    cancelled_before_it_begins_it_is_free_and_after_that_it_runs_for_the_least_time
    a_slot_stands_by_is_paid_and_gives_way_to_a_session
    what_plays_on_keeps_its_slot_after_the_reservation
    a_full_machine_waits_and_one_that_is_gone_comes_back_no_more
    a_cap_holds_for_each_player_and_month_whatever_came_before_it
    an_account_caps_itself
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

/// The same with a reservation.
async fn reserve(store: &dyn Store, row: &ReservationRow) -> Reserved {
    loop {
        match store.reserve(row).await {
            Ok(answer) => return answer,
            Err(StoreError::Database(_)) => tokio::time::sleep(Duration::from_millis(50)).await,
            Err(error) => panic!("{error}"),
        }
    }
}

/// A thousand players' requests and reservations at once: one player under a cap for 37 hours and a bit, and a budget of
/// 21 reservations and a bit.
async fn a_thousand_at_once(store: Arc<dyn Store>) {
    let whole = wish(1, 1).held_micros;
    house(store.as_ref(), whole * 21 + 99).await;
    let node = enrol(store.as_ref(), 9, 5_000).await;
    let limit_micros = i128::from(HOUR_MICROS) * 37 + 99;
    let cap = CapRow { currency: eur(), limit_micros };
    store.set_cap(&CapOf::Title(title()), Some(&cap)).await.unwrap();
    let asked: Vec<_> = (0..1_000u32)
        .map(|n| {
            let store = Arc::clone(&store);
            let new = NewSession { player: Some([7; 32]), ..request(node, n, None) };
            tokio::spawn(async move { ask(store.as_ref(), &new).await })
        })
        .collect();
    let mut counts = (0, 0);
    for answer in asked {
        match answer.await.unwrap() {
            Created::New(_) => counts.0 += 1,
            Created::OverCap => counts.1 += 1,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(counts, (37, 963));

    let asked: Vec<_> = (0..1_000u32)
        .map(|n| {
            let store = Arc::clone(&store);
            let mut id = [3; 16];
            id[..4].copy_from_slice(&n.to_le_bytes());
            let mut row = wish(1, 1);
            (row.id, row.auction.wanted.auction) = (ReservationId::from_bytes(id), AuctionId::from_bytes(id));
            tokio::spawn(async move { reserve(store.as_ref(), &row).await })
        })
        .collect();
    let mut reserved = 0;
    for answer in asked {
        match answer.await.unwrap() {
            Reserved::Bidding => reserved += 1,
            Reserved::OverBudget => {}
            Reserved::TooMany => panic!("there are no more than a thousand"),
        }
    }
    assert_eq!(reserved, 21);
    assert_eq!(committed(store.as_ref(), 1, 1).await, (whole * 21, whole * 21));
}

/// Two matchmakers clear at the same moment, while one of them takes the cheapest bid, which is opened in time.
#[tokio::test(flavor = "multi_thread")]
async fn in_postgres_two_that_clear_at_once_clear_once_and_by_the_bids_that_anybody_reads_later() {
    let server = postgres::Server::start().await;
    let address = server.database("market_clearing").await;
    let one: Arc<dyn Store> = Arc::new(PostgresStore::open(&address).await.unwrap());
    let other: Arc<dyn Store> = Arc::new(PostgresStore::open(&address).await.unwrap());
    let nodes = house(&*one, 100_000_000).await;
    let mut opened = 0;
    for n in 1..=40 {
        assert_eq!(one.reserve(&wish(n, 1)).await.unwrap(), Reserved::Bidding);
        bid(&*one, 1, n, nodes[0], 300_000).await;
        bid(&*one, 2, n, nodes[1], 400_000).await;
        let late = open_bid(3, auction_id(n), nodes[2], 200_000);
        let sealed = SealedBid::of(&machine_key(3), &late.bid, &late.nonce);
        assert!(other.seal_bid(nodes[2], &sealed, NOW + 500).await.unwrap());
        let close = |store: &Arc<dyn Store>, now_ms| {
            let store = Arc::clone(store);
            tokio::spawn(async move { store.close_auction(reservation_id(n), now_ms).await })
        };
        let (opening, node) = (Arc::clone(&other), nodes[2]);
        let opening = tokio::spawn(async move { opening.open_bid(node, &late, NOW + 2_000).await });
        let closing = [close(&one, NOW + 2_001), close(&other, NOW + 2_002)];
        opened += u32::from(opening.await.unwrap().unwrap());
        let [first, second] = closing;
        let (first, second) = (first.await.unwrap().unwrap(), second.await.unwrap().unwrap());
        assert_eq!(first, second, "both are told the same");
        let row = first.unwrap();
        let bids = one.bids(auction_id(n)).await.unwrap();
        let cleared = clear(&row.auction.wanted, &bids, &row.auction.seed).unwrap();
        assert_eq!(cleared.price_micros_per_hour, row.auction.price_micros, "{n}");
        let machines = one.machines(row.id).await.unwrap();
        let order: Vec<_> = machines.iter().map(|machine| machine.node).collect();
        assert_eq!(order, [cleared.winners, cleared.next].concat(), "{n}");
        assert_eq!(committed(&*one, 1, 1).await.0, row.held_micros, "set aside once");
        one.cancel_reservation(row.id, NOW + 3_000).await.unwrap();
    }
    assert!(opened > 0, "no bid was opened in time");
}

#[tokio::test(flavor = "multi_thread")]
async fn in_memory_neither_cap_nor_budget_is_passed() {
    a_thousand_at_once(Arc::new(MemoryStore::new())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn in_sqlite_neither_cap_nor_budget_is_passed() {
    let folder = tempfile::tempdir().unwrap();
    a_thousand_at_once(Arc::new(SqliteStore::open(&folder.path().join("db")).await.unwrap())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn in_postgres_neither_cap_nor_budget_is_passed() {
    let server = postgres::Server::start().await;
    let address = server.database("market_thousand").await;
    a_thousand_at_once(Arc::new(PostgresStore::open(&address).await.unwrap())).await;
}
