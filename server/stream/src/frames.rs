//! The frames that left: what each refers to, and which of them the receiver surely has.
//!
//! A packet is there when transport-wide feedback says so, of itself or of its retransmission, when the
//! parity that arrived restores it, or when the receiver has long stopped asking for it. A frame is good when
//! all its packets are there and the frame it refers to is good; it is broken when it can never be shown:
//! lost for good, or predicted from a broken one.

use crate::descriptor::{FrameRefs, MAX_DIFFERENCE};
use crate::fec::{Coverage, Parity};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

/// A second of frames at the highest rate that a display has.
const MAX_FRAMES: usize = 1024;
/// As many are kept however old they are: after a pause the next frame still refers to one of them.
const MIN_FRAMES: usize = 64;
/// Longer than packets are kept for sending again, and than any encoder keeps a reference.
const MAX_AGE: Duration = Duration::from_secs(4);
/// More than the parity of a second.
const MAX_PARITY: usize = 512;

#[derive(Clone, Copy, Debug, Default)]
struct Part {
    arrived: bool,
    /// It counts for parity: receivers do not add up what came as a retransmission.
    adds_up: bool,
    /// The receiver reported it, itself or its retransmission: nothing was concluded.
    reported: bool,
    /// When the receiver said last that it misses it.
    asked: Option<Instant>,
    /// It was reported missing, and nothing came of it since.
    missed: bool,
}

#[derive(Debug)]
struct Frame {
    refs: FrameRefs,
    /// Sequence number of the first packet.
    first: u64,
    parts: Vec<Part>,
    pushed: Instant,
    good: bool,
    broken: bool,
    /// More of it is still to be pushed.
    open: bool,
}

#[derive(Debug)]
struct Sent {
    sequence: u64,
    coverage: Coverage,
    arrived: bool,
    lost: bool,
    /// All that it covers is there.
    spent: bool,
}

/// A protected block: indices of its parity, and what they cover together.
struct Block {
    start: usize,
    end: usize,
    coverage: Coverage,
}

/// Frames in the order in which they were pushed.
#[derive(Debug, Default)]
pub(crate) struct FrameLog {
    frames: VecDeque<Frame>,
    parity: VecDeque<Sent>,
}

impl FrameLog {
    /// Notes a frame of `count` packets from `first` on.
    pub(crate) fn push(&mut self, now: Instant, refs: FrameRefs, first: u64, count: usize) {
        while self.frames.front().is_some_and(|frame| {
            let old = now.saturating_duration_since(frame.pushed) > MAX_AGE;
            self.frames.len() >= MAX_FRAMES || old && self.frames.len() > MIN_FRAMES
        }) {
            self.frames.pop_front();
        }
        let parts = vec![Part::default(); count];
        let (good, broken, open) = (false, false, false);
        self.frames.push_back(Frame { refs, first, parts, pushed: now, good, broken, open });
    }

    /// The newest frame goes on with `count` more packets; it is whole only once it was [closed](Self::close).
    pub(crate) fn extend(&mut self, count: usize) {
        if let Some(newest) = self.frames.back_mut() {
            newest.parts.resize(newest.parts.len() + count, Part::default());
            newest.open = true;
        }
    }

    /// The newest frame has ended.
    pub(crate) fn close(&mut self) {
        if let Some(newest) = self.frames.back_mut() {
            newest.open = false;
        }
    }

    /// Notes parity over packets of frames pushed before; blocks follow on each other.
    pub(crate) fn protect(&mut self, parity: &Parity) {
        let oldest = self.frames.front().map_or(0, |frame| frame.first);
        while self
            .parity
            .front()
            .is_some_and(|sent| self.parity.len() >= MAX_PARITY || sent.coverage.end < oldest)
        {
            self.parity.pop_front();
        }
        let (sequence, coverage) = (parity.sequence, parity.coverage);
        self.parity.push_back(Sent { sequence, coverage, arrived: false, lost: false, spent: false });
    }

