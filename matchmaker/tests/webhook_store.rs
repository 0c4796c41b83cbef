//! Webhooks on every store: events are there with what they tell of and exactly once, claims end by themselves, and a
//! crash before the commit leaves neither the deed nor the event.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[macro_use]
mod contract;
mod postgres;

use nearframe_ledger::Tariff;
use nearframe_ledger::chain::LATE_WINDOW_MS;
use nearframe_matchmaker::store::accounts::{AccountRow, Holding, KeyRow, Payer, Purse};
use nearframe_matchmaker::store::webhooks::{
    AT_ONCE_TO_ONE, DeliveryClaim, Due, EventRow, MOST_WEBHOOKS, Next, Refused, Settled, TOLD_AGAIN_MS,
    WebhookChange, WebhookRow,
};
use nearframe_matchmaker::store::{Admission, Created, MemoryStore, NewSession, Store, StoreError, Taken};
use nearframe_protocol::account::{AccountKind, Scope};
use nearframe_protocol::link::NodeOffer;
use nearframe_protocol::receipt::{Receipt, ReceiptHash, SignedReceipt};
use nearframe_protocol::terms::NodeTerms;
use nearframe_protocol::webhook::{
    BudgetEvent, BudgetOf, DeliveryState, Disabled, Event, EventData, EventKind, SessionEvent,
};
use nearframe_protocol::{
    AccountId, ApiKeyId, Currency, EndReason, EventId, Generation, GuestId, LeaseId, Money, NodeId, NodeKey,
    SessionId, TitleHash, TitleId, WebhookId,
};

const NOW: u64 = 1_700_000_000_000;
const HOUR_MICROS: i64 = 1_000_000;

fn eur() -> Currency {
    Currency::new("EUR").unwrap()
}
fn title() -> TitleId {
    TitleId::new("meteor").unwrap()
}
fn account_id(n: u8) -> AccountId {
    AccountId::from_bytes([n; 16])
}
fn hook_id(n: u8) -> WebhookId {
    WebhookId::from_bytes([n; 16])
}
fn key_id(n: u8) -> ApiKeyId {
    ApiKeyId::from_bytes([n; 16])
}
fn session_id(n: u8) -> SessionId {
    SessionId::from_bytes([n; 16])
}

async fn account(store: &dyn Store, n: u8, limit_micros: Option<i128>) {
    let purse = Purse::new(eur(), limit_micros);
    let (id, name) = (account_id(n), format!("account {n}"));
    let row = AccountRow { id, kind: AccountKind::Studio, name, created_at_ms: NOW, purse };
    store.add_account(&row).await.unwrap();
}

async fn key(store: &dyn Store, account: u8, n: u8, limit_micros: Option<i128>) {
    let row = KeyRow {
        id: key_id(n),
        account: account_id(account),
        name: format!("key {n}"),
        prefix: "nf_live_abcd".into(),
        scopes: vec![Scope::Sessions],
        created_at_ms: NOW,
        created_by: None,
        expires_at_ms: None,
        revoked_at_ms: None,
        last_used_ms: None,
        purse: Purse::new(eur(), limit_micros),
    };
    assert!(store.add_key(&row, [n; 32]).await.unwrap());
}

fn webhook(account: u8, n: u8, events: &[EventKind]) -> WebhookRow {
    WebhookRow {
        id: hook_id(n),
        account: account_id(account),
        url: format!("https://hooks.example.org/{n}"),
        events: events.to_vec(),
        disabled: None,
        secret_number: 1,
        old_secret_until_ms: None,
        created_at_ms: NOW + u64::from(n),
        created_by: None,
        delivered_at_ms: None,
    }
}

/// An account with a webhook that wants these.
async fn listener(store: &dyn Store, n: u8, events: &[EventKind]) {
    account(store, n, None).await;
    assert!(store.add_webhook(&webhook(n, n, events)).await.unwrap());
}

