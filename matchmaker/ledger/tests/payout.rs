//! Payouts: one each, by files that banks read and claims that contracts check.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use nearframe_ledger::Account;
use nearframe_ledger::books::{
    AccountNo, Action, Answer, Books, Group, Key, Keys, Limit, Memo, MemoryKeys, Order, Refusal,
};
use nearframe_ledger::hash::Hash32;
use nearframe_ledger::payout::bank::{self, BankError, Debtor};
use nearframe_ledger::payout::evm::{Claims, keccak, root_of_proof, token_units};
use nearframe_ledger::payout::{
    Address, Destination, Due, Event, Manifest, ManifestError, Next, PaidSoFar, Payout, PayoutError, Rail,
    State,
};
use nearframe_ledger::settlement::{Epoch, Totals};
use nearframe_protocol::{Currency, NodeId};
use std::collections::BTreeMap;
use std::io::Write;
use std::process::{Command, Stdio};

const EPOCH: Epoch = Epoch(20_000);
const NOW_MS: u64 = 1_700_000_000_000;

fn currency(code: &str) -> Currency {
    Currency::new(code).unwrap()
}

fn host(n: u8) -> NodeId {
    NodeId::from_bytes([n; 16])
}

fn at_bank(name: &str) -> Destination {
    Destination::bank(name, "NL91ABNA0417164300".parse().unwrap(), None).unwrap()
}

fn on_chain(n: u8) -> Destination {
    Destination::Evm { address: Address::from_bytes([n; 20]) }
}

#[derive(Default)]
struct Case {
    totals: Totals,
    paid: PaidSoFar,
    deducted: Totals,
    retained: Totals,
    destinations: BTreeMap<(NodeId, Currency), Destination>,
    attempts: BTreeMap<(NodeId, Currency), u32>,
}

impl Case {
    fn earned(mut self, n: u8, code: &str, micros: i128, destination: Destination) -> Self {
        self.totals.insert((host(n), currency(code)), micros);
        self.destinations.insert((host(n), currency(code)), destination);
        self
    }
    fn paid(mut self, n: u8, code: &str, rail: Rail, micros: i128) -> Self {
        self.paid.insert((host(n), currency(code), rail), micros);
        self
    }
    fn manifest(&self) -> Result<Manifest, ManifestError> {
        Manifest::of(&Due {
            epoch: EPOCH,
            root: Hash32([8; 32]),
            totals: &self.totals,
            paid: &self.paid,
            deducted: &self.deducted,
            retained: &self.retained,
            destinations: &self.destinations,
            attempts: &self.attempts,
            least_micros: 10_000,
        })
    }
}

fn amounts(manifest: &Manifest) -> Vec<i128> {
    manifest.payouts.iter().map(|payout| payout.amount_micros).collect()
}

#[test]
fn what_was_staked_is_not_paid_what_was_released_is_and_what_is_missing_of_a_stake_waits() {
    let mut case = Case::default()
        .earned(1, "EUR", 5_000_000, at_bank("Ada"))
        .earned(2, "EUR", 0, at_bank("Grace"))
        .earned(3, "EUR", 5_000_000, at_bank("Edsger"))
        .paid(1, "EUR", Rail::Bank, 1_000_000);
    case.deducted.insert((host(1), currency("EUR")), 1_500_000);
    case.deducted.insert((host(2), currency("EUR")), -2_000_000);
    case.retained.insert((host(1), currency("EUR")), 500_000);
    case.retained.insert((host(3), currency("EUR")), 9_000_000);
    assert_eq!(amounts(&case.manifest().unwrap()), [2_000_000, 2_000_000]);
    case.deducted.insert((host(1), currency("EUR")), 4_000_001);
    let overpaid = ManifestError::Overpaid { host: host(1), currency: currency("EUR") };
    assert_eq!(case.manifest().unwrap_err(), overpaid);
}

