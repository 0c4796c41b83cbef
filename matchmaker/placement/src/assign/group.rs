//! Players who want to be together: on one node, or in one region.

use crate::index::search::Query;
use crate::index::{Claim, Found, Index, Scratch};
use crate::latency::SiteId;
use crate::region::RegionId;
use std::collections::BTreeMap;

/// One member's sites and round trips, µs, nearest first.
pub type Member = Vec<(u32, SiteId)>;

/// Members of one group.
pub const MOST_MEMBERS: usize = 64;

/// Sites by the round trip of the member that is farthest from them: a game feels as its slowest player does.
/// A site that some member has no way to is left out.
pub fn together(members: &[Member]) -> Vec<(u32, SiteId)> {
    let mut worst: BTreeMap<SiteId, (u32, usize)> = BTreeMap::new();
    for member in members {
        for &(rtt_us, site) in member {
            let (most, reached) = worst.entry(site).or_insert((0, 0));
            *most = (*most).max(rtt_us);
            *reached += 1;
        }
    }
    let reached_by_all = worst.into_iter().filter(|(_, (_, reached))| *reached == members.len());
    let mut order: Vec<_> = reached_by_all.map(|(site, (most, _))| (most, site)).collect();
    order.sort_unstable();
    order
}

/// One node for all of them; the query asks for as many slots as the group needs.
pub fn on_one_node(
    index: &Index,
    query: &Query,
    members: &[Member],
    seed: u64,
    scratch: &mut Scratch,
) -> Option<Found> {
    index.find(query, together(members), seed, scratch)
}

/// A node for each, all in the region where the sum of their round trips is lowest; `None` where no region has
/// room for all. The slots are claimed in `index` only when all have one.
pub fn in_one_region(
    index: &mut Index,
    query: &Query,
    members: &[Member],
    seed: u64,
    scratch: &mut Scratch,
) -> Option<Vec<(Found, Claim)>> {
    if members.is_empty() || members.len() > MOST_MEMBERS {
        return None;
    }
    for (_, region) in by_sum(index, members) {
        let mut placed = Vec::with_capacity(members.len());
        for (serial, member) in members.iter().enumerate() {
            let here = member.iter().copied().filter(|(_, site)| index.region(*site) == Some(region));
            let found = index.find(query, here.collect::<Vec<_>>(), seed ^ serial as u64, scratch);
            let Some(found) = found else { break };
            let slots = u16::try_from(query.slots()).unwrap_or(u16::MAX);
            let Ok(claim) = index.claim(&found, slots) else { break };
            placed.push((found, claim));
        }
        if placed.len() == members.len() {
            return Some(placed);
        }
        placed.into_iter().for_each(|(_, claim)| index.release(claim));
    }
    None
}

/// Regions that every member reaches, by the sum of the nearest sites' round trips.
fn by_sum(index: &Index, members: &[Member]) -> Vec<(u64, RegionId)> {
    let mut sums: BTreeMap<RegionId, (u64, usize)> = BTreeMap::new();
    for member in members {
        let mut nearest: BTreeMap<RegionId, u32> = BTreeMap::new();
        for &(rtt_us, site) in member {
            if let Some(region) = index.region(site) {
                let least = nearest.entry(region).or_insert(rtt_us);
                *least = (*least).min(rtt_us);
            }
        }
        for (region, rtt_us) in nearest {
            let (sum, reached) = sums.entry(region).or_insert((0, 0));
            *sum += u64::from(rtt_us);
            *reached += 1;
        }
    }
    let all = sums.into_iter().filter(|(_, (_, reached))| *reached == members.len());
    let mut order: Vec<_> = all.map(|(region, (sum, _))| (sum, region)).collect();
    order.sort_unstable();
    order
}
