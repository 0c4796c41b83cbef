//! Identities, passkeys and sign-ins that are under way, on every store.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[macro_use]
mod contract;
mod postgres;

use nearframe_matchmaker::store::accounts::{AccountRow, Arrival, Arrived, LinkRow, MemberRow, Purse};
use nearframe_matchmaker::store::sign_in::{
    Added, IdentityRow, MOST_WAYS, NewCookie, Newcomer, Outsider, PasskeyRow, PendingRow,
};
use nearframe_matchmaker::store::{Admission, MemoryStore, PostgresStore, SqliteStore, Store};
use nearframe_protocol::account::{AccountKind, MemberRole};
use nearframe_protocol::link::NodeOffer;
use nearframe_protocol::terms::NodeTerms;
use nearframe_protocol::{AccountId, Currency, IdentityId, MemberId, NodeId, NodeKey, PasskeyId};
use std::sync::Arc;

const NOW: u64 = 1_700_000_000_000;

fn account_id(n: u8) -> AccountId {
    AccountId::from_bytes([n; 16])
}
fn member(n: u8) -> MemberId {
    MemberId::from_bytes([n; 16])
}
fn account_row(n: u8) -> AccountRow {
    let purse = Purse::new(Currency::new("EUR").unwrap(), Some(0));
    let (id, name) = (account_id(n), format!("account {n}"));
    AccountRow { id, kind: AccountKind::Studio, name, created_at_ms: NOW, purse }
}
fn who(subject: &str) -> Outsider {
    Outsider { issuer: "https://id.example".into(), subject: subject.into(), name: "Vera".into() }
}
fn identity(n: u8, subject: &str, of: u8) -> IdentityRow {
    let id = IdentityId::from_bytes([n; 16]);
    IdentityRow {
        id,
        who: who(subject),
        member: member(of),
        linked_at_ms: NOW + u64::from(n),
        last_used_ms: None,
    }
}
fn passkey(n: u8, of: u8) -> PasskeyRow {
    PasskeyRow {
        id: PasskeyId::from_bytes([n; 16]),
        credential: vec![n; 20],
        member: member(of),
        name: format!("key {n}"),
        body: "{\"counter\":0}".into(),
        added_at_ms: NOW + u64::from(n),
        last_used_ms: None,
        flagged_at_ms: None,
    }
}
fn cookie(n: u8) -> NewCookie {
    NewCookie { cookie: [n; 32], expires_at_ms: NOW + 1_000, now_ms: NOW + 5 }
}

/// A member, in an account that is made where it is missing.
async fn arrive(store: &dyn Store, account: u8, n: u8, identity: Option<IdentityRow>) -> Arrived {
    store.add_account(&account_row(account)).await.unwrap();
    let role = MemberRole::Owner;
    let (token, account) = ([n; 32], account_id(account));
    let link = LinkRow { token, account, role, member: None, expires_at_ms: NOW + 10 };
    store.add_link(&link).await.unwrap();
    let arrival = Arrival {
        token,
        member: member(n),
        name: format!("member {n}"),
        cookie: [n + 100; 32],
        cookie_expires_at_ms: NOW + 100,
        now_ms: NOW,
        identity,
    };
    store.arrive(&arrival).await.unwrap()
}

async fn came(store: &dyn Store, cookie: u8) -> Option<MemberId> {
    store.member_of_cookie([cookie; 32], NOW + 10).await.unwrap().map(|(row, _)| row.id)
}

