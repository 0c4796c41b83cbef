//! Where a frame's time and a session's processor time go.

use super::samples::Done;
use crate::process;
use crate::quantile::quantile;
use crate::report::{Report, Spec, lower};
use anyhow::Result;
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// From the beginning of drawing to the callback, in order; the medians add up to about the frame age.
const STAGES: [Spec; 8] = [
    lower("stage_draw_ms", "ms", None),
    lower("stage_convert_ms", "ms", None),
    lower("stage_encode_ms", "ms", None),
    lower("stage_send_ms", "ms", None),
    lower("stage_receive_ms", "ms", None),
    lower("stage_decode_ms", "ms", None),
    lower("stage_wait_ms", "ms", None),
    lower("stage_callback_ms", "ms", None),
];

const WHY: &str = "the browser does not tell when it received frames, or the node's facts do not match them";

/// Times of each stage, ms.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Stages([Vec<f64>; 8]);

impl Stages {
    /// Of the frames of which both the node's facts and the browser's own account are there.
    pub(crate) fn of(done: &Done) -> Self {
        let sent: HashMap<u64, _> = done.traces.iter().map(|trace| (trace.0 as u64, trace)).collect();
        let mut stages = Self::default();
        for &(drawn_us, received, decoded, refreshed, shown) in &done.steps {
            let Some(&&(captured_us, drew, converted, encoded, left)) = sent.get(&(drawn_us as u64)) else {
                continue;
            };
            let page = |at_ms: f64| (done.time_origin_ms + at_ms) * 1000.0 - captured_us;
            let ends =
                [drew, converted, encoded, left, page(received), page(decoded), page(refreshed), page(shown)];
            let begins = std::iter::once(0.0).chain(ends);
            for (stage, (begin, end)) in stages.0.iter_mut().zip(begins.zip(ends)) {
                stage.push((end - begin) / 1000.0);
            }
        }
        stages
    }

    pub(crate) fn add(&self, report: &mut Report) {
        for (spec, samples) in STAGES.into_iter().zip(&self.0) {
            report.add(spec, quantile(samples, 0.5), WHY);
        }
    }
}

/// Which of a worker's threads, by their names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Share {
    /// Input, drawing, conversion.
    Frame,
    Encode,
    Sound,
    /// WebRTC, data channels, what comes from the page.
    Connection,
}

const SHARES: [(Share, Spec); 4] = [
    (Share::Frame, lower("cpu_frame_s_per_s", "s/s", None)),
    (Share::Encode, lower("cpu_encode_and_send_s_per_s", "s/s", None)),
    (Share::Sound, lower("cpu_sound_s_per_s", "s/s", None)),
    (Share::Connection, lower("cpu_connection_s_per_s", "s/s", None)),
];

/// Processor seconds a second of each share.
#[derive(Debug)]
pub(crate) struct CpuShares([f64; 4]);

impl CpuShares {
    pub(crate) fn add(&self, report: &mut Report) {
        for ((_, spec), share) in SHARES.into_iter().zip(self.0) {
            report.add(spec, Some(share), "");
        }
    }
}

/// Runs while a worker is measured.
pub(crate) struct CpuMeter {
    worker: u32,
    started: Instant,
    before: [Duration; 4],
}

impl CpuMeter {
    pub(crate) fn start(worker: u32) -> Result<Self> {
        let before = shares(&process::threads(worker)?);
        Ok(Self { worker, started: Instant::now(), before })
    }

    pub(crate) fn finish(self) -> Result<CpuShares> {
        let after = shares(&process::threads(self.worker)?);
        let seconds = self.started.elapsed().as_secs_f64();
        let share = |i: usize| after[i].saturating_sub(self.before[i]).as_secs_f64() / seconds;
        Ok(CpuShares(std::array::from_fn(share)))
    }
}

/// Threads of libraries have the name of the one that started them: the encoder is opened on the frame thread, the
/// oldest of that name.
fn shares(threads: &[(String, Duration)]) -> [Duration; 4] {
    let mut sums = [Duration::ZERO; 4];
    let mut frame_threads = 0;
    for (name, cpu) in threads {
        frame_threads += u32::from(name == "frame");
        let share = match name.as_str() {
            "frame" if frame_threads == 1 => Share::Frame,
            "frame" | "encode" => Share::Encode,
            "audio" => Share::Sound,
            _ => Share::Connection,
        };
        sums[share as usize] += *cpu;
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stages_of_a_frame_add_up_to_its_age_and_a_frame_without_facts_counts_for_none() {
        let done: Done = serde_json::from_value(serde_json::json!({
            "frames": [], "shown": 0, "unreadable": 0, "keys": [], "sent": [], "since_ms": 0, "until_ms": 1,
            "time_origin_ms": 1000.0, "before": {}, "video": {},
            "traces": [[1_001_000, 1000, 1300, 4300, 4400]],
            "steps": [[1_001_000, 6.0, 8.0, 10.0, 10.5], [77, 1.0, 2.0, 3.0, 4.0]],
        }))
        .unwrap();
        let stages = Stages::of(&done);
        let rounded: [Vec<f64>; 8] =
            stages.0.map(|samples| samples.iter().map(|ms| (ms * 10.0).round() / 10.0).collect());
        let wanted: [Vec<f64>; 8] = [1.0, 0.3, 3.0, 0.1, 0.6, 2.0, 2.0, 0.5].map(|ms| vec![ms]);
        assert_eq!(rounded, wanted);
    }

    #[test]
    fn a_thread_counts_for_what_it_does() {
        let ms = Duration::from_millis;
        let threads = ["nearframe", "frame", "frame", "encode", "audio", "tokio-rt-worker"];
        let threads: Vec<_> =
            threads.into_iter().zip(1..).map(|(name, n)| (name.to_owned(), ms(n))).collect();
        assert_eq!(shares(&threads), [ms(2), ms(3 + 4), ms(5), ms(1 + 6)]);
    }
}
