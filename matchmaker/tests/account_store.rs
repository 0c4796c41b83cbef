//! Who is who and who did what, on every store; and that neither key nor account ever spends more than it may.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[macro_use]
mod contract;
mod payers;
mod postgres;

use nearframe_ledger::{Account, verify};
use nearframe_matchmaker::audit::audit;
use nearframe_matchmaker::store::accounts::{
    Arrival, Arrived, Changed, Holding, KeyRow, LinkRow, MOST_KEYS, MOST_MEMBERS, USE_NOTED_MS,
};
use nearframe_matchmaker::store::billing::{UsageBy, UsageOf};
use nearframe_matchmaker::store::deeds::{AnswerRow, Asked, Claim, Deed, TrailRow};
use nearframe_matchmaker::store::market::{CapOf, CapRow};
use nearframe_matchmaker::store::{
    Created, MemoryStore, NewSession, PostgresStore, SqliteStore, Store, StoreError, Taken,
};
use nearframe_protocol::account::{Actor, MemberRole};
use nearframe_protocol::receipt::ReceiptHash;
use nearframe_protocol::{EndReason, MemberId, SpendLimit, TitleId};
use nearframe_trust::seen::Mark;
use payers::{
    HOUR_MICROS, NOW, REQUESTS, account, account_id, committed, enrol, eur, key, key_id, receipt, request,
    session_id, title,
};
use std::sync::Arc;
use std::time::Duration;

async fn accounts_are_listed_by_name_and_limited(store: &dyn Store) {
    let (two, one) = (account(store, 2, Some(0)).await, account(store, 1, None).await);
    account(store, 1, Some(99)).await;
    assert_eq!(store.accounts().await.unwrap(), [one.clone(), two], "the first of an id stays");
    assert!(store.set_account_limit(one.id, Some(5)).await.unwrap());
    assert!(!store.set_account_limit(account_id(9), Some(5)).await.unwrap());
    assert_eq!(store.account(one.id).await.unwrap().unwrap().purse.limit_micros, Some(5));
    assert_eq!(store.account(account_id(9)).await.unwrap(), None);
}

fn arrival(token: u8, member: u8, cookie: u8, now_ms: u64) -> Arrival {
    Arrival {
        token: [token; 32],
        member: MemberId::from_bytes([member; 16]),
        name: format!("member {member}"),
        cookie: [cookie; 32],
        cookie_expires_at_ms: NOW + 100,
        identity: None,
        now_ms,
    }
}

async fn link(store: &dyn Store, token: u8, role: MemberRole, member: Option<u8>) {
    let member = member.map(|member| MemberId::from_bytes([member; 16]));
    let row = LinkRow { token: [token; 32], account: account_id(1), role, member, expires_at_ms: NOW + 10 };
    store.add_link(&row).await.unwrap();
}

async fn a_link_signs_one_person_in_once_and_a_cookie_ends(store: &dyn Store) {
    let account = account(store, 1, Some(0)).await;
    link(store, 1, MemberRole::Owner, None).await;
    assert_eq!(store.arrive(&arrival(9, 1, 1, NOW)).await.unwrap(), Arrived::Refused, "unknown");
    assert_eq!(store.arrive(&arrival(1, 1, 1, NOW + 10)).await.unwrap(), Arrived::Refused, "too old");
    let Arrived::As(owner) = store.arrive(&arrival(1, 1, 1, NOW)).await.unwrap() else { panic!("refused") };
    assert_eq!((owner.name.as_str(), owner.role), ("member 1", MemberRole::Owner));
    assert_eq!(store.arrive(&arrival(1, 2, 2, NOW)).await.unwrap(), Arrived::Refused, "used");
    let found = store.member_of_cookie([1; 32], NOW + 99).await.unwrap();
    assert_eq!(found, Some((owner.clone(), account)));
    assert_eq!(store.member_of_cookie([1; 32], NOW + 100).await.unwrap(), None, "too old");
    assert_eq!(store.member_of_cookie([2; 32], NOW).await.unwrap(), None);

    link(store, 2, MemberRole::Viewer, Some(1)).await;
    let again = store.arrive(&arrival(2, 3, 3, NOW)).await.unwrap();
    assert_eq!(again, Arrived::As(owner.clone()), "one who is there stays who they are");
    assert_eq!(store.members(account_id(1)).await.unwrap(), std::slice::from_ref(&owner));
    store.sign_out([3; 32]).await.unwrap();
    store.sign_out([3; 32]).await.unwrap();
    assert_eq!(store.member_of_cookie([3; 32], NOW).await.unwrap(), None);
    assert!(store.member_of_cookie([1; 32], NOW).await.unwrap().is_some(), "the other device stays");
}