    /// The packet's frame, and whether the packet is its first.
    pub(crate) fn refs(&self, sequence: u64) -> Option<(FrameRefs, bool)> {
        let frame = &self.frames[self.index(sequence)?];
        Some((frame.refs, frame.first == sequence))
    }

    /// A packet of video arrived.
    pub(crate) fn arrived(&mut self, sequence: u64) {
        if let Some(part) = self.part_mut(sequence) {
            (part.arrived, part.adds_up, part.reported, part.missed) = (true, true, true, false);
        }
    }

    /// A packet of video was reported missing.
    pub(crate) fn missed(&mut self, sequence: u64) {
        if let Some(part) = self.part_mut(sequence) {
            part.missed = !part.reported;
        }
    }

    /// A retransmission of a packet of video arrived.
    pub(crate) fn repeat_arrived(&mut self, sequence: u64) {
        if let Some(part) = self.part_mut(sequence) {
            (part.arrived, part.reported) = (true, true);
        }
    }

    /// A parity packet was reported; returns where its block begins.
    pub(crate) fn parity_reported(&mut self, sequence: u64, arrived: bool) -> Option<u64> {
        let sent = self.parity.iter_mut().rfind(|sent| sent.sequence == sequence)?;
        (sent.arrived, sent.lost) = (arrived, !arrived);
        Some(sent.coverage.base)
    }

    /// What parity will not restore of the block that begins there, as far as reports and requests tell.
    pub(crate) fn left_of(&self, base: u64) -> Vec<u64> {
        let left = self.block(base).map(|block| self.left_missing(block));
        left.into_iter().flatten().filter(|&sequence| !self.is_settled(sequence)).collect()
    }

    /// Draws conclusions from what arrived; returns the frames that are good now and were not before,
    /// oldest first.
    pub(crate) fn settle(&mut self) -> Vec<u32> {
        self.restore();
        let mut news = Vec::new();
        for index in 0..self.frames.len() {
            let frame = &self.frames[index];
            let whole =
                !frame.good && !frame.broken && !frame.open && frame.parts.iter().all(|part| part.arrived);
            if whole && frame.refs.refers_to.is_none_or(|reference| self.is_good(reference)) {
                self.frames[index].good = true;
                news.push(self.frames[index].refs.number);
            }
        }
        news
    }

    /// Restores from parity what the receiver has restored.
    fn restore(&mut self) {
        let mut news = true;
        while std::mem::take(&mut news) {
            for index in 0..self.parity.len() {
                let Sent { coverage, arrived: true, spent: false, .. } = self.parity[index] else { continue };
                let mut missing = coverage.sequences().filter(|&sequence| !self.adds_up(sequence));
                let (first, second) = (missing.next(), missing.next());
                self.parity[index].spent = second.is_none();
                if let (Some(sequence), None) = (first, second) {
                    if let Some(part) = self.part_mut(sequence) {
                        (part.arrived, part.adds_up) = (true, true);
                    }
                    news = true;
                }
            }
        }
    }

    /// Notes that the receiver misses this packet; returns whether it said so before.
    pub(crate) fn asked(&mut self, now: Instant, sequence: u64) -> bool {
        let again = self.part_mut(sequence).is_some_and(|part| part.asked.replace(now).is_some());
        if again {
            self.doubt(sequence);
        }
        again
    }

    /// Whether the receiver said that it misses this packet.
    pub(crate) fn is_asked(&self, sequence: u64) -> bool {
        self.part(sequence).is_some_and(|part| part.asked.is_some())
    }

    /// A packet that was concluded to be there, because parity restores it or nobody missed it, is asked for once
    /// more: it is not, and no frame that builds on it can be shown yet.
    fn doubt(&mut self, sequence: u64) {
        let Some(index) = self.index(sequence) else { return };
        let concluded = |part: &&mut Part| part.arrived && !part.reported;
        let Some(part) = self.part_mut(sequence).filter(concluded) else { return };
        (part.arrived, part.adds_up) = (false, false);
        self.frames[index].good = false;
        for later in index + 1..self.frames.len() {
            let good = self.frames[later].refs.refers_to.is_none_or(|reference| self.is_good(reference));
            self.frames[later].good &= good;
        }
    }

