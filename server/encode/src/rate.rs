//! How large the next frame may be, and with which quantiser it gets there.
//!
//! Pure policy: no codec, no clock. A ledger of the last second knows what was emitted; the sum over any
//! window of one second stays below [`CEILING`] × target, keyframes included, and in the mean just below
//! the target. The quantiser follows the sizes that come out, slowly downwards: a finer quantiser has to
//! pay once for what the frames before left out, and on pictures that merely move it pays all at once.
//! Where a frame comes out too large for its window, it is not sent: since the encoder has then moved on
//! without the receiver, it is encoded again as a keyframe, coarser.

use std::collections::VecDeque;
use std::time::Duration;

/// Share of the target that frames in sum aim at; the rest is for keyframes.
const AIM: f64 = 0.96;
/// Share of the target that no window exceeds; a receiver is promised 1.10.
const CEILING: f64 = 1.09;
/// Share of the target that frames in sum are planned up to; from here to the ceiling is for those that
/// come out larger.
const PLANNED_CEILING: f64 = 1.06;
/// Nearer than this the ceiling is watched frame by frame; planning for it would shake the quantiser.
const NEAR: Duration = Duration::from_millis(150);
/// Share of one second's target that a keyframe aims at where the ceiling leaves room for it.
const KEYFRAME_SHARE: f64 = 0.10;
/// A keyframe this many times larger than it should be is encoded again, since it would take as many
/// times longer to arrive.
const KEYFRAME_TOLERANCE: f64 = 1.6;
/// Frames' shares of the window that a keyframe leaves free, so that the frames after it fit.
const KEYFRAME_LEAVES: f64 = 2.5;
/// A keyframe may be finer than predicted frames by this much and no more; they would only lose it again.
const KEYFRAME_FINER_QP: u8 = 4;
/// One frame longer than the second that is promised, because receivers see frames a little displaced.
const WINDOW: Duration = Duration::from_millis(1_017);
/// Bound of the ledger: one second at the highest frame rate, 240, with room to spare.
const LEDGER_LEN: usize = 512;
/// Bound of remembered targets; more changes than this in one second forget the oldest, which is strict.
const TARGETS_LEN: usize = 64;
/// Most frames' shares that are owed after a burst, or saved up in a still scene.
const CREDIT_FRAMES: f64 = 3.0;
/// Beyond this many frames' shares of credit or debt the quantiser moves even if sizes look right.
const CREDIT_TOLERANCE: f64 = 1.5;
/// A frame drawn this much later than the one before is budgeted as if it were drawn then.
const LONGEST_INTERVAL: Duration = Duration::from_millis(100);
/// Finer than this nobody sees a difference, and the encoder's time grows with every bit.
const MIN_QP: u8 = 14;
/// H.264's coarsest quantiser.
const MAX_QP: u8 = 51;
/// Bits halve with every this many steps of the quantiser (its step size doubles, 8.5.9).
const QP_PER_HALVING: f64 = 6.0;
/// Bits a pixel of a detailed keyframe at quantiser 26, for the first guess.
const FIRST_BITS_PER_PIXEL: f64 = 0.7;
/// A burst is remembered this long: each frame keeps so much of it.
const BURST_MEMORY: f64 = 0.97;
/// The first predicted frame is coarser than its keyframe, because nobody knows yet what moves.
const FIRST_PREDICTED_COARSER_QP: u8 = 4;
/// Most steps that the quantiser rises at once to fit a frame into the window.
const MAX_COARSENING_QP: f64 = 6.0;
/// The first try and three coarser ones; the last is as coarse as it gets.
const MAX_TRIES: u32 = 4;

/// What to do with a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plan {
    /// Leave it out: the window has no room even for the smallest frame.
    Skip,
    /// Encode it.
    Encode(Try),
}

/// One attempt at a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Try {
    /// Quantiser for every macroblock, 14..=51.
    pub qp: u8,
    /// As a keyframe.
    pub keyframe: bool,
    /// The size that is aimed at.
    pub budget_bytes: usize,
}

/// What to do with the bytes that came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Send them.
    Emit,
    /// Throw them away and encode the same frame like this.
    Again(Try),
    /// Throw them away; the next frame will be a keyframe.
    Drop,
}

