//! When the last byte of each packet leaves a link, first come, first served.

use crate::rate::{Rate, Step, step_at};
use crate::spec::Outage;
use crate::trace::{OPPORTUNITY_BYTES, Trace};
use std::time::Duration;

const NS_PER_S: u128 = 1_000_000_000;

/// The wire of a link. Because packets leave in the order in which they come, the time at which one leaves is known
/// as soon as it has come.
#[derive(Clone, Debug)]
pub(crate) struct Capacity {
    rate: Rate,
    outages: Vec<Outage>,
    /// When the rate's and the outages' time zero was.
    origin: Duration,
    /// When everything that has come will have left.
    free_at: Duration,
    cursor: Cursor,
}

/// The next opportunity of a trace that is not used up.
#[derive(Clone, Copy, Debug, Default)]
struct Cursor {
    number: u64,
    left: u32,
}

impl Capacity {
    /// Of a rate and outages that were checked.
    pub(crate) fn new(rate: Rate, outages: Vec<Outage>) -> Self {
        let cursor = Cursor { number: 0, left: OPPORTUNITY_BYTES };
        Self { rate, outages, origin: Duration::ZERO, free_at: Duration::ZERO, cursor }
    }

    /// Another rate and other outages, whose time zero is `at`; what has come keeps its time.
    pub(crate) fn restart(&mut self, at: Duration, rate: Rate, outages: Vec<Outage>) {
        *self = Self { origin: at, free_at: self.free_at, ..Self::new(rate, outages) };
    }

    /// Takes a packet at `at` and says when it has left. Never earlier than an earlier packet.
    pub(crate) fn serve(&mut self, at: Duration, bytes: u32) -> Duration {
        let start = at.max(self.free_at).saturating_sub(self.origin);
        let left = match &self.rate {
            Rate::Unlimited => after_outage(&self.outages, start),
            Rate::Steps(steps) => finish(steps, &self.outages, start, bytes),
            Rate::Trace { trace, from } => {
                follow(trace, *from, &self.outages, &mut self.cursor, start, bytes)
            }
        };
        self.free_at = self.free_at.max(self.origin + left);
        self.free_at
    }

    /// What could leave between two times after the last restart; `None` where there is no limit.
    pub(crate) fn bytes_between(&self, from: Duration, until: Duration) -> Option<u64> {
        let (from, until) = (from.saturating_sub(self.origin), until.saturating_sub(self.origin));
        let in_outages = |bytes: &dyn Fn(Duration, Duration) -> u64| {
            let overlap = |outage: &Outage| (outage.from.max(from), outage.until.min(until));
            let lost = self.outages.iter().map(overlap).filter(|(from, until)| from < until);
            bytes(from, until.max(from)) - lost.map(|(from, until)| bytes(from, until)).sum::<u64>()
        };
        match &self.rate {
            Rate::Unlimited => None,
            Rate::Steps(steps) => Some(in_outages(&|from, until| step_bytes(steps, from, until))),
            Rate::Trace { trace, from: offset } => Some(in_outages(&|from, until| {
                let count = trace.first_from(until + *offset) - trace.first_from(from + *offset);
                count * u64::from(OPPORTUNITY_BYTES)
            })),
        }
    }
}

/// `time`, or the end of the outage that it lies in.
fn after_outage(outages: &[Outage], time: Duration) -> Duration {
    let mut time = time;
    // Outages may touch each other; they are in order.
    for outage in outages {
        if outage.from <= time && time < outage.until {
            time = outage.until;
        }
    }
    time
}

/// When `bytes` that begin to leave at `start` have left.
fn finish(steps: &[Step], outages: &[Outage], start: Duration, bytes: u32) -> Duration {
    // In bits times 10⁹, so that time in ns times rate in bit/s needs no division.
    let mut rest = u128::from(bytes) * 8 * NS_PER_S;
    let mut time = start;
    loop {
        time = after_outage(outages, time);
        let at = step_at(steps, time);
        let bps = u128::from(steps[at].bps);
        let next_step = steps.get(at + 1).map(|step| step.from);
        let next_outage = outages.iter().map(|outage| outage.from).find(|from| *from > time);
        let end = next_step.into_iter().chain(next_outage).min();
        let room = end.map(|end| (end - time).as_nanos() * bps);
        match (end, room) {
            (Some(end), Some(room)) if room < rest => {
                rest -= room;
                time = end;
            }
            _ => return time + Duration::from_nanos(u64::try_from(rest.div_ceil(bps)).unwrap_or(u64::MAX)),
        }
    }
}