#[test]
fn what_is_due_is_what_was_settled_less_what_was_paid_in_whole_coins() {
    let case = Case::default()
        .earned(1, "EUR", 1_239_999, at_bank("Ada"))
        .earned(2, "JPY", 5_999_999, at_bank("Kenji"))
        .earned(3, "EUR", 9_999, at_bank("too little"))
        .earned(4, "USDC", 1_234_567, on_chain(4))
        .earned(5, "EUR", 3_000_000, at_bank("changed from a chain"))
        .paid(5, "EUR", Rail::Evm, 2_000_001);
    assert_eq!(amounts(&case.manifest().unwrap()), [1_230_000, 5_000_000, 1_234_567, 990_000]);
    let over = Case::default().earned(1, "EUR", 5, at_bank("Ada")).paid(1, "EUR", Rail::Bank, 6);
    assert!(matches!(over.manifest(), Err(ManifestError::Overpaid { .. })));
    let mut nowhere = Case::default().earned(1, "EUR", 5_000_000, at_bank("Ada"));
    nowhere.destinations.clear();
    assert!(nowhere.manifest().unwrap().payouts.is_empty());
}

#[test]
fn the_remainder_of_a_coin_is_paid_later() {
    let mut paid = 0;
    for day in 1..=100 {
        let case =
            Case::default().earned(1, "EUR", day * 33_333, at_bank("Ada")).paid(1, "EUR", Rail::Bank, paid);
        paid += amounts(&case.manifest().unwrap()).iter().sum::<i128>();
    }
    assert_eq!(paid, 3_330_000, "of 3,333,300 micro-units all but what is less than a cent");
}

#[test]
fn a_payout_is_sent_once_and_then_asked_about_until_its_rail_answers() {
    use Event::{Failed, Settled, Submitting, Unknown, Withdrawn};
    assert_eq!(State::Created.next(), Next::Submit);
    let submitted = State::Created.after(Submitting).unwrap();
    assert_eq!(submitted.next(), Next::Ask);
    assert_eq!(submitted.after(Unknown).unwrap().next(), Next::Ask);
    assert_eq!(submitted.after(Submitting), Err(PayoutError::SentBefore));
    assert_eq!(submitted.after(Withdrawn), Err(PayoutError::SentBefore));
    assert_eq!(State::Created.after(Settled), Err(PayoutError::NeverSent));
    assert_eq!(State::Created.after(Withdrawn), Ok(State::Failed));
    for (event, end) in [(Settled, State::Settled), (Failed, State::Failed)] {
        let state = submitted.after(event).unwrap();
        assert_eq!((state, state.next(), state.after(event)), (end, Next::Nothing, Ok(end)));
        let other = if event == Settled { Failed } else { Settled };
        assert_eq!(state.after(other), Err(PayoutError::Contradiction { state: end, event: other }));
    }
}

/// The general ledger with one host who earned a euro.
struct House {
    books: Books,
    keys: MemoryKeys,
}

const BANK: AccountNo = AccountNo(0);
const CHAIN: AccountNo = AccountNo(1);
const HOST: AccountNo = AccountNo(2);

impl House {
    fn new() -> Self {
        let mut house = Self { books: Books::new(), keys: MemoryKeys::default() };
        let accounts = [
            (Account::Rail(Rail::Bank.label()), Limit::None),
            (Account::Rail(Rail::Evm.label()), Limit::None),
            (Account::Host(host(1)), Limit::Debits),
        ];
        for (account, limit) in accounts {
            let key = Key::of(&account.to_string());
            let action = Action::Open { account, currency: currency("EUR"), limit };
            assert_eq!(house.write(vec![Order { key, action, memo: Memo::default() }]), Answer::Done);
        }
        let action = Action::Move { debit: BANK, credit: HOST, amount_micros: 1_000_000 };
        house.write(vec![Order { key: Key::of("earned"), action, memo: Memo::default() }]);
        house
    }
    fn write(&mut self, group: Group) -> Answer {
        self.books.write(&[group], &mut self.keys, NOW_MS).unwrap().answers[0]
    }
    fn state(&mut self, payout: &Payout) -> Option<State> {
        let keys = &mut self.keys;
        payout.state(&self.books, |key| keys.find(key)).unwrap()
    }
    fn left_bank(&self) -> i128 {
        let balance = self.books.account(BANK).unwrap().balance;
        balance.credits_micros
    }
}

fn payout(attempt: u32, destination: Destination, amount_micros: i128) -> Payout {
    Payout {
        epoch: EPOCH,
        root: Hash32([8; 32]),
        attempt,
        host: host(1),
        currency: currency("EUR"),
        amount_micros,
        destination,
    }
}

