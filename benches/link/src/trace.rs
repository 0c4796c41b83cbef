//! Recorded capacity in mahimahi's format: one line for each moment, in ms, at which the link could carry one packet
//! of 1500 bytes (Netravali et al., "Mahimahi", USENIX ATC 2015). The trace repeats after its last moment.

use flate2::read::GzDecoder;
use serde::{Deserialize, Serialize};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// What one line of a trace lets through.
pub const OPPORTUNITY_BYTES: u32 = 1500;
/// An hour at 100 Mbit/s; more is not a trace but a mistake.
const LONGEST: usize = 30_000_000;
/// Room for as many lines.
const LARGEST_FILE: u64 = 400_000_000;

/// Why a trace cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TraceError {
    /// The file could not be read.
    #[error("{path}: {source}: name a mahimahi trace, plain or .gz", path = path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A line is no time.
    #[error("line {line} of the trace is {text:?}: each line is a time in whole milliseconds")]
    Line {
        /// Counted from one.
        line: usize,
        /// What stands there.
        text: String,
    },
    /// Times run backwards.
    #[error("entry {entry} of the trace is earlier than the one before: times never decrease")]
    Order {
        /// Counted from one.
        entry: usize,
    },
    /// The trace has no end to repeat after.
    #[error("the trace lasts no time: its last line must be above 0")]
    Empty,
    /// The trace is longer than any real one.
    #[error("the trace has more than {LONGEST} lines")]
    TooLong,
}

/// A recorded link; its copies share one record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<u32>", into = "Vec<u32>")]
pub struct Trace(Arc<[u32]>);

impl Trace {
    /// From the moments themselves, in ms, never decreasing, the last above zero.
    ///
    /// # Errors
    /// When they are not so.
    pub fn new(opportunities_ms: Vec<u32>) -> Result<Self, TraceError> {
        if opportunities_ms.len() > LONGEST {
            return Err(TraceError::TooLong);
        }
        if let Some(at) = opportunities_ms.windows(2).position(|pair| pair[0] > pair[1]) {
            return Err(TraceError::Order { entry: at + 2 });
        }
        if opportunities_ms.last().is_none_or(|&last| last == 0) {
            return Err(TraceError::Empty);
        }
        Ok(Self(opportunities_ms.into()))
    }

    /// From the text of a trace file. Empty lines are skipped.
    ///
    /// # Errors
    /// When it is no trace.
    pub fn parse(text: &str) -> Result<Self, TraceError> {
        let mut moments = Vec::new();
        for (at, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            let moment = line
                .trim()
                .parse()
                .map_err(|_| TraceError::Line { line: at + 1, text: line.chars().take(40).collect() })?;
            if moments.len() == LONGEST {
                return Err(TraceError::TooLong);
            }
            moments.push(moment);
        }
        Self::new(moments)
    }

    /// From a file, unpacked where its name ends in `.gz`.
    ///
    /// # Errors
    /// When it cannot be read or is no trace.
    pub fn read(path: &Path) -> Result<Self, TraceError> {
        let read = || {
            let file = std::fs::File::open(path)?;
            let packed = path.extension().is_some_and(|end| end == "gz");
            let reader: Box<dyn Read> = if packed { Box::new(GzDecoder::new(file)) } else { Box::new(file) };
            let mut text = String::new();
            reader.take(LARGEST_FILE).read_to_string(&mut text)?;
            Ok(text)
        };
        let text = read().map_err(|source| TraceError::Read { path: path.to_owned(), source })?;
        Self::parse(&text)
    }

    /// After this it repeats.
    pub fn period(&self) -> Duration {
        Duration::from_millis(u64::from(self.0.last().copied().unwrap_or(1)))
    }

    /// Capacity over one whole period.
    pub fn mean_bps(&self) -> u64 {
        let bits = self.0.len() as u128 * u128::from(OPPORTUNITY_BYTES) * 8;
        (bits * 1000 / self.period().as_millis()) as u64
    }

    /// When the opportunity with this number, counted through all periods, comes.
    pub(crate) fn at(&self, number: u64) -> Duration {
        let count = self.0.len() as u64;
        let moment = self.0.get((number % count) as usize).copied().unwrap_or_default();
        let cycles = u32::try_from(number / count).unwrap_or(u32::MAX);
        self.period() * cycles + Duration::from_millis(u64::from(moment))
    }

    /// The number of the first opportunity at or after `time`.
    pub(crate) fn first_from(&self, time: Duration) -> u64 {
        let count = self.0.len() as u64;
        let period = self.period().as_nanos();
        let cycles = (time.as_nanos() / period) as u64;
        let within = time.as_nanos() % period;
        // The end of one period is the beginning of the next: what lies exactly there belongs to both.
        if within == 0 && cycles > 0 {
            return (cycles - 1) * count + self.first_of(period);
        }
        cycles * count + self.first_of(within)
    }

    fn first_of(&self, within_ns: u128) -> u64 {
        self.0.partition_point(|&ms| u128::from(ms) * 1_000_000 < within_ns) as u64
    }
}

impl TryFrom<Vec<u32>> for Trace {
    type Error = TraceError;

    fn try_from(opportunities_ms: Vec<u32>) -> Result<Self, TraceError> {
        Self::new(opportunities_ms)
    }
}

impl From<Trace> for Vec<u32> {
    fn from(trace: Trace) -> Self {
        trace.0.to_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn a_trace_wraps_after_its_last_line() {
        let trace = Trace::parse("0\n2\n2\n10\n").unwrap();
        let moments: Vec<_> = (0..9).map(|number| trace.at(number)).collect();
        assert_eq!(moments, [0, 2, 2, 10, 10, 12, 12, 20, 20].map(ms));
        assert_eq!(trace.first_from(ms(3)), 3);
        assert_eq!(trace.first_from(ms(10)), 3);
        assert_eq!(trace.first_from(ms(11)), 5);
        assert_eq!(trace.mean_bps(), 4 * 1500 * 8 * 100);
    }

    #[test]
    fn packed_and_plain_files_are_the_same_trace() {
        let dir = tempfile::tempdir().unwrap();
        let (plain, packed) = (dir.path().join("a"), dir.path().join("a.gz"));
        std::fs::write(&plain, "1\n5\n").unwrap();
        let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gz.write_all(b"1\n5\n").unwrap();
        std::fs::write(&packed, gz.finish().unwrap()).unwrap();
        assert_eq!(Trace::read(&plain).unwrap(), Trace::read(&packed).unwrap());
        let missing = Trace::read(&dir.path().join("none")).unwrap_err().to_string();
        assert!(missing.contains("mahimahi"), "{missing}");
    }

    #[test]
    fn what_is_no_trace_is_refused() {
        assert!(matches!(Trace::parse(""), Err(TraceError::Empty)));
        assert!(matches!(Trace::parse("0\n0\n"), Err(TraceError::Empty)));
        assert!(matches!(Trace::parse("5\n4\n"), Err(TraceError::Order { entry: 2 })));
        assert!(matches!(Trace::parse("1\nx\n"), Err(TraceError::Line { line: 2, .. })));
        assert!(matches!(Trace::parse("-1\n"), Err(TraceError::Line { line: 1, .. })));
    }
}
