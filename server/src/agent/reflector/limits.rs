//! How many answers a source gets, in a table that is bounded and forgets.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

/// Answers that one source gets in a second: a page sends about 30 checks for all of its addresses, and many pages
/// may share an address.
const PER_SOURCE: u32 = 256;
/// Answers of a second in all: what they cost stays far below a processor.
const PER_SECOND: u32 = 8_192;
/// Sources that are counted at once; a new one beyond them waits until one is forgotten.
const SOURCES: usize = 4_096;
/// A source that was not heard for this long is forgotten.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(5);
const WINDOW: Duration = Duration::from_secs(1);

#[derive(Debug)]
struct Count {
    since: Instant,
    heard: Instant,
    answers: u32,
}

impl Count {
    fn new(now: Instant) -> Self {
        Self { since: now, heard: now, answers: 0 }
    }

    fn take(&mut self, now: Instant, most: u32) -> bool {
        self.heard = now;
        if now.duration_since(self.since) >= WINDOW {
            (self.since, self.answers) = (now, 0);
        }
        self.answers += 1;
        self.answers <= most
    }
}

/// Counts answers by source: an IPv4 address, or the /64 of an IPv6 one.
#[derive(Debug, Default)]
pub(super) struct Limits {
    sources: HashMap<IpAddr, Count>,
    all: Option<Count>,
}

impl Limits {
    pub(super) fn new() -> Self {
        Self::default()
    }

    /// Whether `from` may be answered.
    pub(super) fn take(&mut self, from: IpAddr, now: Instant) -> bool {
        if !self.all.get_or_insert_with(|| Count::new(now)).take(now, PER_SECOND) {
            return false;
        }
        let source = source(from);
        if self.sources.len() >= SOURCES && !self.sources.contains_key(&source) {
            self.forget(now);
            if self.sources.len() >= SOURCES {
                return false;
            }
        }
        self.sources.entry(source).or_insert_with(|| Count::new(now)).take(now, PER_SOURCE)
    }

    /// Drops the sources that were not heard for [`FORGOTTEN_AFTER`].
    pub(super) fn forget(&mut self, now: Instant) {
        self.sources.retain(|_, count| now.duration_since(count.heard) < FORGOTTEN_AFTER);
    }

    /// How many sources are counted.
    #[cfg(test)]
    fn len(&self) -> usize {
        self.sources.len()
    }
}

fn source(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64).into(),
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_source_does_not_get_more_than_its_share_and_others_still_do() {
        let mut limits = Limits::new();
        let now = Instant::now();
        let (one, other) = (IpAddr::from([192, 0, 2, 1]), IpAddr::from([192, 0, 2, 2]));
        let answered = (0..1_000).filter(|_| limits.take(one, now)).count();
        assert_eq!(answered, PER_SOURCE as usize);
        assert!(limits.take(other, now));
        assert!(limits.take(one, now + WINDOW), "it gets its share of the next second");
    }

    #[test]
    fn addresses_of_one_ipv6_network_count_as_one() {
        let mut limits = Limits::new();
        let now = Instant::now();
        let address = |n: u16| IpAddr::from([0x2001, 0xdb8, 0, 1, n, 0, 0, 1]);
        let answered = (0..1_000).filter(|n| limits.take(address(*n), now)).count();
        assert_eq!((answered, limits.len()), (PER_SOURCE as usize, 1));
    }

    #[test]
    fn the_table_is_bounded_and_empty_five_seconds_after_the_last_word() {
        let mut limits = Limits::new();
        let start = Instant::now();
        for n in 0..20_000_u32 {
            limits.take(IpAddr::from(n.to_be_bytes()), start + Duration::from_millis(u64::from(n)) / 2);
            assert!(limits.len() <= SOURCES);
        }
        limits.forget(start + Duration::from_secs(10) + FORGOTTEN_AFTER);
        assert_eq!(limits.len(), 0);
    }
}