async fn an_account_keeps_an_owner_and_whoever_is_out_is_out_everywhere(store: &dyn Store) {
    let id = account(store, 1, Some(0)).await.id;
    for (n, role) in [(1, MemberRole::Owner), (2, MemberRole::Member)] {
        link(store, n, role, None).await;
        store.arrive(&arrival(n, n, n, NOW + u64::from(n))).await.unwrap();
    }
    let member = |n: u8| MemberId::from_bytes([n; 16]);
    assert_eq!(store.set_role(id, member(1), MemberRole::Viewer).await.unwrap(), Changed::LastOwner);
    assert_eq!(store.remove_member(id, member(1), NOW).await.unwrap(), Changed::LastOwner);
    assert_eq!(store.set_role(id, member(1), MemberRole::Owner).await.unwrap(), Changed::Done);
    assert_eq!(store.set_role(account_id(3), member(1), MemberRole::Owner).await.unwrap(), Changed::Unknown);
    assert_eq!(store.set_role(id, member(2), MemberRole::Owner).await.unwrap(), Changed::Done);
    link(store, 5, MemberRole::Owner, Some(1)).await;
    assert_eq!(store.remove_member(id, member(1), NOW).await.unwrap(), Changed::Done);
    assert_eq!(store.remove_member(id, member(1), NOW).await.unwrap(), Changed::Unknown);
    assert_eq!(store.member_of_cookie([1; 32], NOW).await.unwrap(), None, "the cookie went with them");
    assert_eq!(store.arrive(&arrival(5, 9, 9, NOW)).await.unwrap(), Arrived::Refused, "so did the link");
    let left: Vec<_> = store.members(id).await.unwrap().iter().map(|row| (row.id, row.role)).collect();
    assert_eq!(left, [(member(2), MemberRole::Owner)]);
}

async fn members_and_keys_are_bounded(store: &dyn Store) {
    account(store, 1, Some(0)).await;
    for n in 0..=MOST_MEMBERS {
        link(store, n as u8, MemberRole::Viewer, None).await;
        let arrived = store.arrive(&arrival(n as u8, n as u8, n as u8, NOW)).await.unwrap();
        assert_eq!(arrived == Arrived::Full, n == MOST_MEMBERS, "{n}: {arrived:?}");
    }
    for n in 0..MOST_KEYS {
        key(store, 1, n as u8, None).await;
    }
    let more = KeyRow { id: key_id(200), ..key(store, 1, 0, None).await };
    assert!(!store.add_key(&more, [200; 32]).await.unwrap());
    store.revoke_key(account_id(1), key_id(0), NOW).await.unwrap();
    assert!(store.add_key(&more, [200; 32]).await.unwrap(), "a revoked one makes room");
}

async fn a_key_is_found_by_its_secret_and_says_what_became_of_it(store: &dyn Store) {
    account(store, 1, Some(0)).await;
    let row = key(store, 1, 1, Some(7)).await;
    assert_eq!(store.key_of_secret([1; 32]).await.unwrap(), Some(row.clone()));
    assert_eq!(store.key_of_secret([2; 32]).await.unwrap(), None);
    let last_used = || async { store.key_of_secret([1; 32]).await.unwrap().unwrap().last_used_ms };
    for (at, seen) in [(NOW, NOW), (NOW + USE_NOTED_MS - 1, NOW), (NOW + USE_NOTED_MS, NOW + USE_NOTED_MS)] {
        store.note_key_use(row.id, at).await.unwrap();
        assert_eq!(last_used().await, Some(seen));
    }
    assert!(!store.set_key_limit(account_id(2), row.id, None).await.unwrap(), "of another account");
    assert!(!store.revoke_key(account_id(2), row.id, NOW).await.unwrap(), "of another account");
    assert!(store.set_key_limit(account_id(1), row.id, None).await.unwrap());
    assert!(store.revoke_key(account_id(1), row.id, NOW).await.unwrap());
    assert!(store.revoke_key(account_id(1), row.id, NOW + 5).await.unwrap());
    let row = store.key_of_secret([1; 32]).await.unwrap().unwrap();
    assert_eq!((row.revoked_at_ms, row.purse.limit_micros), (Some(NOW), None), "the first time stays");
    key(store, 1, 2, None).await;
    let names: Vec<_> = store.keys(account_id(1)).await.unwrap().into_iter().map(|row| row.name).collect();
    assert_eq!(names, ["key 2", "key 1"]);
}

