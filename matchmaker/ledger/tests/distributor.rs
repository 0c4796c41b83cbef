//! The distributor contract, executed: claims that are right pay once, all others pay nothing.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/chain.rs"]
mod chain;

use chain::{Chain, OWNER, STRANGER, SUPPLY, artifacts, selector};
use nearframe_ledger::hash::Hash32;
use nearframe_ledger::payout::evm::{Claim, Claims};
use nearframe_ledger::payout::{Address as Account, Destination, Due, Manifest, Rail};
use nearframe_ledger::settlement::Epoch;
use nearframe_protocol::{Currency, NodeId};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

fn account(n: u8) -> Account {
    Account::from_bytes([n; 20])
}

fn claims(of: &[(u8, u128)]) -> Claims {
    let claim = |(index, (n, cumulative)): (usize, &(u8, u128))| Claim {
        index: index as u64,
        account: account(*n),
        cumulative: *cumulative,
    };
    Claims::new(of.iter().enumerate().map(claim).collect())
}

#[test]
fn the_committed_code_is_that_of_the_committed_sources_and_compiler() {
    let artifacts = artifacts();
    let sources = [
        ("Distributor.sol", include_str!("../evm/Distributor.sol")),
        ("TestToken.sol", include_str!("../evm/TestToken.sol")),
    ];
    let package: serde_json::Value = serde_json::from_str(include_str!("../evm/package.json")).unwrap();
    let compiler = package["devDependencies"]["solc"].as_str().unwrap();
    assert!(
        artifacts["compiler"].as_str().unwrap().starts_with(&format!("{compiler}+")),
        "see evm/README.md"
    );
    assert_eq!(artifacts["sources"].as_object().unwrap().len(), sources.len());
    for (name, source) in sources {
        let hash = hex::encode(Sha256::digest(source));
        assert_eq!(
            artifacts["sources"][name], hash,
            "{name} was changed: see matchmaker/ledger/evm/README.md"
        );
        assert!(source.contains(&format!("pragma solidity {compiler};")), "{name} is of another compiler");
    }
}

#[test]
fn a_right_claim_pays_once_and_a_later_root_pays_the_difference() {
    for count in [1, 2, 3, 7] {
        let mut chain = Chain::new("TestToken");
        let first: Vec<_> = (1..=count).map(|n| (n, 1_000 * u128::from(n))).collect();
        let of = claims(&first);
        chain.set_root(OWNER, of.root().unwrap()).unwrap();
        for (index, (n, cumulative)) in first.iter().enumerate() {
            let calldata = of.calldata(index).unwrap();
            chain.claim(&calldata).unwrap();
            assert_eq!(chain.balance(&account(*n)), *cumulative);
            assert_eq!(chain.claim(&calldata), Err(selector("NothingLeft()")));
            assert_eq!(chain.balance(&account(*n)), *cumulative, "the second pays nothing");
        }
        let more: Vec<_> = first.iter().map(|(n, cumulative)| (*n, cumulative + 7)).collect();
        let more = claims(&more);
        chain.set_root(OWNER, more.root().unwrap()).unwrap();
        assert_eq!(
            chain.claim(&of.calldata(0).unwrap()),
            Err(selector("WrongProof()")),
            "of an earlier root"
        );
        chain.claim(&more.calldata(0).unwrap()).unwrap();
        assert_eq!(chain.balance(&account(1)), 1_007);
    }
}

#[test]
fn a_root_that_promises_less_than_was_paid_pays_nothing() {
    let mut chain = Chain::new("TestToken");
    for (cumulative, answer) in [(1_000, Ok(vec![])), (999, Err(selector("NothingLeft()")))] {
        let of = claims(&[(1, cumulative)]);
        chain.set_root(OWNER, of.root().unwrap()).unwrap();
        assert_eq!(chain.claim(&of.calldata(0).unwrap()), answer);
        assert_eq!(chain.balance(&account(1)), 1_000);
    }
}

#[test]
fn whatever_is_not_in_the_tree_pays_nothing() {
    let mut chain = Chain::new("TestToken");
    let of = claims(&[(1, 1_000), (2, 2_000), (3, 3_000)]);
    let right = of.calldata(1).unwrap();
    assert_eq!(chain.claim(&right), Err(selector("WrongProof()")), "before a root is set");
    chain.set_root(OWNER, of.root().unwrap()).unwrap();
    let word = |at: usize| 4 + at * 32;
    let wrong_places = [
        ("index", word(0) + 31),
        ("account", word(1) + 31),
        ("amount", word(2) + 31),
        ("first hash of the proof", word(5)),
        ("second hash of the proof", word(6) + 31),
    ];
    for (what, byte) in wrong_places {
        let mut wrong = right.clone();
        wrong[byte] ^= 1;
        assert_eq!(chain.claim(&wrong), Err(selector("WrongProof()")), "another {what}");
    }
    let mut short = right.clone();
    short.truncate(word(6));
    short[word(4) + 31] = 1;
    assert_eq!(chain.claim(&short), Err(selector("WrongProof()")), "half a proof");
    for n in 1..=3 {
        assert_eq!(chain.balance(&account(n)), 0);
    }
    chain.claim(&right).unwrap();
    assert_eq!(chain.balance(&account(2)), 2_000);
}

#[test]
fn only_the_owner_sets_the_root_and_one_of_zeros_stops_claims() {
    let mut chain = Chain::new("TestToken");
    let of = claims(&[(1, 1_000)]);
    assert_eq!(chain.set_root(STRANGER, of.root().unwrap()), Err(selector("NotOwner()")));
    assert_eq!(chain.claim(&of.calldata(0).unwrap()), Err(selector("WrongProof()")));
    chain.set_root(OWNER, of.root().unwrap()).unwrap();
    chain.set_root(OWNER, Hash32::default()).unwrap();
    assert_eq!(chain.claim(&of.calldata(0).unwrap()), Err(selector("WrongProof()")), "taken back");
    chain.set_root(OWNER, of.root().unwrap()).unwrap();
    chain.claim(&of.calldata(0).unwrap()).unwrap();
}