/// The policy for one stream. Call [`Self::plan`], then [`Self::judge`] for every attempt it asks for.
#[derive(Debug)]
pub struct RateControl {
    target_bps: f64,
    ledger: Ledger,
    /// Time of the newest frame, and of the first one on.
    last: Option<Duration>,
    /// Smoothed seconds between frames.
    interval_s: f64,
    /// What frames were allowed and did not use; negative: a debt.
    credit_bits: f64,
    /// log₂ of a keyframe's bits at quantiser 0.
    keyframe_complexity: f64,
    quantiser: Quantiser,
    keyframe_owed: bool,
    tries: u32,
}

impl RateControl {
    /// For pictures of `pixels`, aiming at `bitrate_bps` with about `fps` frames a second.
    pub fn new(bitrate_bps: u32, fps: u32, pixels: u64) -> Self {
        Self {
            target_bps: f64::from(bitrate_bps),
            ledger: Ledger::default(),
            last: None,
            interval_s: 1.0 / f64::from(fps.max(1)),
            credit_bits: 0.0,
            keyframe_complexity: (pixels as f64 * FIRST_BITS_PER_PIXEL).log2() + 26.0 / QP_PER_HALVING,
            quantiser: Quantiser::default(),
            keyframe_owed: true,
            tries: 0,
        }
    }

    /// Changes the target from the next frame on. A window that reaches back before the change is held
    /// against the larger of both.
    pub fn set_bitrate(&mut self, bitrate_bps: u32) {
        let before = std::mem::replace(&mut self.target_bps, f64::from(bitrate_bps));
        self.credit_bits = 0.0;
        self.quantiser.scale(before / self.target_bps);
        self.ledger.remember(before, self.last.unwrap_or_default());
    }

    /// What to do with the frame drawn at `at`. Times that go back count as the latest one.
    pub fn plan(&mut self, at: Duration, keyframe: bool) -> Plan {
        self.advance(at);
        self.tries = 1;
        let keyframe = keyframe || self.keyframe_owed;
        let (share, room) = (self.share_bits(), self.room_bits());
        if keyframe {
            self.keyframe_owed = true;
            let budget = self.keyframe_bits();
            let smallest = bits_at(self.keyframe_complexity, MAX_QP);
            // Half a keyframe's share is worth waiting for: a coarser one takes longer to look right again.
            if room < smallest.max(KEYFRAME_SHARE * self.target_bps / 2.0) {
                return Plan::Skip;
            }
            let qp = qp_for(self.keyframe_complexity, budget).max(self.quantiser.finest_keyframe());
            return Plan::Encode(Try { qp, keyframe, budget_bytes: bytes_of(budget) });
        }
        let qp = self.quantiser.next(share, self.credit_bits / share, room);
        // Where even the coarsest frames are too large, they are left out evenly.
        let expected = self.quantiser.expected(qp);
        let hopeless = qp == MAX_QP && expected > share && self.credit_bits < -share;
        if hopeless || room < expected.max(share / 2.0) {
            return Plan::Skip;
        }
        let budget = (share + self.credit_bits / CREDIT_FRAMES).clamp(share / 2.0, room.max(share / 2.0));
        Plan::Encode(Try { qp, keyframe, budget_bytes: bytes_of(budget) })
    }

    /// What to do with the `bytes` that an attempt gave.
    pub fn judge(&mut self, attempt: Try, bytes: usize) -> Verdict {
        let bits = (bytes.max(1) * 8) as f64;
        if attempt.keyframe {
            self.keyframe_complexity = bits.log2() + f64::from(attempt.qp) / QP_PER_HALVING;
        }
        let exhausted = self.tries >= MAX_TRIES || attempt.keyframe && attempt.qp == MAX_QP;
        let too_large = attempt.keyframe && bits > KEYFRAME_TOLERANCE * self.keyframe_bits() && !exhausted;
        if bits <= self.room_bits() && !too_large {
            self.emit(attempt, bytes, bits);
            return Verdict::Emit;
        }
        self.keyframe_owed = true;
        if exhausted {
            return Verdict::Drop;
        }
        self.tries += 1;
        let budget = self.keyframe_bits();
        let coarser = qp_for(self.keyframe_complexity, budget);
        let floor = if attempt.keyframe { attempt.qp + 1 } else { attempt.qp };
        let qp = if self.tries == MAX_TRIES { MAX_QP } else { coarser.clamp(floor.min(MAX_QP), MAX_QP) };
        Verdict::Again(Try { qp, keyframe: true, budget_bytes: bytes_of(budget) })
    }

