//! From raw samples to milliseconds. Pure.

use super::samples::{Done, Inbound};
use crate::quantile::quantile;

/// One shown frame.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Frame {
    /// Display callback, ms of CLOCK_MONOTONIC.
    pub(crate) shown_ms: f64,
    /// Beginning of drawing, ms of CLOCK_MONOTONIC.
    pub(crate) drawn_ms: f64,
    /// Newest input that it shows.
    pub(crate) serial: u32,
}

/// What one sender's page saw.
#[derive(Debug)]
pub(crate) struct Samples {
    pub(crate) frames: Vec<Frame>,
    /// When the browser took each key event, ms of CLOCK_MONOTONIC.
    pub(crate) keys_ms: Vec<f64>,
    pub(crate) shown: u64,
    pub(crate) unreadable: u64,
    pub(crate) length_s: f64,
    /// `(captured_us, bytes, target in bit/s)` of every frame sent.
    pub(crate) sent: Vec<(f64, f64, f64)>,
    pub(crate) before: Inbound,
    pub(crate) after: Inbound,
}

impl From<Done> for Samples {
    fn from(done: Done) -> Self {
        let origin = done.time_origin_ms;
        let frame = |(shown, drawn_us, _, serial): (f64, f64, u32, u32)| Frame {
            shown_ms: origin + shown,
            drawn_ms: drawn_us / 1000.0,
            serial,
        };
        Self {
            frames: done.frames.into_iter().map(frame).collect(),
            keys_ms: done.keys.into_iter().map(|(_, event_at, ..)| origin + event_at).collect(),
            shown: done.shown,
            unreadable: done.unreadable,
            length_s: (done.until_ms - done.since_ms) / 1000.0,
            sent: done.sent.into_iter().map(|(at, bytes, kbps)| (at, bytes, kbps * 1000.0)).collect(),
            before: done.before,
            after: done.video,
        }
    }
}

impl Samples {
    /// From the beginning of drawing to the display callback, ms.
    pub(crate) fn frame_ages_ms(&self) -> Vec<f64> {
        self.frames.iter().map(|frame| frame.shown_ms - frame.drawn_ms).collect()
    }

    /// From each key event to the display callback of the first frame that shows it, ms. Every event raises
    /// the serial by one; where counting began is what most events agree on, so that one slow frame does
    /// not shift all others.
    pub(crate) fn input_visible_ms(&self) -> Vec<f64> {
        let shown_before = |at: f64| self.frames.iter().take_while(|frame| frame.shown_ms < at).last();
        let bases: Vec<f64> = (self.keys_ms.iter().enumerate())
            .filter_map(|(i, &at)| Some(f64::from(shown_before(at)?.serial) - i as f64))
            .collect();
        let Some(base) = quantile(&bases, 0.5) else { return Vec::new() };
        let visible = |(i, &at): (usize, &f64)| {
            let serial = base + i as f64 + 1.0;
            let frame =
                self.frames.iter().find(|frame| frame.shown_ms >= at && f64::from(frame.serial) >= serial)?;
            Some(frame.shown_ms - at)
        };
        self.keys_ms.iter().enumerate().filter_map(visible).collect()
    }

    /// Frames shown per second.
    pub(crate) fn shown_fps(&self) -> Option<f64> {
        (self.length_s > 0.0).then(|| self.shown as f64 / self.length_s)
    }

    /// Share of shown frames whose stamp was whole.
    pub(crate) fn readable(&self) -> Option<f64> {
        (self.shown > 0).then(|| 1.0 - self.unreadable as f64 / self.shown as f64)
    }

    /// Mean time in the jitter buffer, ms.
    pub(crate) fn jitter_buffer_ms(&self) -> Option<f64> {
        let emitted = self.after.jitter_buffer_emitted_count - self.before.jitter_buffer_emitted_count;
        let delay_s = self.after.jitter_buffer_delay - self.before.jitter_buffer_delay;
        (emitted > 0.0).then(|| delay_s / emitted * 1000.0)
    }

    /// Mean decoding time, ms.
    pub(crate) fn decode_ms(&self) -> Option<f64> {
        let decoded = self.after.frames_decoded - self.before.frames_decoded;
        (decoded > 0.0)
            .then(|| (self.after.total_decode_time - self.before.total_decode_time) / decoded * 1000.0)
    }

