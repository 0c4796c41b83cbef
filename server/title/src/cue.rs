//! Sound cues from the frame thread to the audio thread.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

/// Cues that may wait. The audio thread empties the queue every 10 ms; more than this many at once
/// would be noise anyway.
const MAX_WAITING: usize = 64;
/// Samples per second of every sound here.
pub(crate) const SAMPLE_RATE: f32 = 48_000.0;

/// Sends cues; never blocks, drops what does not fit.
#[derive(Debug)]
pub(crate) struct CueSender<T>(SyncSender<T>);

impl<T> CueSender<T> {
    pub(crate) fn send(&self, cue: T) {
        // A full queue means the sound is late already; without a listener there is nothing to hear.
        let _ = self.0.try_send(cue);
    }
}

/// A bounded queue of cues.
pub(crate) fn cue_channel<T>() -> (CueSender<T>, Receiver<T>) {
    let (sender, receiver) = sync_channel(MAX_WAITING);
    (CueSender(sender), receiver)
}

/// Pulls a sum of voices softly below full scale (Padé approximation of tanh).
pub(crate) fn soft_clip(sample: f32) -> f32 {
    let x = sample.clamp(-3.0, 3.0);
    x * (27.0 + x * x) / (27.0 + 9.0 * x * x)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_queue_or_a_gone_listener_never_blocks() {
        let (sender, receiver) = cue_channel();
        (0..1000).for_each(|cue| sender.send(cue));
        assert_eq!(receiver.try_iter().count(), MAX_WAITING);
        drop(receiver);
        sender.send(1);
    }

    #[test]
    fn soft_clip_stays_within_full_scale() {
        for sample in [-100.0, -1.0, 0.0, 0.5, 3.0, 1e9] {
            assert!(soft_clip(sample).abs() <= 1.0);
        }
        assert!((soft_clip(0.1) - 0.1).abs() < 0.001);
    }
}