    /// Moves time on and credits what passed.
    fn advance(&mut self, at: Duration) {
        let last = self.last.unwrap_or(at);
        let now = at.max(last);
        self.ledger.advance(now);
        if self.last.is_some() {
            let passed = (now - last).min(LONGEST_INTERVAL).as_secs_f64();
            self.interval_s += (passed - self.interval_s) * 0.1;
            self.credit_bits += AIM * self.target_bps * passed;
        }
        self.last = Some(now);
    }

    /// A frame's part of the target, or of what the windows of the coming second leave.
    fn share_bits(&self) -> f64 {
        let now = self.last.unwrap_or_default();
        let rate_bps = (AIM * self.target_bps).min(self.ledger.even_rate_bps(self.target_bps, now));
        (rate_bps * self.interval_s).max(8.0)
    }

    /// Bits that the window may still take.
    fn room_bits(&self) -> f64 {
        self.ledger.room_bits(self.target_bps)
    }

    fn keyframe_bits(&self) -> f64 {
        let room = self.room_bits();
        let most = KEYFRAME_SHARE * self.target_bps;
        most.min(room - KEYFRAME_LEAVES * self.share_bits()).max(room.min(most) / 2.0).max(8.0)
    }

    fn emit(&mut self, attempt: Try, bytes: usize, bits: f64) {
        let share = self.share_bits();
        // A keyframe lives on the room between aim and ceiling; frames after it need not pay for it.
        self.credit_bits -= if attempt.keyframe { share } else { bits };
        self.credit_bits = self.credit_bits.clamp(-CREDIT_FRAMES * share, CREDIT_FRAMES * share);
        self.quantiser.seen(attempt, bits);
        self.keyframe_owed &= !attempt.keyframe;
        self.ledger.push(self.last.unwrap_or_default(), bytes);
    }
}

/// What was emitted in the last second, and which targets still count for it.
#[derive(Debug, Default)]
struct Ledger {
    emitted: VecDeque<(Duration, usize)>,
    /// With the time until which they count; falling.
    earlier_targets: VecDeque<(Duration, f64)>,
}

impl Ledger {
    /// Forgets what no window reaches any more.
    fn advance(&mut self, now: Duration) {
        while self.emitted.front().is_some_and(|&(then, _)| then + WINDOW <= now) {
            self.emitted.pop_front();
        }
        while self.earlier_targets.front().is_some_and(|&(end, _)| end <= now) {
            self.earlier_targets.pop_front();
        }
    }

    fn remember(&mut self, target_bps: f64, now: Duration) {
        while self.earlier_targets.back().is_some_and(|&(_, earlier)| earlier <= target_bps) {
            self.earlier_targets.pop_back();
        }
        if self.earlier_targets.len() == TARGETS_LEN {
            self.earlier_targets.pop_front();
        }
        self.earlier_targets.push_back((now + WINDOW, target_bps));
    }

    fn room_bits(&self, target_bps: f64) -> f64 {
        let earlier = self.earlier_targets.front().map_or(0.0, |&(_, target)| target);
        let emitted: usize = self.emitted.iter().map(|&(_, bytes)| bytes).sum();
        (CEILING * target_bps.max(earlier) - (emitted * 8) as f64).max(0.0)
    }

    /// The highest constant rate at which no window of the coming second exceeds its ceiling: until an
    /// emitted frame leaves the window, only the room and what left before it can be spent.
    fn even_rate_bps(&self, target_bps: f64, now: Duration) -> f64 {
        let mut free = self.room_bits(target_bps) - (CEILING - PLANNED_CEILING) * target_bps;
        let mut rate_bps = f64::INFINITY;
        for &(then, bytes) in &self.emitted {
            let left = (then + WINDOW).saturating_sub(now);
            if left >= NEAR {
                rate_bps = rate_bps.min(free.max(0.0) / left.as_secs_f64());
            }
            free += (bytes * 8) as f64;
        }
        rate_bps
    }