    /// What has to be sent again, given what the receiver says it misses and that `asked` is news: all that
    /// parity will not restore. Requests come one by one, so that this may name packets which were left to
    /// parity before.
    pub(crate) fn unrestored(&self, asked: impl Iterator<Item = u64>) -> BTreeSet<u64> {
        let mut blocks = BTreeMap::new();
        let mut all = BTreeSet::new();
        for sequence in asked {
            if let Some(block) = self.block(sequence) {
                blocks.insert(block.start, block);
            } else {
                all.insert(sequence);
            }
        }
        all.extend(blocks.into_values().flat_map(|block| self.left_missing(block)));
        all
    }

    /// Whether parity may restore this packet.
    pub(crate) fn is_protected(&self, sequence: u64) -> bool {
        self.block(sequence).is_some()
    }

    /// The protected block that this packet belongs to.
    fn block(&self, sequence: u64) -> Option<Block> {
        let end = self.parity.partition_point(|sent| sent.coverage.base <= sequence);
        let coverage = self.parity.get(end.checked_sub(1)?)?.coverage;
        let start = self.parity.partition_point(|sent| sent.coverage.base < coverage.base);
        (sequence <= coverage.end).then_some(Block { start, end, coverage })
    }

    /// What of a block stays missing: everything where the loss reached its end, behind which the parity
    /// left, and none of that is known to have arrived.
    fn left_missing(&self, Block { start, end, coverage }: Block) -> impl Iterator<Item = u64> + use<> {
        let (base, last) = (coverage.base, coverage.end);
        let lacks = |other: u64| {
            self.part(other).is_some_and(|part| (part.asked.is_some() || part.missed) && !part.adds_up)
        };
        let mut missing = (base..=last)
            .filter(|&sequence| lacks(sequence))
            .fold(0u128, |missing, sequence| missing | 1 << (sequence - base));
        let under = |missing: u128| {
            let parity = self.parity.range(start..end).filter(|sent| !sent.lost);
            parity.map(|sent| sent.coverage.mask & missing).find(|under| under.count_ones() == 1)
        };
        let cut_off = lacks(last) && !self.parity.range(start..end).any(|sent| sent.arrived);
        while let Some(restored) = under(missing).filter(|_| !cut_off) {
            missing &= !restored;
        }
        (base..=last).filter(move |sequence| missing >> (sequence - base) & 1 == 1)
    }

    /// Takes for there what the receiver has not asked for since `moment`, of frames pushed before it. The
    /// report of its arrival was lost, or that of the parity which restored it: what is missing is asked for
    /// again and again.
    pub(crate) fn presume(&mut self, moment: Instant) {
        let old = self.frames.iter_mut().take_while(|frame| frame.pushed < moment);
        for frame in old.filter(|frame| !frame.good && !frame.broken) {
            for part in frame.parts.iter_mut().filter(|part| part.asked.is_none_or(|at| at < moment)) {
                part.arrived = true;
            }
        }
    }

    /// Whether the receiver surely has this packet, or it is of no use.
    pub(crate) fn is_settled(&self, sequence: u64) -> bool {
        self.is_broken(sequence) || self.part(sequence).is_some_and(|part| part.arrived)
    }

    /// Whether this packet belongs to a broken frame.
    pub(crate) fn is_broken(&self, sequence: u64) -> bool {
        self.index(sequence).is_some_and(|index| self.frames[index].broken)
    }

    /// How long ago the packet's frame came from the encoder.
    pub(crate) fn age(&self, now: Instant, sequence: u64) -> Option<Duration> {
        let frame = &self.frames[self.index(sequence)?];
        Some(now.saturating_duration_since(frame.pushed))
    }