async fn enrol(store: &dyn Store) -> NodeId {
    store.add_enrolment([1; 32], NOW + 1).await.unwrap();
    let offer = NodeOffer {
        name: "node".into(),
        region: String::new(),
        slots: 100,
        adapter: String::new(),
        encoders: vec![],
        titles: vec![],
        capability: None,
        terms: NodeTerms::default(),
    };
    match store.admit_node(&NodeKey::from_seed([1; 32]).public(), Some([1; 32]), &offer, NOW).await.unwrap() {
        Admission::Admitted(node) => node,
        other => panic!("{other:?}"),
    }
}

fn request(node: NodeId, n: u8, payer: Option<(u8, u8)>) -> NewSession {
    NewSession {
        id: session_id(n),
        guest: GuestId::from_bytes([n; 16]),
        guest_limit: 1,
        title: title(),
        title_hash: TitleHash::from_bytes([4; 32]),
        node,
        player_key: NodeKey::from_seed([2; 32]).public(),
        lease: LeaseId::from_bytes([n; 16]),
        tariff: Tariff { price_micros_per_hour: HOUR_MICROS, fee_permille: 100, currency: eur() },
        payer: payer.map(|(account, key)| Payer { account: account_id(account), key: Some(key_id(key)) }),
        now_ms: NOW,
        basis: None,
        idempotency: None,
        fence: None,
        reservation: None,
        player: None,
    }
}

