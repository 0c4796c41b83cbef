//! What the title plays, on the reader's clock.

use crate::elastic::Elastic;
use crate::ring::Consumer;
use crate::watch::Shared;
use crate::{CAPTURE_CHANNELS, SAMPLE_RATE, clean};
use std::sync::Arc;

/// What waits beyond a block: a block of 10 ms that comes just after it was wanted, and some jitter.
pub(crate) const MARGIN_S: f64 = 0.012;

/// The sound of one title: 48 kHz, stereo, interleaved.
#[derive(Debug)]
pub struct Capture {
    ring: Consumer,
    elastic: Elastic<CAPTURE_CHANNELS>,
    shared: Arc<Shared>,
}

impl Capture {
    pub(crate) fn new(ring: Consumer, shared: Arc<Shared>) -> Self {
        Self { ring, elastic: Elastic::new(SAMPLE_RATE, MARGIN_S), shared }
    }

    /// Fills `out` with the next samples, −1 to 1, to be called every 10 ms with 10 ms of them. Never
    /// blocks; exact zeros while the title is silent or the server is being started again.
    pub fn fill(&mut self, out: &mut [f32]) {
        let mut frame = [0.0; CAPTURE_CHANNELS];
        let mut channel = 0;
        let elastic = &mut self.elastic;
        let lost = self.ring.drain(|sample| {
            frame[channel] = clean(sample);
            channel += 1;
            if channel == CAPTURE_CHANNELS {
                elastic.push(frame);
                channel = 0;
            }
        });
        if lost {
            elastic.interrupt();
        }
        elastic.take(out);
        self.shared.report(elastic.waiting_s(), elastic.drift(), elastic.underruns(), elastic.overruns());
    }
}

#[cfg(test)]
mod tests {
    use crate::watch::Shared;

    #[test]
    fn what_is_no_sound_is_clipped_or_silent() {
        let (shared, mut capture, _) = Shared::new(false);
        let mut heard = Vec::new();
        for _ in 0..50 {
            let mut producer = shared.heard.lock().unwrap();
            for pair in [[f32::NAN, 0.5], [f32::INFINITY, f32::NEG_INFINITY], [1e30, -1e30]] {
                producer.push(&pair.repeat(160));
            }
            drop(producer);
            let mut out = [f32::NAN; 960];
            capture.fill(&mut out);
            heard.extend(out);
        }
        assert!(heard.iter().all(|sample| (-1.0..=1.0).contains(sample)));
        assert!(heard.contains(&1.0) && heard.contains(&0.5), "sound goes on");
    }
}