#[test]
fn what_the_ledger_holds_is_the_state_and_repeating_any_step_changes_nothing() {
    let mut house = House::new();
    let one = payout(0, at_bank("Ada"), 900_000);
    assert_eq!(house.state(&one), None);
    let steps = [
        (one.creation(HOST, BANK), State::Created),
        (one.orders(Event::Submitting, HOST, BANK), State::Submitted),
        (one.orders(Event::Unknown, HOST, BANK), State::Submitted),
        (one.orders(Event::Settled, HOST, BANK), State::Settled),
    ];
    for (at, (group, state)) in steps.iter().enumerate() {
        // As after a crash at any moment: everything up to here once more, in order.
        assert!(matches!(house.write(group.clone()), Answer::Done | Answer::Again));
        for (earlier, _) in &steps[..=at] {
            assert_eq!(house.write(earlier.clone()), Answer::Again);
        }
        assert_eq!(house.state(&one), Some(*state));
    }
    assert_eq!(house.left_bank(), 900_000);
    let failed = house.write(one.orders(Event::Failed, HOST, BANK));
    assert_eq!(failed, Answer::Refused { order: 0, refusal: Refusal::NotPending });
}

#[test]
fn the_same_money_is_not_paid_by_two_rails() {
    let mut house = House::new();
    let one = payout(0, at_bank("Ada"), 900_000);
    house.write(one.creation(HOST, BANK));
    let same = payout(0, on_chain(1), 900_000);
    let refused = house.write(same.creation(HOST, CHAIN));
    assert_eq!(refused, Answer::Refused { order: 0, refusal: Refusal::KeyReused });
    let next = payout(1, on_chain(1), 900_000);
    let refused = house.write(next.creation(HOST, CHAIN));
    assert_eq!(refused, Answer::Refused { order: 0, refusal: Refusal::Limit(HOST) });
    house.write(one.orders(Event::Submitting, HOST, BANK));
    let refused = house.write(next.creation(HOST, CHAIN));
    assert_eq!(
        refused,
        Answer::Refused { order: 0, refusal: Refusal::Limit(HOST) },
        "also while its fate is unknown"
    );
    house.write(one.orders(Event::Failed, HOST, BANK));
    assert_eq!(house.state(&one), Some(State::Failed));
    assert_eq!(house.write(next.creation(HOST, CHAIN)), Answer::Done);
    assert_eq!(house.left_bank(), 0);
}

fn debtor() -> Debtor {
    Debtor {
        name: "Nearframe & Co <GmbH>".into(),
        iban: "DE89370400440532013000".parse().unwrap(),
        bic: Some("COBADEFFXXX".parse().unwrap()),
    }
}

fn bank_case() -> Case {
    Case::default()
        .earned(1, "EUR", 1_239_999, at_bank("Ada & Söhne <Rechner> \"GmbH\""))
        .earned(2, "EUR", 99_000_000_120_000, at_bank("Øyvind"))
        .earned(3, "JPY", 5_999_999, at_bank("Kenji"))
        .earned(4, "KWD", 1_234_567, at_bank("Noor"))
        .earned(5, "USDC", 7_000_000, on_chain(5))
}