async fn a_revoked_key_sets_nothing_aside_any_more(store: &dyn Store) {
    let node = enrol(store).await;
    account(store, 1, None).await;
    key(store, 1, 1, None).await;
    let playing = store.create_session(&request(node, 0, Some((1, 1)))).await.unwrap();
    let Created::New(row) = playing else { panic!("{playing:?}") };
    assert_eq!(row.payer, request(node, 0, Some((1, 1))).payer);
    store.revoke_key(account_id(1), key_id(1), NOW).await.unwrap();
    let refused = store.create_session(&request(node, 1, Some((1, 1)))).await.unwrap();
    assert_eq!(refused, Created::OverBudget);
    let mut free = request(node, 2, Some((1, 1)));
    free.tariff.price_micros_per_hour = 0;
    assert_eq!(store.create_session(&free).await.unwrap(), Created::OverBudget, "also where nothing is owed");
    let late = NOW + 2 * 3_600_000;
    let whole = receipt(0, 0, ReceiptHash::ZERO, 3_600_000_000);
    assert!(matches!(store.take_receipt(&whole, late).await.unwrap(), Taken::Counted { .. }));
    let more = receipt(0, 1, whole.receipt.hash(), 10_000_000);
    assert_eq!(store.take_receipt(&more, late).await.unwrap(), Taken::OverBudget(SpendLimit::KeyBudget));
    store.end_session(session_id(0), EndReason::BudgetUsedUp, late).await.unwrap();
    assert_eq!(committed(store, 1, 1).await, (HOUR_MICROS.into(), HOUR_MICROS.into()));
}

/// An hour of play under each limit that holds an hour and no more.
async fn the_limit_that_ends_a_session_is_named(store: &dyn Store) {
    let node = enrol(store).await;
    let hour: i128 = HOUR_MICROS.into();
    let cap = CapRow { currency: eur(), limit_micros: hour };
    account(store, 1, Some(hour)).await;
    for n in [2, 3] {
        account(store, n, None).await;
    }
    for (n, limit) in [(1, None), (2, Some(hour)), (3, None)] {
        key(store, n, n, limit).await;
    }
    store.set_cap(&CapOf::Account(account_id(3)), Some(&cap)).await.unwrap();
    store.set_budget(&title(), &eur(), Some(hour)).await.unwrap();
    let other = TitleId::new("other").unwrap();
    store.set_cap(&CapOf::Title(other.clone()), Some(&cap)).await.unwrap();
    let limits = [
        (SpendLimit::AccountBudget, Some((1, 1)), title()),
        (SpendLimit::KeyBudget, Some((2, 2)), title()),
        (SpendLimit::AccountCap, Some((3, 3)), title()),
        (SpendLimit::TitleBudget, None, title()),
        (SpendLimit::PlayerCap, None, other),
    ];
    for (n, (limit, payer, title)) in (1..).zip(limits) {
        let new = NewSession { title, player: Some([n as u8; 32]), ..request(node, n, payer) };
        assert!(matches!(store.create_session(&new).await.unwrap(), Created::New(_)), "{limit}");
        let late = NOW + 2 * 3_600_000;
        let whole = receipt(n, 0, ReceiptHash::ZERO, 3_600_000_000);
        assert!(matches!(store.take_receipt(&whole, late).await.unwrap(), Taken::Counted { .. }), "{limit}");
        let more = receipt(n, 1, whole.receipt.hash(), 10_000_000);
        assert_eq!(store.take_receipt(&more, late).await.unwrap(), Taken::OverBudget(limit));
        let ended = store.end_over_budget(session_id(n), limit, late).await.unwrap().unwrap();
        let again =
            store.end_over_budget(session_id(n), SpendLimit::TitleBudget, late).await.unwrap().unwrap();
        assert!(ended.first && !again.first, "{limit}");
        for row in [ended.session, again.session, store.session(session_id(n)).await.unwrap().unwrap()] {
            assert_eq!((row.end_reason, row.end_limit), (Some(EndReason::BudgetUsedUp), Some(limit)));
            assert_eq!(row.end_message(), Some(limit.advice()));
        }
    }
}

