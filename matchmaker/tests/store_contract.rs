//! What every store does, whichever it is.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod postgres;

use nearframe_ledger::chain::LATE_WINDOW_MS;
use nearframe_ledger::{Account, Kind, Tariff, verify};
use nearframe_matchmaker::store::{
    Admission, Created, Idempotency, MemoryStore, NewSave, NewSession, PostgresStore, SaveOwner, SaveRow,
    Saved, SqliteStore, Store, StoreError, Taken,
};
use nearframe_protocol::link::NodeOffer;
use nearframe_protocol::receipt::{Receipt, ReceiptHash, SignedReceipt};
use nearframe_protocol::terms::NodeTerms;
use nearframe_protocol::{
    Currency, EndReason, Generation, GuestId, LeaseId, NodeId, NodeKey, PackHash, SaveVersion, SessionId,
    SessionState, TitleHash, TitleId,
};

const NOW: u64 = 1_700_000_000_000;

fn key() -> NodeKey {
    NodeKey::from_seed([1; 32])
}
fn player() -> NodeKey {
    NodeKey::from_seed([2; 32])
}
fn offer(slots: u32) -> NodeOffer {
    NodeOffer {
        name: "node".into(),
        region: "DE".into(),
        slots,
        adapter: "a".into(),
        encoders: vec![],
        titles: vec![],
        capability: None,
        terms: NodeTerms::default(),
    }
}

async fn enrol(store: &dyn Store, slots: u32) -> NodeId {
    store.add_enrolment([1; 32], NOW + 1).await.unwrap();
    match store.admit_node(&key().public(), Some([1; 32]), &offer(slots), NOW).await.unwrap() {
        Admission::Admitted(node) => node,
        other => panic!("{other:?}"),
    }
}

fn request(node: NodeId, n: u8) -> NewSession {
    NewSession {
        id: SessionId::from_random([n; 16]),
        guest: GuestId::from_random([9; 16]),
        guest_limit: 3,
        title: TitleId::new("meteor").unwrap(),
        title_hash: TitleHash::from_bytes([4; 32]),
        node,
        player_key: player().public(),
        lease: LeaseId::from_random([n; 16]),
        tariff: Tariff {
            price_micros_per_hour: 3_600_000,
            fee_permille: 100,
            currency: Currency::new("EUR").unwrap(),
        },
        basis: None,
        now_ms: NOW + u64::from(n),
        idempotency: None,
        fence: None,
        payer: None,
        reservation: None,
        player: None,
    }
}

fn receipt(session: SessionId, sequence: u32, previous: ReceiptHash) -> SignedReceipt {
    let receipt = Receipt {
        session,
        generation: Generation(0),
        sequence,
        previous,
        duration_us: 10_000_000,
        frames: 600,
        bytes: 1,
        encoder_us: 1,
        width: 1280,
        height: 720,
        rtt_us: 0,
        packets_sent: 1,
        packets_lost: 0,
    };
    let mut signed = SignedReceipt::sign(&key(), receipt);
    signed.player_signature = Some(player().sign(&signed.receipt.signed_bytes()));
    signed
}

async fn a_node_enrols_once_with_a_code_and_is_known_by_its_key_ever_after(store: &dyn Store) {
    let stranger = NodeKey::from_seed([8; 32]).public();
    let admit = |key, code, slots, now| async move {
        store.admit_node(&key, code, &offer(slots), now).await.unwrap()
    };
    assert_eq!(admit(stranger, None, 1, NOW).await, Admission::CodeNeeded);
    let node = enrol(store, 1).await;
    assert_eq!(admit(stranger, Some([1; 32]), 1, NOW).await, Admission::BadCode, "the code is used up");
    store.add_enrolment([2; 32], NOW).await.unwrap();
    assert_eq!(admit(stranger, Some([2; 32]), 1, NOW).await, Admission::BadCode, "the code is too old");
    assert_eq!(admit(key().public(), None, 5, NOW).await, Admission::Admitted(node));
    let nodes = store.nodes(None, 9).await.unwrap();
    assert_eq!((nodes.len(), nodes[0].slots), (1, 5), "the newest offer is kept");
    assert_eq!(store.node_key(node).await.unwrap(), Some(key().public()));
}

