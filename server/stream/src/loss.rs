//! How the path loses packets: how many, and how many in a row.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Loss is what was seen in this time: long enough for rare loss to be counted, short enough to forget.
const WINDOW: Duration = Duration::from_secs(5);
/// Fates are summed over this long.
const SLOT: Duration = Duration::from_millis(250);
/// Fewer packets say nothing of a rate.
const MIN_PACKETS: u32 = 50;

#[derive(Clone, Copy, Debug)]
struct Slot {
    since: Instant,
    packets: u32,
    lost: u32,
    bursts: u32,
}

/// Loss of the last seconds.
#[derive(Debug, Default)]
pub(crate) struct LossMeter {
    /// At most `WINDOW / SLOT` and one more.
    slots: VecDeque<Slot>,
    /// Whether the packet before the next one was lost.
    in_burst: bool,
}

impl LossMeter {
    /// Counts one packet, in order of departure.
    pub(crate) fn count(&mut self, now: Instant, arrived: bool) {
        let begins = !arrived && !self.in_burst;
        self.in_burst = !arrived;
        let slot = self.slot(now);
        slot.packets += 1;
        slot.lost += u32::from(!arrived);
        slot.bursts += u32::from(begins);
    }

    /// A packet that was counted as lost turned up after all.
    pub(crate) fn turned_up(&mut self, now: Instant) {
        let slot = self.slot(now);
        if let Some(lost) = slot.lost.checked_sub(1) {
            slot.lost = lost;
            slot.bursts = slot.bursts.min(lost);
        }
    }

    /// Counts what a receiver report says, where there is nothing finer.
    pub(crate) fn count_share(&mut self, now: Instant, packets: u32, fraction_lost: f32) {
        let lost = (fraction_lost.clamp(0.0, 1.0) * packets as f32) as u32;
        let slot = self.slot(now);
        slot.packets = slot.packets.saturating_add(packets);
        slot.lost = slot.lost.saturating_add(lost);
        slot.bursts = slot.bursts.saturating_add(lost);
    }

    /// Share of packets lost lately, 0.0..=1.0.
    pub(crate) fn rate(&self, now: Instant) -> f64 {
        let (packets, lost, _) = self.sums(now);
        f64::from(lost) / f64::from(packets.max(MIN_PACKETS))
    }

    /// How many packets are lost in a row, on average; 1.0 where none was lost.
    pub(crate) fn burst(&self, now: Instant) -> f64 {
        let (_, lost, bursts) = self.sums(now);
        (f64::from(lost) / f64::from(bursts.max(1))).max(1.0)
    }

    fn slot(&mut self, now: Instant) -> &mut Slot {
        while self.slots.front().is_some_and(|slot| now.saturating_duration_since(slot.since) > WINDOW) {
            self.slots.pop_front();
        }
        let fresh = self.slots.back().is_none_or(|slot| now.saturating_duration_since(slot.since) >= SLOT);
        if fresh {
            self.slots.push_back(Slot { since: now, packets: 0, lost: 0, bursts: 0 });
        }
        let newest = self.slots.len() - 1;
        &mut self.slots[newest]
    }

    fn sums(&self, now: Instant) -> (u32, u32, u32) {
        let recent = self.slots.iter().filter(|slot| now.saturating_duration_since(slot.since) <= WINDOW);
        recent.fold((0, 0, 0), |(packets, lost, bursts): (u32, u32, u32), slot| {
            (
                packets.saturating_add(slot.packets),
                lost.saturating_add(slot.lost),
                bursts.saturating_add(slot.bursts),
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loss_is_counted_in_rate_and_in_length_and_forgotten() {
        let start = Instant::now();
        let mut meter = LossMeter::default();
        // Three in a row of every hundred.
        for i in 0..1000u64 {
            meter.count(start + Duration::from_millis(i), i % 100 >= 3);
        }
        let now = start + Duration::from_secs(1);
        assert!((meter.rate(now) - 0.03).abs() < 1e-9, "{}", meter.rate(now));
        assert!((meter.burst(now) - 3.0).abs() < 1e-9, "{}", meter.burst(now));
        assert_eq!(meter.rate(now + WINDOW * 2), 0.0);
        assert_eq!(meter.burst(now + WINDOW * 2), 1.0);
    }

    #[test]
    fn a_packet_that_only_came_late_is_no_loss() {
        let start = Instant::now();
        let mut meter = LossMeter::default();
        (0..100).for_each(|i| meter.count(start, i != 50));
        assert!(meter.rate(start) > 0.0);
        meter.turned_up(start);
        assert_eq!((meter.rate(start), meter.burst(start)), (0.0, 1.0));
        meter.turned_up(start);
        assert_eq!(meter.rate(start), 0.0);
    }

    #[test]
    fn one_lost_packet_among_few_is_no_catastrophe_and_slots_are_bounded() {
        let start = Instant::now();
        let mut meter = LossMeter::default();
        meter.count(start, false);
        assert!(meter.rate(start) <= 0.02);
        (0..100_000).for_each(|i| meter.count(start + Duration::from_millis(i), true));
        assert!(meter.slots.len() <= 22, "{}", meter.slots.len());
        meter.count_share(start, u32::MAX, f32::NAN);
        meter.count_share(start, u32::MAX, 1.0);
    }
}