    fn push(&mut self, now: Duration, bytes: usize) {
        let full = self.emitted.len() == LEDGER_LEN;
        match self.emitted.back_mut() {
            Some(newest) if full || newest.0 == now => *newest = (now, newest.1 + bytes),
            _ => self.emitted.push_back((now, bytes)),
        }
    }
}

/// The quantiser of predicted frames.
#[derive(Debug, Default)]
struct Quantiser {
    /// Of the newest predicted frame, or where the next one starts.
    qp: u8,
    /// Bits that the newest predicted frame had; none yet after the first keyframe.
    size: Option<f64>,
    /// The newest frame was finer than the one before, so that part of its bits were paid once.
    refined: bool,
    /// The largest of the last frames, slowly forgotten.
    burst: f64,
}

impl Quantiser {
    /// The next quantiser, for frames of `share` bits, with `credit` frames' shares to spare and `room`
    /// bits left in the window.
    fn next(&self, share: f64, credit: f64, room: f64) -> u8 {
        let Some(size) = self.size else { return self.qp };
        let excess = (size / share).log2();
        let mut change = if excess > 0.3 {
            if self.refined {
                (1.5 * (excess - 1.0)).round().max(0.0)
            } else {
                (3.0 * excess).round().max(1.0)
            }
        } else if credit < -CREDIT_TOLERANCE && excess > -0.5 {
            1.0
        } else if credit > CREDIT_TOLERANCE || credit > 0.0 && excess < -0.15 {
            if excess < -1.0 { -2.0 } else { -1.0 }
        } else {
            0.0
        };
        // What a finer quantiser may cost at once has to fit into the window.
        if change < 0.0 && room < self.burst.max(2.0 * share) {
            change = 0.0;
        }
        if size > room {
            let needed = (QP_PER_HALVING * (size / room.max(1.0)).log2()).ceil();
            // Leaving a frame out hurts less than losing the detail of all that follow.
            change = change.max(if needed <= MAX_COARSENING_QP { needed } else { 0.0 });
        }
        (f64::from(self.qp) + change).clamp(f64::from(MIN_QP), f64::from(MAX_QP)) as u8
    }

    /// Bits to expect of a frame at `qp`.
    fn expected(&self, qp: u8) -> f64 {
        let finer = f64::from(self.qp) - f64::from(qp);
        self.size.map_or(0.0, |size| size * (finer / QP_PER_HALVING).exp2())
    }

    /// The quantiser below which a keyframe would be finer than what follows can hold.
    fn finest_keyframe(&self) -> u8 {
        if self.size.is_some() { self.qp.saturating_sub(KEYFRAME_FINER_QP) } else { MIN_QP }
    }

    fn seen(&mut self, attempt: Try, bits: f64) {
        if attempt.keyframe {
            // What follows refines the keyframe, from its quality on.
            let unknown = if self.size.is_none() { FIRST_PREDICTED_COARSER_QP } else { 0 };
            self.qp = self.qp.max(attempt.qp + unknown).min(MAX_QP);
            self.refined = false;
        } else {
            self.refined = attempt.qp < self.qp;
            self.qp = attempt.qp;
            self.size = Some(bits);
            self.burst = bits.max(self.burst * BURST_MEMORY);
        }
    }

    /// The target was divided by `factor`: frames should become so much smaller.
    fn scale(&mut self, factor: f64) {
        let steps = (QP_PER_HALVING * factor.log2() * 0.5).max(0.0);
        self.qp = (f64::from(self.qp) + steps).clamp(f64::from(MIN_QP), f64::from(MAX_QP)) as u8;
        self.refined = false;
    }
}

fn bits_at(complexity: f64, qp: u8) -> f64 {
    (complexity - f64::from(qp) / QP_PER_HALVING).exp2()
}

fn qp_for(complexity: f64, bits: f64) -> u8 {
    let qp = (QP_PER_HALVING * (complexity - bits.log2())).round();
    qp.clamp(f64::from(MIN_QP), f64::from(MAX_QP)) as u8
}

fn bytes_of(bits: f64) -> usize {
    (bits / 8.0) as usize
}
