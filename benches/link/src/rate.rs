//! How fast a link is, over time.

use crate::quantity::{parse_duration, parse_rate};
use crate::spec::SpecError;
use crate::trace::Trace;
use serde::{Deserialize, Serialize};
use std::str::FromStr;
use std::time::Duration;

/// From some time on, this capacity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// After the link's time zero.
    pub from: Duration,
    /// Bits a second; zero carries nothing until the next step.
    pub bps: u64,
}

/// Capacity over time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rate {
    /// Every packet leaves as it comes.
    #[default]
    Unlimited,
    /// Steps, the first from time zero, in order. One of them is a constant rate.
    Steps(Vec<Step>),
    /// A recorded link, from some time within the record on.
    Trace {
        /// The record.
        trace: Trace,
        /// Which of its times is the link's time zero.
        from: Duration,
    },
}

impl Rate {
    /// The same at all times.
    pub fn constant(bps: u64) -> Self {
        Self::Steps(vec![Step { from: Duration::ZERO, bps }])
    }

    /// A record from its beginning.
    pub fn trace(trace: Trace) -> Self {
        Self::Trace { trace, from: Duration::ZERO }
    }

    /// Bits a second at `time`; of a trace, its mean. `None` where there is no limit.
    pub fn bps_at(&self, time: Duration) -> Option<u64> {
        match self {
            Self::Unlimited => None,
            Self::Steps(steps) => Some(steps.get(step_at(steps, time)).map_or(0, |step| step.bps)),
            Self::Trace { trace, .. } => Some(trace.mean_bps()),
        }
    }

    pub(crate) fn check(&self) -> Result<(), SpecError> {
        match self {
            Self::Unlimited => Ok(()),
            Self::Steps(steps) => {
                let starts_at_zero = steps.first().is_some_and(|step| step.from.is_zero());
                let in_order = steps.windows(2).all(|pair| pair[0].from < pair[1].from);
                let goes_on = steps.last().is_some_and(|step| step.bps > 0);
                (starts_at_zero && in_order && goes_on).then_some(()).ok_or(SpecError::Steps)
            }
            Self::Trace { trace, from } => (*from < trace.period()).then_some(()).ok_or(SpecError::TraceFrom),
        }
    }
}

/// The index of the step that is in force at `time`.
pub(crate) fn step_at(steps: &[Step], time: Duration) -> usize {
    steps.partition_point(|step| step.from <= time).saturating_sub(1)
}

/// `20M`, `20M:5M@10s`, `20M:5M@10s:20M@20s`, or `unlimited`. Traces are read from files: [`Trace::read`].
impl FromStr for Rate {
    type Err = SpecError;

    fn from_str(text: &str) -> Result<Self, SpecError> {
        if text == "unlimited" {
            return Ok(Self::Unlimited);
        }
        let step = |part: &str| match part.split_once('@') {
            Some((bps, from)) => Ok(Step { from: parse_duration(from)?, bps: parse_rate(bps)? }),
            None => Ok(Step { from: Duration::ZERO, bps: parse_rate(part)? }),
        };
        let rate = Self::Steps(text.split(':').map(step).collect::<Result<_, SpecError>>()?);
        rate.check()?;
        Ok(rate)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_in_force_from_their_time_on() {
        let rate: Rate = "20M:5M@10s:8M@12s".parse().unwrap();
        let at = |ms| rate.bps_at(Duration::from_millis(ms)).unwrap();
        assert_eq!(
            [at(0), at(9_999), at(10_000), at(11_999), at(99_000)],
            [20_000_000, 20_000_000, 5_000_000, 5_000_000, 8_000_000]
        );
    }

    #[test]
    fn steps_that_make_no_sense_are_refused() {
        for text in ["", "5M@3s", "20M:5M@2s:6M@1s", "20M:0@3s", "0", "20M:5M"] {
            assert!(text.parse::<Rate>().is_err(), "{text}");
        }
        assert!("20M:0@3s:1M@4s".parse::<Rate>().is_ok());
    }
}
