//! How long a packet needs between a client and a site.
//!
//! Client prefix × site, because 440,000 nodes stand in a few hundred sites: the past of a prefix where there
//! is one, geography and the matrix between sites where there is none, and a short active measurement that
//! decides. Deliberately without coordinates: they predict well and choose badly (docs/placement.md).

pub mod belief;
pub mod history;
pub mod keep;
pub mod lies;
pub mod ranking;
pub mod recent;
pub mod sites;
pub mod snapshot;
pub mod survey;

pub use history::{ClientKey, History, Past};
pub use ranking::Ranking;
pub use recent::Recent;
pub use sites::{SiteId, Sites};
pub use survey::{MAX_MEASUREMENTS, Survey};

use crate::geo::Place;
use serde::{Deserialize, Serialize};

/// Clients whose past is remembered, by default.
pub const DEFAULT_CLIENTS: usize = 100_000;

/// Who wants to play, as far as the network is concerned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Client {
    /// Its address prefix.
    pub prefix: Option<ClientKey>,
    /// Its network and metropolis, where a database knows them.
    pub area: Option<ClientKey>,
    /// Where that database puts it.
    pub place: Option<Place>,
}

impl Client {
    /// The keys under which a past may be found, the most specific first.
    pub fn keys(&self) -> impl Iterator<Item = ClientKey> + use<> {
        self.prefix.into_iter().chain(self.area)
    }
}

/// Everything known about round trips.
#[derive(Clone, Debug)]
pub struct LatencyModel {
    /// The sites and their matrix.
    pub sites: Sites,
    /// The pasts of clients.
    pub history: History,
}

impl Default for LatencyModel {
    fn default() -> Self {
        Self { sites: Sites::new(), history: History::new(DEFAULT_CLIENTS) }
    }
}

impl LatencyModel {
    /// Takes in what a client measured at one time, for its prefix and its area; refuses all of it when the
    /// values contradict each other or light.
    pub fn observe(&mut self, client: &Client, measured: &[(SiteId, f32)], epoch: u32) -> bool {
        let credible = measured
            .iter()
            .all(|(site, rtt_ms)| rtt_ms.is_finite() && *rtt_ms >= 0.0 && site.index() < self.sites.len())
            && lies::contradiction(&self.sites, measured).is_none();
        if credible {
            for key in client.keys() {
                for (site, rtt_ms) in measured {
                    self.history.observe(key, *site, epoch, (rtt_ms * 1000.0) as u32);
                }
            }
        }
        credible
    }
}
