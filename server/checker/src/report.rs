//! What follows from a session that was played: findings, and the report of a checker.

use crate::play::Outcome;
use nearframe_protocol::PublicKey;
use nearframe_protocol::check::draw::Audit;
use nearframe_protocol::check::{CheckReport, Finding, verdict};
use nearframe_title::stamp;
use std::time::Duration;

/// From an input to the decoded answer, a living picture takes the round trip, a frame of waiting, the encoder and the
/// decoder; software on a busy machine as well stays below this beyond the round trip.
const ANSWER_WITHIN: Duration = Duration::from_millis(250);
/// Receipts may claim this share more frames than came, in hundredths, and this many: what is lost on the way was sent.
const FRAMES_SLACK: (u64, u64) = (110, 60);
/// The same of bytes: repetitions and probes of the path are claimed too, and not all of them are seen.
const BYTES_SLACK: (u64, u64) = (150, 1_000_000);
/// A line that was silent for longer may have been torn at this end: whoever heard nothing cannot say that nothing was said.
const SILENCE: Duration = Duration::from_secs(1);
/// Clocks and the moment of leaving.
const TIME_SLACK: Duration = Duration::from_secs(3);

/// The report on a session that was played.
pub(crate) fn report(outcome: &Outcome, checker: PublicKey, audit: Option<Audit>) -> CheckReport {
    let Outcome { seen, receipts, .. } = outcome;
    let findings = findings(outcome);
    CheckReport {
        checker,
        node: outcome.node,
        session: outcome.session,
        audit,
        verdict: verdict(&findings),
        findings,
        started_at_ms: outcome.started_at_ms,
        played_ms: millis(Some(seen.played())),
        connect_ms: millis(outcome.connect_time()),
        first_frame_ms: millis(outcome.first_frame_time()),
        challenge_us: micros(seen.answered),
        rtt_us: micros(outcome.round_trip),
        width: seen.size.0,
        height: seen.size.1,
        frames: seen.frames,
        age_p50_us: seen.age_us(0.5),
        age_p95_us: seen.age_us(0.95),
        freezes: seen.freezes,
        frozen_ms: millis(Some(seen.frozen)),
        bytes: seen.bytes + outcome.audio_bytes,
        packets: seen.packets,
        lost: seen.lost,
        receipts: receipts.signed,
        refused: receipts.refused,
        claimed_frames: receipts.claimed_frames,
        claimed_bytes: receipts.claimed_bytes,
        claimed_us: receipts.claimed_us,
    }
}

fn findings(outcome: &Outcome) -> Vec<Finding> {
    if outcome.wrong_identity {
        return vec![Finding::WrongIdentity];
    }
    if outcome.connected.is_none() {
        return vec![Finding::NoConnection];
    }
    let seen = &outcome.seen;
    if seen.frames == 0 || (outcome.decoded && seen.decoded == 0) {
        return vec![Finding::NoPicture];
    }
    let mut findings = Vec::new();
    findings.extend(of_challenge(outcome));
    findings.extend(overstated(outcome).then_some(Finding::ReceiptsOverstated));
    findings.extend(outcome.receipts.is_broken.then_some(Finding::ReceiptsBroken));
    findings.sort_unstable();
    findings
}

fn of_challenge(outcome: &Outcome) -> Option<Finding> {
    let (width, height) = outcome.seen.size;
    if !outcome.decoded || !outcome.is_challenged || !stamp::has_room(width.into(), height.into()) {
        return Some(Finding::NotChallenged);
    }
    let most = outcome.round_trip.unwrap_or_default() + ANSWER_WITHIN;
    match outcome.seen.answered {
        Some(took) if took <= most => None,
        _ if outcome.silence > SILENCE => Some(Finding::NotChallenged),
        Some(_) => Some(Finding::ChallengeLate),
        None => Some(Finding::ChallengeUnanswered),
    }
}

/// Whether receipts claim what cannot have been.
fn overstated(outcome: &Outcome) -> bool {
    let Outcome { seen, receipts, .. } = outcome;
    let beyond = |claimed: u64, came: u64, slack: (u64, u64)| claimed > came * slack.0 / 100 + slack.1;
    // A lost packet may have cost a frame, and was as large as others.
    let frames = u64::from(seen.frames) + u64::from(seen.lost);
    let each = seen.bytes.checked_div(seen.packets.into()).unwrap_or_default();
    let bytes = seen.bytes + outcome.audio_bytes + u64::from(seen.lost) * each;
    let since_connected = outcome.connected.zip(seen.last);
    let time = since_connected.map(|(connected, last)| last.saturating_duration_since(connected));
    let claimed = Duration::from_micros(receipts.claimed_us);
    beyond(receipts.claimed_frames.into(), frames, FRAMES_SLACK)
        || beyond(receipts.claimed_bytes, bytes, BYTES_SLACK)
        || time.is_some_and(|time| claimed > time + TIME_SLACK)
}

fn millis(time: Option<Duration>) -> u32 {
    u32::try_from(time.unwrap_or_default().as_millis()).unwrap_or(u32::MAX)
}

