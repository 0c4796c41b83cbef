//! Watches the picture: packets become frames, frames are decoded and read. A thread of its own, because decoding takes
//! its time.

use crate::hands::Hands;
use crate::play::Event;
use crate::rtp::{Assembler, Unit};
use crate::seen::{Line, Seen};
use anyhow::{Context, Result};
use bytes::Bytes;
use nearframe_protocol::check::challenge;
use nearframe_protocol::key::Nonce;
use nearframe_title::stamp::{self, Stamp};
use openh264::decoder::{DecodedYUV, Decoder};
use openh264::formats::YUVSource;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tracing::debug;

/// Packets that may wait for the thread: a second at the highest rate.
pub(crate) const QUEUE: usize = 8192;
/// The thread looks this often whether packets are given up, or all is over.
const LOOK: Duration = Duration::from_millis(20);
/// Frames whose facts, or facts whose frames, are still to come.
const MOST_UNMATCHED: usize = 256;
/// Frames that are looked at for an answer: the challenge and what may come before it.
const CHALLENGED_FRAMES: u32 = 120;
/// A whole frame or two may have no picture yet; more of them refer to what never came.
const BLIND_FRAMES: u32 = 3;
/// A keyframe is asked for again after this, as browsers do: the wish may be lost, and so may what it brought.
const ASK_AGAIN: Duration = Duration::from_millis(300);
/// Length of a packet's header with its extensions, about.
const HEADER_BYTES: u64 = 24;

/// A packet of video that came.
#[derive(Debug)]
pub(crate) struct Arrival {
    pub(crate) at: Instant,
    pub(crate) sequence: u16,
    pub(crate) timestamp: u32,
    pub(crate) marker: bool,
    pub(crate) payload: Bytes,
}

/// What the thread and the session share.
#[derive(Debug)]
pub(crate) struct Desk {
    seen: Mutex<Seen>,
    pub(crate) hands: Mutex<Hands>,
    clock: Mutex<NodeClock>,
    /// When frames were drawn, by the node's clock, for those that did not come yet; or came, for those whose facts did
    /// not.
    unmatched: Mutex<VecDeque<(u32, Moment)>>,
    stop: AtomicBool,
}

#[derive(Clone, Copy, Debug)]
enum Moment {
    Drawn(u64),
    Shown(Instant),
}

/// The node's clock, as its pongs tell it.
#[derive(Debug, Default)]
struct NodeClock {
    /// The shortest round trip, when half of it was over, and what the node's clock showed then.
    best: Option<(Duration, Instant, u64)>,
    round_trips: Vec<Duration>,
    /// Its pongs: what was said arrived.
    line: Line,
}

/// Round trips that are kept: an hour of pings.
const MOST_TRIPS: usize = 15_000;

impl Desk {
    pub(crate) fn new(hands: Hands) -> Self {
        Self {
            seen: Mutex::default(),
            hands: Mutex::new(hands),
            clock: Mutex::default(),
            unmatched: Mutex::default(),
            stop: AtomicBool::new(false),
        }
    }

    pub(crate) fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn hands(&self) -> MutexGuard<'_, Hands> {
        self.hands.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn clock(&self) -> MutexGuard<'_, NodeClock> {
        self.clock.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A ping of `sent` came back at `now` with the node's clock.
    pub(crate) fn pong(&self, sent: Instant, now: Instant, node_us: u64) {
        let round_trip = now.saturating_duration_since(sent);
        let mut clock = self.clock();
        clock.line.heard(now);
        if clock.round_trips.len() < MOST_TRIPS {
            clock.round_trips.push(round_trip);
        }
        if clock.best.is_none_or(|(best, ..)| round_trip < best) {
            clock.best = Some((round_trip, sent + round_trip / 2, node_us));
        }
    }

    /// The median round trip.
    pub(crate) fn round_trip(&self) -> Option<Duration> {
        crate::seen::quantile(&mut self.clock().round_trips.clone(), 0.5)
    }

