//! Owners who are paid for their own play.
//!
//! Trying out an own machine is no fraud, and who plays from its address may be family or a café's customers. What is
//! asked is how much of what a node did was for its owner: by the account that pays, by a browser in which the owner is
//! signed in, or by one browser at the node's own address that hardly ever rests.

use super::{Exhibit, Finding, Grade, Kind, Subject};
use crate::seen::{Mark, SessionSeen};
use crate::witness::Witness;
use std::collections::BTreeMap;

/// Own play below this is trying out, or an evening, µs.
const TRIED_US: u64 = 4 * 3600 * 1_000_000;
/// One browser at the node's address that plays more than this in the time looked at never sleeps, µs.
const RESTLESS_US: u64 = 10 * 3600 * 1_000_000;

fn claimed_us(sessions: &[&SessionSeen]) -> u64 {
    let receipts = sessions.iter().flat_map(|session| &session.receipts);
    receipts.fold(0, |sum, receipt| sum.saturating_add(receipt.duration_us))
}

pub(super) fn look(subject: &Subject<'_>) -> Option<Finding> {
    let node = subject.seen;
    let is_owners = |session: &&&SessionSeen| {
        let player = &session.player;
        let pays = node.owner.is_some() && player.account == node.owner;
        pays || node.owner_devices.contains(&player.device)
    };
    let own: Vec<&SessionSeen> = subject.sessions.iter().filter(is_owners).copied().collect();
    let (own_us, all_us) = (claimed_us(&own), claimed_us(&subject.sessions));
    let mut exhibits = Vec::new();
    if own_us >= TRIED_US && u128::from(own_us) * 2 > u128::from(all_us) {
        let what = format!(
            "of {all_us} µs claimed, {own_us} were played by the owner's own account or in the owner's own browsers"
        );
        exhibits.push(Exhibit { session: own.first().map(|session| session.session), what });
    }
    let mut at_home: BTreeMap<Mark, Vec<&SessionSeen>> = BTreeMap::new();
    for session in subject.sessions.iter().filter(|session| session.player.address == node.address) {
        at_home.entry(session.player.device).or_default().push(session);
    }
    for sessions in at_home.values() {
        let played_us = claimed_us(sessions);
        if played_us >= RESTLESS_US && u128::from(played_us) * 2 > u128::from(all_us) {
            let what = format!(
                "of {all_us} µs claimed, {played_us} were played by one browser at the node's own address"
            );
            exhibits.push(Exhibit { session: sessions.first().map(|session| session.session), what });
        }
    }
    let witnesses = vec![Witness::Lease];
    (!exhibits.is_empty()).then_some(Finding {
        node: node.node,
        kind: Kind::OwnPlay,
        grade: Grade::Review,
        witnesses,
        exhibits,
    })
}
