//! What is done about loss, by what is cheapest for it.
//!
//! Retransmission alone where a round trip is shorter than the wait of a frame for its turn, some milliseconds: a frame
//! that comes later gives its turn to the next one and is never shown. Parity otherwise, sized by how much is lost and
//! how much in a row, gathered over a few frames where that still beats a round trip; it is bought
//! from an allowance that retransmissions draw on as well. A retransmission is sent twice where it was lost
//! itself, or where no parity is sent (redundancy on later rounds rather than the first: Hairpin, NSDI '24).
//! A frame that is later than all that is lost for good.

use crate::fec::Layout;
use std::time::Duration;

/// Repairs of all kinds together, as a share of media packets: 0.6 of a fixed 20 %.
pub(crate) const REDUNDANCY: f64 = 0.12;
/// As many packets may be saved up for one block, and overdrawn by retransmissions.
const MAX_ALLOWANCE: f64 = 8.0;
/// A round trip of so many frame intervals is short enough to repair by retransmission alone, 5 ms at 60 frames a second…
const RETRANSMISSION_INTERVALS: f64 = 0.3;
/// …and one that was not becomes so once it is shorter by this many.
const HYSTERESIS_INTERVALS: f64 = 0.1;
/// Rarer loss is not worth a share of every frame.
const MIN_LOSS: f64 = 0.002;
/// More loss than this is more than the allowance repairs: retransmissions make better use of it.
const MAX_LOSS: f64 = 0.08;
/// As many frames share a block at most.
const MAX_SPAN: u32 = 4;
/// From so many parity packets on, a block is worth closing although there is time for another frame: the
/// same share of redundancy repairs more in a larger block.
const EFFICIENT_PARITY: usize = 4;
/// Bursts are not all as long as their mean: of those that end at random, this covers three in four.
const BURST_MARGIN: f64 = 1.5;
/// A longer burst is an outage, which no parity bridges.
const MAX_BURST: f64 = 20.0;
/// A retransmission that may fail more often than this is worth sending twice.
const ACCEPTED_FAILURE: f64 = 0.01;
/// How long a frame may be repaired where the encoder can go on from an older one: four and a half
/// round trips, which are four requests, and two frames, within these. As long as a retransmission is likely
/// to arrive it is sooner there than a new frame, and brings all that waited for it.
const PATIENCE: (Duration, Duration) = (Duration::from_millis(80), Duration::from_millis(700));
/// Losses that are this many in a row on average are bursts; shorter, they are scattered.
const LONG_BURST: f64 = 1.5;
/// Above this loss, or from bursts on, audio is repeated twice.
const AUDIO_LOSS: f64 = 0.03;

/// What is known of the path.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Conditions {
    /// Share of packets lost.
    pub(crate) loss: f64,
    /// How many are lost in a row.
    pub(crate) burst: f64,
    pub(crate) rtt: Duration,
    /// Packets stand in a queue: what is lost there is lost to load, and parity is more of it.
    pub(crate) queued: bool,
}

/// What to do with the open block at the end of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Closing {
    /// Close it with so many parity packets.
    Close(usize),
    /// Let it take the next frame as well.
    KeepOpen,
}

/// Decides, and keeps the account of redundancy.
#[derive(Debug)]
pub(crate) struct RecoveryPolicy {
    interval: Duration,
    /// The receiver takes parity.
    parity: bool,
    /// A round trip is too long to repair by retransmission alone.
    far: bool,
    /// Redundant packets that may be sent.
    allowance: f64,
}

impl RecoveryPolicy {
    pub(crate) fn new(fps: u32, parity: bool) -> Self {
        Self { interval: Duration::from_secs(1) / fps.max(1), parity, far: false, allowance: 0.0 }
    }

    /// Frames come at another rate from now on.
    pub(crate) fn set_frame_rate(&mut self, fps: u32) {
        self.interval = Duration::from_secs(1) / fps.max(1);
    }

    /// Media packets are sent on this path.
    pub(crate) fn sent(&mut self, path: Conditions, packets: usize) {
        let limit = RETRANSMISSION_INTERVALS - if self.far { HYSTERESIS_INTERVALS } else { 0.0 };
        self.far = path.rtt > self.interval.mul_f64(limit);
        self.allowance = (self.allowance + packets as f64 * REDUNDANCY).min(MAX_ALLOWANCE);
    }

    /// Redundant packets were sent.
    pub(crate) fn spent(&mut self, packets: usize) {
        self.allowance = (self.allowance - packets as f64).max(-MAX_ALLOWANCE);
    }

    /// Whether video is protected by parity.
    pub(crate) fn protects(&self, path: Conditions) -> bool {
        self.reserves(path) && !path.queued
    }

    /// Whether room for parity is kept free. A queue suspends parity and keeps its room, which empties it.
    pub(crate) fn reserves(&self, path: Conditions) -> bool {
        self.parity && self.far && (MIN_LOSS..MAX_LOSS).contains(&path.loss)
    }

    /// How to go on with a block of `packets` that ends `frames` frames, and takes no more where it is full.
    pub(crate) fn closing(&self, path: Conditions, packets: usize, frames: u32, full: bool) -> Closing {
        let expected = packets as f64 * path.loss;
        let scattered = (expected + 2.0 * expected.sqrt()).ceil();
        let wanted = scattered.max((path.burst * BURST_MARGIN).min(MAX_BURST).ceil()).max(1.0) as usize;
        let affordable = self.allowance.max(0.0) as usize;
        let next = self.interval * (frames + 1);
        let cheaper = wanted < EFFICIENT_PARITY && next * 2 <= path.rtt;
        let dear = affordable < wanted && next <= path.rtt;
        if (cheaper || dear) && frames < MAX_SPAN && !full {
            Closing::KeepOpen
        } else {
            Closing::Close(wanted.min(affordable))
        }
    }

