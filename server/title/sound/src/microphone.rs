//! The player's voice, from the network's clock to the server's.

use crate::SAMPLE_RATE;
use crate::clean;
use crate::elastic::Elastic;
use crate::ring::{Consumer, Producer};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Instant;

/// What waits beyond a block: packets of 20 ms come as the network pleases.
const MARGIN_S: f64 = 0.025;

/// Where the player's voice goes into the title's default source.
#[derive(Debug)]
pub struct Microphone {
    ring: Producer,
    /// When something was said last, in milliseconds from `since`.
    spoken_ms: Arc<AtomicU64>,
    since: Instant,
}

impl Microphone {
    pub(crate) fn new(ring: Producer, spoken_ms: Arc<AtomicU64>, since: Instant) -> Self {
        Self { ring, spoken_ms, since }
    }

    /// Hands on mono samples at 48 kHz as they come. Never blocks; what the server is not there to take
    /// is lost. Samples out of range, and what is no number, are clipped.
    pub fn push(&mut self, samples: &[f32]) {
        self.spoken_ms.store(self.since.elapsed().as_millis().max(1) as u64, Relaxed);
        let mut cleaned = [0.0; 480];
        for block in samples.chunks(cleaned.len()) {
            for (to, sample) in cleaned.iter_mut().zip(block) {
                *to = clean(*sample);
            }
            self.ring.push(&cleaned[..block.len()]);
        }
    }
}

/// The other end: what the server's sink asks for.
#[derive(Debug)]
pub(crate) struct Voice {
    ring: Consumer,
    elastic: Elastic<1>,
}

impl Voice {
    pub(crate) fn new(ring: Consumer) -> Self {
        Self { ring, elastic: Elastic::new(SAMPLE_RATE, MARGIN_S) }
    }

    pub(crate) fn fill(&mut self, out: &mut [f32]) {
        let elastic = &mut self.elastic;
        if self.ring.drain(|sample| elastic.push([sample])) {
            elastic.interrupt();
        }
        elastic.take(out);
    }
}
