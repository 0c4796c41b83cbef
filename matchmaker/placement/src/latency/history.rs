//! What is remembered of clients: for each prefix, the sites it was measured from.
//!
//! Bounded in clients and in sites for each. Within these bounds replicas merge in any order and as often as
//! they like, because each summary is the union of what was seen; beyond them the clients heard of longest
//! ago and the sites farthest away go first.

use super::recent::Recent;
use super::sites::SiteId;
use serde::{Deserialize, Serialize};
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::net::IpAddr;

/// Whose measurements stand together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum ClientKey {
    /// The upper 24 bits of an IPv4 address.
    V4(u32),
    /// The upper 48 bits of an IPv6 address.
    V6(u64),
    /// An operator's network in one metropolis, for a prefix that is not known itself.
    Area {
        /// Autonomous system.
        asn: u32,
        /// The metropolis, as the address database numbers it.
        metro: u32,
    },
}

impl ClientKey {
    /// The prefix of an address; an IPv4 address in IPv6 form counts as IPv4.
    pub fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(v4) => Self::V4(v4.to_bits() >> 8),
            IpAddr::V6(v6) => Self::V6(u64::try_from(v6.to_bits() >> 80).expect("48 bits fit")),
        }
    }
}

/// Sites remembered for one client: what is far is never chosen, whatever it measures.
pub const SITES_PER_CLIENT: usize = 160;
/// Of the clients, the share that goes at once when there are too many: making room costs a sort.
const EVICTED_SHARE: usize = 16;

/// One client's past.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Past {
    sites: Vec<(SiteId, Recent)>,
}

/// The pasts of all clients.
#[derive(Clone, Debug)]
pub struct History {
    pasts: BTreeMap<ClientKey, Past>,
    most: usize,
}

impl History {
    /// Remembers at most `most` clients, and at least one.
    pub fn new(most: usize) -> Self {
        Self { pasts: BTreeMap::new(), most: most.max(1) }
    }

    /// A round trip between a client and a site, measured in `epoch`.
    pub fn observe(&mut self, client: ClientKey, site: SiteId, epoch: u32, rtt_us: u32) {
        let past = self.pasts.entry(client).or_default();
        match past.sites.binary_search_by_key(&site, |(site, _)| *site) {
            Ok(at) => past.sites[at].1.observe(epoch, rtt_us),
            Err(at) => {
                let mut recent = Recent::default();
                recent.observe(epoch, rtt_us);
                past.sites.insert(at, (site, recent));
                past.bound();
            }
        }
        self.bound();
    }

    /// Takes over what another replica knows.
    pub fn merge(&mut self, other: &Self) {
        for (client, theirs) in &other.pasts {
            let ours = self.pasts.entry(*client).or_default();
            for (site, recent) in &theirs.sites {
                match ours.sites.binary_search_by_key(site, |(site, _)| *site) {
                    Ok(at) => ours.sites[at].1.merge(recent),
                    Err(at) => ours.sites.insert(at, (*site, recent.clone())),
                }
            }
            ours.bound();
        }
        self.bound();
    }

    /// What is known of a client.
    pub fn past(&self, client: ClientKey) -> Option<&Past> {
        self.pasts.get(&client)
    }

    /// All clients, in the order of their keys.
    pub fn pasts(&self) -> impl Iterator<Item = (ClientKey, &Past)> {
        self.pasts.iter().map(|(client, past)| (*client, past))
    }

    /// How many clients are remembered.
    pub fn len(&self) -> usize {
        self.pasts.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.pasts.is_empty()
    }

    /// Unites what is known of one client with what was kept of it.
    pub fn unite(&mut self, client: ClientKey, sites: impl IntoIterator<Item = (SiteId, Recent)>) {
        let ours = self.pasts.entry(client).or_default();
        for (site, recent) in sites {
            match ours.sites.binary_search_by_key(&site, |(site, _)| *site) {
                Ok(at) => ours.sites[at].1.merge(&recent),
                Err(at) => ours.sites.insert(at, (site, recent)),
            }
        }
        ours.bound();
        self.bound();
    }

    pub(super) fn insert(&mut self, client: ClientKey, sites: Vec<(SiteId, Recent)>) {
        let mut past = Past { sites };
        past.bound();
        self.pasts.insert(client, past);
        self.bound();
    }

    fn bound(&mut self) {
        if self.pasts.len() <= self.most {
            return;
        }
        let spare = self.most / EVICTED_SHARE;
        let keep = self.most - spare;
        let mut heard: Vec<_> = self.pasts.iter().map(|(client, past)| (past.newest(), *client)).collect();
        heard.sort_unstable();
        for (_, client) in &heard[..heard.len() - keep] {
            self.pasts.remove(client);
        }
    }
}

impl Past {
    /// The sites, in the order of their ids.
    pub fn sites(&self) -> &[(SiteId, Recent)] {
        &self.sites
    }

    /// The newest epoch in which anything was measured.
    pub fn newest(&self) -> u32 {
        self.sites.iter().map(|(_, recent)| recent.newest()).max().unwrap_or(0)
    }

