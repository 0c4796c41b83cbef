//! Nodes that share one machine or one uplink, each claiming it whole.
//!
//! One address proves nothing: flats behind one NAT and cafés have many honest machines. What tells is that nodes of one
//! address serve well alone and badly while others of them serve: then what they claim does not exist as often as they
//! claim it.

use super::{Exhibit, Finding, Grade, Kind, Subject, ppm};
use crate::seen::{Mark, SessionSeen};
use crate::witness::{Witness, parties};
use nearframe_protocol::NodeId;
use std::collections::BTreeMap;

/// Parties that have to have played while others of the address served, and alone.
const CROWDED: usize = 3;
const ALONE: usize = 2;
/// Less than this share of what a node serves alone, in millionths, is served in company.
const LEFT_PPM: i64 = 850_000;
/// A session is in company if others serve for so much of it, and alone if for no more than so much, in millionths.
const MOSTLY_PPM: i64 = 500_000;
const HARDLY_PPM: i64 = 100_000;
/// Sessions shorter than this, in µs, say nothing.
const LEAST_US: u64 = 60_000_000;

/// Frames shown by those due, in millionths.
fn served_ppm(session: &SessionSeen) -> Option<i64> {
    let page = session.page.filter(|page| page.elapsed_us >= LEAST_US)?;
    let due = u128::from(page.elapsed_us) * u128::from(session.asked_fps) / 1_000_000;
    ppm(page.frames, u64::try_from(due).ok()?)
}

/// How much of a session others of the address served, in millionths.
fn company_ppm(session: &SessionSeen, others: &[&SessionSeen]) -> Option<i64> {
    let overlap = |other: &&&SessionSeen| {
        let from = session.started_at_ms.max(other.started_at_ms);
        (from, session.until_ms.min(other.until_ms).max(from))
    };
    let mut times: Vec<(u64, u64)> =
        others.iter().filter(|other| other.node != session.node).map(|other| overlap(&other)).collect();
    times.sort_unstable();
    let (mut covered, mut until) = (0, 0);
    for (from, to) in times {
        covered += to.saturating_sub(from.max(until));
        until = until.max(to);
    }
    ppm(covered, session.until_ms.saturating_sub(session.started_at_ms))
}

/// The middle of what each party was served, in millionths, and how many parties there are.
fn middle(sessions: &[&SessionSeen]) -> (usize, i64) {
    let mut shares: Vec<i64> = parties(sessions)
        .iter()
        .filter_map(|party| {
            let shares: Vec<i64> = party.iter().filter_map(|session| served_ppm(session)).collect();
            shares.iter().sum::<i64>().checked_div(i64::try_from(shares.len()).ok()?)
        })
        .collect();
    shares.sort_unstable();
    (shares.len(), shares.get(shares.len() / 2).copied().unwrap_or(0))
}

pub(super) fn look(subjects: &BTreeMap<NodeId, Subject<'_>>) -> Vec<Finding> {
    let mut places: BTreeMap<Mark, Vec<&Subject<'_>>> = BTreeMap::new();
    for subject in subjects.values() {
        places.entry(subject.seen.address).or_default().push(subject);
    }
    let mut findings = Vec::new();
    for nodes in places.values().filter(|nodes| nodes.len() > 1) {
        let all: Vec<&SessionSeen> = nodes.iter().flat_map(|node| node.sessions.iter().copied()).collect();
        let suspects: Vec<Finding> = nodes.iter().filter_map(|node| suspect(node, &all)).collect();
        // One that is worse in company alone has a reason of its own.
        if suspects.len() > 1 {
            findings.extend(suspects);
        }
    }
    findings
}

fn suspect(node: &Subject<'_>, all: &[&SessionSeen]) -> Option<Finding> {
    let mut crowded = Vec::new();
    let mut alone = Vec::new();
    for session in &node.sessions {
        match company_ppm(session, all) {
            Some(MOSTLY_PPM..) => crowded.push(*session),
            Some(..=HARDLY_PPM) => alone.push(*session),
            _ => {}
        }
    }
    let ((parties, in_company), (parties_alone, by_itself)) = (middle(&crowded), middle(&alone));
    let worse = i128::from(in_company) * 1_000_000 < i128::from(by_itself) * i128::from(LEFT_PPM);
    if parties < CROWDED || parties_alone < ALONE || !worse {
        return None;
    }
    let what = format!(
        "alone it shows {by_itself} millionths of the frames asked for ({parties_alone} parties), while others of its \
         address serve {in_company} ({parties} parties)"
    );
    let exhibits = vec![Exhibit { session: crowded.first().map(|session| session.session), what }];
    let witnesses = vec![Witness::Player; parties];
    Some(Finding {
        node: node.seen.node,
        kind: Kind::SharedCapacity,
        grade: Grade::Review,
        witnesses,
        exhibits,
    })
}
