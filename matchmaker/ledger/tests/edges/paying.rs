//! Destinations, manifests, files for banks, settlements and their trees.

use nearframe_ledger::books::Key;
use nearframe_ledger::hash::Hash32;
use nearframe_ledger::payout::bank::{self, BankError, Debtor};
use nearframe_ledger::payout::{
    Address, Bic, Destination, Due, Iban, Manifest, PaidSoFar, Payout, Rail, minor_decimals,
};
use nearframe_ledger::settlement::{
    Earning, Epoch, Settlement, SettlementError, SignedRoot, Totals, path, root,
};
use nearframe_protocol::{Currency, LeaseId, NodeId, NodeKey};
use std::collections::{BTreeMap, BTreeSet};

fn currency(code: &str) -> Currency {
    Currency::new(code).unwrap()
}

fn iban() -> Iban {
    "NL91ABNA0417164300".parse().unwrap()
}

fn host(n: u8) -> NodeId {
    NodeId::from_bytes([n; 16])
}

#[test]
fn numbers_of_accounts_and_banks_have_their_length_and_letters() {
    for right in ["XX7811111111111", "XX72777777777777777777777777777777", "AZ96A0Z9A0Z9A0Z9A0Z9A0Z9"] {
        assert_eq!(right.parse::<Iban>().unwrap().to_string(), right);
    }
    // Their checksums are right: only the form is wrong.
    for wrong in ["XX900000000000", "XX127777777777777777777777777777777", "AZ96a0z9a0z9a0z9a0z9a0z9"] {
        assert!(wrong.parse::<Iban>().is_err(), "{wrong}");
    }
    for wrong in ["XX7811111111112", "XX7911111111111", "X17811111111111", "XXA811111111111"] {
        assert!(wrong.parse::<Iban>().is_err(), "{wrong}");
    }
    for right in ["COBADEFF", "COBADEFFXXX", "1111DE22"] {
        assert_eq!(right.parse::<Bic>().unwrap().to_string(), right);
    }
    for wrong in
        ["COBADEF", "COBADEFFX", "COBADEFFXX", "COBADEFFXXXX", "COBA1EFF", "COBAD1FF", "cobadeff", "COBADEF-"]
    {
        assert!(wrong.parse::<Bic>().is_err(), "{wrong}");
    }
    let named = |length| Destination::bank(&"ä".repeat(length), iban(), None);
    assert!(named(1).is_ok() && named(70).is_ok() && named(0).is_err() && named(71).is_err());
    let address = Address::from_bytes([0x5a; 20]);
    assert_eq!(format!("{address:?}"), format!("Address({address})"));
    assert_eq!(address.as_bytes(), &[0x5a; 20]);
    assert_eq!(
        (Rail::Bank.label().to_string(), Rail::Evm.label().to_string()),
        ("bank".into(), "evm".into())
    );
}

#[test]
fn coins_are_as_small_as_iso_4217_says() {
    for code in [
        "BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "VND", "VUV", "XAF",
        "XOF", "XPF",
    ] {
        assert_eq!(minor_decimals(&currency(code)), 0, "{code}");
    }
    for code in ["BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"] {
        assert_eq!(minor_decimals(&currency(code)), 3, "{code}");
    }
    for code in ["EUR", "USD", "USDC"] {
        assert_eq!(minor_decimals(&currency(code)), 2, "{code}");
    }
}

fn due(
    earned_micros: i128,
    paid: &[(Rail, i128)],
    least_micros: i128,
    code: &str,
    to: Destination,
) -> Vec<Payout> {
    let place = (host(1), currency(code));
    let paid: PaidSoFar =
        paid.iter().map(|(rail, micros)| ((host(1), currency(code), *rail), *micros)).collect();
    let due = Due {
        epoch: Epoch(20_000),
        root: Hash32([8; 32]),
        totals: &Totals::from([(place.clone(), earned_micros)]),
        paid: &paid,
        deducted: &Totals::new(),
        retained: &Totals::new(),
        destinations: &BTreeMap::from([(place.clone(), to)]),
        attempts: &BTreeMap::from([(place, 3)]),
        least_micros,
    };
    Manifest::of(&due).unwrap().payouts
}