async fn what_is_under_way_is_taken_once_and_ends(store: &dyn Store) {
    let row = |key: u8, body: &str| PendingRow { key: [key; 32], body: body.into(), expires_at_ms: NOW + 10 };
    store.add_pending(&row(1, "first"), 9, NOW).await.unwrap();
    store.add_pending(&row(1, "second"), 9, NOW).await.unwrap();
    assert_eq!(store.pending([1; 32], NOW).await.unwrap().as_deref(), Some("second"), "in its place");
    assert_eq!(store.pending([2; 32], NOW).await.unwrap(), None);
    assert_eq!(store.take_pending([1; 32], NOW + 9).await.unwrap().as_deref(), Some("second"));
    assert_eq!(store.take_pending([1; 32], NOW + 9).await.unwrap(), None);
    store.add_pending(&row(3, "late"), 9, NOW).await.unwrap();
    assert_eq!(store.pending([3; 32], NOW + 10).await.unwrap(), None);
    assert_eq!(store.take_pending([3; 32], NOW + 10).await.unwrap(), None);
    for n in 10..15_u8 {
        let later = PendingRow { expires_at_ms: NOW + 100 + u64::from(n), ..row(n, "x") };
        store.add_pending(&later, 3, NOW + 20).await.unwrap();
    }
    for n in 10..15_u8 {
        let is_there = store.pending([n; 32], NOW + 20).await.unwrap().is_some();
        assert_eq!(is_there, n >= 12, "{n}: those that end first make room");
    }
}

async fn an_identity_leads_to_the_members_that_it_is_linked_to(store: &dyn Store) {
    assert!(matches!(arrive(store, 1, 1, Some(identity(1, "vera", 0))).await, Arrived::As(_)));
    assert!(matches!(arrive(store, 2, 2, None).await, Arrived::As(_)));
    let found = async |subject: &str| {
        let rows = store.members_of_identity("https://id.example", subject).await.unwrap();
        rows.iter().map(|(row, account)| (row.id, account.id)).collect::<Vec<_>>()
    };
    assert_eq!(found("vera").await, [(member(1), account_id(1))]);
    assert!(found("mallory").await.is_empty());
    assert!(store.members_of_identity("https://other.example", "vera").await.unwrap().is_empty());
    assert_eq!(store.link_identity(&identity(2, "vera", 2)).await.unwrap(), Added::Done);
    assert_eq!(store.link_identity(&identity(3, "vera", 2)).await.unwrap(), Added::Done, "it is one already");
    assert_eq!(store.link_identity(&identity(4, "vera", 9)).await.unwrap(), Added::Unknown);
    assert_eq!(found("vera").await, [(member(1), account_id(1)), (member(2), account_id(2))]);
    assert_eq!(store.identities(member(2)).await.unwrap(), [identity(2, "vera", 2)]);

    assert!(store.sign_in_by_identity(&who("vera"), member(2), cookie(7)).await.unwrap());
    assert!(!store.sign_in_by_identity(&who("mallory"), member(2), cookie(8)).await.unwrap());
    assert_eq!((came(store, 7).await, came(store, 8).await), (Some(member(2)), None));
    assert_eq!(store.identities(member(2)).await.unwrap()[0].last_used_ms, Some(NOW + 5));
    assert!(!store.unlink_identity(member(1), IdentityId::from_bytes([2; 16])).await.unwrap(), "not hers");
    assert!(store.unlink_identity(member(2), IdentityId::from_bytes([2; 16])).await.unwrap());
    assert!(!store.sign_in_by_identity(&who("vera"), member(2), cookie(9)).await.unwrap());
    for n in 0..=MOST_WAYS as u8 {
        let added = store.link_identity(&identity(50 + n, &format!("s{n}"), 2)).await.unwrap();
        assert_eq!(added == Added::Full, u32::from(n) == MOST_WAYS, "{n}: {added:?}");
    }
}

