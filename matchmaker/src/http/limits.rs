//! Rate limits per address: a token bucket each, in a bounded table.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// Addresses remembered at once. When full, the ones that have their whole allowance back are
/// forgotten, which changes nothing for them; if none has, newcomers share one bucket.
const ADDRESSES: usize = 16_384;

/// Allows each address so many requests a minute, all of them at once if it likes.
#[derive(Debug)]
pub(crate) struct Limiter {
    per_minute: f64,
    buckets: Mutex<HashMap<Prefix, Bucket>>,
}

/// An IPv4 address, or the /64 of an IPv6 one, which one customer has to itself.
pub(crate) type Prefix = [u8; 8];

#[derive(Debug, Clone, Copy)]
struct Bucket {
    tokens: f64,
    at: Instant,
}

impl Limiter {
    pub(crate) fn per_minute(limit: u32) -> Self {
        Self { per_minute: limit.into(), buckets: Mutex::default() }
    }

    /// Takes one request from the address's allowance; an error says how many seconds to wait.
    pub(crate) fn take(&self, address: IpAddr, now: Instant) -> Result<(), u32> {
        self.take_for(prefix(address), now)
    }

    /// The same for whatever else has a prefix, such as a random id.
    pub(crate) fn take_for(&self, mut prefix: Prefix, now: Instant) -> Result<(), u32> {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= ADDRESSES && !buckets.contains_key(&prefix) {
            buckets.retain(|_, bucket| self.refilled(bucket, now) < self.per_minute);
            if buckets.len() >= ADDRESSES {
                prefix = [0xff; 8];
            }
        }
        let bucket = buckets.entry(prefix).or_insert(Bucket { tokens: self.per_minute, at: now });
        let tokens = self.refilled(bucket, now);
        let allowed = tokens >= 1.0;
        *bucket = Bucket { tokens: if allowed { tokens - 1.0 } else { tokens }, at: now };
        let wait_s = ((1.0 - tokens) * 60.0 / self.per_minute).ceil();
        if allowed { Ok(()) } else { Err(wait_s.max(1.0) as u32) }
    }

    fn refilled(&self, bucket: &Bucket, now: Instant) -> f64 {
        let minutes = now.saturating_duration_since(bucket.at).as_secs_f64() / 60.0;
        (bucket.tokens + minutes * self.per_minute).min(self.per_minute)
    }
}

fn prefix(address: IpAddr) -> Prefix {
    let mut prefix = [0; 8];
    match address.to_canonical() {
        IpAddr::V4(v4) => prefix[..4].copy_from_slice(&v4.octets()),
        IpAddr::V6(v6) => prefix.copy_from_slice(&v6.octets()[..8]),
    }
    prefix
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn an_address_is_stopped_when_its_allowance_is_used_and_gets_it_back_in_time() {
        let limiter = Limiter::per_minute(2);
        let (one, other) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
        let now = Instant::now();
        assert_eq!([0; 3].map(|_| limiter.take(one, now)), [Ok(()), Ok(()), Err(30)]);
        assert_eq!(limiter.take(other, now), Ok(()));
        let later = now + Duration::from_secs(30);
        assert_eq!([0; 2].map(|_| limiter.take(one, later)), [Ok(()), Err(30)]);
    }

    #[test]
    fn the_table_stays_bounded_and_strangers_are_limited_together() {
        let limiter = Limiter::per_minute(1);
        let now = Instant::now();
        for n in 0..(ADDRESSES as u32) {
            assert_eq!(limiter.take(IpAddr::from(n.to_be_bytes()), now), Ok(()));
        }
        assert_eq!(limiter.take(IpAddr::from([255, 0, 0, 1]), now), Ok(()));
        assert!(limiter.take(IpAddr::from([255, 0, 0, 2]), now).is_err());
        assert!(limiter.buckets.lock().unwrap().len() <= ADDRESSES + 1);
        let later = now + Duration::from_secs(61);
        assert_eq!(limiter.take(IpAddr::from([255, 0, 0, 2]), later), Ok(()));
        assert_eq!(limiter.buckets.lock().unwrap().len(), 1);
    }
}