fn at_bank(name: &str, bic: Option<&str>) -> Destination {
    Destination::bank(name, iban(), bic.map(|bic| bic.parse().unwrap())).unwrap()
}

#[test]
fn the_least_that_is_paid_is_paid_and_all_that_was_paid_leaves_nothing() {
    let amounts = |earned, paid: &[(Rail, i128)], least| {
        let payouts = due(earned, paid, least, "EUR", at_bank("Ada", None));
        payouts.into_iter().map(|payout| (payout.amount_micros, payout.attempt)).collect::<Vec<_>>()
    };
    assert_eq!(amounts(10_000, &[], 10_000), [(10_000, 3)]);
    assert_eq!(amounts(10_000, &[], 10_001), []);
    assert_eq!(amounts(9_999, &[], 0), [], "less than a coin");
    assert_eq!(amounts(50_000, &[(Rail::Bank, 20_000), (Rail::Evm, 30_000)], 0), []);
    assert_eq!(amounts(50_000, &[(Rail::Bank, 20_000), (Rail::Evm, 10_000)], 0), [(20_000, 3)]);
}

#[test]
fn a_manifests_name_says_all_that_is_in_it() {
    let payouts = || due(50_000, &[], 0, "EUR", at_bank("Ada", Some("COBADEFF")));
    let manifest = || Manifest { epoch: Epoch(1), root: Hash32([1; 32]), payouts: payouts() };
    let name = manifest().digest();
    assert_eq!(name, manifest().digest());
    let mut others = vec![
        Manifest { epoch: Epoch(2), ..manifest() },
        Manifest { root: Hash32([2; 32]), ..manifest() },
        Manifest { payouts: vec![], ..manifest() },
    ];
    let changed = |change: fn(&mut Payout)| {
        let mut manifest = manifest();
        change(&mut manifest.payouts[0]);
        manifest
    };
    others.push(changed(|payout| payout.amount_micros += 1));
    others.push(changed(|payout| payout.attempt += 1));
    others.push(changed(|payout| payout.destination = at_bank("Ada", None)));
    others.push(changed(|payout| payout.destination = at_bank("Eve", Some("COBADEFF"))));
    others.push(changed(|payout| {
        payout.destination = Destination::Evm { address: Address::from_bytes([1; 20]) }
    }));
    let names: BTreeSet<Hash32> = others.iter().map(Manifest::digest).chain([name]).collect();
    assert_eq!(names.len(), others.len() + 1);
}

fn file(payouts: Vec<Payout>, bic: Option<&str>, now_ms: u64) -> Result<String, BankError> {
    let bic = bic.map(|bic| bic.parse().unwrap());
    let debtor = Debtor { name: "N".into(), iban: iban(), bic };
    bank::file(&Manifest { epoch: Epoch(20_000), root: Hash32([8; 32]), payouts }, &debtor, now_ms)
}

#[test]
fn a_bank_is_told_who_it_is_what_it_costs_and_when_it_is() {
    let yen = || due(5_000_000, &[], 0, "JPY", at_bank("Kenji", None));
    let euros = || due(1_050_000, &[], 0, "EUR", at_bank("Ada", Some("COBADEFFXXX")));
    let xml = file([yen(), euros()].concat(), None, 86_399_000).unwrap();
    for part in [
        "<CreDtTm>1970-01-01T23:59:59Z</CreDtTm>",
        "<CtrlSum>6.050</CtrlSum>",
        "<NbOfTxs>1</NbOfTxs><CtrlSum>5</CtrlSum>",
        "<NbOfTxs>1</NbOfTxs><CtrlSum>1.05</CtrlSum>",
        "<DbtrAgt><FinInstnId><Othr><Id>NOTPROVIDED</Id></Othr></FinInstnId></DbtrAgt><ChrgBr>SHAR</ChrgBr>",
        "<CdtrAgt><FinInstnId><BICFI>COBADEFFXXX</BICFI></FinInstnId></CdtrAgt><Cdtr><Nm>Ada</Nm>",
        "<Ustrd>nearframe earnings until 2024-10-04</Ustrd>",
    ] {
        assert!(xml.contains(part), "{part} is missing in\n{xml}");
    }
    assert_eq!(xml.matches("<CdtrAgt>").count(), 1, "who named no bank has none");
    assert_eq!(xml.matches("<Cd>SEPA</Cd>").count(), 1);
    let named = file(euros(), Some("DEUTDEFF"), 3_661_000).unwrap();
    assert!(named.contains(
        "<DbtrAgt><FinInstnId><BICFI>DEUTDEFF</BICFI></FinInstnId></DbtrAgt><ChrgBr>SLEV</ChrgBr>"
    ));
    assert!(named.contains("T01:01:01Z"), "{named}");
    assert!(matches!(
        file(due(5, &[], 0, "USDC", Destination::Evm { address: Address::from_bytes([1; 20]) }), None, 0),
        Err(BankError::Empty)
    ));
}