fn micros(time: Option<Duration>) -> u32 {
    u32::try_from(time.unwrap_or_default().as_micros()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::receipts::Receipts;
    use crate::seen::Seen;
    use nearframe_protocol::check::Verdict;
    use nearframe_protocol::{NodeId, NodeKey, SessionId};
    use std::time::Instant;

    /// Two seconds of an honest node.
    fn honest() -> Outcome {
        let asked = Instant::now();
        let connected = asked + Duration::from_millis(200);
        let mut seen = Seen { bytes: 1_000_000, packets: 900, ..Seen::default() };
        for frame in 0..120 {
            seen.frame(connected + Duration::from_micros(16_667 * frame), Some((1280, 720)));
        }
        seen.answered = Some(Duration::from_millis(60));
        let key = NodeKey::from_seed([2; 32]);
        let mut receipts = Receipts::new(SessionId::from_bytes([1; 16]), key, asked);
        (receipts.claimed_frames, receipts.claimed_bytes) = (121, 1_050_000);
        receipts.claimed_us = 2_000_000;
        Outcome {
            session: SessionId::from_bytes([1; 16]),
            node: NodeId::from_bytes([3; 16]),
            failure: None,
            started_at_ms: 1,
            asked,
            connected: Some(connected),
            wrong_identity: false,
            is_challenged: true,
            decoded: true,
            round_trip: Some(Duration::from_millis(20)),
            silence: Duration::from_millis(260),
            audio_bytes: 10_000,
            seen,
            receipts,
        }
    }

    fn found(outcome: &Outcome) -> (Verdict, Vec<Finding>) {
        let report = report(outcome, NodeKey::from_seed([4; 32]).public(), None);
        assert!(report.is_consistent());
        (report.verdict, report.findings)
    }

    #[test]
    fn an_honest_node_passes() {
        assert_eq!(found(&honest()), (Verdict::Passed, vec![]));
    }

    #[test]
    fn a_picture_that_does_not_live_fails() {
        let mut recorded = honest();
        recorded.seen.answered = None;
        assert_eq!(found(&recorded), (Verdict::Failed, vec![Finding::ChallengeUnanswered]));
        let mut relayed = honest();
        relayed.seen.answered = Some(Duration::from_millis(271));
        assert_eq!(found(&relayed), (Verdict::Failed, vec![Finding::ChallengeLate]));
        relayed.round_trip = Some(Duration::from_millis(22));
        assert_eq!(found(&relayed).0, Verdict::Passed, "a long way is no lie");
        let old = Outcome { is_challenged: false, ..honest() };
        assert_eq!(found(&old), (Verdict::Inconclusive, vec![Finding::NotChallenged]));
    }

    #[test]
    fn receipts_that_claim_more_than_came_fail_and_losses_are_no_lie() {
        for claim in [
            |receipts: &mut Receipts| receipts.claimed_frames = 200,
            |receipts: &mut Receipts| receipts.claimed_bytes = 3_000_000,
            |receipts: &mut Receipts| receipts.claimed_us = 8_000_000,
        ] {
            let mut inflated = honest();
            claim(&mut inflated.receipts);
            assert_eq!(found(&inflated), (Verdict::Failed, vec![Finding::ReceiptsOverstated]));
        }
        let mut lossy = honest();
        (lossy.receipts.claimed_frames, lossy.seen.lost) = (200, 20);
        assert_eq!(found(&lossy).0, Verdict::Passed);
    }

    #[test]
    fn a_line_that_was_torn_in_the_middle_accuses_nobody() {
        // Before the answer: two seconds of nothing, and then the title.
        let mut torn = honest();
        (torn.seen.answered, torn.silence) = (None, Duration::from_secs(2));
        assert_eq!(found(&torn), (Verdict::Inconclusive, vec![Finding::NotChallenged]));
        torn.seen.answered = Some(Duration::from_secs(2));
        assert_eq!(found(&torn), (Verdict::Inconclusive, vec![Finding::NotChallenged]));
        // After it: the node went on, its receipts say so, and what did not come is known by its numbers.
        torn.seen.answered = Some(Duration::from_millis(60));
        (torn.receipts.claimed_frames, torn.receipts.claimed_bytes) = (480, 4_200_000);
        assert_eq!(found(&torn).0, Verdict::Failed, "nothing is missing, and four times as much is claimed");
        torn.seen.lost = 2_700;
        assert_eq!(found(&torn), (Verdict::Passed, vec![]));
        // For good: what was seen until then is told.
        torn.failure = Some("no_connection: it broke".into());
        assert_eq!(found(&torn), (Verdict::Passed, vec![]));
    }

    #[test]
    fn a_node_that_falls_silent_for_less_than_a_second_is_accused() {
        let mut recorded = honest();
        (recorded.seen.answered, recorded.silence) = (None, SILENCE);
        assert_eq!(found(&recorded), (Verdict::Failed, vec![Finding::ChallengeUnanswered]));
    }

    #[test]
    fn what_may_be_this_ends_own_fault_accuses_nobody() {
        let away = Outcome { connected: None, ..honest() };
        assert_eq!(found(&away), (Verdict::Inconclusive, vec![Finding::NoConnection]));
        let dark = Outcome { seen: Seen::default(), ..honest() };
        assert_eq!(found(&dark), (Verdict::Inconclusive, vec![Finding::NoPicture]));
        let foreign = Outcome { wrong_identity: true, ..honest() };
        assert_eq!(found(&foreign), (Verdict::Failed, vec![Finding::WrongIdentity]));
    }
}
