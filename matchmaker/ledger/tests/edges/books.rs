//! The last order that the books take and the first that they refuse.

use nearframe_ledger::books::{
    AccountNo, Action, Amount, Answer, BlockHash, Books, Fingerprint, Group, HEADER_LEN, Key, KeyMap, Keys,
    Limit, MAX_ORDERS, MAX_RECORDS, Memo, MemoryKeys, Order, RECORD_LEN, Refusal, WriteError,
};
use nearframe_ledger::{Account, Label};
use nearframe_protocol::Currency;
use std::hash::BuildHasher;

pub(crate) const RAIL: AccountNo = AccountNo(0);
pub(crate) const CAP: AccountNo = AccountNo(1);
pub(crate) const DEBTS: AccountNo = AccountNo(2);
pub(crate) const NOW_MS: u64 = 1_700_000_000_000;

/// Books with a rail, an account that never owes, and one that is never owed.
pub(crate) struct House {
    pub(crate) books: Books,
    pub(crate) keys: MemoryKeys,
    pub(crate) blocks: Vec<nearframe_ledger::books::Block>,
}

fn label(text: &str) -> Label {
    Label::new(text).unwrap()
}

pub(crate) fn order(name: &str, action: Action) -> Order {
    Order { key: Key::of(name), action, memo: Memo { code: 1, subject: [2; 16], evidence: [3; 32] } }
}

pub(crate) fn pay(name: &str, debit: AccountNo, credit: AccountNo, amount_micros: i128) -> Group {
    vec![order(name, Action::Move { debit, credit, amount_micros })]
}

fn pend(name: &str, debit: AccountNo, credit: AccountNo, amount_micros: i128, timeout_s: u32) -> Group {
    vec![order(name, Action::Pend { debit, credit, amount_micros, timeout_s })]
}

fn post(name: &str, pending: &str, credit: AccountNo, amount: Amount, close: bool) -> Group {
    vec![order(name, Action::Post { pending: Key::of(pending), credit, amount, close })]
}

impl House {
    pub(crate) fn new() -> Self {
        let mut house = Self { books: Books::new(), keys: MemoryKeys::default(), blocks: vec![] };
        let accounts = [
            (Account::Rail(label("bank")), Limit::None),
            (Account::Cap(label("key")), Limit::Debits),
            (Account::Cap(label("debts")), Limit::Credits),
        ];
        for (account, limit) in accounts {
            let currency = Currency::new("EUR").unwrap();
            let name = account.to_string();
            assert_eq!(
                house.write(vec![order(&name, Action::Open { account, currency, limit })]),
                Answer::Done
            );
        }
        house
    }
    pub(crate) fn write_at(&mut self, group: Group, now_ms: u64) -> Answer {
        let written = self.books.write(&[group], &mut self.keys, now_ms).unwrap();
        self.blocks.extend(written.block);
        written.answers[0]
    }
    pub(crate) fn write(&mut self, group: Group) -> Answer {
        self.write_at(group, NOW_MS)
    }
    fn refuses(&mut self, group: Group, refusal: Refusal) {
        assert_eq!(self.write(group), Answer::Refused { order: 0, refusal });
    }
}

#[test]
fn an_account_spends_all_that_it_has_and_no_unit_more() {
    let mut house = House::new();
    house.write(pay("in", RAIL, CAP, 100));
    assert_eq!(house.write(pend("set aside", CAP, RAIL, 40, 0)), Answer::Done);
    house.refuses(pay("too much", CAP, RAIL, 61), Refusal::Limit(CAP));
    assert_eq!(house.write(pay("the rest", CAP, RAIL, 60)), Answer::Done);
    house.refuses(pend("nothing is left", CAP, RAIL, 1, 0), Refusal::Limit(CAP));
    assert_eq!(house.write(post("posted", "set aside", RAIL, Amount::Micros(40), false)), Answer::Done);
    assert_eq!(house.books.pending_count(), 0);
    house.books.assert_balanced();
}