/// Every file that is written here is one that a bank's schema takes.
fn assert_valid(xml: &str) {
    let schema = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/schemas/pain.001.001.09.xsd");
    let mut xmllint = Command::new("xmllint")
        .args(["--noout", "--nonet", "--schema", schema, "-"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("xmllint is installed (Debian: libxml2-utils)");
    xmllint.stdin.take().unwrap().write_all(xml.as_bytes()).unwrap();
    let output = xmllint.wait_with_output().unwrap();
    assert!(output.status.success(), "{}\n{xml}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn the_bank_file_is_valid_against_its_schema_and_adds_up() {
    let xml = bank::file(&bank_case().manifest().unwrap(), &debtor(), NOW_MS).unwrap();
    assert_valid(&xml);
    for part in [
        "<NbOfTxs>4</NbOfTxs><CtrlSum>99000007.584</CtrlSum>",
        "<InstdAmt Ccy=\"EUR\">1.23</InstdAmt>",
        "<InstdAmt Ccy=\"EUR\">99000000.12</InstdAmt>",
        "<InstdAmt Ccy=\"JPY\">5</InstdAmt>",
        "<InstdAmt Ccy=\"KWD\">1.234</InstdAmt>",
        "<NbOfTxs>2</NbOfTxs><CtrlSum>99000001.35</CtrlSum>",
        "<Nm>Ada &amp; Söhne &lt;Rechner&gt; \"GmbH\"</Nm>",
        "<CreDtTm>2023-11-14T22:13:20Z</CreDtTm>",
        "<ReqdExctnDt><Dt>2023-11-14</Dt></ReqdExctnDt>",
    ] {
        assert!(xml.contains(part), "{part} is missing in\n{xml}");
    }
    let again = bank::file(&bank_case().manifest().unwrap(), &debtor(), NOW_MS).unwrap();
    assert_eq!(xml, again, "the same manifest is the same file with the same MsgId");
}

#[test]
fn what_a_bank_cannot_pay_is_refused() {
    let file = |case: &Case| bank::file(&case.manifest().unwrap(), &debtor(), NOW_MS);
    assert_eq!(file(&Case::default()), Err(BankError::Empty));
    let token = Case::default().earned(1, "USDC", 5_000_000, at_bank("Ada"));
    assert_eq!(file(&token), Err(BankError::Currency(currency("USDC"))));
    let huge = Case::default().earned(1, "EUR", 10_i128.pow(22), at_bank("Ada"));
    assert!(matches!(file(&huge), Err(BankError::TooLarge { .. })));
    let part =
        Manifest { epoch: EPOCH, root: Hash32::default(), payouts: vec![payout(0, at_bank("Ada"), 1)] };
    assert!(matches!(bank::file(&part, &debtor(), NOW_MS), Err(BankError::Coin { .. })));
}

#[test]
fn claims_prove_cumulative_amounts_in_the_tokens_units() {
    let mut case = Case::default();
    let mut earlier = vec![(Address::from_bytes([9; 20]), 4_000_000)];
    for n in 1..=7 {
        case = case
            .earned(n, "USDC", 1_000_000 * i128::from(n) + 3_000_000, on_chain(n))
            .paid(n, "USDC", Rail::Evm, 2_000_000)
            .paid(n, "USDC", Rail::Bank, 500_000);
        earlier.push((Address::from_bytes([n; 20]), 2_000_000));
    }
    let claims = Claims::of(&case.manifest().unwrap(), &earlier, 6).unwrap();
    let root = claims.root().unwrap();
    let cumulative: Vec<u128> = claims.claims().iter().map(|claim| claim.cumulative).collect();
    let due: Vec<u128> = (1..=7).map(|n| 1_000_000 * n + 2_500_000).collect();
    assert_eq!(cumulative, [due, vec![4_000_000]].concat(), "what the bank paid is not claimed again");
    for (index, claim) in claims.claims().iter().enumerate() {
        assert_eq!(root_of_proof(claim.leaf(), &claims.proof(index)), root);
    }
    assert_eq!(claims.calldata(8), None);
}

#[test]
#[should_panic(expected = "claims of two tokens in one tree")]
fn claims_of_two_tokens_are_not_added_up() {
    let case =
        Case::default().earned(1, "EURC", 1_000_000, on_chain(1)).earned(1, "USDC", 1_000_000, on_chain(1));
    let _ = Claims::of(&case.manifest().unwrap(), &[], 6);
}

#[test]
fn what_is_less_than_a_tokens_unit_stays_on_the_account() {
    assert_eq!(token_units(1_234_567, 18), Ok(1_234_567_000_000_000_000));
    assert_eq!(token_units(1_234_567, 6), Ok(1_234_567));
    assert_eq!(token_units(1_234_567, 2), Ok(123));
    assert_eq!(token_units(9_999, 2), Ok(0));
    assert!(token_units(-1, 6).is_err() && token_units(i128::MAX, 18).is_err());
}

/// `vectors/claims.json`: what a contract and a wallet are given.
#[test]
fn the_vectors_are_what_this_code_writes() {
    assert_eq!(
        hex::encode(keccak(b"").0),
        "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"
    );
    let mut case = Case::default();
    for n in 1..=3 {
        case = case.earned(n, "USDC", 1_000_000 * i128::from(n), on_chain(n));
    }
    let claims = Claims::of(&case.manifest().unwrap(), &[], 6).unwrap();
    let value = serde_json::json!({
        "root": claims.root(),
        "claims": claims.claims().iter().enumerate().map(|(index, claim)| serde_json::json!({
            "index": claim.index,
            "account": claim.account.to_string(),
            "cumulative": claim.cumulative.to_string(),
            "leaf": claim.leaf(),
            "proof": claims.proof(index),
            "calldata": hex::encode(claims.calldata(index).unwrap()),
        })).collect::<Vec<_>>(),
    });
    vectors::compare("claims.json", &value);
}

#[path = "support/vectors.rs"]
mod vectors;
