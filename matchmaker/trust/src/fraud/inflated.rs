//! Receipts that claim more than happened.
//!
//! Two kinds of witness: the pages of players, each of which counts time, frames and bytes by itself up to a receipt
//! that it names, so that both count the same stretch; and the lease, whose chain refuses time that did not pass. What
//! was lost on the way is no inflation: bytes are compared with what would have come without the loss that the page saw.

use super::{Exhibit, Finding, Grade, Kind, Subject};
use crate::seen::{CheckSeen, RefusedSeen, SessionSeen};
use crate::witness::{Party, Witness, parties};
use std::collections::BTreeSet;

/// A party that saw less than this, in µs, says nothing: the edges of its sessions would count for too much.
const LEAST_US: u64 = 60_000_000;
/// Where node and page may differ at the edges of a session: time, frames at 60 a second, and bytes of them.
const EDGE_US: u64 = 700_000;
const EDGE_FRAMES: u64 = 42;
/// Claims beyond what a party saw, in millionths, that no clock, lost frame or rounding explains.
const LIMITS_PPM: [(Kind, i64); 3] =
    [(Kind::InflatedTime, 20_000), (Kind::InflatedFrames, 28_000), (Kind::InflatedBytes, 30_000)];
/// Parties that have to agree for a penalty, unless a checker or the lease agrees with fewer.
const PARTIES: usize = 3;
/// A clock that goes wrong by more than this, in millionths, is no clock: quartz is within a few hundred.
const CLOCK_PPM: i64 = 6_000;
/// Leases in which the chain has to refuse time.
const REFUSALS: usize = 2;

/// What a party saw of one measure, and what the receipts of the same stretches claim.
#[derive(Default)]
struct Pair {
    claimed: u64,
    seen: u64,
}

impl Pair {
    fn excess_ppm(&self) -> Option<i64> {
        let over = i128::from(self.claimed) - i128::from(self.seen);
        match self.seen {
            0 => (self.claimed > 0).then_some(1_000_000),
            seen => i64::try_from(over * 1_000_000 / i128::from(seen)).ok(),
        }
    }
}

/// Time, frames and bytes of a party.
fn compare(party: &Party<'_>) -> Option<[Pair; 3]> {
    let mut pairs = <[Pair; 3]>::default();
    for session in party {
        let Some(page) = session.page else { continue };
        let stretch = session.receipts.iter().take_while(|receipt| receipt.sequence <= page.until_sequence);
        let (mut time, mut frames, mut bytes) = (0_u64, 0_u64, 0_u64);
        for receipt in stretch {
            time = time.saturating_add(receipt.duration_us);
            frames = frames.saturating_add(receipt.frames.into());
            bytes = bytes.saturating_add(receipt.bytes);
        }
        let edge_bytes = bytes.checked_div(frames).unwrap_or(0).saturating_mul(EDGE_FRAMES);
        let add = |pair: &mut Pair, claimed: u64, edge: u64, seen: u64| {
            pair.claimed = pair.claimed.saturating_add(claimed.saturating_sub(edge));
            pair.seen = pair.seen.saturating_add(seen);
        };
        add(&mut pairs[0], time, EDGE_US, page.elapsed_us);
        add(&mut pairs[1], frames, EDGE_FRAMES, page.frames);
        add(&mut pairs[2], bytes, edge_bytes, sent(page.bytes, page.packets, page.packets_lost));
    }
    (pairs[0].claimed.max(pairs[0].seen) >= LEAST_US).then_some(pairs)
}

/// What was sent if `arrived` is what came of it.
fn sent(arrived: u64, packets: u64, lost: u64) -> u64 {
    let whole = u128::from(packets) + u128::from(lost);
    let scaled = (u128::from(arrived) * whole).checked_div(u128::from(packets));
    scaled.and_then(|sent| u64::try_from(sent).ok()).unwrap_or(arrived)
}

/// The worst refusal of a lease, in millionths over the time that had passed.
fn refused_ppm(session: &SessionSeen) -> Option<i64> {
    let over = |refused: &RefusedSeen| match *refused {
        RefusedSeen::TooLong { claimed_us, passed_us } => {
            Pair { claimed: claimed_us, seen: passed_us }.excess_ppm()
        }
        RefusedSeen::Fork => None,
    };
    session.refused.iter().filter_map(over).max()
}

pub(super) fn look(subject: &Subject<'_>, checks: &[&CheckSeen]) -> Vec<Finding> {
    let checkers: BTreeSet<_> = checks.iter().map(|check| check.session).collect();
    let seen: Vec<(Party<'_>, [Pair; 3])> = parties(&subject.sessions)
        .into_iter()
        .filter_map(|party| compare(&party).map(|pairs| (party, pairs)))
        .collect();
    let mut findings = Vec::new();
    for (at, (kind, limit_ppm)) in LIMITS_PPM.into_iter().enumerate() {
        let mut exhibits = Vec::new();
        let mut witnesses = Vec::new();
        for (party, pairs) in &seen {
            let Some(excess) = pairs[at].excess_ppm().filter(|excess| *excess > limit_ppm) else { continue };
            let checks = party.iter().any(|session| checkers.contains(&session.session));
            witnesses.push(if checks { Witness::Checker } else { Witness::Player });
            exhibits.push(exhibit(party, kind, &pairs[at], excess));
        }
        let agree = witnesses.len();
        // Whoever lies has to be half of all independent people.
        let most = agree * 2 >= seen.len().max(1) && agree > 0;
        let strong = agree >= PARTIES && agree * 10 >= seen.len() * 6;
        let with_checker = agree >= 2 && most && witnesses.contains(&Witness::Checker);
        let refused = if kind == Kind::InflatedTime { refusals(subject, &mut exhibits) } else { 0 };
        if refused >= REFUSALS {
            witnesses.push(Witness::Lease);
        }
        let grade = match (refused >= REFUSALS, agree) {
            (true, 1..) => Grade::Slash,
            _ if strong || with_checker => Grade::Slash,
            (true, 0) => Grade::Review,
            (false, 2..) if most => Grade::Review,
            (false, 1) if most => Grade::Watch,
            _ => continue,
        };
        findings.push(Finding { node: subject.seen.node, kind, grade, witnesses, exhibits });
    }
    findings
}

fn exhibit(party: &Party<'_>, kind: Kind, pair: &Pair, excess_ppm: i64) -> Exhibit {
    let (unit, of_unit) = match kind {
        Kind::InflatedTime => ("s", 1_000_000),
        Kind::InflatedFrames => ("frames", 1),
        _ => ("bytes", 1),
    };
    Exhibit {
        session: party.first().map(|session| session.session),
        what: format!(
            "in {} sessions of one party receipts claim {} {unit} where its pages counted {}: {} more",
            party.len(),
            pair.claimed / of_unit,
            pair.seen / of_unit,
            percent(excess_ppm)
        ),
    }
}

/// Millionths as a person reads them.
fn percent(ppm: i64) -> String {
    format!("{}.{} %", ppm / 10_000, ppm % 10_000 / 1_000)
}

/// Leases whose chain refused time that a clock does not explain.
fn refusals(subject: &Subject<'_>, exhibits: &mut Vec<Exhibit>) -> usize {
    let before = exhibits.len();
    for session in &subject.sessions {
        if let Some(excess) = refused_ppm(session).filter(|excess| *excess > CLOCK_PPM) {
            let what = format!(
                "the lease refused a receipt that claims {} more time than had passed",
                percent(excess)
            );
            exhibits.push(Exhibit { session: Some(session.session), what });
        }
    }
    exhibits.len() - before
}
