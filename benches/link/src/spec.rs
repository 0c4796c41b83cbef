//! What a link is like.

use crate::quantity::{LONGEST, parse_bytes, parse_duration, parse_share};
use crate::rate::Rate;
use serde::{Deserialize, Serialize};
use std::str::FromStr;
use std::time::Duration;

/// Why a link cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SpecError {
    /// A key that no link has.
    #[error(
        "{0:?} is not known: use rate, queue, delay, jitter, free_jitter, reorder, loss, burst, mark, outage, \
         address_change"
    )]
    Key(String),
    /// A part without a value.
    #[error("{0:?} has no value: write key=value, such as delay=10ms")]
    NoValue(String),
    /// A value that is not one.
    #[error("{value:?} is not {expected}")]
    Value {
        /// What was given.
        value: String,
        /// What is wanted.
        expected: &'static str,
    },
    /// Steps out of order, or that end in nothing.
    #[error("steps begin at time zero, follow each other and end above zero: 20M:5M@10s")]
    Steps,
    /// A trace begins past its end.
    #[error("a trace begins within its own length")]
    TraceFrom,
    /// A time past every model's end.
    #[error("a time of a link is at most {} s", LONGEST.as_secs())]
    TooLong,
    /// A share that is none.
    #[error("{0} is a share of 0 to 1")]
    Share(&'static str),
    /// Bursts that short cannot be that frequent.
    #[error("a burst is at least one packet long, and a loss of p needs bursts of at least p / (1 - p)")]
    Burst,
    /// Outages that overlap or end before they begin.
    #[error("outages end after they begin and follow each other")]
    Outages,
}

/// Delay that changes from packet to packet, uniform between nothing and `spread`, on top of the propagation delay.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Jitter {
    /// The most that is added.
    pub spread: Duration,
    /// Whether packets may overtake each other by it. On most real paths they do not: one waits behind the other.
    pub free: bool,
}

/// Some packets take longer, and are overtaken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Reordering {
    /// How many, of 1.
    pub share: f64,
    /// By how much.
    pub by: Duration,
}

/// The most that waits for the link; what comes when it is full is dropped. A packet that finds nothing waiting is
/// always taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Queue {
    /// Bytes, the packet on the wire included.
    Bytes(u64),
    /// As many bytes as leave in this time at the rate of the moment; of a trace, at its mean rate.
    Time(Duration),
}

impl Default for Queue {
    /// What home routers hold.
    fn default() -> Self {
        Self::Time(Duration::from_millis(200))
    }
}

/// Packets lost on the way, after the queue: they use the link up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Loss {
    /// None.
    #[default]
    None,
    /// Each packet by itself.
    Random {
        /// How many, of 1.
        share: f64,
    },
    /// Gilbert–Elliott: a good state that loses nothing and a bad one that loses everything, left with the
    /// probabilities that give this mean loss and this mean length of a burst.
    Bursts {
        /// How many packets, of 1.
        share: f64,
        /// Mean packets lost in a row, at least 1.
        mean_length: f64,
    },
}

/// A time in which nothing leaves the link: what waits goes on waiting, and what does not fit is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outage {
    /// Its beginning, after the link's time zero.
    pub from: Duration,
    /// Its end.
    pub until: Duration,
}

/// One direction of a path.
///
/// As text, parts of `key=value` between spaces or commas:
/// `rate=20M:5M@10s queue=200ms delay=10ms jitter=2ms reorder=1%x5ms loss=3% burst=5 mark=1ms outage=10s+2s`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LinkSpec {
    /// Capacity.
    pub rate: Rate,
    /// The most that waits.
    pub queue: Queue,
    /// Propagation delay.
    pub delay: Duration,
    /// What is added to it.
    pub jitter: Jitter,
    /// Packets that are overtaken.
    pub reordering: Reordering,
    /// Packets lost on the way.
    pub loss: Loss,
    /// A packet that allows it and would wait longer than this is marked "congestion experienced" (RFC 3168, RFC 9331).
    pub mark_above: Option<Duration>,
    /// Times without any capacity, in order.
    pub outages: Vec<Outage>,
    /// The receiver's address changes: what is under way at this time is lost.
    pub address_change: Option<Duration>,
}

impl LinkSpec {
    /// Whether a link can be like this.
    ///
    /// # Errors
    /// Says what cannot be.
    pub fn check(&self) -> Result<(), SpecError> {
        self.rate.check()?;
        let ends = self.outages.iter().map(|outage| outage.until);
        let times = [self.delay, self.jitter.spread, self.reordering.by];
        let times = times.into_iter().chain(ends).chain(self.mark_above).chain(self.address_change);
        if times.max() > Some(LONGEST) {
            return Err(SpecError::TooLong);
        }
        share("reordering", self.reordering.share)?;
        match self.loss {
            Loss::None => {}
            Loss::Random { share: p } => share("loss", p)?,
            Loss::Bursts { share: p, mean_length } => {
                share("loss", p)?;
                if !(mean_length >= 1.0 && mean_length.is_finite() && p < 1.0 && p / (1.0 - p) <= mean_length)
                {
                    return Err(SpecError::Burst);
                }
            }
        }
        let whole = self.outages.iter().all(|outage| outage.from < outage.until);
        let in_order = self.outages.windows(2).all(|pair| pair[0].until <= pair[1].from);
        (whole && in_order).then_some(()).ok_or(SpecError::Outages)
    }
}

