//! Detectors on cases small enough to follow by hand; how they do among thousands of nodes: `nearframe-bench fraud`.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use nearframe_protocol::{AccountId, NodeId, SessionId};
use nearframe_trust::fraud::{Finding, Grade, Kind, judge};
use nearframe_trust::seen::{
    CheckSeen, LinkSeen, Mark, NodeSeen, PageSeen, Player, ReceiptSeen, RefusedSeen, Seen, SessionSeen,
};

const NODE: u8 = 1;
const INTERVAL_US: u64 = 10_000_000;
/// Ten minutes.
const RECEIPTS: u32 = 60;

fn node(n: u8, address: u64) -> NodeSeen {
    NodeSeen {
        node: NodeId::from_bytes([n; 16]),
        owner: Some(AccountId::from_bytes([n; 16])),
        owner_devices: vec![Mark(9_000 + u64::from(n))],
        address: Mark(address),
        gpu_tier: 4,
        links: vec![],
    }
}

/// Ten minutes at 60 frames a second by a player of an own device and address, claimed `more` ppm too much of each.
fn session(n: u8, of: u8, more_ppm: [u64; 3]) -> SessionSeen {
    let more = |value: u64, ppm: u64| value + value * ppm / 1_000_000;
    let receipt = |sequence: u32| ReceiptSeen {
        sequence,
        duration_us: more(INTERVAL_US, more_ppm[0]),
        frames: more(600, more_ppm[1]) as u32,
        bytes: more(8_000_000 + u64::from(sequence) * 17 + u64::from(n), more_ppm[2]),
        encoder_us: 2_000_000 + u64::from(n) * 31 + u64::from(sequence),
        width: 1280,
        height: 720,
    };
    let count = u64::from(RECEIPTS);
    SessionSeen {
        session: SessionId::from_bytes([n; 16]),
        node: NodeId::from_bytes([of; 16]),
        player: Player { account: None, device: Mark(n.into()), address: Mark(100 + u64::from(n)) },
        started_at_ms: u64::from(n) * 700_000,
        until_ms: u64::from(n) * 700_000 + 600_000,
        asked_fps: 60,
        receipts: (0..RECEIPTS).map(receipt).collect(),
        refused: vec![],
        page: Some(PageSeen {
            until_sequence: RECEIPTS - 1,
            elapsed_us: count * INTERVAL_US,
            frames: count * 600,
            bytes: count * 8_000_000,
            packets: 400_000,
            packets_lost: 0,
        }),
    }
}

fn found(nodes: Vec<NodeSeen>, sessions: Vec<SessionSeen>) -> Vec<(Kind, Grade)> {
    let findings = judge(&Seen { nodes, sessions, checks: vec![] });
    findings.iter().map(|finding: &Finding| (finding.kind, finding.grade)).collect()
}

#[test]
fn an_honest_node_is_found_nothing_of() {
    let sessions = (1..6).map(|n| session(n, NODE, [0; 3])).collect();
    assert_eq!(found(vec![node(NODE, 1)], sessions), []);
}

#[test]
fn five_per_cent_too_much_are_proved_by_three_players_and_watched_where_there_is_one() {
    for (at, kind) in [Kind::InflatedTime, Kind::InflatedFrames, Kind::InflatedBytes].into_iter().enumerate()
    {
        let mut more = [0; 3];
        more[at] = 50_000;
        let of =
            |count: u8| found(vec![node(NODE, 1)], (1..=count).map(|n| session(n, NODE, more)).collect());
        assert_eq!(of(3), [(kind, Grade::Slash)]);
        assert_eq!(of(2), [(kind, Grade::Review)]);
        assert_eq!(of(1), [(kind, Grade::Watch)]);
    }
}