#[test]
fn an_account_is_owed_no_more_than_was_spent_from_it() {
    let mut house = House::new();
    house.refuses(pay("before", RAIL, DEBTS, 1), Refusal::Limit(DEBTS));
    house.write(pay("spent", DEBTS, RAIL, 10));
    assert_eq!(house.write(pend("promised", RAIL, DEBTS, 4, 0)), Answer::Done);
    house.refuses(pay("too much", RAIL, DEBTS, 7), Refusal::Limit(DEBTS));
    assert_eq!(house.write(pay("the rest", RAIL, DEBTS, 6)), Answer::Done);
}

#[test]
fn what_is_pending_ends_at_its_second_and_not_before() {
    let mut house = House::new();
    house.write(pay("in", RAIL, CAP, 100));
    for (name, part) in [("p", 10), ("q", 10)] {
        assert_eq!(house.write(pend(name, CAP, RAIL, part, 10)), Answer::Done);
    }
    let pending = *house.books.pending(&Key::of("p")).unwrap();
    assert_eq!((pending.debit, pending.credit, pending.rest_micros), (CAP, RAIL, 10));
    assert_eq!(pending.expires_at_ms, NOW_MS + 10_000);
    assert_eq!(house.write_at(post("in time", "p", RAIL, Amount::Rest, true), NOW_MS + 9_999), Answer::Done);
    assert_eq!(house.books.pending_count(), 1);
    let late = house.write_at(post("late", "q", RAIL, Amount::Rest, true), NOW_MS + 10_000);
    assert_eq!(late, Answer::Refused { order: 0, refusal: Refusal::NotPending });
    assert_eq!(house.books.pending(&Key::of("q")), None);
    let balance = house.books.account(CAP).unwrap().balance;
    assert_eq!((balance.debits_micros, balance.debits_pending_micros, balance.credits_micros), (10, 0, 100));
    house.write_at(pend("for ever", CAP, RAIL, 1, 0), NOW_MS + 20_000);
    assert_eq!(house.books.pending(&Key::of("for ever")).unwrap().expires_at_ms, u64::MAX);
}

#[test]
fn parts_of_what_is_pending_are_more_than_nothing_and_at_most_all() {
    let mut house = House::new();
    house.write(pay("in", RAIL, CAP, 100));
    house.write(pend("p", CAP, RAIL, 10, 0));
    for (name, wrong) in [("a", 0), ("b", -1)] {
        house.refuses(post(name, "p", RAIL, Amount::Micros(wrong), false), Refusal::NotPositive);
        let void = Action::Void { pending: Key::of("p"), amount: Amount::Micros(wrong) };
        house.refuses(vec![order(&format!("{name} void"), void)], Refusal::NotPositive);
    }
    house.refuses(
        post("more", "p", RAIL, Amount::Micros(11), false),
        Refusal::MoreThanPending { rest_micros: 10 },
    );
    assert_eq!(house.write(post("all", "p", RAIL, Amount::Micros(10), false)), Answer::Done);
    assert_eq!(house.books.pending_count(), 0);
}

#[test]
fn sums_are_counted_up_to_the_most_and_not_beyond() {
    let most = i128::MAX >> 40;
    let mut house = House::new();
    house.refuses(pay("beyond", RAIL, CAP, most + 1), Refusal::Overflow);
    assert_eq!(house.write(pay("most", RAIL, CAP, most)), Answer::Done);
    house.refuses(pay("one more", RAIL, CAP, 1), Refusal::Overflow);
    house.books.assert_balanced();
}

