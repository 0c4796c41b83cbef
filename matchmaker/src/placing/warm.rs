//! Titles are kept at their menu where they will be wanted: forecasts, told to nodes.

use crate::state::{Phase, Shared};
use crate::store::StoreError;
use nearframe_placement::assign::prewarm::Forecast;
use nearframe_placement::index::TitleKey;
use nearframe_placement::latency::SiteId;
use nearframe_protocol::link::ToNode;
use nearframe_protocol::{NodeId, TitleId};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Starts are counted over intervals of this length, in s.
pub(crate) const INTERVAL_S: u32 = 60;
/// A title takes about so long to its menu, in s.
const START_S: u32 = 20;
/// An hour of the day, in ms.
const HOUR_MS: u64 = 3600 * 1000;

/// What is expected, and what nodes were told.
#[derive(Debug, Default)]
pub(crate) struct Warmth(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    forecast: Forecast,
    titles: Vec<TitleId>,
    /// Nodes that keep titles warm when they are told, and what they were told last.
    told: BTreeMap<NodeId, BTreeSet<TitleId>>,
}

impl Warmth {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A node joined that keeps titles warm; it begins with none.
    pub(crate) fn joined(&self, node: NodeId) {
        self.lock().told.insert(node, BTreeSet::new());
    }

    /// A node left.
    pub(crate) fn left(&self, node: NodeId) {
        self.lock().told.remove(&node);
    }

    /// A session of the title began at the site.
    pub(crate) fn started(&self, title: &TitleId, site: SiteId) {
        let mut inner = self.lock();
        let key = inner.key(title);
        inner.forecast.started(key, site);
    }

    /// How many titles nodes keep warm by our word.
    pub(crate) fn len(&self) -> usize {
        self.lock().told.values().map(BTreeSet::len).sum()
    }

    /// An interval is over: what nodes are to be told now.
    fn tick(&self, shared: &Shared, now_ms: u64) -> Vec<(NodeId, BTreeSet<TitleId>)> {
        let fleet = shared.fleet();
        let mut inner = self.lock();
        let hour = (now_ms / HOUR_MS % 24) as u8;
        inner.forecast.tick(hour, INTERVAL_S);
        let warm = inner.forecast.warm(hour, START_S, |site| fleet.free_at(site));
        let mut wanted: BTreeMap<NodeId, BTreeSet<TitleId>> =
            inner.told.keys().map(|node| (*node, BTreeSet::new())).collect();
        for warm in warm {
            let Some(title) = inner.titles.get(warm.title.0 as usize) else { continue };
            let holders = fleet.holders_at(warm.site, title);
            // One copy on each node: a node's spare worker serves the next.
            let able = holders.into_iter().filter(|node| inner.told.contains_key(node));
            for node in able.take(warm.copies as usize) {
                wanted.entry(node).or_default().insert(title.clone());
            }
        }
        wanted.retain(|node, titles| inner.told.get(node) != Some(&*titles));
        wanted.into_iter().collect()
    }

    fn told(&self, node: NodeId, titles: BTreeSet<TitleId>) {
        if let Some(told) = self.lock().told.get_mut(&node) {
            *told = titles;
        }
    }
}

impl Inner {
    fn key(&mut self, title: &TitleId) -> TitleKey {
        let at = self.titles.iter().position(|known| known == title).unwrap_or_else(|| {
            self.titles.push(title.clone());
            self.titles.len() - 1
        });
        TitleKey(u32::try_from(at).expect("titles of a catalogue are few"))
    }
}

/// Tells nodes what to keep warm, where that changed.
pub(crate) async fn tell(shared: &Shared) -> Result<(), StoreError> {
    if *shared.phase.borrow() != Phase::Open {
        return Ok(());
    }
    for (node, titles) in shared.placing.warmth.tick(shared, shared.now_ms()) {
        let command = ToNode::Prewarm { titles: titles.iter().cloned().collect() };
        if shared.bus.command(node, command).await.is_ok() {
            shared.placing.warmth.told(node, titles);
        }
    }
    Ok(())
}
