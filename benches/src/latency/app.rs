//! What a program under the compositor costs in time, against the built-in testcard.
//!
//! `nearframe-probe stamp --moving` runs as a title in the sandbox and draws the testcard's own picture, pixel
//! for pixel but for the bank of lamps, so that conversion, encoding, sending and decoding have the same work.
//! What is left of the difference: the way of the input and of the frame callback to the program and of its
//! picture back, the program's copy into shared memory, and the compositor's copy out of it. Both stamps tell
//! when drawing began. The two titles take turns, so that what else the machine does meets both.

use super::analysis::Samples;
use super::{TESTCARD, play};
use crate::options::Options;
use crate::quantile::quantile;
use crate::report::{Report, Spec, higher, lower};
use crate::system::System;
use crate::titles::{STAMP, Titles};
use anyhow::{Context, Result};
use std::ffi::OsStr;

/// How often each title has its turn.
const TURNS: u64 = 2;

const AGE_EXTRA: Spec = lower("app_frame_age_extra_ms", "ms", Some(4.0));
const INPUT_EXTRA: Spec = lower("app_input_visible_extra_ms", "ms", Some(4.0));
const FPS: Spec = higher("app_shown_fps", "1/s", None);
const CARD_FPS: Spec = higher("app_testcard_shown_fps", "1/s", None);
const AGE: [Spec; 2] = [lower("app_frame_age_p50_ms", "ms", None), lower("app_frame_age_p95_ms", "ms", None)];
const INPUT: [Spec; 2] =
    [lower("app_input_visible_p50_ms", "ms", None), lower("app_input_visible_p95_ms", "ms", None)];
const CARD_AGE: [Spec; 2] =
    [lower("app_testcard_frame_age_p50_ms", "ms", None), lower("app_testcard_frame_age_p95_ms", "ms", None)];
const CARD_INPUT: [Spec; 2] = [
    lower("app_testcard_input_visible_p50_ms", "ms", None),
    lower("app_testcard_input_visible_p95_ms", "ms", None),
];

const NO_FRAME: &str = "no frame with a whole stamp was shown";
const NO_INPUT: &str = "no key event was seen in the picture";

/// What one title showed in all of its turns.
#[derive(Debug, Default, PartialEq)]
struct Shown {
    ages_ms: Vec<f64>,
    inputs_ms: Vec<f64>,
    frames: f64,
    length_s: f64,
}

impl Shown {
    fn add(&mut self, samples: &Samples) {
        self.ages_ms.extend(samples.frame_ages_ms());
        self.inputs_ms.extend(samples.input_visible_ms());
        self.frames += samples.shown as f64;
        self.length_s += samples.length_s;
    }

    fn fps(&self) -> Option<f64> {
        (self.length_s > 0.0).then(|| self.frames / self.length_s)
    }
}

/// Measures and adds the figures.
pub(crate) fn run(options: &Options, report: &mut Report) -> Result<()> {
    let titles = Titles::with_probe(&options.probe)?;
    let system = System::start(&options.nearframe, &[OsStr::new("--titles"), titles.dir().as_os_str()])?;
    let (mut card, mut app) = (Shown::default(), Shown::default());
    for _ in 0..TURNS {
        for (title, shown) in [(TESTCARD, &mut card), (STAMP, &mut app)] {
            let (done, ..) = play(&system, title, options.seconds.div_ceil(TURNS), 1)
                .with_context(|| format!("playing {title}"))?;
            shown.add(&Samples::from(done));
        }
    }
    system.stop()?;
    add(&card, &app, report);
    Ok(())
}

fn add(card: &Shown, app: &Shown, report: &mut Report) {
    let extra = |app: &[f64], card: &[f64]| Some(quantile(app, 0.5)? - quantile(card, 0.5)?);
    report.add(AGE_EXTRA, extra(&app.ages_ms, &card.ages_ms), NO_FRAME);
    report.add(INPUT_EXTRA, extra(&app.inputs_ms, &card.inputs_ms), NO_INPUT);
    report.add(FPS, app.fps(), NO_FRAME);
    report.add(CARD_FPS, card.fps(), NO_FRAME);
    for (i, p) in [0.5, 0.95].into_iter().enumerate() {
        report.add(AGE[i], quantile(&app.ages_ms, p), NO_FRAME);
        report.add(CARD_AGE[i], quantile(&card.ages_ms, p), NO_FRAME);
        report.add(INPUT[i], quantile(&app.inputs_ms, p), NO_INPUT);
        report.add(CARD_INPUT[i], quantile(&card.inputs_ms, p), NO_INPUT);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_medians_differences_are_reported_and_nothing_seen_is_skipped() {
        let shown =
            |age: f64| Shown { ages_ms: vec![age; 5], frames: 60.0, length_s: 1.0, ..Shown::default() };
        let mut report = Report::new("latency");
        add(&shown(10.0), &shown(12.5), &mut report);
        let json = serde_json::to_value(&report).unwrap();
        assert_eq!(json["figures"]["app_frame_age_extra_ms"]["value"], 2.5);
        assert_eq!(json["figures"]["app_frame_age_extra_ms"]["goal"], 4.0);
        assert_eq!(json["figures"]["app_shown_fps"]["value"], 60.0);
        assert_eq!(json["skipped"]["app_input_visible_extra_ms"], NO_INPUT);
    }
}
