//! When a delivery is tried again, and when it is given up.

use super::Carried;
use crate::store::webhooks::Next;

/// Pauses after the first try, the second and so on, in seconds: those that the specification proposes. The last try is
/// made three days and three hours after the first.
const PAUSES_S: [u64; 9] =
    [5, 5 * 60, 30 * 60, 2 * 3600, 5 * 3600, 10 * 3600, 14 * 3600, 20 * 3600, 24 * 3600];
/// A pause is up to so many percent longer, so that those who failed together do not come back together.
const JITTER_PERCENT: u64 = 10;
/// No answer makes us wait longer than this, in seconds.
const LONGEST_S: u64 = 24 * 3600;
/// One that is under load and does not say for how long is left alone for this long, in seconds.
const LOADED_S: u64 = 30;

/// What becomes of a delivery after so many tries, and what was wrong, in words. `dice`: anything at random.
pub(super) fn next(carried: &Carried, tries: u32, now_ms: u64, dice: u64) -> (Next, Option<String>) {
    let (status, retry_after_s) = match carried {
        Carried::Answered { status, .. } if (200..300).contains(status) => return (Next::Delivered, None),
        Carried::Answered { status: 410, .. } => {
            return (Next::Gone, Some("410: the receiver wants no more events".to_owned()));
        }
        Carried::Answered { status, retry_after_s } => (Some(*status), *retry_after_s),
        Carried::Failed(_) => (None, None),
    };
    let trouble = match (carried, status) {
        (Carried::Failed(why), _) => why.clone(),
        (_, Some(300..400)) => "redirects are not followed: register the address that it leads to".to_owned(),
        (_, Some(status)) => format!("answered with {status}"),
        (_, None) => String::new(),
    };
    let pause_s = usize::try_from(tries.saturating_sub(1)).ok().and_then(|done| PAUSES_S.get(done));
    let Some(pause_s) = pause_s else { return (Next::Dead, Some(trouble)) };
    let pause_ms = pause_s * 1000;
    let jitter_ms = dice % (pause_ms * JITTER_PERCENT / 100 + 1);
    let wish_ms = retry_after_s.unwrap_or(0).min(LONGEST_S) * 1000;
    let due_ms = now_ms + (pause_ms + jitter_ms).max(wish_ms);
    let is_loaded = matches!(status, Some(429 | 502 | 503 | 504));
    let pause_until_ms =
        if is_loaded { now_ms + if wish_ms > 0 { wish_ms } else { LOADED_S * 1000 } } else { 0 };
    (Next::Again { due_ms, pause_until_ms }, Some(trouble))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_700_000_000_000;

    fn answered(status: u16, retry_after_s: Option<u64>) -> Carried {
        Carried::Answered { status, retry_after_s }
    }

    fn due_in(carried: &Carried, tries: u32, dice: u64) -> u64 {
        match next(carried, tries, NOW, dice).0 {
            Next::Again { due_ms, .. } => due_ms - NOW,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn pauses_grow_for_three_days_and_then_it_is_given_up() {
        let failed = Carried::Failed("no route".into());
        let mut waited_ms = 0;
        for tries in 1..=9 {
            let (least, most) = (due_in(&failed, tries, 0), due_in(&failed, tries, u64::MAX - 7));
            assert!(least <= most && most <= least + least / 10, "{tries}: {least} {most}");
            waited_ms += least;
        }
        assert_eq!(waited_ms, ((75 * 60 + 35) * 60 + 5) * 1000, "75:35:05, as in the specification");
        assert_eq!(next(&failed, 10, NOW, 0), (Next::Dead, Some("no route".into())));
    }

    #[test]
    fn answers_are_obeyed() {
        for status in [200, 204, 299] {
            assert_eq!(next(&answered(status, None), 1, NOW, 0).0, Next::Delivered);
        }
        assert_eq!(next(&answered(410, None), 1, NOW, 0).0, Next::Gone);
        let (moved, why) = next(&answered(302, None), 1, NOW, 0);
        assert!(matches!(moved, Next::Again { pause_until_ms: 0, .. }) && why.unwrap().contains("redirects"));
        assert_eq!(due_in(&answered(500, None), 1, 0), 5_000);
        assert_eq!(due_in(&answered(503, Some(120)), 1, 0), 120_000, "longer than our pause");
        assert_eq!(due_in(&answered(503, Some(120)), 4, 0), 7_200_000, "shorter than our pause");
        assert_eq!(due_in(&answered(503, Some(u64::MAX)), 1, 0), 86_400_000, "nobody is waited for for ever");
    }

    #[test]
    fn one_under_load_is_left_alone_by_everything() {
        let pause = |carried: &Carried| match next(carried, 1, NOW, 0).0 {
            Next::Again { pause_until_ms, .. } => pause_until_ms.saturating_sub(NOW),
            other => panic!("{other:?}"),
        };
        assert_eq!(pause(&answered(429, Some(90))), 90_000);
        assert_eq!(pause(&answered(504, None)), 30_000);
        assert_eq!(pause(&answered(500, None)), 0);
    }
}