async fn an_identity_is_one_member_of_an_account_and_goes_with_them(store: &dyn Store) {
    assert!(matches!(arrive(store, 1, 1, Some(identity(1, "vera", 0))).await, Arrived::As(_)));
    assert_eq!(arrive(store, 1, 2, Some(identity(2, "vera", 0))).await, Arrived::Already);
    assert_eq!(came(store, 102).await, None);
    assert!(matches!(arrive(store, 1, 3, Some(identity(3, "max", 0))).await, Arrived::As(_)));
    let again = LinkRow {
        token: [77; 32],
        account: account_id(1),
        role: MemberRole::Viewer,
        member: Some(member(3)),
        expires_at_ms: NOW + 10,
    };
    store.add_link(&again).await.unwrap();
    let arrival = Arrival {
        token: [77; 32],
        member: member(9),
        name: "x".into(),
        cookie: [78; 32],
        cookie_expires_at_ms: NOW + 100,
        now_ms: NOW,
        identity: Some(identity(4, "max at work", 0)),
    };
    assert!(matches!(store.arrive(&arrival).await.unwrap(), Arrived::As(row) if row.id == member(3)));
    assert_eq!(store.identities(member(3)).await.unwrap().len(), 2, "a link for who is there links as well");
    assert_eq!(store.add_passkey(&passkey(1, 3)).await.unwrap(), Added::Done);
    store.remove_member(account_id(1), member(3), NOW).await.unwrap();
    assert!(store.members_of_identity("https://id.example", "max").await.unwrap().is_empty());
    assert!(store.passkey(&[1; 20]).await.unwrap().is_none());
    assert!(!store.sign_in_by_identity(&who("max"), member(3), cookie(7)).await.unwrap());
    assert_eq!(store.link_identity(&identity(5, "max", 3)).await.unwrap(), Added::Unknown, "they are out");
    assert_eq!(store.add_passkey(&passkey(2, 3)).await.unwrap(), Added::Unknown);
}

async fn a_newcomer_makes_one_account(store: &dyn Store) {
    let newcomer = |n: u8| Newcomer {
        account: account_row(n),
        member: MemberRow {
            id: member(n),
            account: account_id(n),
            name: "Vera".into(),
            role: MemberRole::Owner,
            joined_at_ms: NOW,
        },
        identity: identity(n, "vera", n),
    };
    assert!(store.add_newcomer(&newcomer(1), cookie(7)).await.unwrap());
    assert!(!store.add_newcomer(&newcomer(2), cookie(8)).await.unwrap());
    assert_eq!((came(store, 7).await, came(store, 8).await), (Some(member(1)), None));
    assert!(store.account(account_id(2)).await.unwrap().is_none());
}

async fn a_passkey_signs_in_as_it_was_read(store: &dyn Store) {
    arrive(store, 1, 1, None).await;
    arrive(store, 1, 2, None).await;
    assert_eq!(store.add_passkey(&passkey(1, 1)).await.unwrap(), Added::Done);
    assert_eq!(store.add_passkey(&passkey(1, 1)).await.unwrap(), Added::Done, "it is one already");
    assert_eq!(store.add_passkey(&passkey(1, 2)).await.unwrap(), Added::Taken);
    let (read, row, account) = store.passkey(&[1; 20]).await.unwrap().unwrap();
    assert_eq!((&read, row.id, account.id), (&passkey(1, 1), member(1), account_id(1)));
    assert!(store.sign_in_by_passkey(&read, "{\"counter\":1}", cookie(7)).await.unwrap());
    assert!(!store.sign_in_by_passkey(&read, "{\"counter\":1}", cookie(8)).await.unwrap(), "it was another");
    assert_eq!((came(store, 7).await, came(store, 8).await), (Some(member(1)), None));
    let (now, ..) = store.passkey(&[1; 20]).await.unwrap().unwrap();
    assert_eq!((now.body.as_str(), now.last_used_ms), ("{\"counter\":1}", Some(NOW + 5)));
    store.flag_passkey(now.id, NOW + 6).await.unwrap();
    store.flag_passkey(now.id, NOW + 7).await.unwrap();
    assert_eq!(store.passkeys(member(1)).await.unwrap()[0].flagged_at_ms, Some(NOW + 6), "the first stays");
    assert!(!store.sign_in_by_passkey(&now, "{}", cookie(9)).await.unwrap(), "it is flagged");
    assert!(!store.remove_passkey(member(2), now.id).await.unwrap(), "not theirs");
    assert!(store.remove_passkey(member(1), now.id).await.unwrap());
    assert!(store.passkeys(member(1)).await.unwrap().is_empty());
    for n in 0..=MOST_WAYS as u8 {
        let added = store.add_passkey(&passkey(50 + n, 2)).await.unwrap();
        assert_eq!(added == Added::Full, u32::from(n) == MOST_WAYS, "{n}: {added:?}");
    }
}

