//! What a fleet knows of round trips, told to the record and taken in from it.
//!
//! Sites are named by what makes them, because their ids count up in each process by itself.

use crate::fleet::Fleet;
use crate::geo::Place;
use crate::latency::{ClientKey, Recent, SiteId};
use crate::placing::{SITE_DEGREES, SiteKey};

/// One client's past, by the names of sites.
pub type Past = (ClientKey, Vec<(String, Recent)>);

impl Fleet {
    /// The pasts of clients of whom something was learnt since they were last taken, at most `most` of them.
    pub fn take_learnt(&mut self, most: usize) -> Vec<Past> {
        let clients: Vec<ClientKey> = self.touched.iter().take(most).copied().collect();
        clients
            .into_iter()
            .filter_map(|client| {
                self.touched.remove(&client);
                let past = self.board.model.history.past(client)?;
                let named =
                    |(site, recent): &(SiteId, Recent)| Some((name(self.board.key(*site)?), recent.clone()));
                Some((client, past.sites().iter().filter_map(named).collect()))
            })
            .collect()
    }

    /// The record did not take a past: it is to be told again.
    pub fn keep_again(&mut self, client: ClientKey) {
        self.touched.insert(client);
    }

    /// Takes in what the record knows of a client. Names that no release gives are left out.
    pub fn take_in(&mut self, (client, sites): Past) {
        let known: Vec<(SiteId, Recent)> = sites
            .into_iter()
            .filter_map(|(name, recent)| {
                let key = parse(&name)?;
                let place = key.2.and_then(|(north, east)| {
                    Place::new(f64::from(north) * SITE_DEGREES, f64::from(east) * SITE_DEGREES)
                });
                Some((self.board.site(key, place)?, recent))
            })
            .collect();
        self.board.model.history.unite(client, known);
    }

    /// How many clients have a past.
    pub fn clients_remembered(&self) -> usize {
        self.board.model.history.len()
    }

    /// How many sites there are or were.
    pub fn sites(&self) -> usize {
        self.board.model.sites.len()
    }
}

/// `region|network|north,east`, with `-` for what is not known.
fn name((region, asn, cell): &SiteKey) -> String {
    let asn = asn.map_or_else(|| "-".to_owned(), |asn| asn.to_string());
    let cell = cell.map_or_else(|| "-".to_owned(), |(north, east)| format!("{north},{east}"));
    format!("{region}|{asn}|{cell}")
}

fn parse(name: &str) -> Option<SiteKey> {
    let mut parts = name.split('|');
    let (region, asn, cell) = (parts.next()?, parts.next()?, parts.next()?);
    let asn = if asn == "-" { None } else { Some(asn.parse().ok()?) };
    let cell = match cell {
        "-" => None,
        cell => {
            let (north, east) = cell.split_once(',')?;
            Some((north.parse().ok()?, east.parse().ok()?))
        }
    };
    parts.next().is_none().then(|| (region.to_owned(), asn, cell))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sites_name_is_read_back_and_rubbish_is_not() {
        for key in [("DE-BY".to_owned(), Some(64_512), Some((96, -23))), (String::new(), None, None)] {
            assert_eq!(parse(&name(&key)), Some(key));
        }
        for rubbish in ["", "DE", "DE|x|-", "DE|1|4", "DE|1|4,5|6"] {
            assert_eq!(parse(rubbish), None, "{rubbish}");
        }
    }
}
