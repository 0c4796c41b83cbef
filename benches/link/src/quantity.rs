//! Rates, times and sizes as people write them.

use crate::spec::SpecError;
use std::time::Duration;

/// No link that is modelled is faster.
const FASTEST_BPS: f64 = 1e12;
/// No time of a model is longer: twelve days.
pub(crate) const LONGEST: Duration = Duration::from_secs(1_000_000);

/// `20M`, `2.5M`, `800k`, `1G` or plain bits per second.
///
/// # Errors
/// Says what a rate looks like.
pub fn parse_rate(text: &str) -> Result<u64, SpecError> {
    let expected = || SpecError::Value { value: text.to_owned(), expected: "a rate, such as 20M or 800k" };
    let (number, scale) = match text.char_indices().next_back().ok_or_else(expected)? {
        (at, 'k') => (&text[..at], 1e3),
        (at, 'M') => (&text[..at], 1e6),
        (at, 'G') => (&text[..at], 1e9),
        _ => (text, 1.0),
    };
    let bps = number.parse::<f64>().map_err(|_| expected())? * scale;
    if !(0.0..=FASTEST_BPS).contains(&bps) {
        return Err(expected());
    }
    Ok(bps.round() as u64)
}

/// `20ms`, `1.5s`, `250us` or `2min`.
///
/// # Errors
/// Says what a time looks like.
pub fn parse_duration(text: &str) -> Result<Duration, SpecError> {
    let expected = || SpecError::Value { value: text.to_owned(), expected: "a time, such as 20ms or 1.5s" };
    let unit_at = text.find(|letter: char| letter.is_ascii_alphabetic()).ok_or_else(expected)?;
    let scale = match &text[unit_at..] {
        "us" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        "min" => 60.0,
        _ => return Err(expected()),
    };
    let seconds = text[..unit_at].parse::<f64>().map_err(|_| expected())? * scale;
    if !(0.0..=LONGEST.as_secs_f64()).contains(&seconds) {
        return Err(expected());
    }
    // Rounded, because 0.02 has no binary form and 20ms is to be 20 ms.
    Ok(Duration::from_nanos((seconds * 1e9).round() as u64))
}

/// `64kB`, `1500B` or `2MB`.
pub(crate) fn parse_bytes(text: &str) -> Option<u64> {
    let number = text.strip_suffix('B')?;
    let bytes = parse_rate(number).ok()?;
    (bytes > 0).then_some(bytes)
}

/// A share of 0 to 1: `0.03` or `3%`.
pub(crate) fn parse_share(text: &str) -> Result<f64, SpecError> {
    let expected = || SpecError::Value { value: text.to_owned(), expected: "a share, such as 0.03 or 3%" };
    let (number, scale) = text.strip_suffix('%').map_or((text, 1.0), |number| (number, 0.01));
    let share = number.parse::<f64>().map_err(|_| expected())? * scale;
    (0.0..=1.0).contains(&share).then_some(share).ok_or_else(expected)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_read_with_their_units() {
        assert_eq!(parse_rate("20M").unwrap(), 20_000_000);
        assert_eq!(parse_rate("2.5k").unwrap(), 2_500);
        assert_eq!(parse_rate("64000").unwrap(), 64_000);
        assert_eq!(parse_duration("20ms").unwrap(), Duration::from_millis(20));
        assert_eq!(parse_duration("1.5s").unwrap(), Duration::from_millis(1500));
        assert_eq!(parse_duration("0us").unwrap(), Duration::ZERO);
        assert_eq!(parse_bytes("64kB"), Some(64_000));
        assert_eq!(parse_share("3%").unwrap(), 0.03);
    }

    #[test]
    fn rubbish_is_refused_with_an_example() {
        for rate in ["", "M", "-1M", "NaN", "inf", "1e30", "20X"] {
            assert!(parse_rate(rate).unwrap_err().to_string().contains("20M"), "{rate}");
        }
        for time in ["", "20", "ms", "-1s", "1h", "infs", "9999999s"] {
            assert!(parse_duration(time).unwrap_err().to_string().contains("20ms"), "{time}");
        }
        assert_eq!(parse_bytes("64k"), None);
        assert!(parse_share("1.2").is_err() && parse_share("-0.1").is_err() && parse_share("NaN").is_err());
    }
}