fn share(what: &'static str, share: f64) -> Result<(), SpecError> {
    (0.0..=1.0).contains(&share).then_some(()).ok_or(SpecError::Share(what))
}

impl FromStr for Queue {
    type Err = SpecError;

    /// `200ms` or `64kB`.
    fn from_str(text: &str) -> Result<Self, SpecError> {
        if let Some(bytes) = parse_bytes(text) {
            return Ok(Self::Bytes(bytes));
        }
        let expected = "a queue, such as 200ms or 64kB";
        let time = parse_duration(text).map_err(|_| SpecError::Value { value: text.to_owned(), expected })?;
        Ok(Self::Time(time))
    }
}

impl FromStr for Outage {
    type Err = SpecError;

    /// `10s+2s`: from, and how long.
    fn from_str(text: &str) -> Result<Self, SpecError> {
        let expected = "an outage, such as 10s+2s";
        let wrong = || SpecError::Value { value: text.to_owned(), expected };
        let (from, length) = text.split_once('+').ok_or_else(wrong)?;
        let from = parse_duration(from)?;
        Ok(Self { from, until: from + parse_duration(length)? })
    }
}

impl FromStr for Reordering {
    type Err = SpecError;

    /// `1%x5ms`: how many, and by how much.
    fn from_str(text: &str) -> Result<Self, SpecError> {
        let expected = "a share and a time, such as 1%x5ms";
        let wrong = || SpecError::Value { value: text.to_owned(), expected };
        let (share, by) = text.split_once('x').ok_or_else(wrong)?;
        Ok(Self { share: parse_share(share)?, by: parse_duration(by)? })
    }
}

impl Loss {
    /// With a mean length of bursts, or each packet by itself.
    pub fn of(share: f64, mean_length: Option<f64>) -> Self {
        match mean_length {
            _ if share == 0.0 => Self::None,
            Some(mean_length) => Self::Bursts { share, mean_length },
            None => Self::Random { share },
        }
    }
}

impl FromStr for LinkSpec {
    type Err = SpecError;

    fn from_str(text: &str) -> Result<Self, SpecError> {
        let mut spec = Self::default();
        let (mut lost, mut burst) = (0.0, None);
        for part in text.split([' ', ',']).filter(|part| !part.is_empty()) {
            let (key, value) = part.split_once('=').ok_or_else(|| SpecError::NoValue(part.to_owned()))?;
            match key {
                "rate" => spec.rate = value.parse()?,
                "queue" => spec.queue = value.parse()?,
                "delay" => spec.delay = parse_duration(value)?,
                "jitter" => spec.jitter = Jitter { spread: parse_duration(value)?, free: false },
                "free_jitter" => spec.jitter = Jitter { spread: parse_duration(value)?, free: true },
                "reorder" => spec.reordering = value.parse()?,
                "loss" => lost = parse_share(value)?,
                "burst" => burst = Some(value.parse().map_err(|_| SpecError::Burst)?),
                "mark" => spec.mark_above = Some(parse_duration(value)?),
                "outage" => spec.outages.push(value.parse()?),
                "address_change" => spec.address_change = Some(parse_duration(value)?),
                _ => return Err(SpecError::Key(key.to_owned())),
            }
        }
        spec.loss = Loss::of(lost, burst);
        spec.check()?;
        Ok(spec)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_can_be_written_as_text() {
        let text = "rate=20M:5M@10s queue=64kB,delay=10ms jitter=2ms reorder=1%x5ms loss=3% burst=5 mark=1ms \
                    outage=10s+2s outage=20s+1s address_change=5s";
        let spec: LinkSpec = text.parse().unwrap();
        assert_eq!(spec.queue, Queue::Bytes(64_000));
        assert_eq!(spec.loss, Loss::Bursts { share: 0.03, mean_length: 5.0 });
        assert_eq!(spec.outages[0].until, Duration::from_secs(12));
        assert_eq!(spec.reordering, Reordering { share: 0.01, by: Duration::from_millis(5) });
        assert_eq!(spec.address_change, Some(Duration::from_secs(5)));
        let json = serde_json::to_string(&spec).unwrap();
        assert_eq!(serde_json::from_str::<LinkSpec>(&json).unwrap(), spec);
    }

    #[test]
    fn what_cannot_be_is_refused_with_a_reason() {
        for (text, reason) in [
            ("speed=3", "rate"),
            ("delay", "key=value"),
            ("loss=1.5", "share"),
            ("loss=80% burst=2", "burst"),
            ("loss=1% burst=0.5", "burst"),
            ("outage=5s+2s outage=6s+1s", "outages"),
            ("outage=5s+0s", "outages"),
            ("queue=x", "200ms"),
            ("rate=5M@1s", "steps"),
        ] {
            let error = text.parse::<LinkSpec>().unwrap_err().to_string();
            assert!(error.contains(reason), "{text}: {error}");
        }
        assert!(serde_json::from_str::<LinkSpec>("{\"speed\": 3}").is_err());
        let endless = LinkSpec { delay: Duration::MAX, ..LinkSpec::default() };
        assert_eq!(endless.check(), Err(SpecError::TooLong));
    }

    #[test]
    fn no_text_is_a_link_that_changes_nothing() {
        let spec: LinkSpec = "".parse().unwrap();
        assert_eq!((spec.rate, spec.delay, spec.loss), (Rate::Unlimited, Duration::ZERO, Loss::None));
    }
}