fn receipt(n: u8, duration_us: u64) -> SignedReceipt {
    let receipt = Receipt {
        session: session_id(n),
        generation: Generation(0),
        sequence: 0,
        previous: ReceiptHash::ZERO,
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
    let mut signed = SignedReceipt::sign(&NodeKey::from_seed([1; 32]), receipt);
    signed.player_signature = Some(NodeKey::from_seed([2; 32]).sign(&signed.receipt.signed_bytes()));
    signed
}

fn claim(n: u8, now_ms: u64) -> DeliveryClaim {
    DeliveryClaim { claim: [n; 16], now_ms, until_ms: now_ms + 60_000 }
}

/// Everything that waits, by time.
async fn waiting(store: &dyn Store, now_ms: u64) -> Vec<Event> {
    let dues = store.claim_deliveries(&claim(9, now_ms), 100).await.unwrap();
    for due in &dues {
        assert!(store.settle_delivery(&settled(due, 9, now_ms, Next::Delivered)).await.unwrap());
    }
    dues.iter().map(|due| serde_json::from_str(&due.event.body).unwrap()).collect()
}

fn settled(due: &Due, claim: u8, at_ms: u64, next: Next) -> Settled {
    let (webhook, event) = (due.webhook.id, due.event.id);
    Settled { claim: [claim; 16], webhook, event, at_ms, status: Some(200), trouble: None, next }
}

fn session_of(event: &Event) -> &SessionEvent {
    let EventData::Session(data) = &event.data else { panic!("{event:?}") };
    data
}

fn budget_of(event: &Event) -> &BudgetEvent {
    let EventData::Budget(data) = &event.data else { panic!("{event:?}") };
    data
}

const SESSIONS: [EventKind; 3] =
    [EventKind::SessionStarted, EventKind::SessionEnded, EventKind::SessionBilled];

async fn a_sessions_life_is_told_to_whoever_pays_with_its_bill(store: &dyn Store) {
    let node = enrol(store).await;
    listener(store, 1, &SESSIONS).await;
    listener(store, 2, &SESSIONS).await;
    key(store, 1, 1, None).await;
    store.set_owner(&Holding::Title(title()), Some(account_id(2))).await.unwrap();
    for (n, payer) in [(1, Some((1, 1))), (2, None)] {
        assert!(matches!(store.create_session(&request(node, n, payer)).await.unwrap(), Created::New(_)));
    }
    let started = waiting(store, NOW).await;
    let told: Vec<_> = started.iter().map(|it| (it.account, it.kind, session_of(it).key)).collect();
    assert_eq!(told.len(), 2);
    assert!(told.contains(&(account_id(1), EventKind::SessionStarted, Some(key_id(1)))));
    assert!(told.contains(&(account_id(2), EventKind::SessionStarted, None)), "a guest on its title");
    assert!(started.iter().all(|it| session_of(it).bill.is_none()));

    // 36 s of an hour that costs one euro.
    let taken = store.take_receipt(&receipt(1, 36_000_000), NOW + 36_000).await.unwrap();
    assert!(matches!(taken, Taken::Counted { .. }), "{taken:?}");
    let ends_ms = NOW + 40_000;
    for _ in 0..2 {
        store.end_session(session_id(1), EndReason::PlayerLeft, ends_ms).await.unwrap();
    }
    let [ended] = &waiting(store, ends_ms).await[..] else { panic!("it ends once") };
    let bill = session_of(ended).bill.clone().unwrap();
    assert_eq!((ended.kind, bill.receipts, bill.used_us), (EventKind::SessionEnded, 1, 36_000_000));
    assert_eq!((bill.total.amount_micros, bill.is_final), (10_000, false));
    assert_eq!(session_of(ended).session.end_reason, Some(EndReason::PlayerLeft));

    let closes_ms = ends_ms + LATE_WINDOW_MS + 1;
    assert_eq!(store.close_accounts(closes_ms).await.unwrap(), 1);
    assert_eq!(store.close_accounts(closes_ms).await.unwrap(), 0);
    let [billed] = &waiting(store, closes_ms).await[..] else { panic!("it is billed once") };
    let bill = session_of(billed).bill.clone().unwrap();
    assert_eq!(
        (billed.kind, bill.is_final, bill.total.amount_micros),
        (EventKind::SessionBilled, true, 10_000)
    );
    assert!(waiting(store, closes_ms).await.is_empty());
}

async fn a_refused_session_is_not_told_of(store: &dyn Store) {
    let node = enrol(store).await;
    listener(store, 1, &SESSIONS).await;
    key(store, 1, 1, Some(1)).await;
    assert_eq!(store.create_session(&request(node, 1, Some((1, 1)))).await.unwrap(), Created::OverBudget);
    assert!(waiting(store, NOW).await.is_empty());
}

async fn a_low_budget_is_told_once_a_day_and_anew_when_it_is_set(store: &dyn Store) {
    let node = enrol(store).await;
    listener(store, 1, &[EventKind::BudgetLow, EventKind::BudgetExhausted]).await;
    // 4.5 hours: low from the fourth on.
    key(store, 1, 1, Some(4_500_000)).await;
    for n in 1..=3 {
        store.create_session(&request(node, n, Some((1, 1)))).await.unwrap();
    }
    assert!(waiting(store, NOW).await.is_empty());
    store.create_session(&request(node, 4, Some((1, 1)))).await.unwrap();
    let [low] = &waiting(store, NOW).await[..] else {
        panic!("the key's budget is low, the account has no limit")
    };
    let data = budget_of(low);
    assert_eq!((low.kind, &data.of), (EventKind::BudgetLow, &BudgetOf::Key { id: key_id(1) }));
    assert_eq!((data.limit.amount_micros, data.left.amount_micros), (4_500_000, 500_000));

    let again = |n, now_ms| NewSession { now_ms, ..request(node, n, Some((1, 1))) };
    let end =
        async |n, now_ms| store.end_session(session_id(n), EndReason::PlayerLeft, now_ms).await.unwrap();
    end(4, NOW).await;
    store.close_accounts(NOW + LATE_WINDOW_MS + 1).await.unwrap();
    let soon = NOW + TOLD_AGAIN_MS - 1;
    store.create_session(&again(5, soon)).await.unwrap();
    assert!(waiting(store, soon).await.is_empty(), "it was told within the day");
    end(5, soon).await;
    let later = NOW + TOLD_AGAIN_MS;
    store.create_session(&again(6, later)).await.unwrap();
    assert_eq!(waiting(store, later).await.len(), 1);
    assert!(store.set_key_limit(account_id(1), key_id(1), Some(6_000_000)).await.unwrap());
    store.create_session(&again(7, later)).await.unwrap();
    assert_eq!(waiting(store, later).await.len(), 1, "another limit is another budget");
}

async fn a_budget_that_does_not_hold_something_is_told_with_what_would(store: &dyn Store) {
    let node = enrol(store).await;
    listener(store, 1, &[EventKind::BudgetExhausted]).await;
    key(store, 1, 1, Some(1_500_000)).await;
    store.create_session(&request(node, 1, Some((1, 1)))).await.unwrap();
    let needed = Money { amount_micros: HOUR_MICROS.into(), currency: eur() };
    let payer = Some(Payer { account: account_id(1), key: Some(key_id(1)) });
    let refused = |now_ms| Refused { payer, title: title(), needed: needed.clone(), now_ms };
    store.tell_exhausted(&refused(NOW)).await.unwrap();
    store.tell_exhausted(&refused(NOW + TOLD_AGAIN_MS - 1)).await.unwrap();
    let [told] = &waiting(store, NOW + TOLD_AGAIN_MS).await[..] else { panic!("once") };
    let data = budget_of(told);
    assert_eq!((told.kind, data.left.amount_micros), (EventKind::BudgetExhausted, 500_000));
    assert_eq!(data.raise.as_ref().unwrap().to_at_least.amount_micros, 2_000_000);
    assert!(store.set_key_limit(account_id(1), key_id(1), None).await.unwrap());
    store.tell_exhausted(&refused(NOW + 2 * TOLD_AGAIN_MS)).await.unwrap();
    assert!(waiting(store, NOW + 2 * TOLD_AGAIN_MS).await.is_empty(), "by now it holds it");

    store.set_owner(&Holding::Title(title()), Some(account_id(1))).await.unwrap();
    store.set_budget(&title(), &eur(), Some(10)).await.unwrap();
    let refused = Refused { payer: None, ..refused(NOW) };
    store.tell_exhausted(&refused).await.unwrap();
    let [told] = &waiting(store, NOW).await[..] else { panic!("the title's owner is told") };
    assert_eq!(budget_of(told).of, BudgetOf::Title { id: title() });
}

fn event(n: u8, kind: EventKind) -> EventRow {
    let id = EventId::from_bytes([n; 16]);
    EventRow { id, account: account_id(1), kind, at_ms: NOW + u64::from(n), body: "{}".into() }
}

async fn a_claim_ends_by_itself_and_a_late_answer_counts_for_nothing(store: &dyn Store) {
    listener(store, 1, &[EventKind::SessionEnded]).await;
    let event = event(1, EventKind::SessionEnded);
    assert_eq!(store.add_event(&event, None).await.unwrap(), 1);
    assert_eq!(store.add_event(&event, None).await.unwrap(), 0);
    let at = NOW + 1;
    assert!(store.claim_deliveries(&claim(1, at - 1), 9).await.unwrap().is_empty(), "not due yet");
    let first = store.claim_deliveries(&claim(1, at), 9).await.unwrap();
    assert_eq!((first.len(), first[0].tries, &first[0].event), (1, 0, &event));
    assert!(store.claim_deliveries(&claim(2, at + 59_999), 9).await.unwrap().is_empty());
    let second = store.claim_deliveries(&claim(2, at + 60_000), 9).await.unwrap();
    assert_eq!(second, first, "whoever had it is gone");
    assert!(!store.settle_delivery(&settled(&first[0], 1, at, Next::Delivered)).await.unwrap());
    assert!(store.settle_delivery(&settled(&second[0], 2, at, Next::Delivered)).await.unwrap());
    let rows = store.deliveries(hook_id(1), None, 9).await.unwrap();
    assert_eq!((rows[0].state, rows[0].tries, rows[0].status), (DeliveryState::Delivered, 1, Some(200)));
    assert_eq!(store.webhooks(account_id(1)).await.unwrap()[0].delivered_at_ms, Some(at));
    assert!(store.claim_deliveries(&claim(3, at + 999_999), 9).await.unwrap().is_empty());
    assert!(store.redeliver(hook_id(1), event.id, at + 7).await.unwrap());
    assert!(!store.redeliver(hook_id(2), event.id, at + 7).await.unwrap());
    assert_eq!(store.claim_deliveries(&claim(3, at + 7), 9).await.unwrap()[0].tries, 0);
}

async fn tries_go_on_until_it_is_dead_and_so_does_the_webhook(store: &dyn Store) {
    listener(store, 1, &[EventKind::SessionEnded]).await;
    for n in 1..=3 {
        store.add_event(&event(n, EventKind::SessionEnded), None).await.unwrap();
    }
    let dues = store.claim_deliveries(&claim(1, NOW + 9), 2).await.unwrap();
    assert_eq!(
        dues.iter().map(|due| due.event.id.as_bytes()[0]).collect::<Vec<_>>(),
        [1, 2],
        "the oldest first"
    );
    let again = Next::Again { due_ms: NOW + 1000, pause_until_ms: NOW + 500 };
    store.settle_delivery(&settled(&dues[0], 1, NOW + 9, again)).await.unwrap();
    assert!(store.claim_deliveries(&claim(1, NOW + 499), 9).await.unwrap().is_empty(), "it is left alone");
    let third = store.claim_deliveries(&claim(1, NOW + 500), 9).await.unwrap();
    assert_eq!(third.len(), 1, "the first is due later, the second is claimed");
    store.settle_delivery(&settled(&third[0], 1, NOW + 500, Next::Delivered)).await.unwrap();
    store.settle_delivery(&settled(&dues[1], 1, NOW + 500, Next::Dead)).await.unwrap();
    let disabled = async || store.webhooks(account_id(1)).await.unwrap()[0].disabled;
    assert_eq!(disabled().await, None, "another was delivered meanwhile");
    let first = store.claim_deliveries(&claim(1, NOW + 1000), 9).await.unwrap();
    assert_eq!((first[0].event.id.as_bytes()[0], first[0].tries), (1, 1));
    store.settle_delivery(&settled(&first[0], 1, NOW + 1000, Next::Gone)).await.unwrap();
    assert_eq!(disabled().await, Some(Disabled::Gone));
    assert_eq!(store.add_event(&event(4, EventKind::SessionEnded), None).await.unwrap(), 0);
    let listed: Vec<_> = store.deliveries(hook_id(1), None, 9).await.unwrap();
    let states: Vec<_> = listed.iter().map(|row| (row.event.as_bytes()[0], row.state)).collect();
    let (dead, delivered) = (DeliveryState::Dead, DeliveryState::Delivered);
    assert_eq!(states, [(3, delivered), (2, dead), (1, dead)]);
    let after = store.deliveries(hook_id(1), Some(listed[0].event), 1).await.unwrap();
    assert_eq!(after, [listed[1].clone()]);
    store.forget_events(NOW + 3).await.unwrap();
    assert_eq!(store.deliveries(hook_id(1), None, 9).await.unwrap(), [listed[0].clone()]);
}

async fn one_webhook_takes_only_its_share_of_what_is_under_way(store: &dyn Store) {
    listener(store, 1, &[EventKind::SessionEnded]).await;
    assert!(store.add_webhook(&webhook(1, 2, &[EventKind::BudgetLow])).await.unwrap());
    for n in 1..=20 {
        store.add_event(&event(n, EventKind::SessionEnded), None).await.unwrap();
    }
    store.add_event(&event(99, EventKind::BudgetLow), None).await.unwrap();
    let dues = store.claim_deliveries(&claim(1, NOW + 100), 32).await.unwrap();
    let to = |n| dues.iter().filter(|due| due.webhook.id == hook_id(n)).count();
    assert_eq!((to(1), to(2)), (AT_ONCE_TO_ONE as usize, 1));
    assert!(store.claim_deliveries(&claim(2, NOW + 100), 32).await.unwrap().is_empty());
    store.settle_delivery(&settled(&dues[0], 1, NOW + 100, Next::Delivered)).await.unwrap();
    assert_eq!(store.claim_deliveries(&claim(2, NOW + 100), 32).await.unwrap().len(), 1);
}

async fn webhooks_are_kept_changed_and_removed_in_their_account(store: &dyn Store) {
    for n in [1, 2] {
        account(store, n, None).await;
    }
    for n in 1..=20 {
        assert!(store.add_webhook(&webhook(1, n, &SESSIONS)).await.unwrap());
    }
    assert_eq!(MOST_WEBHOOKS, 20);
    assert!(!store.add_webhook(&webhook(1, 21, &SESSIONS)).await.unwrap());
    assert!(store.add_webhook(&webhook(1, 1, &SESSIONS)).await.unwrap(), "the same again");
    assert!(store.add_webhook(&webhook(2, 31, &SESSIONS)).await.unwrap());
    assert_eq!(store.webhooks(account_id(2)).await.unwrap(), [webhook(2, 31, &SESSIONS)]);

    let change = |enabled| WebhookChange {
        url: "https://b.example/".into(),
        events: vec![EventKind::BudgetLow],
        enabled,
    };
    let (own, other) = (account_id(2), account_id(1));
    assert!(!store.change_webhook(other, hook_id(31), &change(true)).await.unwrap());
    assert!(store.change_webhook(own, hook_id(31), &change(false)).await.unwrap());
    let row = store.webhooks(own).await.unwrap().remove(0);
    assert_eq!((row.url.as_str(), row.disabled), ("https://b.example/", Some(Disabled::Asked)));
    assert!(store.change_webhook(own, hook_id(31), &change(true)).await.unwrap());

    assert!(!store.renew_secret(other, hook_id(31), 1, NOW).await.unwrap());
    assert!(store.renew_secret(own, hook_id(31), 1, NOW).await.unwrap());
    assert!(!store.renew_secret(own, hook_id(31), 1, NOW).await.unwrap(), "somebody was faster");
    let row = store.webhooks(own).await.unwrap().remove(0);
    assert_eq!((row.secret_number, row.old_secret_until_ms, row.disabled), (2, Some(NOW), None));
    assert_eq!(store.accounts_that_want(EventKind::BudgetLow).await.unwrap(), [own]);
    assert_eq!(store.accounts_that_want(EventKind::SessionEnded).await.unwrap(), [other]);

    assert!(!store.remove_webhook(other, hook_id(31), NOW).await.unwrap());
    for _ in 0..2 {
        assert!(store.remove_webhook(own, hook_id(31), NOW).await.unwrap());
    }
    assert!(store.webhooks(own).await.unwrap().is_empty());
    assert!(!store.change_webhook(own, hook_id(31), &change(true)).await.unwrap());
    assert!(store.accounts_that_want(EventKind::BudgetLow).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_crash_before_the_commit_leaves_neither_the_session_nor_its_event() {
    let store = MemoryStore::new();
    let node = enrol(&store).await;
    listener(&store, 1, &SESSIONS).await;
    key(&store, 1, 1, None).await;
    store.crash_after(0);
    let crashed = store.create_session(&request(node, 1, Some((1, 1)))).await;
    assert!(matches!(crashed, Err(StoreError::Crashed)));
    assert!(store.session(session_id(1)).await.unwrap().is_none());
    assert!(waiting(&store, NOW).await.is_empty());
    store.create_session(&request(node, 1, Some((1, 1)))).await.unwrap();
    assert_eq!(waiting(&store, NOW).await.len(), 1);
}

contract! {
    a_sessions_life_is_told_to_whoever_pays_with_its_bill
    a_refused_session_is_not_told_of
    a_low_budget_is_told_once_a_day_and_anew_when_it_is_set
    a_budget_that_does_not_hold_something_is_told_with_what_would
    a_claim_ends_by_itself_and_a_late_answer_counts_for_nothing
    tries_go_on_until_it_is_dead_and_so_does_the_webhook
    one_webhook_takes_only_its_share_of_what_is_under_way
    webhooks_are_kept_changed_and_removed_in_their_account
}
