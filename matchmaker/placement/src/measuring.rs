//! Which nodes a page measures, what its measurements mean, and what may be expected without any.

use crate::explain::{Explanation, explain};
use crate::fleet::Fleet;
use crate::index::search::Query;
use crate::index::{Found, Scratch};
use crate::latency::{Client, MAX_MEASUREMENTS, Ranking, SiteId, Survey};
use crate::obstacle::NoNode;
use crate::request::Request;
use nearframe_protocol::NodeId;
use nearframe_protocol::measure::Reflector;
use std::collections::BTreeMap;

/// Nodes that a client with a past measures; a stranger measures [`MAX_MEASUREMENTS`].
const WITH_A_PAST: usize = 4;
/// Nodes of one site of which a survey looks for an open one.
const LOOKED_AT: usize = 64;
/// Where there are fewer sites than this, further nodes of the same sites are measured.
const LEAST: usize = 4;

/// A node's lowest round trip, µs.
pub type Measured = (NodeId, u32);

/// The nodes of each site that pages may measure.
pub(crate) type Measurable = BTreeMap<SiteId, Vec<NodeId>>;

impl Fleet {
    /// How pages may measure the node, by its word through `link`; false where that is not its link any more.
    pub fn set_reflector(&mut self, node: NodeId, link: u64, reflector: Reflector) -> bool {
        let Some(site) = self.board.index.handle(node).map(|handle| handle.site) else { return false };
        let member = self.members.get_mut(&node).filter(|member| member.link() == link);
        let Some(member) = member else { return false };
        let before = member.reflector.replace((site, reflector));
        if before.is_none() {
            self.measurable.entry(site).or_default().push(node);
        }
        true
    }

    /// How pages may measure the node.
    pub fn reflector(&self, node: NodeId) -> Option<&Reflector> {
        self.members.get(&node)?.reflector()
    }

    /// The nodes that `client` should measure, the most promising first: one of each site that the survey wants,
    /// and more of the same where there are few sites. Only nodes that may take `request`, where there is one; none
    /// where there is nothing to choose between.
    pub fn candidates(&self, client: &Client, request: Option<&Request>, seed: u64) -> Vec<NodeId> {
        let query = request.map(|request| Query::new(&self.board.index, request));
        if matches!(query, Some(None)) {
            return Vec::new();
        }
        let query = query.flatten();
        let mut open: BTreeMap<SiteId, Vec<NodeId>> = BTreeMap::new();
        for (site, nodes) in &self.measurable {
            if query.as_ref().is_some_and(|query| !self.allows(query, *site, seed)) {
                continue;
            }
            let found = self.open_at(*site, nodes, seed);
            if !found.is_empty() {
                open.insert(*site, found);
            }
        }
        let model = &self.board.model;
        let known = client.keys().any(|key| model.history.past(key).is_some());
        let most = if known { WITH_A_PAST } else { MAX_MEASUREMENTS };
        let sites = Survey::new(model, client, open.keys().copied().collect(), most).next(most);
        let mut chosen: Vec<NodeId> =
            sites.iter().filter_map(|site| open.get_mut(site).and_then(Vec::pop)).collect();
        // Few sites: more of their nodes, one of each in turn.
        while chosen.len() < LEAST && open.values().any(|nodes| !nodes.is_empty()) {
            chosen.extend(open.values_mut().filter_map(Vec::pop));
        }
        chosen.truncate(most);
        if chosen.len() < 2 { Vec::new() } else { chosen }
    }

    /// Some of a site's nodes that take sessions, drawn by `seed`.
    fn open_at(&self, site: SiteId, nodes: &[NodeId], seed: u64) -> Vec<NodeId> {
        let start = (seed ^ u64::from(site.0).wrapping_mul(0x9E37_79B9)) as usize % nodes.len().max(1);
        let around = nodes.iter().cycle().skip(start).take(nodes.len().min(LOOKED_AT));
        around.filter(|node| self.board.index.is_open(**node)).take(LEAST).copied().collect()
    }

    fn allows(&self, query: &Query, site: SiteId, seed: u64) -> bool {
        self.board.index.find(query, [(0, site)], seed, &mut Scratch::default()).is_some()
    }