    /// The longest time until `at` in which no picture came, or nothing that was said was answered.
    pub(crate) fn silence(&self, at: Instant) -> Duration {
        let pictures = self.seen().line.silence(at);
        pictures.max(self.clock().line.silence(at))
    }

    /// A frame was drawn at this time of the node's clock.
    pub(crate) fn drawn(&self, timestamp: u32, node_us: u64) {
        self.match_up(timestamp, Moment::Drawn(node_us));
    }

    fn match_up(&self, timestamp: u32, moment: Moment) {
        let mut unmatched = self.unmatched.lock().unwrap_or_else(PoisonError::into_inner);
        let other = unmatched.iter().position(|(of, other)| {
            *of == timestamp && std::mem::discriminant(other) != std::mem::discriminant(&moment)
        });
        let other = other.and_then(|at| unmatched.remove(at));
        let (drawn_us, shown) = match (moment, other.map(|(_, other)| other)) {
            (Moment::Drawn(drawn), Some(Moment::Shown(shown)))
            | (Moment::Shown(shown), Some(Moment::Drawn(drawn))) => (drawn, shown),
            _ => {
                if unmatched.len() == MOST_UNMATCHED {
                    unmatched.pop_front();
                }
                return unmatched.push_back((timestamp, moment));
            }
        };
        drop(unmatched);
        if let Some(age) = self.age(drawn_us, shown) {
            self.seen().age(age);
        }
    }

    /// How old a frame was at `at` that was drawn at this time of the node's clock.
    fn age(&self, node_us: u64, at: Instant) -> Option<Duration> {
        let (_, known, known_us) = self.clock().best?;
        let elapsed_us = i64::try_from(at.saturating_duration_since(known).as_micros()).ok()?;
        let age_us = elapsed_us.checked_add_unsigned(known_us)?.checked_sub_unsigned(node_us)?;
        // A clock that was known better since may put a frame a little into the future.
        Some(Duration::from_micros(u64::try_from(age_us).unwrap_or(0)))
    }

    /// What a decoded picture tells: that there is one, its age, and whether it answers the challenge.
    fn read(&self, picture: &DecodedYUV<'_>, timestamp: u32, challenge: &Nonce) {
        let at = Instant::now();
        let (width, height) = picture.dimensions();
        let (Ok(w), Ok(h)) = (u16::try_from(width), u16::try_from(height)) else { return };
        let (luma, stride) = (picture.y(), picture.strides().0);
        let luma = |x: u32, y: u32| luma.get(y as usize * stride + x as usize).copied().unwrap_or_default();
        let bytes = stamp::read_bytes(w.into(), h.into(), luma).ok();
        let mut seen = self.seen();
        seen.frame(at, Some((w, h)));
        let is_early = seen.decoded <= CHALLENGED_FRAMES;
        drop(seen);
        let Some(bytes) = bytes else { return self.match_up(timestamp, Moment::Shown(at)) };
        if is_early && self.is_answer(&bytes, challenge, at) {
            return;
        }
        match Stamp::from_bytes(&bytes) {
            // The picture tells by itself when it was drawn.
            Ok(Stamp { now_us, .. }) => {
                if let Some(age) = self.age(now_us, at) {
                    self.seen().age(age);
                }
            }
            Err(_) => self.match_up(timestamp, Moment::Shown(at)),
        }
    }

    /// Whether the picture answers the session's challenge; notes how long an input took to it.
    fn is_answer(&self, bytes: &[u8; 16], challenge: &Nonce, at: Instant) -> bool {
        let hands = self.hands();
        let pointer = |serial| hands.as_of(serial).map(|(pointer, _)| pointer);
        let Some(serial) = challenge::serial_of(bytes, challenge, pointer) else { return false };
        let sent = hands.as_of(serial).and_then(|(_, sent)| sent);
        drop(hands);
        let mut seen = self.seen();
        seen.answers += 1;
        if let Some(sent) = sent {
            let took = at.saturating_duration_since(sent);
            seen.answered = Some(seen.answered.map_or(took, |before| before.min(took)));
        }
        true
    }
}