    /// The frame of this packet is lost for good, and what is predicted from it with it. Returns whether
    /// the newest frame is among them, so that the encoder has to begin anew.
    pub(crate) fn lose(&mut self, sequence: u64) -> bool {
        if let Some(index) = self.index(sequence).filter(|&index| !self.frames[index].good) {
            self.frames[index].broken = true;
        }
        self.spread()
    }

    /// As `lose`, for every frame of which a packet at or after `sequence` was to be sent.
    pub(crate) fn lose_from(&mut self, sequence: u64) -> bool {
        let hit = |frame: &&mut Frame| frame.first + frame.parts.len() as u64 > sequence;
        self.frames.iter_mut().filter(hit).for_each(|frame| frame.broken = true);
        self.spread()
    }

    /// As `lose`, for every frame that is not surely good.
    pub(crate) fn lose_unsure(&mut self) -> bool {
        self.frames.iter_mut().filter(|frame| !frame.good).for_each(|frame| frame.broken = true);
        self.spread()
    }

    /// Whether frame `number` can be shown where it is predicted from `reference`, as far as is known.
    pub(crate) fn is_usable(&self, number: u32, reference: u32) -> bool {
        let difference = number.wrapping_sub(reference);
        (1..=MAX_DIFFERENCE).contains(&difference) && self.find(reference).is_some_and(|frame| !frame.broken)
    }

    /// The newest frame that the receiver surely can show.
    pub(crate) fn newest_good(&self) -> Option<u32> {
        self.frames.iter().rev().find(|frame| frame.good).map(|frame| frame.refs.number)
    }

    fn spread(&mut self) -> bool {
        for index in 0..self.frames.len() {
            let reference = self.frames[index].refs.refers_to;
            if reference.and_then(|number| self.find(number)).is_some_and(|frame| frame.broken) {
                self.frames[index].broken = true;
            }
        }
        self.frames.iter_mut().filter(|frame| frame.broken).for_each(|frame| frame.good = false);
        self.frames.back().is_some_and(|frame| frame.broken)
    }

    fn is_good(&self, number: u32) -> bool {
        self.find(number).is_some_and(|frame| frame.good)
    }

    /// What is no longer known counts as there.
    fn adds_up(&self, sequence: u64) -> bool {
        self.part(sequence).is_none_or(|part| part.adds_up)
    }

    fn find(&self, number: u32) -> Option<&Frame> {
        self.frames.iter().rev().find(|frame| frame.refs.number == number)
    }

    fn index(&self, sequence: u64) -> Option<usize> {
        let index = self.frames.partition_point(|frame| frame.first <= sequence).checked_sub(1)?;
        let frame = &self.frames[index];
        (sequence - frame.first < frame.parts.len() as u64).then_some(index)
    }

    fn part(&self, sequence: u64) -> Option<&Part> {
        let frame = &self.frames[self.index(sequence)?];
        frame.parts.get((sequence - frame.first) as usize)
    }