async fn an_account_pays_for_its_keys_sessions_and_for_guests_on_its_titles(store: &dyn Store) {
    let node = enrol(store).await;
    for n in [1, 2, 3] {
        account(store, n, None).await;
        key(store, n, n, None).await;
    }
    store.set_owner(&Holding::Title(title()), Some(account_id(2))).await.unwrap();
    store.set_owner(&Holding::Title(title()), Some(account_id(3))).await.unwrap();
    store.set_owner(&Holding::Node(node), Some(account_id(3))).await.unwrap();
    assert_eq!(store.owner(&Holding::Title(title())).await.unwrap(), Some(account_id(3)));
    let held = store.holdings(account_id(3)).await.unwrap();
    assert_eq!(held, [Holding::Node(node), Holding::Title(title())]);
    assert!(store.holdings(account_id(2)).await.unwrap().is_empty());
    let late = NOW + 3_600_000;
    for (n, payer) in [(0, Some((1, 1))), (1, None), (2, Some((1, 1)))] {
        assert!(matches!(store.create_session(&request(node, n, payer)).await.unwrap(), Created::New(_)));
        let taken = store.take_receipt(&receipt(n, 0, ReceiptHash::ZERO, 60_000_000), late).await.unwrap();
        assert!(matches!(taken, Taken::Counted { .. }), "{taken:?}");
        store.end_session(session_id(n), EndReason::PlayerLeft, late).await.unwrap();
    }
    store.close_accounts(late + 48 * 3_600_000).await.unwrap();
    let cost = i128::from(HOUR_MICROS) * 60_000_000 / 3_600_000_000;
    for (n, leases) in [(1, 2), (2, 0), (3, 1)] {
        let of = UsageOf { account: Some(account_id(n)), ..UsageOf::all(late..late + 1) };
        let usage = store.usage(&of, UsageBy::Title).await.unwrap();
        let sum: i128 = usage.iter().map(|row| row.sums.host_micros + row.sums.platform_micros).sum();
        let counted: u64 = usage.iter().map(|row| row.sums.leases).sum();
        let lines = store.lease_usage(&of, None, 10).await.unwrap();
        assert_eq!(lines.len() as u64, leases, "account {n}");
        assert_eq!((counted, sum), (leases, i128::from(leases) * cost), "account {n}");
        let evidence = store.evidence_of_account(account_id(n), &title(), None, 10).await.unwrap();
        assert_eq!(evidence.len() as u64, leases, "account {n}");
        evidence.iter().for_each(|lease| drop(lease.recompute().unwrap()));
    }
    let all = UsageOf::all(late..late + 1);
    assert_eq!(store.usage(&all, UsageBy::Title).await.unwrap()[0].sums.leases, 3, "all of it");
    let page = store.sessions_of_account(account_id(1), None, 10).await.unwrap();
    assert_eq!(page.iter().map(|row| row.id).collect::<Vec<_>>(), [session_id(2), session_id(0)]);
    let rest = store.sessions_of_account(account_id(1), Some(session_id(2)), 10).await.unwrap();
    assert_eq!(rest.len(), 1);
    assert_eq!(committed(store, 1, 1).await, (2 * cost, 2 * cost), "what was not used is free again");
    let balances = verify(&store.journal().await.unwrap()).unwrap();
    let of = |account| balances[&(account, "EUR".to_owned())].debits_micros;
    assert_eq!(of(Account::Customer(account_id(1))), 2 * cost, "the account pays, not the studio");
    assert_eq!(of(Account::Studio(title())), cost);
    assert_eq!(audit(store).await.unwrap().leases, 3);
    store.set_owner(&Holding::Title(title()), None).await.unwrap();
    let none = UsageOf { account: Some(account_id(3)), ..all };
    assert!(store.usage(&none, UsageBy::Title).await.unwrap().is_empty());
}