fn step_bytes(steps: &[Step], from: Duration, until: Duration) -> u64 {
    let ends = steps.iter().skip(1).map(|step| step.from).chain([until.max(from)]);
    let bits = |(step, end): (&Step, Duration)| {
        let (from, until) = (step.from.max(from), end.min(until));
        until.saturating_sub(from).as_nanos() * u128::from(step.bps)
    };
    (steps.iter().zip(ends).map(bits).sum::<u128>() / NS_PER_S / 8) as u64
}

/// Uses opportunities from `start` on. Those that come when nothing waits are lost, as mahimahi has it; several small
/// packets share one, and a large one takes several.
fn follow(
    trace: &Trace,
    from: Duration,
    outages: &[Outage],
    cursor: &mut Cursor,
    start: Duration,
    bytes: u32,
) -> Duration {
    skip_to(trace, cursor, start + from);
    let mut rest = bytes;
    loop {
        let time = trace.at(cursor.number).saturating_sub(from);
        let open = after_outage(outages, time);
        if open > time {
            skip_to(trace, cursor, open + from);
            continue;
        }
        let used = rest.min(cursor.left);
        (rest, cursor.left) = (rest - used, cursor.left - used);
        if cursor.left == 0 {
            *cursor = Cursor { number: cursor.number + 1, left: OPPORTUNITY_BYTES };
        }
        if rest == 0 {
            return time;
        }
    }
}

fn skip_to(trace: &Trace, cursor: &mut Cursor, time: Duration) {
    if trace.at(cursor.number) < time {
        *cursor = Cursor { number: trace.first_from(time), left: OPPORTUNITY_BYTES };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn a_packet_takes_its_bits_over_the_rate_and_waits_for_those_before() {
        let mut wire = Capacity::new(Rate::constant(12_000_000), Vec::new());
        assert_eq!(wire.serve(ms(5), 1500), ms(6));
        assert_eq!(wire.serve(ms(5), 1500), ms(7));
        assert_eq!(wire.serve(ms(20), 750), ms(20) + Duration::from_micros(500));
    }

    #[test]
    fn a_packet_that_meets_a_step_or_an_outage_is_carried_on_behind_it() {
        let outages = vec![Outage { from: ms(20), until: ms(30) }];
        let mut wire = Capacity::new("12M:1.2M@10ms".parse().unwrap(), outages);
        // Half of it before the step in half a ms, half after it in 5 ms.
        assert_eq!(wire.serve(ms(9) + Duration::from_micros(500), 1500), ms(15));
        assert_eq!(wire.serve(ms(15), 1500), ms(35));
        assert_eq!(wire.bytes_between(ms(0), ms(40)), Some(15_000 + 1_500 + 1_500));
    }

    #[test]
    fn opportunities_of_a_trace_are_shared_split_and_lost() {
        let trace = Trace::new(vec![1, 2, 3, 10]).unwrap();
        let mut wire = Capacity::new(Rate::trace(trace), Vec::new());
        assert_eq!(wire.serve(ms(0), 700), ms(1));
        assert_eq!(wire.serve(ms(0), 700), ms(1));
        assert_eq!(wire.serve(ms(0), 700), ms(2));
        // The opportunity at 3 comes when nothing waits.
        assert_eq!(wire.serve(ms(4), 1500), ms(10));
        // Wrapped: 11, then 12.
        assert_eq!(wire.serve(ms(11), 3000), ms(12));
        assert_eq!(wire.bytes_between(ms(0), ms(20)), Some(7 * 1500));
    }

    #[test]
    fn a_trace_may_begin_anywhere_and_begins_anew_at_a_restart() {
        let trace = Trace::new(vec![1, 2, 3, 10]).unwrap();
        let rate = Rate::Trace { trace, from: ms(3) };
        let mut wire = Capacity::new(rate.clone(), Vec::new());
        assert_eq!(wire.serve(ms(0), 1500), ms(0));
        assert_eq!(wire.serve(ms(0), 1500), ms(7));
        wire.restart(ms(100), rate, Vec::new());
        assert_eq!(wire.serve(ms(101), 1500), ms(107));
    }

    #[test]
    fn without_a_limit_only_outages_hold_packets_up() {
        let mut wire = Capacity::new(Rate::Unlimited, vec![Outage { from: ms(5), until: ms(9) }]);
        assert_eq!(
            [wire.serve(ms(4), 9000), wire.serve(ms(6), 1), wire.serve(ms(9), 1)],
            [ms(4), ms(9), ms(9)]
        );
        assert_eq!(wire.bytes_between(ms(0), ms(1)), None);
    }
}