/// What a session's pictures are watched for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted {
    pub(crate) challenge: Nonce,
    /// Decode and read them; else only frames are counted.
    pub(crate) decode: bool,
}

/// The running thread.
pub(crate) struct Watch {
    desk: Arc<Desk>,
    thread: JoinHandle<()>,
}

impl Watch {
    pub(crate) fn start(
        desk: Arc<Desk>,
        wanted: Wanted,
        packets: Receiver<Arrival>,
        events: mpsc::Sender<Event>,
    ) -> Result<Self> {
        let decoder = wanted.decode.then(Decoder::new).transpose().context("opening OpenH264's decoder")?;
        let (assembler, blindness) = (Assembler::default(), Blindness::default());
        let watcher = Watcher { desk: Arc::clone(&desk), wanted, decoder, assembler, blindness };
        let thread = std::thread::Builder::new()
            .name("watch".into())
            .spawn(move || watcher.run(&packets, &events))
            .context("starting a thread")?;
        Ok(Self { desk, thread })
    }

    /// Ends the thread and tells what was seen.
    pub(crate) async fn finish(self) -> Seen {
        self.desk.stop.store(true, Ordering::Release);
        // A thread that panicked has already been reported by the panic hook.
        let _ = tokio::task::spawn_blocking(move || self.thread.join()).await;
        self.desk.seen().clone()
    }
}

struct Watcher {
    desk: Arc<Desk>,
    wanted: Wanted,
    decoder: Option<Decoder>,
    assembler: Assembler,
    blindness: Blindness,
}

/// Whole frames that give no picture.
#[derive(Debug, Default)]
struct Blindness {
    frames: u32,
    asked: Option<Instant>,
}

impl Blindness {
    /// What became of a whole frame; returns whether a keyframe is to be asked for.
    fn note(&mut self, is_shown: bool, now: Instant) -> bool {
        if is_shown {
            *self = Self::default();
            return false;
        }
        self.frames = self.frames.saturating_add(1);
        let is_due = self.asked.is_none_or(|at| now.saturating_duration_since(at) >= ASK_AGAIN);
        let asks = self.frames >= BLIND_FRAMES && is_due;
        if asks {
            self.asked = Some(now);
        }
        asks
    }
}