async fn an_operator_link_works_once(store: &dyn Store) {
    store.add_operator_link([1; 32], NOW + 10).await.unwrap();
    let redeem =
        |token, now| async move { store.redeem_operator_link(token, now, [5; 32], NOW + 20).await.unwrap() };
    assert!(!redeem([2; 32], NOW).await);
    assert!(!redeem([1; 32], NOW + 10).await, "too old");
    assert!(redeem([1; 32], NOW).await);
    assert!(!redeem([1; 32], NOW).await, "used");
    assert!(store.is_operator([5; 32], NOW + 19).await.unwrap());
    assert!(!store.is_operator([5; 32], NOW + 20).await.unwrap());
    assert!(!store.is_operator([6; 32], NOW).await.unwrap());
}

async fn secrets_stay_the_same(store: &dyn Store) {
    assert_eq!(store.secret("a", [1; 32]).await.unwrap(), [1; 32]);
    assert_eq!(store.secret("a", [2; 32]).await.unwrap(), [1; 32]);
    assert_eq!(store.secret("b", [2; 32]).await.unwrap(), [2; 32]);
}

async fn a_lease_needs_a_free_slot_and_its_end_frees_it(store: &dyn Store) {
    let node = enrol(store, 1).await;
    let Created::New(row) = store.create_session(&request(node, 1)).await.unwrap() else { panic!() };
    assert_eq!((row.state, row.node, row.node_name.as_str()), (SessionState::Starting, node, "node"));
    assert!(matches!(store.create_session(&request(node, 2)).await.unwrap(), Created::NoCapacity));
    assert_eq!(store.busy().await.unwrap().get(&node), Some(&1));
    assert!(store.set_live(row.id, Generation(0)).await.unwrap());
    assert!(!store.set_live(row.id, Generation(0)).await.unwrap(), "it is live already");
    let ended = store.end_session(row.id, EndReason::PlayerLeft, NOW + 1000).await.unwrap().unwrap();
    assert!(ended.first);
    let again = store.end_session(row.id, EndReason::NodeLost, NOW + 2000).await.unwrap().unwrap();
    assert!(!again.first);
    assert_eq!(again.session.end_reason, Some(EndReason::PlayerLeft), "the first reason stays");
    assert_eq!(again.session.ended_at_ms, Some(NOW + 1000));
    assert!(store.busy().await.unwrap().is_empty());
    assert!(!store.set_live(row.id, Generation(0)).await.unwrap(), "an ended session stays ended");
    assert!(matches!(store.create_session(&request(node, 2)).await.unwrap(), Created::New(_)));
    let nobody = SessionId::from_random([77; 16]);
    assert!(store.end_session(nobody, EndReason::PlayerLeft, NOW).await.unwrap().is_none());
}

async fn a_guest_has_a_bounded_number_of_sessions_and_sees_them_newest_first(store: &dyn Store) {
    let node = enrol(store, 10).await;
    for n in 1..=3 {
        assert!(matches!(store.create_session(&request(node, n)).await.unwrap(), Created::New(_)));
    }
    assert!(matches!(store.create_session(&request(node, 4)).await.unwrap(), Created::TooMany));
    let guest = request(node, 1).guest;
    let ids =
        |rows: Vec<nearframe_matchmaker::store::SessionRow>| rows.iter().map(|r| r.id).collect::<Vec<_>>();
    let id = |n| SessionId::from_random([n; 16]);
    assert_eq!(ids(store.sessions_of(guest, None, 2).await.unwrap()), [id(3), id(2)]);
    assert_eq!(ids(store.sessions_of(guest, Some(id(2)), 2).await.unwrap()), [id(1)]);
    assert_eq!(ids(store.active_sessions().await.unwrap()), [id(1), id(2), id(3)]);
    let other = GuestId::from_random([8; 16]);
    assert!(store.sessions_of(other, None, 9).await.unwrap().is_empty());
    assert!(store.sessions_of(other, Some(id(2)), 9).await.unwrap().is_empty());
}

async fn a_repeated_request_gets_the_same_session_and_a_changed_one_is_refused(store: &dyn Store) {
    let node = enrol(store, 1).await;
    let first =
        NewSession { idempotency: Some(Idempotency { key: [1; 32], request: [2; 32] }), ..request(node, 1) };
    assert!(matches!(store.create_session(&first).await.unwrap(), Created::New(_)));
    let second =
        NewSession { idempotency: Some(Idempotency { key: [1; 32], request: [2; 32] }), ..request(node, 2) };
    let Created::Again(row) = store.create_session(&second).await.unwrap() else { panic!() };
    assert_eq!(row.id, first.id);
    let changed =
        NewSession { idempotency: Some(Idempotency { key: [1; 32], request: [3; 32] }), ..request(node, 3) };
    assert!(matches!(store.create_session(&changed).await.unwrap(), Created::KeyReused));
}

