//! Who is audited when: a draw that anybody can do again once the day is over.
//!
//! Each day has 24 hours and a seed of 32 random bytes. The matchmaker tells at the day's beginning
//! `SHA-256("nearframe/check-day/v1\0" · day u32 · seed · new_days u16 · new_per_day u8 · per_day u8)` and, once it is
//! over, the seed. A node is audited in an hour if the first 8 bytes, as a little-endian number, of
//! `SHA-256("nearframe/check-draw/v1\0" · seed · node (16) · hour u8)` are below its share of 2⁶⁴: audits a day ÷ 24. The
//! next 4 bytes, modulo 3600, are the second of that hour from which on it is due.
//!
//! Every node is drawn by itself, so that its owner needs to know of no other.

use crate::NodeId;
use crate::key::{KeyError, hex_bytes};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fmt;
use utoipa::ToSchema;

const DAY_DOMAIN: &[u8] = b"nearframe/check-day/v1\0";
const DRAW_DOMAIN: &[u8] = b"nearframe/check-draw/v1\0";
/// Hours of a day, and so the most audits of a node in one.
pub const HOURS: u8 = 24;
/// A day, ms.
pub const DAY_MS: u64 = 24 * 3600 * 1000;

hex_bytes!(
    /// What a day's draw is made from.
    Seed,
    32
);
hex_bytes!(
    /// What binds a matchmaker to a seed before it tells it.
    Commitment,
    32
);

/// How often nodes are audited.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Rules {
    /// Days from its enrolment on in which a node is new.
    pub new_days: u16,
    /// Audits of a new node in a day, on average; at most 24.
    pub new_per_day: u8,
    /// Audits of any other node in a day, on average; at most 24.
    pub per_day: u8,
}

impl Default for Rules {
    fn default() -> Self {
        Self { new_days: 14, new_per_day: 6, per_day: 1 }
    }
}

impl Rules {
    /// Audits a day of a node that was enrolled at this time, on that day.
    pub fn rate(&self, enrolled_at_ms: u64, day: u32) -> u8 {
        let until = day_of(enrolled_at_ms).saturating_add(self.new_days.into());
        if day < until { self.new_per_day } else { self.per_day }
    }
}

/// One audit of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Audit {
    /// Days since 1970-01-01, UTC.
    pub day: u32,
    /// Hour of that day.
    pub hour: u8,
}

/// The day of a time, Unix ms.
pub fn day_of(at_ms: u64) -> u32 {
    u32::try_from(at_ms / DAY_MS).unwrap_or(u32::MAX)
}

/// What is told of a seed before the day is over.
pub fn commitment(day: u32, seed: &Seed, rules: &Rules) -> Commitment {
    let mut hasher = Sha256::new();
    hasher.update(DAY_DOMAIN);
    hasher.update(day.to_le_bytes());
    hasher.update(seed.as_bytes());
    hasher.update(rules.new_days.to_le_bytes());
    hasher.update([rules.new_per_day, rules.per_day]);
    Commitment::from_bytes(hasher.finalize().into())
}

/// The second of this hour from which on the node is due, if it is drawn in it. `rate`: audits a day.
pub fn due(seed: &Seed, node: NodeId, hour: u8, rate: u8) -> Option<u32> {
    let mut hasher = Sha256::new();
    hasher.update(DRAW_DOMAIN);
    hasher.update(seed.as_bytes());
    hasher.update(node.as_bytes());
    hasher.update([hour]);
    let drawn = hasher.finalize();
    let number = u64::from_le_bytes(*drawn.first_chunk().expect("a hash has 32 bytes"));
    let second = u32::from_le_bytes(*drawn[8..].first_chunk().expect("a hash has 32 bytes")) % 3600;
    // A share of 2⁶⁴, which itself does not fit.
    let is_drawn = u128::from(number) * u128::from(HOURS) < u128::from(rate) << 64;
    is_drawn.then_some(second)
}

/// All audits of a node on a day, each with the time from which on it is due, Unix ms.
pub fn audits(seed: &Seed, node: NodeId, day: u32, rate: u8) -> impl Iterator<Item = (Audit, u64)> {
    (0..HOURS).filter_map(move |hour| {
        let second = due(seed, node, hour, rate)?;
        let seconds = u64::from(hour) * 3600 + u64::from(second);
        Some((Audit { day, hour }, u64::from(day) * DAY_MS + seconds * 1000))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(n: u32) -> NodeId {
        let mut bytes = [0; 16];
        bytes[..4].copy_from_slice(&n.to_le_bytes());
        NodeId::from_bytes(bytes)
    }

    /// Audits of 500 nodes in 20 days.
    fn drawn(rate: u8) -> Vec<(u32, Audit, u64)> {
        let of = |day: u32, n: u32| {
            let seed = Seed::from_bytes([day as u8; 32]);
            let found: Vec<_> = audits(&seed, node(n), day, rate).collect();
            found.into_iter().map(move |(audit, at)| (n, audit, at))
        };
        (1..=20).flat_map(|day| (0..500).flat_map(move |n| of(day, n))).collect()
    }

    #[test]
    fn nodes_are_drawn_as_often_as_the_rules_say_and_evenly_over_nodes_and_hours() {
        for rate in [1, 6] {
            let all = drawn(rate);
            let expected = 500 * 20 * usize::from(rate);
            // Five standard deviations of so many independent draws.
            let slack = 5 * (expected as f64).sqrt() as usize;
            assert!(all.len().abs_diff(expected) < slack, "{} of {expected}", all.len());
            for hour in 0..HOURS {
                let of_hour = all.iter().filter(|(_, audit, _)| audit.hour == hour).count();
                let share = expected / usize::from(HOURS);
                assert!(
                    of_hour.abs_diff(share) < 5 * (share as f64).sqrt() as usize,
                    "hour {hour}: {of_hour}"
                );
            }
            let most = (0..500).map(|n| all.iter().filter(|(m, ..)| *m == n).count()).max().unwrap();
            assert!(most < 20 * usize::from(rate) * 3, "one node alone has {most}");
        }
        assert_eq!(drawn(24).len(), 500 * 20 * 24, "every hour");
        assert!(drawn(0).is_empty());
    }

    #[test]
    fn an_audit_is_due_within_its_hour() {
        for (_, audit, at) in drawn(6) {
            let since = at - u64::from(audit.day) * DAY_MS;
            assert_eq!(since / 3_600_000, u64::from(audit.hour));
        }
    }

    #[test]
    fn a_commitment_binds_day_seed_and_rules() {
        let (seed, rules) = (Seed::from_bytes([1; 32]), Rules::default());
        let told = commitment(9, &seed, &rules);
        assert_ne!(told, commitment(10, &seed, &rules));
        assert_ne!(told, commitment(9, &Seed::from_bytes([2; 32]), &rules));
        assert_ne!(told, commitment(9, &seed, &Rules { per_day: 2, ..rules }));
    }

    #[test]
    fn a_node_is_new_for_so_many_days() {
        let rules = Rules::default();
        let enrolled = 100 * DAY_MS + 5;
        let rates: Vec<u8> = [100, 113, 114].map(|day| rules.rate(enrolled, day)).to_vec();
        assert_eq!(rates, [6, 6, 1]);
    }
}