    /// Received video, Mbit/s.
    pub(crate) fn bitrate_mbps(&self) -> Option<f64> {
        let bytes = self.after.bytes_received - self.before.bytes_received;
        (self.length_s > 0.0).then(|| bytes * 8.0 / self.length_s / 1e6)
    }

    /// How often the browser says that the picture froze.
    pub(crate) fn freezes(&self) -> f64 {
        self.after.freeze_count - self.before.freeze_count
    }

    /// Smallest and largest ratio of emitted bits to the target, over all windows of one second.
    pub(crate) fn bitrate_ratios(&self) -> Option<(f64, f64)> {
        const WINDOW_US: f64 = 1e6;
        let last = self.sent.last()?.0;
        let ratios = self.sent.iter().enumerate().filter(|(_, frame)| frame.0 + WINDOW_US <= last).map(
            |(i, first)| {
                let window = self.sent[i..].iter().take_while(|frame| frame.0 < first.0 + WINDOW_US);
                let (bits, target, count) = window.fold((0.0, 0.0, 0.0), |(bits, target, n), frame| {
                    (bits + frame.1 * 8.0, target + frame.2, n + 1.0)
                });
                bits / (target / count)
            },
        );
        ratios.fold(None, |range, ratio| {
            let (low, high) = range.unwrap_or((ratio, ratio));
            Some((ratio.min(low), ratio.max(high)))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 60 frames a second that are `age` ms old when shown and show keys after `reaction` ms.
    fn samples(age: f64, keys_ms: &[f64], reaction: f64) -> Samples {
        let frames = (0..300).map(|n| {
            let drawn_ms = f64::from(n) * 1000.0 / 60.0;
            let seen = keys_ms.iter().filter(|&&at| at + reaction <= drawn_ms + age).count();
            Frame { shown_ms: drawn_ms + age, drawn_ms, serial: 41 + seen as u32 }
        });
        Samples {
            frames: frames.collect(),
            keys_ms: keys_ms.to_vec(),
            shown: 300,
            unreadable: 3,
            length_s: 5.0,
            sent: Vec::new(),
            before: Inbound::default(),
            after: Inbound::default(),
        }
    }

    #[test]
    fn ages_and_rates_come_from_the_stamps() {
        let samples = samples(12.0, &[], 0.0);
        assert!(samples.frame_ages_ms().iter().all(|age| (age - 12.0).abs() < 1e-6));
        assert_eq!(samples.shown_fps(), Some(60.0));
        assert_eq!(samples.readable(), Some(0.99));
    }

    #[test]
    fn an_input_is_visible_with_the_first_frame_that_shows_it() {
        let keys: Vec<f64> = (1..20).map(|n| f64::from(n) * 150.3).collect();
        let visible = samples(10.0, &keys, 20.0).input_visible_ms();
        assert_eq!(visible.len(), keys.len());
        assert!(visible.iter().all(|&ms| (20.0..20.0 + 16.7).contains(&ms)), "{visible:?}");
    }

    #[test]
    fn an_input_that_is_never_shown_has_no_latency_and_shifts_no_other() {
        let mut keys: Vec<f64> = (1..20).map(|n| f64::from(n) * 150.3).collect();
        keys.push(4_999.0);
        let visible = samples(10.0, &keys, 20.0).input_visible_ms();
        assert_eq!(visible.len(), keys.len() - 1);
    }

    #[test]
    fn the_worst_second_counts_for_the_bitrate() {
        let mut samples = samples(10.0, &[], 0.0);
        // Ten frames a second of 1000 bits at a target of 10 kbit/s, one of them five times as large.
        samples.sent =
            (0..40).map(|n| (f64::from(n) * 1e5, if n == 25 { 625.0 } else { 125.0 }, 1e4)).collect();
        let (low, high) = samples.bitrate_ratios().unwrap();
        assert!((low - 1.0).abs() < 1e-9 && (high - 1.4).abs() < 1e-9, "{low} {high}");
    }

    #[test]
    fn nothing_seen_is_nothing_measured() {
        let mut samples = samples(10.0, &[], 0.0);
        samples.frames.clear();
        assert!(samples.input_visible_ms().is_empty() && samples.frame_ages_ms().is_empty());
        assert!(samples.bitrate_ratios().is_none() && samples.jitter_buffer_ms().is_none());
    }
}
