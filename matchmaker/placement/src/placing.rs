//! Placing a session on the nodes of a [`Fleet`], with the reasons kept for whoever asks later.

use crate::explain::Explanation;
use crate::fleet::Fleet;
use crate::geo::Place;
use crate::index::search::Query;
use crate::index::{Found, Index, Scratch};
use crate::latency::sites::MAX_SITES;
use crate::latency::{Client, LatencyModel, Ranking, SiteId, Survey};
use crate::obstacle::NoNode;
use crate::profile::Profile;
use crate::request::Request;
use nearframe_protocol::NodeId;
use nearframe_protocol::link::NodeOffer;
use std::collections::BTreeMap;

/// Nodes of one site stand within half of this of each other, degrees: a metropolis.
pub(crate) const SITE_DEGREES: f64 = 0.5;

/// What makes a site: region, network, and place on a grid; `None` where a node does not say.
pub(crate) type SiteKey = (String, Option<u32>, Option<(i32, i32)>);

/// The nodes that are there, arranged for search.
#[derive(Clone, Debug, Default)]
pub(crate) struct Board {
    pub(crate) index: Index,
    pub(crate) model: LatencyModel,
    sites: BTreeMap<SiteKey, SiteId>,
    /// Site by site, what makes it.
    keys: Vec<SiteKey>,
}

impl Board {
    /// Puts a node into its site, with the titles it holds.
    pub(crate) fn seat(&mut self, node: NodeId, offer: &NodeOffer, profile: &Profile) {
        let location = offer.terms.location.as_ref();
        let place = location.and_then(|at| Place::new(at.latitude_deg, at.longitude_deg));
        let grid = |degrees: f32| (f64::from(degrees) / SITE_DEGREES).round() as i32;
        let cell = place.map(|place| (grid(place.latitude_deg()), grid(place.longitude_deg())));
        let key = (profile.region.clone(), location.and_then(|at| at.asn), cell);
        let Some(site) = self.site(key, place) else {
            self.index.remove(node);
            return;
        };
        let titles: Vec<_> = offer
            .titles
            .iter()
            .map(|held| self.index.titles.intern(&held.entry.id, held.entry.hash))
            .collect();
        self.index.insert(node, site, profile, &titles);
    }

    /// A site that is known, a new one while there is room, else any of the same region: its nodes are then
    /// ranked by another place, and never allowed where they would not be.
    pub(crate) fn site(&mut self, key: SiteKey, place: Option<Place>) -> Option<SiteId> {
        if let Some(site) = self.sites.get(&key) {
            return Some(*site);
        }
        if self.sites.len() >= MAX_SITES {
            let same = self.sites.iter().find(|((region, ..), _)| *region == key.0);
            return same.map(|(_, site)| *site);
        }
        self.model.sites.add(place)?;
        let site = self.index.add_site(&key.0);
        self.keys.push(key.clone());
        self.sites.insert(key, site);
        Some(site)
    }
}

impl Board {
    /// What makes a site.
    pub(crate) fn key(&self, site: SiteId) -> Option<&SiteKey> {
        self.keys.get(site.index())
    }
}

impl Fleet {
    /// Chooses a node; the caller writes the lease where capacity is checked
    /// again. The same fleet, request and seed give the same node.
    pub fn decide(&self, request: &Request, client: &Client, seed: u64) -> Result<Explanation, NoNode> {
        self.decide_by(request, &self.ranking(client), self.crowd.site_for(client), seed)
    }

    /// Whether some node could take the request.
    pub fn can_take(&self, request: &Request) -> bool {
        let ranking = self.ranking(&Client::default());
        self.find(request, ranking.pairs().iter().copied(), 0).is_some()
    }

    /// By the client's past where it has one, else by its place.
    pub(crate) fn ranking(&self, client: &Client) -> Ranking {
        let model = &self.board.model;
        if client.keys().all(|key| model.history.past(key).is_none()) {
            return Ranking::of_place(&model.sites, client.place);
        }
        let all = (0..model.sites.len()).map(|site| SiteId(site as u16)).collect();
        Survey::new(model, client, all, 0).ranking()
    }

    pub(crate) fn find(
        &self,
        request: &Request,
        ranking: impl Iterator<Item = (u32, SiteId)>,
        seed: u64,
    ) -> Option<Found> {
        let query = Query::new(&self.board.index, request)?;
        self.board.index.find(&query, ranking, seed, &mut Scratch::default())
    }

    /// The region of the site that a node stands in; empty where it is not known.
    pub fn region_of(&self, node: NodeId) -> &str {
        let region = self.board.index.handle(node).and_then(|handle| self.board.index.region(handle.site));
        region.map_or("", |region| self.board.index.regions.name(region))
    }

    /// Everything known about round trips.
    pub fn latency(&mut self) -> &mut LatencyModel {
        &mut self.board.model
    }
}