    /// How parity is laid over a block.
    pub(crate) fn layout(&self, path: Conditions) -> Layout {
        if path.burst < LONG_BURST { Layout::Overlapping } else { Layout::Interleaved }
    }

    /// Whether a retransmission is sent twice, because it may fail as well: one that replaces a lost one, for
    /// which there is seldom time for another round, and any other where no parity draws on the allowance.
    pub(crate) fn sends_twice(&self, path: Conditions, again: bool) -> bool {
        let spare = !self.reserves(path) && self.allowance >= 1.0;
        path.loss > ACCEPTED_FAILURE && !path.queued && (again || spare)
    }

    /// How far apart the two leave, so that one burst does not take both.
    pub(crate) fn echo_delay(&self) -> Duration {
        self.interval / 4
    }

    /// How old a frame may be that is still repaired, where the encoder can go on without it.
    pub(crate) fn patience(&self, rtt: Duration) -> Duration {
        (rtt * 9 / 2 + self.interval * 2).clamp(PATIENCE.0, PATIENCE.1)
    }

    /// How many packets of audio before it each carries.
    pub(crate) fn audio_redundancy(&self, path: Conditions) -> usize {
        match path {
            Conditions { loss, .. } if loss <= 0.0 => 0,
            Conditions { loss, burst, .. } if loss > AUDIO_LOSS || burst >= LONG_BURST => 2,
            _ => 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAR: Duration = Duration::from_millis(60);

    fn path(loss: f64, burst: f64, rtt: Duration) -> Conditions {
        Conditions { loss, burst, rtt, queued: false }
    }

    #[test]
    fn parity_is_for_lossy_paths_that_are_too_long_for_a_retransmission() {
        let protects = |policy: &mut RecoveryPolicy, path| {
            policy.sent(path, 1);
            policy.protects(path)
        };
        let mut policy = RecoveryPolicy::new(60, true);
        let after = |us| path(0.01, 1.0, Duration::from_micros(us));
        let answers = [3000, 4900, 5200, 4900, 3400, 3200, 4900].map(|us| protects(&mut policy, after(us)));
        assert_eq!(answers, [false, false, true, true, true, false, false]);
        assert!(!protects(&mut policy, path(0.0, 1.0, FAR)));
        assert!(!protects(&mut policy, path(0.1, 1.0, FAR)));
        let queued = Conditions { queued: true, ..path(0.05, 1.0, FAR) };
        assert!(!protects(&mut policy, queued) && policy.reserves(queued));
    }

    #[test]
    fn parity_follows_the_burst_and_waits_for_a_frame_where_it_cannot_be_afforded() {
        let mut policy = RecoveryPolicy::new(60, true);
        let bursts = path(0.01, 3.2, FAR);
        policy.sent(bursts, 18);
        assert_eq!(policy.closing(bursts, 18, 1, false), Closing::KeepOpen);
        policy.sent(bursts, 36);
        assert_eq!(policy.closing(bursts, 54, 3, false), Closing::Close(5));
        policy.spent(5);
        // No time for another frame: what can be afforded.
        assert_eq!(policy.closing(bursts, 54, 3, false), Closing::Close(1));
    }

    #[test]
    fn redundancy_stays_within_its_share_whatever_is_lost() {
        for (loss, burst) in [(0.01, 1.0), (0.05, 1.0), (0.3, 1.2), (0.05, 5.0), (1.0, 1e9)] {
            let mut policy = RecoveryPolicy::new(60, true);
            let (mut media, mut parity, mut open) = (0, 0, (0, 0));
            for frame in 0..2000 {
                let packets = 3 + frame % 40;
                media += packets;
                open = (open.0 + packets, open.1 + 1);
                policy.sent(path(loss, burst, FAR), packets);
                if let Closing::Close(count) =
                    policy.closing(path(loss, burst, FAR), open.0, open.1, open.0 > 100)
                {
                    policy.spent(count);
                    parity += count;
                    open = (0, 0);
                }
            }
            let share = parity as f64 / media as f64;
            assert!(share > 0.0 && share <= REDUNDANCY + 0.001, "loss {loss}: {share}");
        }
    }

    #[test]
    fn a_retransmission_is_doubled_where_loss_is_high_and_there_is_allowance() {
        let mut policy = RecoveryPolicy::new(60, true);
        let near = path(0.05, 1.0, Duration::from_millis(4));
        assert!(policy.sends_twice(near, true) && !policy.sends_twice(near, false));
        assert!(!policy.sends_twice(path(0.005, 1.0, FAR), true));
        assert!(!policy.sends_twice(Conditions { queued: true, ..near }, true));
        policy.sent(near, 10);
        assert!(policy.sends_twice(near, false), "there is allowance to spare");
        policy.sent(path(0.05, 1.0, FAR), 10);
        assert!(!policy.sends_twice(path(0.05, 1.0, FAR), false), "it is for parity");
        policy.parity = false;
        assert!(policy.sends_twice(path(0.05, 1.0, FAR), false));
    }

    #[test]
    fn audio_repeats_itself_only_while_packets_are_lost() {
        let policy = RecoveryPolicy::new(60, true);
        let redundancy = |loss, burst| policy.audio_redundancy(path(loss, burst, FAR));
        assert_eq!([redundancy(0.0, 1.0), redundancy(0.001, 1.0), redundancy(0.1, 1.0)], [0, 1, 2]);
        assert_eq!(redundancy(0.01, 3.0), 2);
    }
}