async fn nodes_are_found_by_their_ids(store: &dyn Store) {
    let mut ids = Vec::new();
    for n in 1..=3_u8 {
        store.add_enrolment([n; 32], NOW + 1).await.unwrap();
        let offer = NodeOffer {
            name: format!("node {n}"),
            region: "DE".into(),
            slots: 1,
            adapter: String::new(),
            encoders: vec![],
            titles: vec![],
            capability: None,
            terms: NodeTerms::default(),
        };
        let key = NodeKey::from_seed([n; 32]).public();
        let admitted = store.admit_node(&key, Some([n; 32]), &offer, NOW).await.unwrap();
        let Admission::Admitted(id) = admitted else { panic!("{admitted:?}") };
        ids.push(id);
    }
    assert!(store.nodes_of(&[]).await.unwrap().is_empty());
    let mut asked = vec![ids[2], ids[0]];
    // More than one statement asks for.
    asked.extend((0..1_200_u32).map(|n| {
        let mut bytes = [0xee; 16];
        bytes[..4].copy_from_slice(&n.to_le_bytes());
        NodeId::from_bytes(bytes)
    }));
    let mut names: Vec<_> = store.nodes_of(&asked).await.unwrap().into_iter().map(|row| row.name).collect();
    names.sort();
    assert_eq!(names, ["node 1", "node 3"]);
}

/// Many who come at once with the same secret, the same identity, the same passkey.
async fn a_rush(store: Arc<dyn Store>) {
    let pending = PendingRow { key: [1; 32], body: "b".into(), expires_at_ms: NOW + 10 };
    store.add_pending(&pending, 9, NOW).await.unwrap();
    arrive(&*store, 9, 9, None).await;
    store.add_passkey(&passkey(1, 9)).await.unwrap();
    let (read, ..) = store.passkey(&[1; 20]).await.unwrap().unwrap();
    let rush = (0..16_u8).map(|n| {
        let (store, read) = (Arc::clone(&store), read.clone());
        tokio::spawn(async move {
            let owner = MemberRow {
                id: member(n + 20),
                account: account_id(n + 20),
                name: "v".into(),
                role: MemberRole::Owner,
                joined_at_ms: NOW,
            };
            let newcomer = Newcomer {
                account: account_row(n + 20),
                member: owner,
                identity: identity(n + 20, "vera", n + 20),
            };
            let taken = store.take_pending([1; 32], NOW).await.unwrap().is_some();
            let made = store.add_newcomer(&newcomer, cookie(n + 20)).await.unwrap();
            let body = format!("{{\"counter\":{}}}", n + 1);
            let signed_in = store.sign_in_by_passkey(&read, &body, cookie(n + 60)).await.unwrap();
            [taken, made, signed_in].map(u32::from)
        })
    });
    let mut sums = [0; 3];
    for one in rush.collect::<Vec<_>>() {
        let done = one.await.unwrap();
        (0..3).for_each(|at| sums[at] += done[at]);
    }
    assert_eq!(sums, [1; 3], "taken, made, signed in");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn in_memory_a_rush_gets_in_once() {
    a_rush(Arc::new(MemoryStore::new())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn on_sqlite_a_rush_gets_in_once() {
    let folder = tempfile::tempdir().unwrap();
    a_rush(Arc::new(SqliteStore::open(&folder.path().join("db")).await.unwrap())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn on_postgresql_a_rush_gets_in_once() {
    let server = postgres::Server::start().await;
    a_rush(Arc::new(PostgresStore::open(&server.database("a").await).await.unwrap())).await;
}

contract! {
    what_is_under_way_is_taken_once_and_ends
    an_identity_leads_to_the_members_that_it_is_linked_to
    an_identity_is_one_member_of_an_account_and_goes_with_them
    a_newcomer_makes_one_account
    a_passkey_signs_in_as_it_was_read
    nodes_are_found_by_their_ids
}