async fn the_trail_grows_in_a_chain_and_is_read_backwards(store: &dyn Store) {
    assert!(store.trail(None, None, 10).await.unwrap().is_empty());
    for n in 1..=5_u8 {
        let deed = Deed {
            at_ms: NOW + u64::from(n),
            actor: if n == 1 { Actor::Operator } else { Actor::Key { id: key_id(n) } },
            account: (n % 2 == 0).then(|| account_id(n)),
            door: "DELETE /v1/accounts/{account}/keys/{key}".into(),
            subject: format!("subject {n}"),
            status: 200 + u16::from(n),
        };
        store.add_deed(&deed).await.unwrap();
    }
    let mut all = store.trail(None, None, 10).await.unwrap();
    all.reverse();
    let mut last = None;
    for row in &all {
        assert!(row.follows(last), "{row:?}");
        last = Some((row.number, row.hash));
    }
    assert_eq!(audit(store).await.unwrap().deeds, 5);
    let numbers = |rows: Vec<TrailRow>| rows.iter().map(|row| row.number).collect::<Vec<_>>();
    assert_eq!(numbers(all), [1, 2, 3, 4, 5]);
    assert_eq!(numbers(store.trail(None, Some(4), 2).await.unwrap()), [3, 2]);
    assert_eq!(numbers(store.trail(Some(account_id(2)), None, 10).await.unwrap()), [2]);
}

