//! A GPU that does not do what its tier does.
//!
//! Most independent players see far fewer frames than the title asks for, or what the node says of its own encoder is
//! slower than its tier ever is. A machine that is too hot looks the same, so this is never more than a review; what
//! follows from it is another tier.

use super::{Exhibit, Finding, Grade, Kind, Subject, ppm};
use crate::seen::{CheckSeen, SessionSeen};
use crate::witness::{Party, Witness, parties};

/// Below this share of the frames that a title asks for, in millionths, a party was not served.
const SERVED_PPM: i64 = 800_000;
/// Parties that have to agree.
const PARTIES: usize = 3;
/// A party that saw less than this says nothing, µs.
const LEAST_US: u64 = 60_000_000;
/// The longest that encoding a picture of 1280 × 720 takes by GPU tier, µs; tier 0 encodes with the CPU.
const ENCODER_US: [u64; 8] = [u64::MAX, 12_000, 9_000, 7_000, 6_000, 5_000, 5_000, 5_000];
const PIXELS: u64 = 1280 * 720;

fn served_ppm(party: &Party<'_>) -> Option<i64> {
    let (mut frames, mut due, mut elapsed) = (0_u64, 0_u64, 0_u64);
    for session in party {
        let Some(page) = session.page else { continue };
        frames = frames.saturating_add(page.frames);
        due = due.saturating_add(due_frames(page.elapsed_us, session.asked_fps));
        elapsed = elapsed.saturating_add(page.elapsed_us);
    }
    if elapsed < LEAST_US { None } else { ppm(frames, due) }
}

fn due_frames(elapsed_us: u64, fps: u16) -> u64 {
    u64::try_from(u128::from(elapsed_us) * u128::from(fps) / 1_000_000).unwrap_or(u64::MAX)
}

/// What the node says that encoding took, by 720p picture.
fn encoder_us(sessions: &[&SessionSeen]) -> Option<u64> {
    let (mut busy, mut pixels) = (0_u128, 0_u128);
    for receipt in sessions.iter().flat_map(|session| &session.receipts) {
        busy += u128::from(receipt.encoder_us);
        pixels += u128::from(receipt.frames) * u128::from(receipt.width) * u128::from(receipt.height);
    }
    u64::try_from((busy * u128::from(PIXELS)).checked_div(pixels)?).ok()
}

pub(super) fn look(subject: &Subject<'_>, checks: &[&CheckSeen]) -> Option<Finding> {
    let tier = subject.seen.gpu_tier;
    let limit_us = *ENCODER_US.get(usize::from(tier)).unwrap_or(&ENCODER_US[7]);
    let served: Vec<(Party<'_>, i64)> = parties(&subject.sessions)
        .into_iter()
        .filter_map(|party| served_ppm(&party).map(|share| (party, share)))
        .collect();
    let slow: Vec<_> = served.iter().filter(|(_, share)| *share < SERVED_PPM).collect();
    let slow_checks: Vec<_> = checks.iter().filter(|check| is_slow(check)).collect();
    let itself = encoder_us(&subject.sessions).filter(|us| *us > limit_us);
    let agree = slow.len() >= PARTIES && slow.len() * 10 >= served.len() * 6;
    if tier == 0 || !(agree || itself.is_some()) {
        return None;
    }
    let grade = if agree { Grade::Review } else { Grade::Watch };
    let mut exhibits: Vec<Exhibit> = slow.iter().map(|(party, share)| shown(party[0], *share)).collect();
    exhibits.extend(itself.map(|us| Exhibit {
        session: None,
        what: format!("its receipts say {us} µs a 720p picture; tier {tier} takes at most {limit_us}"),
    }));
    let mut witnesses = vec![Witness::Player; slow.len()];
    witnesses.extend(slow_checks.iter().map(|_| Witness::Checker));
    witnesses.extend(itself.map(|_| Witness::Itself));
    Some(Finding { node: subject.seen.node, kind: Kind::PretendedTier, grade, witnesses, exhibits })
}

fn shown(session: &SessionSeen, share_ppm: i64) -> Exhibit {
    let what = format!("one party was shown {share_ppm} millionths of the frames that the title asks for");
    Exhibit { session: Some(session.session), what }
}

fn is_slow(check: &CheckSeen) -> bool {
    let due = due_frames(check.elapsed_us, check.asked_fps);
    ppm(check.frames_shown, due).is_some_and(|share| share < SERVED_PPM)
}
