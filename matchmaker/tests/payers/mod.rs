//! Accounts and keys that pay for sessions, and a store of each kind that they are kept in.
#![allow(dead_code, reason = "each test program uses a part of it")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use nearframe_ledger::Tariff;
use nearframe_matchmaker::store::accounts::{AccountRow, KeyRow, Payer, Purse};
use nearframe_matchmaker::store::{Admission, NewSession, Store};
use nearframe_protocol::account::{AccountKind, Scope};
use nearframe_protocol::link::NodeOffer;
use nearframe_protocol::receipt::{Receipt, ReceiptHash, SignedReceipt};
use nearframe_protocol::terms::NodeTerms;
use nearframe_protocol::{
    AccountId, ApiKeyId, Currency, Generation, GuestId, LeaseId, NodeId, NodeKey, SessionId, TitleHash,
    TitleId,
};

pub(crate) const NOW: u64 = 1_700_000_000_000;
pub(crate) const HOUR_MICROS: i64 = 1_234_567;
pub(crate) const REQUESTS: u32 = 1_000;

pub(crate) fn eur() -> Currency {
    Currency::new("EUR").unwrap()
}
pub(crate) fn title() -> TitleId {
    TitleId::new("meteor").unwrap()
}
pub(crate) fn node_key() -> NodeKey {
    NodeKey::from_seed([1; 32])
}
pub(crate) fn account_id(n: u8) -> AccountId {
    AccountId::from_bytes([n; 16])
}
pub(crate) fn key_id(n: u8) -> ApiKeyId {
    ApiKeyId::from_bytes([n; 16])
}

pub(crate) async fn account(store: &dyn Store, n: u8, limit_micros: Option<i128>) -> AccountRow {
    let purse = Purse::new(eur(), limit_micros);
    let (id, name) = (account_id(n), format!("account {n}"));
    let row = AccountRow { id, kind: AccountKind::Studio, name, created_at_ms: NOW, purse };
    store.add_account(&row).await.unwrap();
    row
}

pub(crate) async fn key(store: &dyn Store, account: u8, n: u8, limit_micros: Option<i128>) -> KeyRow {
    let row = KeyRow {
        id: key_id(n),
        account: account_id(account),
        name: format!("key {n}"),
        prefix: "nf_live_abcd".into(),
        scopes: vec![Scope::Quotes, Scope::Sessions],
        created_at_ms: NOW + u64::from(n),
        created_by: None,
        expires_at_ms: Some(NOW + 1_000),
        revoked_at_ms: None,
        last_used_ms: None,
        purse: Purse::new(eur(), limit_micros),
    };
    assert!(store.add_key(&row, [n; 32]).await.unwrap());
    row
}

pub(crate) async fn enrol(store: &dyn Store) -> NodeId {
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

pub(crate) fn session_id(n: u32) -> SessionId {
    let mut bytes = [7; 16];
    bytes[..4].copy_from_slice(&n.to_le_bytes());
    SessionId::from_bytes(bytes)
}

/// A session that this key of the account pays for; a guest's where there is none.
pub(crate) fn request(node: NodeId, n: u32, payer: Option<(u8, u8)>) -> NewSession {
    NewSession {
        id: session_id(n),
        guest: GuestId::from_bytes(*session_id(n).as_bytes()),
        guest_limit: 1,
        title: title(),
        title_hash: TitleHash::from_bytes([4; 32]),
        node,
        player_key: NodeKey::from_seed([2; 32]).public(),
        lease: LeaseId::from_bytes(*session_id(n).as_bytes()),
        tariff: Tariff { price_micros_per_hour: HOUR_MICROS, fee_permille: 137, currency: eur() },
        payer: payer.map(|(account, key)| Payer { account: account_id(account), key: Some(key_id(key)) }),
        now_ms: NOW + u64::from(n),
        basis: None,
        idempotency: None,
        fence: None,
        reservation: None,
        player: None,
    }
}

pub(crate) fn receipt(n: u32, sequence: u32, previous: ReceiptHash, duration_us: u64) -> SignedReceipt {
    let receipt = Receipt {
        session: session_id(n),
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
    signed.player_signature = Some(NodeKey::from_seed([2; 32]).sign(&signed.receipt.signed_bytes()));
    signed
}

pub(crate) async fn committed(store: &dyn Store, account: u8, key: u8) -> (i128, i128) {
    let row = store.account(account_id(account)).await.unwrap().unwrap();
    let keys = store.keys(account_id(account)).await.unwrap();
    let key = keys.iter().find(|row| row.id == key_id(key)).unwrap();
    (row.purse.committed_micros, key.purse.committed_micros)
}