async fn a_receipt_is_counted_once_and_paid_once(store: &dyn Store) {
    let node = enrol(store, 1).await;
    let new = request(node, 1);
    store.create_session(&new).await.unwrap();
    let first = receipt(new.id, 0, ReceiptHash::ZERO);
    let at = NOW + 10_001;
    let early = store.take_receipt(&first, NOW + 1).await.unwrap();
    assert!(matches!(early, Taken::Caught(..)), "ten seconds cannot be over yet: {early:?}");
    assert_eq!(store.take_receipt(&first, at).await.unwrap(), Taken::Counted { countersigned: true });
    assert_eq!(store.take_receipt(&first, at).await.unwrap(), Taken::Duplicate);
    let second = receipt(new.id, 1, first.receipt.hash());
    let gap = receipt(new.id, 2, second.receipt.hash());
    assert!(matches!(store.take_receipt(&gap, at + 20_000).await.unwrap(), Taken::Refused(_)));
    store.end_session(new.id, EndReason::PlayerLeft, NOW + 20_001).await.unwrap();
    let late = store.take_receipt(&second, NOW + 60_000).await.unwrap();
    assert_eq!(late, Taken::Counted { countersigned: true }, "spooled receipts are taken after the end");
    let stranger = receipt(SessionId::from_random([9; 16]), 0, ReceiptHash::ZERO);
    assert!(matches!(store.take_receipt(&stranger, at).await.unwrap(), Taken::Refused(_)));

    let row = store.session(new.id).await.unwrap().unwrap();
    assert_eq!((row.receipts, row.billed_us, row.cost.amount_micros), (2, 20_000_000, 20_000));
    let receipts = store.receipts(new.id, 0, 10).await.unwrap();
    assert_eq!(receipts.iter().map(|r| &r.signed).collect::<Vec<_>>(), [&first, &second]);
    assert_eq!(store.receipts(new.id, 1, 10).await.unwrap().len(), 1);

    let balances = verify(&store.journal().await.unwrap()).unwrap();
    let eur = |account| balances[&(account, "EUR".to_owned())];
    assert_eq!(eur(Account::Host(node)).credits_micros, 18_000);
    assert_eq!(eur(Account::Platform).credits_micros, 2_000);
    assert_eq!(eur(Account::Studio(new.title.clone())).debits_micros, 20_000);
}

async fn what_was_set_aside_is_released_at_the_end_and_closed_a_day_later(store: &dyn Store) {
    let node = enrol(store, 1).await;
    let new = request(node, 1);
    store.create_session(&new).await.unwrap();
    let pending = |journal: Vec<nearframe_ledger::Transfer>| {
        let balances = verify(&journal).unwrap();
        balances[&(Account::Studio(TitleId::new("meteor").unwrap()), "EUR".to_owned())].pending_micros
    };
    assert_eq!(pending(store.journal().await.unwrap()), 3_600_000);
    store.end_session(new.id, EndReason::PlayerLeft, NOW + 5_001).await.unwrap();
    let kept = pending(store.journal().await.unwrap());
    assert!((7_000..7_100).contains(&kept), "5 s of play and the slack may still be claimed: {kept}");
    let closing = NOW + 5_002 + LATE_WINDOW_MS;
    assert_eq!(store.close_accounts(closing - 1).await.unwrap(), 0);
    assert_eq!(store.close_accounts(closing).await.unwrap(), 1);
    assert_eq!(store.close_accounts(closing).await.unwrap(), 0);
    assert_eq!(pending(store.journal().await.unwrap()), 0);
    let journal = store.journal().await.unwrap();
    assert_eq!(journal.iter().filter(|t| t.kind == Kind::Void).count(), 2);
}

fn pack(session: SessionId, n: u8, based_on: Option<u64>) -> NewSave {
    NewSave {
        session,
        generation: Generation(0),
        based_on: based_on.map(SaveVersion),
        hash: PackHash::from_bytes([n; 32]),
        size_bytes: n.into(),
        title_version: "1.0".into(),
        now_ms: NOW + u64::from(n),
        most_titles: 2,
        most_versions: 3,
    }
}

async fn saved(store: &dyn Store, new: NewSave) -> SaveRow {
    match store.add_save(&new).await.unwrap() {
        Saved::New(row) => row,
        other => panic!("{other:?}"),
    }
}

