//! Measuring what was emitted.

use std::time::Duration;

const WINDOW: Duration = Duration::from_secs(1);

/// The emptiest and the fullest second of a stream.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct WindowRates {
    /// Bits in the emptiest window of one second.
    pub lowest_bps: f64,
    /// Bits in the fullest window of one second.
    pub highest_bps: f64,
}

/// Bits in every window of one second that begins with a frame and lies within the stream. `emitted` holds
/// times in rising order and sizes in bytes; `None` where the stream is shorter than a second.
pub fn window_rates(emitted: &[(Duration, usize)]) -> Option<WindowRates> {
    let end = emitted.last()?.0;
    let mut next = 0;
    let mut bits = 0.0;
    let mut rates: Option<WindowRates> = None;
    for &(start, bytes) in emitted {
        // A hair less than a second: frames exactly one second apart are not in the same one.
        let after = start + WINDOW - Duration::from_micros(1);
        if after > end {
            break;
        }
        while let Some(&(_, size)) = emitted.get(next).filter(|(at, _)| *at < after) {
            bits += size as f64 * 8.0;
            next += 1;
        }
        let known = rates.unwrap_or(WindowRates { lowest_bps: bits, highest_bps: bits });
        rates = Some(WindowRates {
            lowest_bps: known.lowest_bps.min(bits),
            highest_bps: known.highest_bps.max(bits),
        });
        bits -= bytes as f64 * 8.0;
    }
    rates
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_extremes_of_a_stream_are_found() {
        let stream: Vec<_> = (0..40)
            .map(|frame| (Duration::from_millis(frame * 100), if frame == 20 { 1_000 } else { 100 }))
            .collect();
        let rates = window_rates(&stream);
        assert_eq!(rates, Some(WindowRates { lowest_bps: 8_000.0, highest_bps: 15_200.0 }));
    }

    #[test]
    fn less_than_a_second_has_no_rate() {
        assert_eq!(window_rates(&[]), None);
        assert_eq!(window_rates(&[(Duration::ZERO, 5), (Duration::from_millis(400), 5)]), None);
    }
}