async fn an_answer_is_given_again_to_the_same_request_only(store: &dyn Store) {
    let asked = |request: u8, now_ms| Asked {
        key: [1; 32],
        request: [request; 32],
        now_ms,
        abandoned_before_ms: now_ms - 100,
    };
    let first = asked(1, NOW);
    assert_eq!(store.claim(&first).await.unwrap(), Claim::Fresh);
    assert_eq!(store.claim(&asked(1, NOW + 100)).await.unwrap(), Claim::Running);
    assert_eq!(store.claim(&asked(2, NOW + 200)).await.unwrap(), Claim::Other);
    assert_eq!(store.claim(&asked(1, NOW + 101)).await.unwrap(), Claim::Fresh, "whoever had it is gone");
    store.give_claim_up(&asked(2, NOW)).await.unwrap();
    assert_eq!(store.claim(&asked(1, NOW + 102)).await.unwrap(), Claim::Running, "it was another's");
    store.give_claim_up(&first).await.unwrap();
    assert_eq!(store.claim(&asked(2, NOW + 103)).await.unwrap(), Claim::Fresh);
    let answer =
        AnswerRow { status: 201, content_type: Some("text/plain".into()), body: Some(b"hi".to_vec()) };
    store.keep_answer(&asked(2, NOW), &answer).await.unwrap();
    let other = AnswerRow { status: 500, content_type: None, body: None };
    store.keep_answer(&asked(2, NOW), &other).await.unwrap();
    store.give_claim_up(&asked(2, NOW)).await.unwrap();
    assert_eq!(
        store.claim(&asked(2, NOW + 9_999)).await.unwrap(),
        Claim::Answered(answer),
        "the first stays"
    );
    store.forget_answers(NOW + 103).await.unwrap();
    assert_eq!(store.claim(&asked(1, NOW + 104)).await.unwrap(), Claim::Other);
    store.forget_answers(NOW + 104).await.unwrap();
    assert_eq!(store.claim(&asked(1, NOW + 104)).await.unwrap(), Claim::Fresh);
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

/// A thousand requests at once by two keys of one account: one key has 90 hours, the other what is left of the
/// account's 137.
async fn a_thousand_requests(store: Arc<dyn Store>) {
    let node = enrol(store.as_ref()).await;
    let hours = |n| i128::from(HOUR_MICROS) * n + 99;
    account(store.as_ref(), 1, Some(hours(137))).await;
    key(store.as_ref(), 1, 1, Some(hours(90))).await;
    key(store.as_ref(), 1, 2, None).await;
    let asked: Vec<_> = (0..REQUESTS)
        .map(|n| {
            let store = Arc::clone(&store);
            let key = if n % 3 == 0 { 2 } else { 1 };
            tokio::spawn(async move { (key, ask(store.as_ref(), &request(node, n, Some((1, key)))).await) })
        })
        .collect();
    let mut created = [0_u32; 3];
    for answer in asked {
        match answer.await.unwrap() {
            (key, Created::New(_)) => created[usize::from(key)] += 1,
            (_, Created::OverBudget) => {}
            other => panic!("{other:?}"),
        }
    }
    assert!(created[1] <= 90, "{created:?}");
    assert_eq!(created[1] + created[2], 137, "{created:?}");
    let of_keys = committed(store.as_ref(), 1, 1).await.1 + committed(store.as_ref(), 1, 2).await.1;
    assert_eq!(of_keys, i128::from(HOUR_MICROS) * 137);
    assert_eq!(committed(store.as_ref(), 1, 1).await.0, of_keys);
    assert_eq!(store.active_sessions().await.unwrap().len(), 137, "what was refused holds no slot");
    // Sessions that end while others begin: neither waits for the other in a circle.
    let ended = (0..REQUESTS).map(|n| {
        let store = Arc::clone(&store);
        tokio::spawn(async move {
            while let Err(error) = store.end_session(session_id(n), EndReason::PlayerLeft, NOW + 5_000).await
            {
                assert!(matches!(error, StoreError::Database(_)), "{error}");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            ask(store.as_ref(), &request(node, REQUESTS + n, Some((1, 2)))).await;
        })
    });
    for end in ended.collect::<Vec<_>>() {
        end.await.unwrap();
    }
    let account = store.account(account_id(1)).await.unwrap().unwrap();
    assert!(account.purse.committed_micros <= hours(137), "{account:?}");
    verify(&store.journal().await.unwrap()).unwrap();
    audit(store.as_ref()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn in_memory_neither_key_nor_account_spends_more_than_it_may() {
    a_thousand_requests(Arc::new(MemoryStore::new())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn on_sqlite_neither_key_nor_account_spends_more_than_it_may() {
    let folder = tempfile::tempdir().unwrap();
    a_thousand_requests(Arc::new(SqliteStore::open(&folder.path().join("db")).await.unwrap())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn on_postgresql_neither_key_nor_account_spends_more_than_it_may() {
    let server = postgres::Server::start().await;
    a_thousand_requests(Arc::new(PostgresStore::open(&server.database("a").await).await.unwrap())).await;
}

async fn browsers_of_members_are_known_by_account_and_forgotten_in_time(store: &dyn Store) {
    for n in [1, 2] {
        account(store, n, None).await;
    }
    // Marks have all 64 bits.
    let (laptop, phone) = (Mark(u64::MAX - 1), Mark(3));
    for (n, device, at_ms) in
        [(1, laptop, 10), (1, phone, 20), (2, phone, 30), (1, laptop, 25), (1, laptop, 5)]
    {
        store.note_device(account_id(n), device, NOW + at_ms).await.unwrap();
    }
    let devices = async |n, since| store.devices(account_id(n), NOW + since).await.unwrap();
    assert_eq!(devices(1, 0).await, [laptop, phone], "the newest first");
    assert_eq!(devices(1, 21).await, [laptop]);
    assert_eq!((devices(1, 26).await, devices(2, 30).await), (vec![], vec![phone]));
    store.forget_devices(NOW + 25).await.unwrap();
    assert_eq!((devices(1, 0).await, devices(2, 0).await), (vec![laptop], vec![phone]));
}

contract! {
    browsers_of_members_are_known_by_account_and_forgotten_in_time
    accounts_are_listed_by_name_and_limited
    a_link_signs_one_person_in_once_and_a_cookie_ends
    an_account_keeps_an_owner_and_whoever_is_out_is_out_everywhere
    members_and_keys_are_bounded
    a_key_is_found_by_its_secret_and_says_what_became_of_it
    a_revoked_key_sets_nothing_aside_any_more
    the_limit_that_ends_a_session_is_named
    an_account_pays_for_its_keys_sessions_and_for_guests_on_its_titles
    the_trail_grows_in_a_chain_and_is_read_backwards
    an_answer_is_given_again_to_the_same_request_only
}