/// A session of each number, all of one guest; the higher one is the newer.
async fn sessions<const N: usize>(store: &dyn Store, numbers: [u8; N]) -> [SessionId; N] {
    let node = enrol(store, N as u32).await;
    for n in numbers {
        let new = NewSession { guest_limit: 100, ..request(node, n) };
        assert!(matches!(store.create_session(&new).await.unwrap(), Created::New(_)));
    }
    numbers.map(|n| SessionId::from_random([n; 16]))
}

fn owner() -> SaveOwner {
    SaveOwner { guest: GuestId::from_random([9; 16]), title: TitleId::new("meteor").unwrap() }
}

/// Version and whether it is current, newest first.
async fn versions(store: &dyn Store) -> Vec<(u64, bool)> {
    let rows = store.saves_of_title(&owner()).await.unwrap();
    rows.iter().map(|row| (row.version.0, row.current)).collect()
}

async fn saves_are_versions_that_count_up_and_the_newest_few_stay(store: &dyn Store) {
    let [session] = sessions(store, [1]).await;
    for n in 1..=5 {
        let row = saved(store, pack(session, n, None)).await;
        assert_eq!((row.version, row.current, row.size_bytes), (SaveVersion(n.into()), true, n.into()));
        assert_eq!(row.based_on.map(|version| version.0), (n > 1).then_some(u64::from(n) - 1));
        assert_eq!((row.session, row.title_version.as_str()), (session, "1.0"));
    }
    assert_eq!(versions(store).await, [(5, true), (4, false), (3, false)]);
    assert_eq!(store.saves_of(owner().guest).await.unwrap(), store.saves_of_title(&owner()).await.unwrap());
    assert!(store.saves_of(GuestId::from_random([8; 16])).await.unwrap().is_empty());
    assert_eq!(store.remove_saves(&owner(), NOW).await.unwrap(), 3);
    assert_eq!(store.remove_saves(&owner(), NOW).await.unwrap(), 0);
    assert_eq!(saved(store, pack(session, 6, None)).await.version, SaveVersion(6), "no version comes twice");
    let nobody = pack(SessionId::from_random([77; 16]), 1, None);
    assert_eq!(store.add_save(&nobody).await.unwrap(), Saved::UnknownSession);
}

async fn a_pack_that_is_sent_again_or_changes_nothing_is_no_new_version(store: &dyn Store) {
    let [first, second] = sessions(store, [1, 2]).await;
    let row = saved(store, pack(first, 1, None)).await;
    let again = |session, n| async move { store.add_save(&pack(session, n, Some(1))).await.unwrap() };
    assert_eq!(again(first, 1).await, Saved::Same(row.clone()));
    assert_eq!(again(second, 1).await, Saved::Same(row), "the next session changed nothing");
    saved(store, pack(first, 2, None)).await;
    saved(store, pack(first, 1, None)).await;
    assert_eq!(versions(store).await, [(3, true), (2, false), (1, false)], "going back is a change");
}

async fn a_late_pack_of_an_older_session_is_kept_but_never_current(store: &dyn Store) {
    let [older, newer] = sessions(store, [1, 2]).await;
    saved(store, pack(older, 1, None)).await;
    let played = saved(store, pack(newer, 2, Some(1))).await;
    assert_eq!(played.based_on, Some(SaveVersion(1)));
    let late = saved(store, pack(older, 3, None)).await;
    assert_eq!((late.current, late.based_on), (false, Some(SaveVersion(1))), "both went on from version 1");
    assert_eq!(versions(store).await, [(3, false), (2, true), (1, false)]);
    for n in 4..=6 {
        saved(store, pack(older, n, None)).await;
    }
    assert_eq!(
        versions(store).await,
        [(6, false), (5, false), (4, false), (2, true)],
        "what is current is never pushed out"
    );
    let future = saved(store, pack(newer, 9, Some(99))).await;
    assert_eq!(future.based_on, Some(SaveVersion(2)), "what the node says counts only for the first");
}

async fn a_guest_has_saves_of_a_bounded_number_of_titles(store: &dyn Store) {
    let node = enrol(store, 9).await;
    let mut outcomes = Vec::new();
    for (n, title) in [(1, "one"), (2, "two"), (3, "three"), (4, "two")] {
        let title = TitleId::new(title).unwrap();
        let new = NewSession { title, guest_limit: 9, ..request(node, n) };
        store.create_session(&new).await.unwrap();
        outcomes.push(store.add_save(&pack(new.id, n, None)).await.unwrap());
    }
    assert!(matches!(outcomes[..], [Saved::New(_), Saved::New(_), Saved::TooManyTitles, Saved::New(_)]));
    let rows = store.saves_of(owner().guest).await.unwrap();
    let listed: Vec<_> = rows.iter().map(|row| (row.title.as_str(), row.version.0, row.current)).collect();
    assert_eq!(listed, [("one", 1, true), ("two", 2, true), ("two", 1, false)]);
}

