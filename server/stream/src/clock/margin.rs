//! How long before its turn a frame is to be ready.
//!
//! The margin has two parts. One follows the spread of the frames that were shown. The other is a reserve for
//! what that spread does not tell: how long the browser takes to hand a picture on, and the frames that came
//! later than all that were shown. It shrinks while every frame is shown, and grows with each that is not,
//! so that it settles where about one frame in some two hundred is missed, wherever that is on this device.

use std::collections::VecDeque;

/// Frames whose spread counts: four seconds at 60 Hz.
const MEMORY: usize = 240;
/// Share of the shown frames that were ready before the spread that is taken.
const SPREAD: f64 = 0.9;
/// Reserve before anything is known, in ms.
const FIRST_RESERVE_MS: f64 = 3.0;
/// Bounds of the reserve, in ms. Below the least nothing is gained that the eye or the hand would notice;
/// beyond the most it is not the margin that loses frames.
const RESERVE_MS: (f64, f64) = (0.75, 4.0);
/// What the reserve gains with a missed frame, in ms.
const GAIN_MS: f64 = 0.4;
/// Share of it that each batch of reports without one takes away: far above where frames were missed last, and near
/// or below that.
const LOSS: [f64; 2] = [0.08, 0.015];
/// How near, in ms.
const NEAR_MS: f64 = 0.6;
/// After so many batches without a missed frame, 16 s at 60 Hz, the last one no longer tells where they are missed.
const FORGET: u32 = 40;
/// One batch adds no more than this, in ms.
const MAX_GAIN_MS: f64 = 1.0;
/// More frames missed in a row are a stall, which no margin helps against.
const STALL: usize = 2;

/// Learns from batches of reports.
#[derive(Debug)]
pub(super) struct Margin {
    /// How much later than the mean of their batch frames came, in ms.
    lateness_ms: VecDeque<f64>,
    reserve_ms: f64,
    /// The reserve with which a frame was missed last.
    missed_at_ms: f64,
    /// Batches since then.
    since: u32,
    /// Missed one by one since the last batch.
    missed: usize,
}

impl Default for Margin {
    fn default() -> Self {
        let lateness_ms = VecDeque::with_capacity(MEMORY);
        Self { lateness_ms, reserve_ms: FIRST_RESERVE_MS, missed_at_ms: 0.0, since: 0, missed: 0 }
    }
}

impl Margin {
    /// So many frames in a row were sent and never shown.
    pub(super) fn missed(&mut self, in_a_row: usize) {
        if in_a_row < STALL {
            self.missed += in_a_row;
        }
    }

    /// Takes how much later than their mean the frames of a batch came, in ms.
    pub(super) fn learn(&mut self, lateness_ms: impl Iterator<Item = f64>) {
        for late in lateness_ms {
            if self.lateness_ms.len() >= MEMORY {
                self.lateness_ms.pop_front();
            }
            self.lateness_ms.push_back(late);
        }
        let missed = std::mem::take(&mut self.missed);
        let change_ms = if missed > 0 {
            (self.missed_at_ms, self.since) = (self.reserve_ms, 0);
            (GAIN_MS * missed as f64).min(MAX_GAIN_MS)
        } else {
            self.since = self.since.saturating_add(1);
            let near = self.since < FORGET && self.reserve_ms < self.missed_at_ms + NEAR_MS;
            -LOSS[usize::from(near)] * self.reserve_ms
        };
        self.reserve_ms = (self.reserve_ms + change_ms).clamp(RESERVE_MS.0, RESERVE_MS.1);
    }

    /// The wait to aim at, in ms.
    pub(super) fn target_ms(&self) -> f64 {
        let mut sorted: Vec<f64> = self.lateness_ms.iter().copied().collect();
        sorted.sort_unstable_by(f64::total_cmp);
        let index = (sorted.len().saturating_sub(1) as f64 * SPREAD).round() as usize;
        self.reserve_ms + sorted.get(index).copied().unwrap_or(0.0).max(0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BATCH: usize = 24;

    fn batch(margin: &mut Margin, spread_ms: f64) {
        margin.learn((0..BATCH).map(|i| spread_ms * (i as f64 / (BATCH - 1) as f64 - 0.5)));
    }

    #[test]
    fn the_margin_shrinks_while_every_frame_is_shown_and_grows_with_each_that_is_missed() {
        let mut margin = Margin::default();
        (0..100).for_each(|_| batch(&mut margin, 1.0));
        let steady = margin.target_ms();
        assert!((RESERVE_MS.0..RESERVE_MS.0 + 0.5).contains(&steady), "{steady}");
        margin.missed(1);
        batch(&mut margin, 1.0);
        assert!((margin.target_ms() - steady - GAIN_MS).abs() < 1e-9);
    }

    #[test]
    fn the_margin_follows_the_spread_of_the_frames() {
        let mut margin = Margin::default();
        (0..100).for_each(|_| batch(&mut margin, 1.0));
        let steady = margin.target_ms();
        (0..10).for_each(|_| batch(&mut margin, 9.0));
        assert!(margin.target_ms() > steady + 2.5, "{}", margin.target_ms());
        (0..10).for_each(|_| batch(&mut margin, 1.0));
        assert!((margin.target_ms() - steady).abs() < 0.1);
    }

    #[test]
    fn a_stall_is_not_held_against_the_margin_and_nothing_makes_it_boundless() {
        let mut margin = Margin::default();
        margin.missed(STALL);
        batch(&mut margin, 0.0);
        assert!(margin.target_ms() < FIRST_RESERVE_MS);
        for _ in 0..200 {
            (0..BATCH).for_each(|_| margin.missed(1));
            batch(&mut margin, 0.0);
        }
        assert!((margin.target_ms() - RESERVE_MS.1).abs() < 1e-9);
    }
}
