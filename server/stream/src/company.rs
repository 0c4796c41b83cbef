//! Whether others send through the same bottleneck.
//!
//! A packet that leaves when all that was sent before has arrived can only have to wait for others. How often
//! that happens is how much of the bottleneck's time they take (arrivals see time averages): video and audio
//! have different rhythms, so that it is sampled at many moments.

/// A packet that waited for longer met somebody, on a path without jitter.
const MET_US: i64 = 1800;
/// Packets that follow each other sooner say nothing.
const APART_US: i64 = 2000;
/// Weight of one sample: about the last second counts.
const WEIGHT: f64 = 1.0 / 128.0;
/// The bottleneck is shared if others are met this often.
const SHARED: f64 = 0.10;

/// Counts meetings.
#[derive(Debug, Default)]
pub(crate) struct Company {
    /// Departure and arrival of the packet before, µs on two clocks.
    before: Option<(i64, i64)>,
    share: f64,
}

impl Company {
    /// Takes packets in order of departure, with the `base` delay of packets of this size.
    pub(crate) fn on_packet(&mut self, departure: i64, arrival: i64, base: i64, jitter_us: i64) {
        if let Some((left, came)) = self.before
            && departure - left >= APART_US
            && came <= departure + base
        {
            let met = arrival - departure - base > MET_US + 2 * jitter_us;
            self.share += (f64::from(u8::from(met)) - self.share) * WEIGHT;
        }
        self.before = Some((departure, arrival));
    }

    pub(crate) fn is_shared(&self) -> bool {
        self.share > SHARED
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_waits_behind_his_own_packets_is_alone_and_who_waits_behind_none_is_not() {
        let (mut alone, mut shared) = (Company::default(), Company::default());
        for frame in 0..200 {
            let at = frame * 16_667;
            // Own packets queue behind each other for up to 9 ms; the next frame meets none of them.
            (0..10).for_each(|i| alone.on_packet(at + i * 500, at + 7000 + i * 1400, 7000, 0));
            shared.on_packet(at, at + 7000 + frame % 3 * 4000, 7000, 0);
        }
        assert!(!alone.is_shared());
        assert!(shared.is_shared());
    }
}