async fn an_asset_is_unreferenced_from_its_announcement_until_a_save_and_after_the_last_one(
    store: &dyn Store,
) {
    let [session] = sessions(store, [1]).await;
    let due = |before_ms| async move { store.unreferenced_assets(before_ms, 10).await.unwrap() };
    store.note_asset([1; 32], NOW).await.unwrap();
    store.note_asset([2; 32], NOW).await.unwrap();
    store.note_asset([2; 32], NOW + 10).await.unwrap();
    assert!(due(NOW).await.is_empty());
    assert_eq!(due(NOW + 1).await, [[1; 32]], "a new announcement begins anew");
    assert_eq!(due(NOW + 11).await, [[1; 32], [2; 32]]);
    assert_eq!(store.unreferenced_assets(NOW + 11, 1).await.unwrap(), [[1; 32]]);
    saved(store, pack(session, 1, None)).await;
    store.forget_asset([2; 32]).await.unwrap();
    store.note_asset([1; 32], NOW).await.unwrap();
    assert!(due(u64::MAX >> 1).await.is_empty(), "a save needs it, whatever is announced");
    saved(store, pack(session, 2, None)).await;
    saved(store, pack(session, 1, None)).await;
    saved(store, pack(session, 4, None)).await;
    assert!(due(u64::MAX >> 1).await.is_empty(), "version 1 is dropped, but version 3 is the same");
    store.remove_saves(&owner(), NOW + 50).await.unwrap();
    assert_eq!(due(NOW + 50).await.len(), 0);
    assert_eq!(due(NOW + 51).await, [[1; 32], [2; 32], [4; 32]]);
}

macro_rules! contract {
    ($($case:ident)*) => {
        mod memory {
            use super::*;
            $(#[tokio::test] async fn $case() { super::$case(&MemoryStore::new()).await; })*
        }
        mod sqlite {
            use super::*;
            $(#[tokio::test] async fn $case() {
                let folder = tempfile::tempdir().unwrap();
                let store = SqliteStore::open(&folder.path().join("db")).await.unwrap();
                super::$case(&store).await;
                store.close().await;
            })*
        }
        /// One server for all of them, with a database for each.
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn postgres() {
            let server = postgres::Server::start().await;
            $({
                let store = PostgresStore::open(&server.database(stringify!($case)).await).await.unwrap();
                $case(&store).await;
                store.close().await;
            })*
        }
    };
}

contract! {
    a_node_enrols_once_with_a_code_and_is_known_by_its_key_ever_after
    an_operator_link_works_once
    secrets_stay_the_same
    a_lease_needs_a_free_slot_and_its_end_frees_it
    a_guest_has_a_bounded_number_of_sessions_and_sees_them_newest_first
    a_repeated_request_gets_the_same_session_and_a_changed_one_is_refused
    a_receipt_is_counted_once_and_paid_once
    what_was_set_aside_is_released_at_the_end_and_closed_a_day_later
    saves_are_versions_that_count_up_and_the_newest_few_stay
    a_pack_that_is_sent_again_or_changes_nothing_is_no_new_version
    a_late_pack_of_an_older_session_is_kept_but_never_current
    a_guest_has_saves_of_a_bounded_number_of_titles
    an_asset_is_unreferenced_from_its_announcement_until_a_save_and_after_the_last_one
}

#[tokio::test]
async fn a_database_that_is_opened_again_holds_what_was_committed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("db");
    let store = SqliteStore::open(&path).await.unwrap();
    let node = enrol(&store, 1).await;
    store.create_session(&request(node, 1)).await.unwrap();
    store.close().await;
    let store = SqliteStore::open(&path).await.unwrap();
    assert_eq!(store.active_sessions().await.unwrap().len(), 1);
    assert!(matches!(store.create_session(&request(node, 2)).await.unwrap(), Created::NoCapacity));
}

#[tokio::test]
async fn a_crash_before_the_commit_leaves_nothing_behind() {
    let store = MemoryStore::new();
    let node = enrol(&store, 1).await;
    store.crash_after(0);
    let crashed = store.create_session(&request(node, 1)).await;
    assert!(matches!(crashed, Err(StoreError::Crashed)));
    assert!(store.busy().await.unwrap().is_empty() && store.journal().await.unwrap().is_empty());
    assert!(matches!(store.create_session(&request(node, 1)).await.unwrap(), Created::New(_)));
}