#[test]
fn a_transfer_that_is_not_made_leaves_the_claim_open() {
    // One answers `false`, the other reverts.
    for token in ["TestToken", "SilentToken"] {
        let mut chain = Chain::new(token);
        let of = claims(&[(1, SUPPLY + 1)]);
        chain.set_root(OWNER, of.root().unwrap()).unwrap();
        assert_eq!(chain.claim(&of.calldata(0).unwrap()), Err(selector("TransferFailed()")), "{token}");
        let of = claims(&[(1, SUPPLY)]);
        chain.set_root(OWNER, of.root().unwrap()).unwrap();
        chain.claim(&of.calldata(0).unwrap()).unwrap();
        assert_eq!(chain.balance(&account(1)), SUPPLY, "{token}");
    }
}

#[test]
fn a_distributor_of_an_account_without_code_pays_nothing() {
    let mut chain = Chain::new("TestToken");
    chain.distribute(STRANGER);
    let of = claims(&[(1, 1_000)]);
    chain.set_root(OWNER, of.root().unwrap()).unwrap();
    assert_eq!(chain.claim(&of.calldata(0).unwrap()), Err(selector("TransferFailed()")));
}

#[test]
fn a_token_that_calls_back_is_not_paid_twice() {
    let mut chain = Chain::new("TestToken");
    let of = claims(&[(1, 1_000), (2, 2_000)]);
    chain.set_root(OWNER, of.root().unwrap()).unwrap();
    chain.call_back(&of.calldata(0).unwrap());
    chain.claim(&of.calldata(0).unwrap()).unwrap();
    assert_eq!(chain.balance(&account(1)), 1_000);
}

#[test]
fn the_golden_vectors_are_claims_that_the_contract_pays() {
    let vectors: serde_json::Value = serde_json::from_str(include_str!("../vectors/claims.json")).unwrap();
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let bytes = |value: &serde_json::Value| hex::decode(text(value)).unwrap();
    let mut chain = Chain::new("TestToken");
    chain.set_root(OWNER, Hash32(bytes(&vectors["root"]).try_into().unwrap())).unwrap();
    let claims = vectors["claims"].as_array().unwrap();
    assert!(!claims.is_empty());
    for claim in claims {
        chain.claim(&bytes(&claim["calldata"])).unwrap();
        let account: Account = text(&claim["account"]).parse().unwrap();
        assert_eq!(chain.balance(&account).to_string(), text(&claim["cumulative"]));
    }
}

/// The payouts of hosts 1, 2, … by the address that each is paid at, after what it earned and was paid before.
fn manifest(hosts: &[(Account, i128, i128)]) -> Manifest {
    let currency = Currency::new("USDC").unwrap();
    let (mut totals, mut paid, mut destinations) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
    for (n, (address, earned_micros, paid_micros)) in (1..).zip(hosts) {
        let host = NodeId::from_bytes([n; 16]);
        totals.insert((host, currency.clone()), *earned_micros);
        paid.insert((host, currency.clone(), Rail::Evm), *paid_micros);
        destinations.insert((host, currency.clone()), Destination::Evm { address: *address });
    }
    Manifest::of(&Due {
        epoch: Epoch(20_000),
        root: Hash32([8; 32]),
        totals: &totals,
        paid: &paid,
        deducted: &BTreeMap::new(),
        retained: &BTreeMap::new(),
        destinations: &destinations,
        attempts: &BTreeMap::new(),
        least_micros: 10_000,
    })
    .unwrap()
}

/// Sends every claim; which of them paid something.
fn claim_all(chain: &mut Chain, of: &Claims) -> Vec<bool> {
    chain.set_root(OWNER, of.root().unwrap()).unwrap();
    (0..of.claims().len()).map(|index| chain.claim(&of.calldata(index).unwrap()).is_ok()).collect()
}

#[test]
fn every_host_of_a_manifest_is_paid_what_it_says() {
    let mut chain = Chain::new("TestToken");
    // The second and the fourth host share an account.
    let first = manifest(&[
        (account(1), 1_000_000, 0),
        (account(2), 2_000_000, 0),
        (account(3), 3_000_000, 0),
        (account(2), 4_000_000, 0),
        (account(5), 5_000_000, 0),
    ]);
    let of = Claims::of(&first, &[], 6).unwrap();
    assert_eq!(claim_all(&mut chain, &of), [true; 4]);
    let balances = |chain: &mut Chain| [1, 2, 3, 5, 6].map(|n| chain.balance(&account(n)));
    assert_eq!(balances(&mut chain), [1_000_000, 6_000_000, 3_000_000, 5_000_000, 0]);

    // A day later the first host earned nothing, and the fifth wants its money elsewhere.
    let earlier = [1, 2, 3, 5].map(|n| (account(n), i128::try_from(chain.balance(&account(n))).unwrap()));
    let second = manifest(&[
        (account(1), 1_000_000, 1_000_000),
        (account(2), 2_500_000, 2_000_000),
        (account(3), 3_700_000, 3_000_000),
        (account(2), 4_250_000, 4_000_000),
        (account(6), 5_900_000, 5_000_000),
    ]);
    let of = Claims::of(&second, &earlier, 6).unwrap();
    assert_eq!(claim_all(&mut chain, &of), [false, true, true, false, true]);
    assert_eq!(balances(&mut chain), [1_000_000, 6_750_000, 3_700_000, 5_000_000, 900_000]);
}
