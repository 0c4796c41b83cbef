//! Where an address probably is, by databases that the operator supplies (MaxMind's format).
//!
//! Read field by field, so that the layouts of MaxMind, DB-IP and the collections of ip-location-db all serve, whatever
//! else they hold. What a database does not know, or says in another form, is not known.

use crate::Error;
use maxminddb::{PathElement, Reader};
use nearframe_placement::geo::Place;
use serde::de::DeserializeOwned;
use std::net::IpAddr;
use std::path::PathBuf;

/// Databases that are asked: places and networks often come apart.
pub(crate) const MOST_DATABASES: usize = 4;

/// The databases.
#[derive(Debug, Default)]
pub(crate) struct Addresses(Vec<Reader<Vec<u8>>>);

/// What is known of an address.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Found {
    /// Where it is.
    pub(crate) place: Option<Place>,
    /// Country, ISO 3166-1 alpha-2.
    pub(crate) country: Option<String>,
    /// Its autonomous system.
    pub(crate) asn: Option<u32>,
    /// Its metropolis, by the database's number or by its place.
    pub(crate) metro: Option<u32>,
}

impl Addresses {
    /// Reads them into memory; refuses files that are none.
    pub(crate) fn open(paths: &[PathBuf]) -> Result<Self, Error> {
        let open = |path: &PathBuf| {
            Reader::open_readfile(path)
                .map_err(|error| Error::AddressDatabase { path: path.clone(), error: error.to_string() })
        };
        paths.iter().map(open).collect::<Result<_, _>>().map(Self)
    }

    /// What they say; of several answers the first database's.
    pub(crate) fn of(&self, address: IpAddr) -> Found {
        let address = address.to_canonical();
        let mut found = Found::default();
        for database in &self.0 {
            let Ok(record) = database.lookup(address) else { continue };
            let number = |path: &[&str]| field::<f64>(&record, path);
            let north = number(&["location", "latitude"]).or_else(|| number(&["latitude"]));
            let east = number(&["location", "longitude"]).or_else(|| number(&["longitude"]));
            let place = north.zip(east).and_then(|(north, east)| Place::new(north, east));
            found.place = found.place.or(place);
            let text = |path: &[&str]| field::<String>(&record, path);
            found.country =
                found.country.or_else(|| text(&["country", "iso_code"])).or_else(|| text(&["country_code"]));
            found.asn = found
                .asn
                .or_else(|| field(&record, &["autonomous_system_number"]))
                .or_else(|| field(&record, &["asn"]));
            found.metro = found.metro.or_else(|| field(&record, &["city", "geoname_id"]));
        }
        found.metro = found.metro.or_else(|| found.place.map(cell));
        found
    }
}

fn field<T: DeserializeOwned>(record: &maxminddb::LookupResult<'_, Vec<u8>>, path: &[&str]) -> Option<T> {
    let path: Vec<PathElement<'_>> = path.iter().map(|key| PathElement::Key(key)).collect();
    record.decode_path(&path).ok().flatten()
}

/// A number for a degree of the map: a metropolis where the database numbers none.
fn cell(place: Place) -> u32 {
    let whole = |degrees: f32| (degrees.round() as i32 + 180) as u32;
    whole(place.latitude_deg()) << 16 | whole(place.longitude_deg())
}

#[cfg(test)]
#[path = "mmdb_tests.rs"]
mod tests;
