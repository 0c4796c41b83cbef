//! Reports when the sender wants them (transport-wide-cc-02, `docs/native-code/rtp-hdrext/transport-wide-cc-02`
//! of libwebrtc).
//!
//! By itself a browser reports every 50 ms at best, which is three frames. A packet can ask for a report on the
//! spot instead: the last of each frame does, and others where a frame is long or nothing else is sent. A receiver
//! that agreed to the extension and never answers is one that does not know it after all: it is spoken to as
//! before, and reports by itself.

use bytes::Bytes;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// So many packets show a bottleneck; to be told of more at once would be later.
const MAX_UNASKED: u32 = 10;
/// A stream of sound alone is asked for this often.
const MAX_PAUSE: Duration = Duration::from_millis(25);
/// A report covers what this many before it covered, so that as many may be lost. Receivers forget all else.
const OVERLAP: usize = 2;
/// Whoever answers does so within the longest round trip.
const PATIENCE: Duration = Duration::from_secs(1);
/// The bit that wants arrival times; below it the number of packets covered, the asking one included.
const WITH_TIMES: u16 = 0x8000;
const MAX_COVERED: u64 = 0x7fff;

/// Holds the place of a transport-wide number, which is known last. Parity covers it: its length is to be known.
const PLACE: [Bytes; 2] = [Bytes::from_static(&[0; 2]), Bytes::from_static(&[0; 4])];

#[derive(Debug, PartialEq, Eq)]
enum Answers {
    /// Nothing was asked yet, or nothing came yet since the first question.
    Awaited(Option<Instant>),
    Come,
    /// The receiver does not know the extension, or did not agree to it.
    Never,
}

/// Numbers packets for the whole transport, and asks.
#[derive(Debug)]
pub(crate) struct Asking {
    answers: Answers,
    /// Numbers of the packets that asked last, oldest first: one more than [`OVERLAP`].
    asked: VecDeque<u64>,
    unasked: u32,
    asked_at: Option<Instant>,
}

impl Asking {
    /// `agreed`: the receiver took the extension.
    pub(crate) fn new(agreed: bool) -> Self {
        let answers = if agreed { Answers::Awaited(None) } else { Answers::Never };
        Self { answers, asked: VecDeque::with_capacity(OVERLAP + 1), unasked: 0, asked_at: None }
    }

    /// Whether packets carry the extension that can ask.
    pub(crate) fn is_on(&self) -> bool {
        self.answers != Answers::Never
    }

    /// What stands where the number will be.
    pub(crate) fn place(&self) -> Bytes {
        PLACE[usize::from(self.is_on())].clone()
    }

    /// A report came.
    pub(crate) fn answered(&mut self) {
        if self.is_on() {
            self.answers = Answers::Come;
        }
    }

    /// To be called before a packet is labelled: gives up a receiver that does not answer.
    pub(crate) fn tick(&mut self, now: Instant) {
        if matches!(self.answers, Answers::Awaited(Some(since)) if now.saturating_duration_since(since) > PATIENCE)
        {
            self.answers = Answers::Never;
        }
    }

    /// The content of the extension of packet `number`, which may end a frame.
    pub(crate) fn content(&mut self, now: Instant, number: u64, ends_frame: bool) -> Bytes {
        let short = (number as u16).to_be_bytes();
        if !self.is_on() {
            return Bytes::copy_from_slice(&short);
        }
        self.unasked += 1;
        let waited = self.asked_at.is_none_or(|at| now.saturating_duration_since(at) >= MAX_PAUSE);
        let wanted = ends_frame || waited || self.unasked >= MAX_UNASKED;
        let request = if wanted { self.ask(now, number) } else { 0 };
        Bytes::copy_from_slice(&[short, request.to_be_bytes()].concat())
    }

    /// Whether this content of the extension asks for a report.
    pub(crate) fn is_question(content: &[u8]) -> bool {
        content.get(2..).is_some_and(|request| request.iter().any(|&byte| byte != 0))
    }

    fn ask(&mut self, now: Instant, number: u64) -> u16 {
        if self.answers == Answers::Awaited(None) {
            self.answers = Answers::Awaited(Some(now));
        }
        let since = if self.asked.len() > OVERLAP { self.asked.pop_front() } else { None };
        let covered = match (since, self.asked.front()) {
            (Some(before), _) => number.saturating_sub(before),
            // The first reports begin with the first packet.
            (None, Some(first)) => number.saturating_sub(*first) + 1,
            (None, None) => 1,
        };
        self.asked.push_back(number);
        (self.unasked, self.asked_at) = (0, Some(now));
        WITH_TIMES | covered.clamp(1, MAX_COVERED) as u16
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// Packets covered by the report that this packet asks for.
    fn covered(content: &[u8]) -> u16 {
        u16::from_be_bytes([content[2], content[3]]) & !WITH_TIMES
    }

    #[test]
    fn the_last_packet_of_a_frame_asks_for_what_the_two_reports_before_cover_as_well() {
        let now = Instant::now();
        let mut asking = Asking::new(true);
        let mut counts = Vec::new();
        for number in 0..20 {
            let content = asking.content(now, number, number % 4 == 3);
            assert_eq!(content[..2], (number as u16).to_be_bytes());
            counts.push(covered(&content));
        }
        assert_eq!(counts[..8], [1, 0, 0, 4, 0, 0, 0, 8], "the first packet asks as well");
        assert_eq!((counts[11], counts[15], counts[19]), (11, 12, 12));
    }

    #[test]
    fn a_long_frame_asks_on_its_way_and_sound_alone_now_and_then() {
        let now = Instant::now();
        let mut asking = Asking::new(true);
        let asks = |asking: &mut Asking, at, number| covered(&asking.content(at, number, false)) > 0;
        assert_eq!((0..31).filter(|&number| asks(&mut asking, now, number)).count(), 4);
        let sound = (0..20).filter(|&i| asks(&mut asking, now + MS * 10 * i, 31 + u64::from(i))).count();
        assert_eq!(sound, 6);
    }

    #[test]
    fn who_never_answers_is_spoken_to_as_before_and_who_answered_once_is_asked_for_good() {
        let start = Instant::now();
        for answers in [false, true] {
            let mut asking = Asking::new(true);
            asking.content(start, 0, true);
            if answers {
                asking.answered();
            }
            asking.tick(start + PATIENCE + MS);
            assert_eq!(asking.is_on(), answers);
            assert_eq!(asking.content(start, 1, true).len(), asking.place().len());
        }
        let mut silent = Asking::new(false);
        silent.answered();
        assert!(!silent.is_on() && silent.content(start, 7, true)[..] == [0, 7]);
    }
}