    fn part_mut(&mut self, sequence: u64) -> Option<&mut Part> {
        let index = self.index(sequence)?;
        let frame = &mut self.frames[index];
        frame.parts.get_mut((sequence - frame.first) as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fec::{FecEncoder, Layout};
    use crate::rtp::{PacketKind, RtpPacket};
    use bytes::Bytes;

    const PACKETS: u64 = 12;

    /// Frames 0, 1, 2, … of twelve packets each, every one predicted from the one before.
    fn log(frames: u32) -> (FrameLog, Instant) {
        let (mut log, start) = (FrameLog::default(), Instant::now());
        for number in 0..frames {
            let refs = FrameRefs { number, refers_to: number.checked_sub(1) };
            let at = start + Duration::from_millis(16) * number;
            log.push(at, refs, u64::from(number) * PACKETS, PACKETS as usize);
        }
        (log, start)
    }

    fn packets(frame: u64) -> std::ops::Range<u64> {
        frame * PACKETS..(frame + 1) * PACKETS
    }

    /// Protects one frame by three interleaved parity packets, numbered from 0.
    fn protect(log: &mut FrameLog, frame: u64) {
        let mut fec = FecEncoder::new(0);
        for sequence in packets(frame) {
            let packet = RtpPacket {
                payload_type: 96,
                marker: sequence + 1 == packets(frame).end,
                sequence: sequence as u16,
                timestamp: 0,
                ssrc: 1,
                extensions: crate::extensions::Extensions::default(),
                payload: Bytes::from_static(&[7; 20]),
                kind: PacketKind::Video,
            };
            fec.add(sequence, packet);
        }
        fec.close(3, Layout::Interleaved).iter().for_each(|parity| log.protect(parity));
    }

    #[test]
    fn a_frame_is_good_once_it_is_whole_and_what_it_refers_to_is_good() {
        let (mut log, _) = log(3);
        packets(0).skip(1).chain(packets(1)).for_each(|sequence| log.arrived(sequence));
        assert_eq!((log.settle(), log.newest_good()), (vec![], None));
        log.repeat_arrived(0);
        assert_eq!((log.settle(), log.newest_good()), (vec![0, 1], Some(1)));
        assert!(log.settle().is_empty());
    }

    #[test]
    fn what_was_not_reported_and_is_not_asked_for_is_there_in_the_end() {
        let (mut log, start) = log(3);
        packets(0).skip(2).chain(packets(1)).for_each(|sequence| log.arrived(sequence));
        log.asked(start + Duration::from_millis(100), 1);
        log.presume(start + Duration::from_millis(99));
        assert!(log.settle().is_empty(), "one packet was asked for since");
        log.presume(start + Duration::from_millis(101));
        assert_eq!(log.settle(), [0, 1, 2]);
    }

    #[test]
    fn what_parity_restores_is_there_unless_a_retransmission_stands_in_its_way() {
        for repeated in [false, true] {
            let (mut log, _) = log(1);
            protect(&mut log, 0);
            packets(0)
                .filter(|sequence| ![0, 3].contains(sequence))
                .for_each(|sequence| log.arrived(sequence));
            (0..3).for_each(|parity| assert_eq!(log.parity_reported(parity, true), Some(0)));
            // Both are under one parity packet: it restores one where the other came on its own stream.
            if repeated {
                log.repeat_arrived(3);
            } else {
                log.arrived(3);
            }
            assert_eq!(log.settle().is_empty(), repeated);
        }
    }

    #[test]
    fn what_was_only_concluded_to_be_there_is_missing_once_it_is_asked_for_again() {
        let (mut log, start) = log(2);
        protect(&mut log, 0);
        packets(0).skip(1).chain(packets(1)).for_each(|sequence| log.arrived(sequence));
        (0..3).for_each(|parity| assert_eq!(log.parity_reported(parity, true), Some(0)));
        assert_eq!(log.settle(), [0, 1]);
        // Receivers ask before parity can have come.
        assert!(!log.asked(start, 0));
        assert_eq!(log.newest_good(), Some(1));
        assert!(log.asked(start, 0));
        assert_eq!((log.settle(), log.newest_good()), (vec![], None));
        log.repeat_arrived(0);
        assert_eq!(log.settle(), [0, 1]);
        log.asked(start, 0);
        assert_eq!(log.newest_good(), Some(1), "what was reported is there, whatever crosses it");
    }

    fn to_send_again(log: &mut FrameLog, asked: &[u64]) -> Vec<u64> {
        for &sequence in asked {
            log.asked(Instant::now(), sequence);
        }
        log.unrestored(asked.iter().copied()).into_iter().collect()
    }

    #[test]
    fn one_missing_packet_is_left_to_parity_and_two_under_the_same_are_not() {
        let (mut log, _) = log(3);
        protect(&mut log, 0);
        protect(&mut log, 1);
        assert!(to_send_again(&mut log, &[0]).is_empty());
        assert!(to_send_again(&mut log, &[1, 14]).is_empty());
        assert_eq!(to_send_again(&mut log, &[3]), [0, 3]);
        // Nothing protects the third frame.
        assert_eq!(to_send_again(&mut log, &[25]), [25]);
        assert!(log.asked(Instant::now(), 25) && !log.asked(Instant::now(), 26));
    }

    #[test]
    fn a_loss_that_reaches_the_end_of_the_block_took_the_parity_with_it() {
        let (mut log, _) = log(1);
        protect(&mut log, 0);
        assert!(to_send_again(&mut log, &[4]).is_empty());
        assert_eq!(to_send_again(&mut log, &[11]), [4, 11]);
    }

    #[test]
    fn what_was_left_to_parity_that_is_lost_is_to_be_sent_again() {
        let (mut log, _) = log(1);
        protect(&mut log, 0);
        assert!(to_send_again(&mut log, &[3]).is_empty());
        log.missed(4);
        assert!(log.left_of(0).is_empty(), "each is under a parity packet of its own");
        log.parity_reported(0, false);
        assert_eq!(log.left_of(0), [3]);
        log.repeat_arrived(3);
        assert!(log.left_of(0).is_empty());
        // Reported missing is as good as asked for, and parity that arrived was not lost with the block's end.
        log.missed(11);
        assert_eq!(log.left_of(0), [4, 11]);
        log.parity_reported(2, true);
        assert_eq!(log.left_of(0), Vec::<u64>::new());
        log.missed(1);
        assert_eq!(log.left_of(0), [1, 4]);
    }

    #[test]
    fn what_is_predicted_from_a_lost_frame_is_broken_and_what_goes_around_it_is_not() {
        let (mut log, start) = log(4);
        packets(0).chain(packets(1)).for_each(|sequence| log.arrived(sequence));
        log.settle();
        assert!(log.lose(packets(2).start));
        assert!(log.is_broken(packets(3).start) && !log.is_broken(packets(1).start));
        assert!(!log.is_usable(4, 3) && log.is_usable(4, 1) && !log.is_usable(4, 4) && !log.is_usable(4, 9));
        log.push(start, FrameRefs { number: 4, refers_to: Some(1) }, 48, 12);
        assert!(!log.lose(packets(2).start), "the newest frame can be shown");
        // What arrives of a broken frame does not mend it, and a frame that surely arrived is not lost.
        packets(2).chain(packets(3)).for_each(|sequence| log.arrived(sequence));
        assert!(log.settle().is_empty());
        log.lose(0);
        assert_eq!(log.newest_good(), Some(1));
    }

    #[test]
    fn after_a_pause_the_picture_goes_on_from_where_it_was() {
        let (mut log, start) = log(3);
        packets(0).chain(packets(1)).chain(packets(2)).for_each(|sequence| log.arrived(sequence));
        log.settle();
        let later = start + MAX_AGE * 10;
        assert!(log.is_usable(3, 2));
        log.push(later, FrameRefs { number: 3, refers_to: Some(2) }, 36, 12);
        packets(3).for_each(|sequence| log.arrived(sequence));
        assert_eq!(log.settle(), [3]);
    }

    #[test]
    fn the_log_is_bounded_and_forgotten_packets_are_nobodys() {
        let (mut log, _) = log(3000);
        assert!(log.frames.len() <= MAX_FRAMES);
        assert_eq!(log.refs(0).map(|(refs, _)| refs.number), None);
        assert!(!log.is_usable(3000, 5) && !log.asked(Instant::now(), 0));
        assert_eq!(to_send_again(&mut log, &[0]), [0]);
        for _ in 0..300 {
            protect(&mut log, 2999);
        }
        assert!(log.parity.len() <= MAX_PARITY);
    }
}