#[test]
fn one_liar_with_many_cookies_is_one_witness_and_not_the_majority() {
    let mut sessions: Vec<_> = (1..6).map(|n| session(n, NODE, [0; 3])).collect();
    for seen in &mut sessions[..3] {
        seen.player.address = Mark(77);
        seen.page.as_mut().unwrap().frames /= 2;
    }
    assert_eq!(found(vec![node(NODE, 1)], sessions), [], "two honest parties stand against one");
}

#[test]
fn what_was_lost_on_the_way_is_no_inflation() {
    let mut sessions: Vec<_> = (1..4).map(|n| session(n, NODE, [0; 3])).collect();
    for seen in &mut sessions {
        let page = seen.page.as_mut().unwrap();
        (page.bytes, page.packets, page.packets_lost) = (page.bytes * 9 / 10, 360_000, 40_000);
    }
    assert_eq!(found(vec![node(NODE, 1)], sessions), []);
}

#[test]
fn time_that_two_leases_refused_is_reviewed_and_with_a_player_proved_but_not_a_bad_clock() {
    let refused = |over_ppm: u64| {
        let passed_us = 100_000_000;
        RefusedSeen::TooLong { claimed_us: passed_us + passed_us * over_ppm / 1_000_000, passed_us }
    };
    let with = |over_ppm, more| {
        let mut sessions: Vec<_> = (1..4).map(|n| session(n, NODE, [0; 3])).collect();
        sessions[0] = session(1, NODE, [more, 0, 0]);
        sessions[1].refused = vec![refused(over_ppm)];
        sessions[2].refused = vec![refused(over_ppm)];
        found(vec![node(NODE, 1)], sessions)
    };
    assert_eq!(with(20_000, 0), [(Kind::InflatedTime, Grade::Review)]);
    assert_eq!(with(20_000, 50_000), [(Kind::InflatedTime, Grade::Slash)]);
    assert_eq!(with(3_000, 0), []);
}

#[test]
fn a_chain_that_is_signed_again_gives_itself_away() {
    let mut sessions: Vec<_> = (1..5).map(|n| session(n, NODE, [0; 3])).collect();
    let recorded = sessions[0].receipts.clone();
    sessions[2].receipts[..30].clone_from_slice(&recorded[..30]);
    assert_eq!(found(vec![node(NODE, 1)], sessions.clone()), [(Kind::ReplayedReceipts, Grade::Review)]);
    sessions[3].receipts = recorded;
    assert_eq!(found(vec![node(NODE, 1)], sessions.clone()), [(Kind::ReplayedReceipts, Grade::Slash)]);
    let mut forked = vec![session(1, NODE, [0; 3])];
    forked[0].refused = vec![RefusedSeen::Fork];
    assert_eq!(found(vec![node(NODE, 1)], forked), [(Kind::ReplayedReceipts, Grade::Watch)]);
}

#[test]
fn two_machines_under_one_key_are_found_and_a_second_line_is_not() {
    let links = |count: u64, silent_ms: u64| {
        let link = |n: u64| LinkSeen {
            address: Mark(n % 2),
            opened_at_ms: n * 60_000,
            heard_until_ms: (n + 1) * 60_000 - silent_ms,
        };
        let mut seen = node(NODE, 1);
        seen.links = (0..count).map(link).collect();
        found(vec![seen], vec![])
    };
    assert_eq!(links(10, 500), [(Kind::ClonedKey, Grade::Slash)]);
    assert_eq!(links(7, 500), [(Kind::ClonedKey, Grade::Review)]);
    assert_eq!(links(40, 5_000), []);
    assert_eq!(links(4, 500), []);
}

#[test]
fn a_weak_gpu_is_reviewed_where_most_players_see_it() {
    let with = |slow: usize| {
        let mut sessions: Vec<_> = (1..6).map(|n| session(n, NODE, [0; 3])).collect();
        for seen in &mut sessions[..slow] {
            let receipts = seen.receipts.iter_mut();
            receipts.for_each(|receipt| receipt.frames /= 2);
            seen.page.as_mut().unwrap().frames /= 2;
        }
        found(vec![node(NODE, 1)], sessions)
    };
    assert_eq!(with(4), [(Kind::PretendedTier, Grade::Review)]);
    assert_eq!(with(2), [], "two have slow lines");
}