    /// Chooses as [`Fleet::decide`] does, by what the client has just measured before anything else.
    pub fn decide_measured(
        &self,
        request: &Request,
        client: &Client,
        measured: &[Measured],
        seed: u64,
    ) -> Result<Explanation, NoNode> {
        let ranking = self.ranking_measured(client, measured);
        self.decide_by(request, &ranking, self.crowd.site_for(client), seed)
    }

    /// Chooses by a ranking of sites, and by the site that the plan of a full house wants, if any.
    pub(crate) fn decide_by(
        &self,
        request: &Request,
        ranking: &Ranking,
        planned: Option<SiteId>,
        seed: u64,
    ) -> Result<Explanation, NoNode> {
        // Where price decides, it does not matter how far a site is.
        let anywhere: Option<Vec<_>> =
            (request.weights.rtt_percent == 0).then(|| self.board.index.anywhere().collect());
        let order = anywhere.as_deref().unwrap_or(ranking.pairs());
        let pairs = || order.iter().copied();
        let query = Query::new(&self.board.index, request);
        let found = query.and_then(|query| {
            self.board.index.find_planned(&query, order, planned, seed, &mut Scratch::default())
        });
        let explanation = explain(&self.board.index, request, pairs(), found);
        if explanation.chosen.is_some() { Ok(explanation) } else { Err(explanation.no) }
    }

    /// The reasons of a choice that was made otherwise.
    pub fn explain_choice(&self, request: &Request, ranking: &Ranking, chosen: Found) -> Explanation {
        explain(&self.board.index, request, ranking.pairs().iter().copied(), Some(chosen))
    }

    /// The sites as the client sees them.
    pub fn ranking_measured(&self, client: &Client, measured: &[Measured]) -> Ranking {
        let sites = self.measured_sites(measured);
        if sites.is_empty() {
            return self.ranking(client);
        }
        let model = &self.board.model;
        let all = (0..model.sites.len()).map(|site| SiteId(site as u16)).collect();
        let mut survey = Survey::new(model, client, all, sites.len());
        sites.iter().for_each(|(site, rtt_us)| survey.know(*site, *rtt_us as f32 / 1000.0));
        survey.ranking()
    }

    /// Takes in what a client measured in `epoch`: its sites for its prefix and area, and how its nodes differ from
    /// their sites. False where the values contradict each other or light: then nothing is taken in.
    pub fn learn(&mut self, client: &Client, measured: &[Measured], epoch: u32) -> bool {
        let sites = self.measured_sites(measured);
        let in_ms: Vec<(SiteId, f32)> =
            sites.iter().map(|(site, rtt_us)| (*site, *rtt_us as f32 / 1000.0)).collect();
        if in_ms.is_empty() || !self.board.model.observe(client, &in_ms, epoch) {
            return false;
        }
        self.touched.extend(client.keys());
        for (node, rtt_us) in measured {
            let site = self.board.index.handle(*node).map(|handle| handle.site);
            let Some(lowest) = site.and_then(|site| sites.get(&site)) else { continue };
            let offset_us = i64::from(*rtt_us) - i64::from(*lowest);
            self.board.index.observe_offset(*node, i32::try_from(offset_us).unwrap_or(i32::MAX));
        }
        true
    }

    /// Whether anything was ever measured between the client and the site of this node.
    pub fn remembers(&self, client: &Client, node: NodeId) -> bool {
        let Some(handle) = self.board.index.handle(node) else { return false };
        let history = &self.board.model.history;
        let mut pasts = client.keys().filter_map(|key| history.past(key));
        pasts.any(|past| past.sites().iter().any(|(site, _)| *site == handle.site))
    }

    /// Of the sites of measured nodes, the lowest round trip, µs. Nodes that left are left out.
    fn measured_sites(&self, measured: &[Measured]) -> BTreeMap<SiteId, u32> {
        let mut sites: BTreeMap<SiteId, u32> = BTreeMap::new();
        for (node, rtt_us) in measured.iter().take(MAX_MEASUREMENTS) {
            if let Some(handle) = self.board.index.handle(*node) {
                let lowest = sites.entry(handle.site).or_insert(*rtt_us);
                *lowest = (*lowest).min(*rtt_us);
            }
        }
        sites
    }
}
