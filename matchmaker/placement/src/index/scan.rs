//! Looking at every node, by its record and without the bitmaps: what explanations are made of, and what the
//! search is held against.

use super::search::{Found, Query};
use super::site::{Record, SiteNodes, closed};
use super::{Handle, Index, TitleKey};
use crate::caps::Caps;
use crate::cost;
use crate::latency::SiteId;
use crate::obstacle::Obstacle;
use crate::request::Needs;

/// The first thing that stands in the way of placing the query on a node of this site.
pub(crate) fn obstacle(
    query: &Query,
    site: &SiteNodes,
    at: u32,
    rtt_us: u32,
    holds: impl Fn(TitleKey) -> bool,
    others: &[TitleKey],
) -> Option<Obstacle> {
    let record = site.record(at)?;
    if record.closed & closed::OFFLINE != 0 {
        return Some(Obstacle::Offline);
    }
    if record.closed & closed::BANNED != 0 {
        return Some(Obstacle::Banned);
    }
    if record.closed & closed::DRAINING != 0 {
        return Some(Obstacle::Draining);
    }
    if !holds(query.title) {
        let other = others.iter().any(|other| holds(*other));
        return Some(if other { Obstacle::OtherVersion } else { Obstacle::TitleMissing });
    }
    if !query.regions.contains(site.region) {
        return Some(Obstacle::Region);
    }
    if query.shut.contains(&site.region) {
        return Some(Obstacle::Reserved);
    }
    graded(query, record).or_else(|| ungraded(query, record, rtt_us)).or_else(|| {
        let needed = query.needs.slots.max(1);
        (u32::from(record.free) < needed).then_some(Obstacle::Full)
    })
}

/// Abilities, each by the bits of a request that asks for nothing else.
fn graded(query: &Query, record: &Record) -> Option<Obstacle> {
    let Needs { codecs, gpu_tier, trust, batch, .. } = query.needs;
    let lacks = |needs: Needs| {
        // The bits that say open and free belong to no ability.
        let asked = Caps::needed(&needs).0 & !Caps::needed(&Needs::default()).0;
        !record.caps.cover(Caps(asked))
    };
    let nothing = Needs::default;
    let checks = [
        (lacks(Needs { codecs, ..nothing() }), Obstacle::Codec),
        (lacks(Needs { gpu_tier, ..nothing() }), Obstacle::GpuTier),
        (lacks(Needs { trust, ..nothing() }), Obstacle::Trust),
        (lacks(Needs { batch, ..nothing() }), Obstacle::NotForBatch),
    ];
    checks.into_iter().find_map(|(lacks, obstacle)| lacks.then_some(obstacle))
}

/// What bitmaps only grade, compared exactly.
pub(crate) fn ungraded(query: &Query, record: &Record, rtt_us: u32) -> Option<Obstacle> {
    let needs = &query.needs;
    if record.pixels_per_s < needs.pixels_per_s {
        return Some(Obstacle::Resolution);
    }
    if record.stake_micros < needs.stake_micros {
        return Some(Obstacle::Stake);
    }
    let price_micros = record.price_micros(needs.batch);
    if needs.price_ceiling_micros_per_hour.is_some_and(|ceiling| price_micros > ceiling) {
        return Some(Obstacle::Price);
    }
    let rtt_us = rtt_us.saturating_add_signed(record.offset_us);
    if needs.rtt_ceiling_us.is_some_and(|ceiling| rtt_us > ceiling) {
        return Some(Obstacle::Distance);
    }
    // A request for three slots asks the bitmap for two.
    (u32::from(record.free) < needs.slots.max(1)).then_some(Obstacle::Full)
}

/// A node, seen in full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// What choosing it would mean; its cost is right also where an obstacle forbids it.
    pub found: Found,
    /// Why it cannot be chosen.
    pub obstacle: Option<Obstacle>,
}

impl Index {
    /// Every node of the ranked sites, in their order.
    pub fn scan<'a>(
        &'a self,
        query: &'a Query,
        ranking: impl IntoIterator<Item = (u32, SiteId)> + 'a,
        others: &'a [TitleKey],
    ) -> impl Iterator<Item = Seen> + 'a {
        let mut best_us = None;
        let sites = ranking.into_iter().filter_map(move |(rtt_us, id)| {
            let best_us = *best_us.get_or_insert(rtt_us);
            self.sites.get(id.index()).map(|site| (rtt_us, best_us, id, site))
        });
        let Query { weights, needs, credit, .. } = query;
        sites.flat_map(move |(rtt_us, best_us, id, site)| {
            site.records().map(move |(at, record)| {
                let scarcity_us = site.scarcity_us;
                let terms = cost::terms(weights, record, needs.batch, rtt_us, best_us, scarcity_us, *credit);
                let found = Found {
                    node: site.node(at),
                    handle: Handle { site: id, at, serial: record.serial },
                    rtt_us,
                    terms,
                };
                let holds = |title| self.holders.contains(title, id, at);
                Seen { found, obstacle: obstacle(query, site, at, rtt_us, holds, others) }
            })
        })
    }
}