    /// The `most` sites to measure: first those with the lowest medians, then the ones that would most often
    /// have saved the day. The epochs are joint samples: what is slow together is no hedge.
    pub fn portfolio(&self, allowed: &[SiteId], most: usize) -> Vec<SiteId> {
        let mut known: Vec<(u32, SiteId, &Recent)> = self
            .sites
            .iter()
            .filter(|(site, _)| allowed.contains(site))
            .filter_map(|(site, recent)| Some((recent.median_us()?, *site, recent)))
            .collect();
        known.sort_unstable_by_key(|(median, site, _)| (*median, *site));
        let lead = (most - most / HEDGE_SHARE).min(known.len());
        let mut chosen = known.drain(..lead).collect::<Vec<_>>();
        let epochs = self.epochs();
        while chosen.len() < most && !known.is_empty() {
            let best: Vec<u32> = epochs.iter().map(|&epoch| lowest_in(&chosen, epoch)).collect();
            let score = |(median, _, recent): &(u32, SiteId, &Recent)| {
                let saved = epochs.iter().zip(&best).map(|(&epoch, &best)| {
                    u64::from(best.saturating_sub(recent.in_epoch(epoch).unwrap_or(*median)))
                });
                let mean = saved.sum::<u64>() as f64 / epochs.len() as f64;
                mean - f64::from(*median) * NEARNESS
            };
            let at = (0..known.len())
                .max_by(|&one, &other| {
                    score(&known[one]).total_cmp(&score(&known[other])).then(other.cmp(&one))
                })
                .expect("some are left");
            chosen.push(known.remove(at));
        }
        chosen.into_iter().map(|(_, site, _)| site).collect()
    }

    fn epochs(&self) -> Vec<u32> {
        let mut epochs: Vec<u32> =
            self.sites.iter().flat_map(|(_, recent)| recent.minima()).map(|(epoch, _)| *epoch).collect();
        epochs.sort_unstable_by_key(|epoch| Reverse(*epoch));
        epochs.dedup();
        epochs.truncate(super::recent::EPOCHS);
        epochs
    }

    fn bound(&mut self) {
        while self.sites.len() > SITES_PER_CLIENT {
            let far = |at: &usize| (self.sites[*at].1.median_us(), Reverse(self.sites[*at].1.newest()), *at);
            let farthest = (0..self.sites.len()).max_by_key(far).expect("there are too many");
            self.sites.remove(farthest);
        }
    }
}

/// One of so many measurements hedges.
const HEDGE_SHARE: usize = 3;
/// What a nearer median counts beside what a hedge would have saved: the past does not hold every case.
const NEARNESS: f64 = 0.05;

fn lowest_in(chosen: &[(u32, SiteId, &Recent)], epoch: u32) -> u32 {
    chosen
        .iter()
        .map(|(median, _, recent)| recent.in_epoch(epoch).unwrap_or(*median))
        .min()
        .unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(n: u32) -> ClientKey {
        ClientKey::V4(n)
    }

    #[test]
    fn neighbours_share_a_prefix_in_both_families() {
        let of = |text: &str| ClientKey::of(text.parse().unwrap());
        assert_eq!(of("192.0.2.1"), of("192.0.2.200"));
        assert_eq!(of("192.0.2.1"), of("::ffff:192.0.2.9"));
        assert_ne!(of("192.0.2.1"), of("192.0.3.1"));
        assert_eq!(of("2001:db8:1::1"), of("2001:db8:1:ffff::1"));
        assert_ne!(of("2001:db8:1::1"), of("2001:db8:2::1"));
    }

    #[test]
    fn the_client_heard_of_longest_ago_makes_room() {
        let mut history = History::new(32);
        (0..100).for_each(|n| history.observe(key(n), SiteId(1), n, 1000));
        assert!(history.len() <= 32);
        assert!(history.past(key(99)).is_some() && history.past(key(0)).is_none());
    }

    #[test]
    fn far_sites_make_room_for_near_ones() {
        let mut history = History::new(1);
        (0..200).for_each(|n| history.observe(key(1), SiteId(n), 1, 1000 * u32::from(200 - n)));
        let past = history.past(key(1)).unwrap();
        assert_eq!(past.sites().len(), SITES_PER_CLIENT);
        assert_eq!(past.sites()[0].0, SiteId(200 - SITES_PER_CLIENT as u16));
    }

    #[test]
    fn the_last_choice_is_the_site_that_is_good_when_the_others_are_not() {
        let mut history = History::new(1);
        let epochs: [[u32; 5]; 4] =
            [[10, 11, 12, 40, 90], [10, 11, 12, 40, 90], [50, 51, 52, 9, 90], [50, 51, 52, 8, 90]];
        for (epoch, row) in epochs.iter().enumerate() {
            for (site, rtt_ms) in row.iter().enumerate() {
                history.observe(key(1), SiteId(site as u16), epoch as u32, rtt_ms * 1000);
            }
        }
        let all: Vec<_> = (0..5).map(SiteId).collect();
        let past = history.past(key(1)).unwrap();
        let chosen = past.portfolio(&all, 3);
        assert!(chosen.contains(&SiteId(3)), "{chosen:?}");
        assert!(!past.portfolio(&[SiteId(0), SiteId(4)], 3).contains(&SiteId(3)), "only what is allowed");
    }
}