#[test]
fn a_film_is_proved_by_two_checkers_and_a_stream_that_does_not_run_by_none() {
    let check = |n: u8, checker: u64, frames_shown: u64, challenges_answered: u32| CheckSeen {
        checker: Mark(checker),
        node: NodeId::from_bytes([NODE; 16]),
        session: SessionId::from_bytes([n; 16]),
        elapsed_us: 60_000_000,
        asked_fps: 60,
        frames_shown,
        frame_age_us: 1,
        rtt_us: 1,
        bytes: 1,
        challenges_asked: 8,
        challenges_answered,
    };
    let grades = |checks: Vec<CheckSeen>| {
        let findings = judge(&Seen { nodes: vec![node(NODE, 1)], sessions: vec![], checks });
        findings.iter().map(|finding| finding.grade).collect::<Vec<_>>()
    };
    assert_eq!(grades(vec![check(1, 1, 3_600, 0), check(2, 2, 3_600, 1)]), [Grade::Slash]);
    assert_eq!(grades(vec![check(1, 1, 3_600, 0), check(2, 1, 3_600, 0)]), [Grade::Watch], "one checker");
    assert_eq!(grades(vec![check(1, 1, 900, 0), check(2, 2, 900, 0)]), []);
    assert_eq!(grades(vec![check(1, 1, 3_600, 7), check(2, 2, 3_600, 8)]), []);
}

#[test]
fn nodes_that_share_a_machine_are_found_and_neighbours_are_not() {
    // Two nodes of one address: sessions 1..=3 of each run at the same time, 4 and 5 alone.
    let with = |share: u64| {
        let mut sessions = Vec::new();
        for of in [1_u8, 2] {
            for n in 1..=5_u8 {
                let mut seen = session(n * 10 + of, of, [0; 3]);
                let apart = if n > 3 { u64::from(of) * 100_000_000 } else { 0 };
                (seen.started_at_ms, seen.until_ms) =
                    (u64::from(n) * 1_000_000 + apart, u64::from(n) * 1_000_000 + apart + 600_000);
                if n <= 3 {
                    let page = seen.page.as_mut().unwrap();
                    page.frames = page.frames * share / 100;
                    seen.receipts
                        .iter_mut()
                        .for_each(|receipt| receipt.frames = receipt.frames * share as u32 / 100);
                }
                sessions.push(seen);
            }
        }
        found(vec![node(1, 5), node(2, 5)], sessions)
    };
    assert_eq!(with(82), [(Kind::SharedCapacity, Grade::Review), (Kind::SharedCapacity, Grade::Review)]);
    assert_eq!(with(98), []);
}

#[test]
fn own_play_is_found_where_it_is_most_of_what_a_node_does() {
    let with = |hours: u8, by: Player| {
        let sessions = (1..=hours * 6).map(|n| SessionSeen { player: by, ..session(n, NODE, [0; 3]) });
        found(vec![node(NODE, 1)], sessions.chain([session(200, NODE, [0; 3])]).collect())
    };
    let stranger = Player { account: None, device: Mark(7), address: Mark(8) };
    let paying = Player { account: Some(AccountId::from_bytes([NODE; 16])), ..stranger };
    let signed_in = Player { device: Mark(9_000 + u64::from(NODE)), ..stranger };
    let at_home = Player { address: Mark(1), ..stranger };
    for own in [paying, signed_in] {
        assert_eq!(with(5, own), [(Kind::OwnPlay, Grade::Review)]);
        assert_eq!(with(3, own), [], "trying out is no fraud, nor is an evening");
    }
    assert_eq!(with(11, at_home), [(Kind::OwnPlay, Grade::Review)]);
    assert_eq!(with(4, at_home), [], "family");
    assert_eq!(with(11, stranger), []);
}