#[test]
fn a_bank_takes_eighteen_digits_and_whole_coins() {
    let of = |amount_micros, code: &str| {
        let mut payouts = due(50_000_000, &[], 0, code, at_bank("Ada", None));
        payouts[0].amount_micros = amount_micros;
        file(payouts, None, 0)
    };
    let most = (10_i128.pow(15) - 1) * 10_000;
    assert!(of(most, "EUR").is_ok());
    assert!(matches!(of(most + 10_000, "EUR"), Err(BankError::TooLarge { .. })));
    for wrong in [0, -10_000, 10_001, 1] {
        assert!(matches!(of(wrong, "EUR"), Err(BankError::Coin { .. })), "{wrong}");
    }
    assert!(matches!(of(10_000, "USDC"), Err(BankError::Currency(_))));
}

fn earning(n: u32, at_ms: u64) -> Earning {
    Earning {
        key: Key::of(&format!("earning {n}")),
        host: host(1),
        currency: currency("EUR"),
        amount_micros: 5,
        at_ms,
        lease: LeaseId::from_bytes([1; 16]),
    }
}

#[test]
fn an_earning_is_of_the_day_that_holds_its_millisecond_and_is_named_once() {
    let (day, next, none) = (Epoch(20_000), Epoch(20_001), BTreeSet::new());
    let first =
        Settlement::default().settle(day, vec![earning(1, day.begins_at_ms())], &none, u64::MAX).unwrap();
    let settle = |before: &Settlement, at_ms| before.settle(next, vec![earning(2, at_ms)], &none, u64::MAX);
    assert!(settle(&first, next.begins_at_ms()).is_ok() && settle(&first, next.ends_at_ms() - 1).is_ok());
    for at_ms in [next.begins_at_ms() - 1, next.ends_at_ms()] {
        assert!(matches!(settle(&first, at_ms), Err(SettlementError::OutOfTime { .. })), "{at_ms}");
    }
    assert!(first.settle(next, vec![], &none, next.settles_at_ms()).is_ok());
    let disputed = BTreeSet::from([LeaseId::from_bytes([1; 16])]);
    let held =
        Settlement::default().settle(day, vec![earning(1, day.begins_at_ms())], &disputed, u64::MAX).unwrap();
    assert_eq!((held.totals.len(), held.held.len()), (0, 1));
    let again = held.settle(next, vec![earning(1, next.begins_at_ms())], &none, u64::MAX);
    assert_eq!(again, Err(SettlementError::Twice(Key::of("earning 1"))), "it is held already");
    let nothing = Earning { amount_micros: 0, ..earning(3, next.begins_at_ms()) };
    assert!(first.settle(next, vec![nothing], &none, u64::MAX).is_ok());
    assert_eq!(
        SignedRoot::sign(&Settlement::default(), Hash32::default(), &NodeKey::from_seed([1; 32])),
        None
    );
}

#[test]
fn a_tree_of_nothing_has_a_root_and_no_paths() {
    let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    assert_eq!(root(&[]).to_string(), empty);
    let leaf = Hash32([7; 32]);
    assert_eq!((root(&[leaf]), path(&[leaf], 0), path(&[leaf], 1)), (leaf, vec![], vec![]));
    assert_eq!(path(&[leaf, leaf], 2), []);
    assert_eq!(path(&[leaf, root(&[])], 0), [root(&[])]);
}