impl Watcher {
    fn run(mut self, packets: &Receiver<Arrival>, events: &mpsc::Sender<Event>) {
        while !self.desk.stop.load(Ordering::Acquire) {
            match packets.recv_timeout(LOOK) {
                Ok(packet) => self.count(&packet),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            let mut wants_keyframe = false;
            while let Some(unit) = self.assembler.poll(Instant::now()) {
                let began = Instant::now();
                let is_shown = self.show(&unit);
                wants_keyframe |= self.blindness.note(is_shown, began);
                let decode_us = u32::try_from(began.elapsed().as_micros()).unwrap_or(u32::MAX);
                // A session that is behind needs no more reports of frames.
                let _ = events.try_send(Event::Shown { rtp_timestamp: unit.timestamp, decode_us });
            }
            if self.assembler.take_wish() || wants_keyframe {
                let _ = events.try_send(Event::KeyframeNeeded);
            }
        }
    }

    fn count(&mut self, packet: &Arrival) {
        let Arrival { at, sequence, timestamp, marker, payload } = packet;
        self.assembler.push(*sequence, *timestamp, *marker, payload, *at);
        let mut seen = self.desk.seen();
        seen.line.heard(*at);
        seen.packets = seen.packets.saturating_add(1);
        seen.bytes += payload.len() as u64 + HEADER_BYTES;
        seen.lost = self.assembler.lost();
    }

    /// Decodes and reads a frame; returns whether it gave a picture.
    fn show(&mut self, unit: &Unit) -> bool {
        let Some(decoder) = &mut self.decoder else {
            self.desk.seen().frame(Instant::now(), None);
            self.desk.match_up(unit.timestamp, Moment::Shown(Instant::now()));
            return true;
        };
        match decoder.decode(&unit.data) {
            Ok(Some(picture)) => {
                self.desk.read(&picture, unit.timestamp, &self.wanted.challenge);
                true
            }
            // It has none yet where a frame before it is missing.
            Ok(None) => false,
            Err(error) => {
                debug!("a frame cannot be decoded: {error}");
                false
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nearframe_protocol::check::challenge::Heard;
    use nearframe_protocol::input::{InputEvent, InputPacket};

    fn desk(now: Instant) -> Arc<Desk> {
        Arc::new(Desk::new(Hands::new(3, now)))
    }

    #[test]
    fn a_frame_and_its_facts_meet_in_any_order_and_give_its_age() {
        let start = Instant::now();
        let desk = desk(start);
        let ms = Duration::from_millis;
        // The node's clock shows 1 s when ours shows `start` + 10 ms.
        desk.pong(start, start + ms(20), 1_000_000);
        desk.drawn(7, 1_010_000);
        desk.match_up(7, Moment::Shown(start + ms(50)));
        desk.match_up(8, Moment::Shown(start + ms(70)));
        desk.drawn(8, 1_010_000);
        let seen = desk.seen().clone();
        assert_eq!((seen.age_us(0.5), seen.age_us(1.0)), (30_000, 50_000));
        desk.pong(start, start + ms(100), 5);
        assert_eq!(desk.age(1_010_000, start + ms(50)), Some(ms(30)), "the shortest round trip counts");
        assert_eq!(desk.round_trip(), Some(ms(20)));
    }

    #[test]
    fn frames_without_a_picture_ask_for_a_keyframe_again_and_again_until_one_has_come() {
        let start = Instant::now();
        let at = |frame: u32| start + Duration::from_millis(16) * frame;
        let mut blindness = Blindness::default();
        assert!(
            !blindness.note(true, at(0)) && !blindness.note(false, at(1)),
            "a decoder may be a frame behind"
        );
        let asked: Vec<u32> = (2..60).filter(|&frame| blindness.note(false, at(frame))).collect();
        assert_eq!(asked, [3, 22, 41]);
        assert!(!blindness.note(true, at(60)) && !blindness.note(false, at(61)));
    }

    #[test]
    fn pictures_without_pongs_and_pongs_without_pictures_are_a_silent_line() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let desk = desk(start);
        desk.seen().line.heard(start);
        desk.pong(start, at(10), 1);
        assert_eq!(desk.silence(at(500)), Duration::from_millis(500));
        desk.seen().line.heard(at(1_000));
        assert_eq!(desk.silence(at(1_510)), Duration::from_millis(1_500), "what was said is not answered");
        desk.pong(at(1_500), at(1_520), 1);
        assert_eq!(desk.silence(at(3_000)), Duration::from_millis(2_000), "no picture comes");
    }

    #[test]
    fn an_answer_counts_from_the_input_that_it_shows() {
        let start = Instant::now();
        let desk = desk(start);
        let packet = InputPacket::parse(&desk.hands().packet(start)).unwrap();
        let InputEvent::Position { x, y } = packet.events[0].event else { panic!("{packet:?}") };
        let nonce = Nonce::from_bytes([9; 32]);
        let at = start + Duration::from_millis(40);
        let idle = challenge::answer(&nonce, Heard::default());
        assert!(desk.is_answer(&idle, &nonce, at));
        let seen = desk.seen().clone();
        assert_eq!((seen.answers, seen.answered), (1, None), "it knows no input yet");
        let heard = Heard { input_serial: 1, frame: 2, pointer: (x, y) };
        assert!(desk.is_answer(&challenge::answer(&nonce, heard), &nonce, at));
        assert_eq!(desk.seen().answered, Some(Duration::from_millis(40)));
        let guessed = Heard { pointer: (x ^ 1, y), ..heard };
        assert!(!desk.is_answer(&challenge::answer(&nonce, guessed), &nonce, at));
    }
}
