//! From a title's beep to its samples in the page.
//!
//! `nearframe-probe beep` plays a beep on each key press and notes when it gave the first sample to its sound server
//! and how much lay before it there (CLOCK_MONOTONIC). The page reads its received track block by block
//! (`driver/listener.js`); a sample counts when its block of 10 ms has arrived there, behind the browser's jitter
//! buffer and decoder. What follows in a browser, its mixer and the sound card, is not measured: this machine may
//! have none.

use crate::driver::Driver;
use crate::options::Options;
use crate::quantile::quantile;
use crate::report::{Report, Spec, lower};
use crate::system::System;
use crate::titles::{BEEP, BEEP_NOTES, Titles};
use anyhow::{Context, Result};
use serde::Deserialize;
use std::ffi::OsStr;
use std::fs;
use std::path::Path;

const P50: Spec = lower("audio_p50_ms", "ms", None);
const P95: Spec = lower("audio_p95_ms", "ms", Some(80.0));
const OWN_BUFFER: Spec = lower("audio_title_buffer_ms", "ms", None);
const JITTER_BUFFER: Spec = lower("audio_jitter_buffer_ms", "ms", None);
const UNHEARD: Spec = lower("audio_unheard_beeps", "", Some(0.0));

/// The next beep comes later than this, so that none is taken for another.
const LATEST_MS: f64 = 300.0;

/// What `audio.mjs` says.
#[derive(Debug, Deserialize)]
struct Heard {
    /// Beeps before this do not count.
    since_ms: f64,
    /// When the page had each beep.
    onsets_ms: Vec<f64>,
    /// Blocks of samples that the page read.
    blocks: u64,
    before: Inbound,
    audio: Inbound,
}

/// What is used of `RTCInboundRtpStreamStats`.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Inbound {
    jitter_buffer_delay: f64,
    jitter_buffer_emitted_count: f64,
}

/// When a beep began, in ms.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Beep {
    /// Its first sample was given to the sound server.
    given_ms: f64,
    /// What lay before it there has been played.
    played_ms: f64,
}

/// Measures and adds the figures.
pub(crate) fn run(options: &Options, report: &mut Report) -> Result<()> {
    let titles = Titles::with_probe(&options.probe)?;
    let system = System::start(&options.nearframe, &[OsStr::new("--titles"), titles.dir().as_os_str()])?;
    let args = [system.base().to_owned(), BEEP.to_owned(), options.seconds.to_string()];
    let mut driver = Driver::start("audio.mjs", &args)?;
    let heard: Heard = driver.next().context("listening to the beeps")?;
    let notes = notes(&system.homes())?;
    driver.tell("go")?;
    driver.finish()?;
    system.stop()?;
    add(&heard, &parse(&notes), report);
    Ok(())
}

/// What the probe noted in its home, of which there is one.
fn notes(homes: &Path) -> Result<String> {
    let entries = fs::read_dir(homes).with_context(|| format!("listing {}", homes.display()))?;
    let mut files = entries.filter_map(|home| Some(home.ok()?.path().join(BEEP_NOTES)));
    let file = files.find(|file| file.is_file()).context("the probe noted no beep")?;
    fs::read_to_string(&file).with_context(|| format!("reading {}", file.display()))
}

/// `beep given_us=… played_us=…`, a line each.
fn parse(notes: &str) -> Vec<Beep> {
    let ms = |word: &str, name: &str| Some(word.strip_prefix(name)?.parse::<f64>().ok()? / 1000.0);
    let beep = |line: &str| {
        let mut words = line.strip_prefix("beep ")?.split(' ');
        let given_ms = ms(words.next()?, "given_us=")?;
        Some(Beep { given_ms, played_ms: ms(words.next()?, "played_us=")? })
    };
    notes.lines().filter_map(beep).collect()
}

/// For each beep how long it took, `None` where it was never heard.
fn delays_ms(beeps: &[Beep], onsets_ms: &[f64]) -> Vec<Option<f64>> {
    let heard = |beep: &Beep| onsets_ms.iter().map(|onset| onset - beep.given_ms).find(|delay| *delay >= 0.0);
    beeps.iter().map(|beep| heard(beep).filter(|delay| *delay < LATEST_MS)).collect()
}

fn add(heard: &Heard, beeps: &[Beep], report: &mut Report) {
    let beeps: Vec<Beep> = beeps.iter().copied().filter(|beep| beep.given_ms >= heard.since_ms).collect();
    let delays = delays_ms(&beeps, &heard.onsets_ms);
    let unheard = delays.iter().filter(|delay| delay.is_none()).count();
    let delays: Vec<f64> = delays.into_iter().flatten().collect();
    let why =
        format!("of {} beeps the page heard none; it read {} blocks of samples", beeps.len(), heard.blocks);
    report.add(P50, quantile(&delays, 0.5), &why);
    report.add(P95, quantile(&delays, 0.95), &why);
    report.add(UNHEARD, (!beeps.is_empty()).then_some(unheard as f64), "the probe noted no beep");
    let queued: Vec<f64> = beeps.iter().map(|beep| beep.played_ms - beep.given_ms).collect();
    report.add(OWN_BUFFER, quantile(&queued, 0.5), "the probe noted no beep");
    let emitted = heard.audio.jitter_buffer_emitted_count - heard.before.jitter_buffer_emitted_count;
    let delay_s = heard.audio.jitter_buffer_delay - heard.before.jitter_buffer_delay;
    report.add(JITTER_BUFFER, (emitted > 0.0).then(|| delay_s / emitted * 1000.0), "no sound was emitted");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_are_read_and_rubbish_is_not() {
        let notes = "beep given_us=1500 played_us=3500\nALSA: xrun\nbeep given_us=x\n";
        assert_eq!(parse(notes), [Beep { given_ms: 1.5, played_ms: 3.5 }]);
    }

    #[test]
    fn a_beep_is_heard_at_the_next_onset_or_not_at_all() {
        let beep = |given_ms| Beep { given_ms, played_ms: given_ms + 20.0 };
        let beeps = [beep(1000.0), beep(1400.0), beep(1800.0)];
        assert_eq!(delays_ms(&beeps, &[990.0, 1060.0, 1870.0]), [Some(60.0), None, Some(70.0)]);
    }

    #[test]
    fn beeps_of_the_warm_up_do_not_count_and_unheard_ones_do() {
        let beep = |given_ms| Beep { given_ms, played_ms: given_ms + 20.0 };
        let (before, audio) = (Inbound::default(), Inbound::default());
        let heard = Heard { since_ms: 1000.0, onsets_ms: vec![1100.0], blocks: 9, before, audio };
        let mut report = Report::new("audio");
        add(&heard, &[beep(500.0), beep(1050.0), beep(1500.0)], &mut report);
        let json = serde_json::to_value(&report).unwrap();
        assert_eq!(json["figures"]["audio_p95_ms"]["value"], 50.0);
        assert_eq!(json["figures"]["audio_unheard_beeps"]["value"], 1.0);
        assert_eq!(json["figures"]["audio_title_buffer_ms"]["value"], 20.0);
        assert_eq!(json["skipped"]["audio_jitter_buffer_ms"], "no sound was emitted");
    }
}