#[test]
fn a_write_holds_as_many_orders_as_it_says_in_however_many_groups() {
    assert_eq!((MAX_ORDERS, MAX_RECORDS, HEADER_LEN, RECORD_LEN), (8_192, 16_384, 104, 128));
    let mut house = House::new();
    let single = |n: usize| pay(&format!("{n}"), RAIL, CAP, 1);
    let mut groups: Vec<Group> = (0..MAX_ORDERS - 3).map(single).collect();
    groups.push((0..3).flat_map(|n| pay(&format!("of three {n}"), RAIL, CAP, 1)).collect());
    let mut more = groups.clone();
    more.push(single(MAX_ORDERS));
    assert_eq!(house.books.write(&more, &mut house.keys, NOW_MS), Err(WriteError::TooMany));
    let written = house.books.write(&groups, &mut house.keys, NOW_MS).unwrap();
    assert!(written.answers.iter().all(|answer| *answer == Answer::Done));
    assert_eq!(written.block.unwrap().header().records as usize, MAX_ORDERS);
    assert_eq!(house.books.records(), 3 + MAX_ORDERS as u64);
    let nothing = house.books.write(&groups[..5], &mut house.keys, NOW_MS).unwrap();
    assert!(
        nothing.block.is_none() && nothing.answers == [Answer::Again; 5],
        "what happened before writes nothing"
    );
}

#[test]
fn accounts_are_found_by_name_and_number() {
    let house = House::new();
    let (cap, eur) = (Account::Cap(label("key")), Currency::new("EUR").unwrap());
    assert_eq!(house.books.number(&cap, &eur), Some(CAP));
    assert_eq!(house.books.number(&cap, &Currency::new("USD").unwrap()), None);
    assert_eq!((house.books.next_number(), house.books.accounts().len()), (AccountNo(3), 3));
    let state = house.books.account(CAP).unwrap();
    assert_eq!((&state.account, &state.currency, state.limit), (&cap, &eur, Limit::Debits));
    assert_eq!((house.books.next_height(), house.books.at_ms()), (3, NOW_MS));
    assert_eq!((Books::new().head(), Books::new().next_height()), (BlockHash::NONE, 0));
    assert_ne!(house.books.head(), BlockHash::NONE);
}

#[test]
fn keys_are_hashes_that_tell_and_print_themselves() {
    let key = Key::from_bytes(std::array::from_fn(|at| at as u8 * 16 + 1));
    assert_eq!(key.to_string(), "01112131415161718191a1b1c1d1e1f1");
    assert_eq!(format!("{key:?}"), format!("Key({key})"));
    let hash = BlockHash::from_bytes([0x0f; 32]);
    assert_eq!((hash.to_string(), format!("{hash:?}")), ("0f".repeat(32), format!("BlockHash({hash})")));
    assert_eq!(hash.as_bytes(), &[0x0f; 32]);
    // Of the hash of "a": ca978112ca1bbdcafac231b39a23dc4d…
    assert_eq!(Key::of("a").to_string(), "ca978112ca1bbdcafac231b39a23dc4d");
    let hasher = KeyMap::<()>::default();
    let of = |bytes: [u8; 16]| hasher.hasher().hash_one(Key::from_bytes(bytes));
    let all: std::collections::HashSet<u64> = (0..16)
        .flat_map(|at| (0..8).map(move |bit| (at, bit)))
        .map(|(at, bit)| {
            let mut bytes = [0; 16];
            bytes[at] = 1 << bit;
            of(bytes)
        })
        .collect();
    assert!(all.len() >= 64, "every bit of both halves counts: {}", all.len());
    let (front, back): (Vec<u8>, Vec<u8>) = ((0..8).collect(), (8..16).collect());
    let joined = |a: &[u8], b: &[u8]| of([a, b].concat().try_into().unwrap());
    assert_ne!(joined(&front, &back), joined(&back, &front), "their order counts");
    let mut keys = MemoryKeys::default();
    assert_eq!((keys.is_empty(), keys.len()), (true, 0));
    let fingerprint = Fingerprint::from_bytes([4; 16]);
    for n in [3, 1, 2] {
        keys.remember(Key::from_bytes([n; 16]), fingerprint);
    }
    assert_eq!(
        (keys.len(), keys.is_empty(), keys.get(&Key::from_bytes([2; 16]))),
        (3, false, Some(fingerprint))
    );
    let sorted: Vec<Key> = keys.drain_sorted().into_iter().map(|(key, _)| key).collect();
    assert_eq!(sorted, [1, 2, 3].map(|n| Key::from_bytes([n; 16])));
    assert!(keys.is_empty());
    assert_eq!(fingerprint.as_bytes(), &[4; 16]);
}
