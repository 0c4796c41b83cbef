//! One client's past as bytes, for a record that several replicas write.
//!
//! Sites have numbers that every replica reads alike. Little-endian, in the order of the numbers: the number (u32), the
//! count of epochs (u8), and pairs of epoch and minimum in µs (u32 each). Uniting two of them gives the same whatever
//! the order and however often, so that nobody's write undoes another's.

use super::history::{ClientKey, SITES_PER_CLIENT};
use super::recent::Recent;
use std::collections::BTreeMap;

/// Bytes of a client's key.
pub const CLIENT_BYTES: usize = 9;

/// A client's key as bytes: a tag and 8 bytes.
pub fn client_to_bytes(client: ClientKey) -> [u8; CLIENT_BYTES] {
    let (tag, value) = match client {
        ClientKey::V4(prefix) => (4, u64::from(prefix)),
        ClientKey::V6(prefix) => (6, prefix),
        ClientKey::Area { asn, metro } => (0, u64::from(asn) << 32 | u64::from(metro)),
    };
    let mut bytes = [tag; CLIENT_BYTES];
    bytes[1..].copy_from_slice(&value.to_le_bytes());
    bytes
}

/// The client with these bytes; `None` where no release writes them.
pub fn client_from_bytes(bytes: &[u8]) -> Option<ClientKey> {
    let (tag, value) = bytes.split_first()?;
    let value = u64::from_le_bytes(value.try_into().ok()?);
    match tag {
        4 => Some(ClientKey::V4(u32::try_from(value).ok()?)),
        6 => Some(ClientKey::V6(value)),
        0 => Some(ClientKey::Area { asn: (value >> 32) as u32, metro: value as u32 }),
        _ => None,
    }
}

/// A past as bytes, with the newest epoch in it.
pub fn to_bytes(sites: &BTreeMap<u32, Recent>) -> (Vec<u8>, u32) {
    let mut out = Vec::new();
    for (number, recent) in sites {
        out.extend(number.to_le_bytes());
        out.push(u8::try_from(recent.minima().len()).expect("epochs are bounded"));
        for (epoch, rtt_us) in recent.minima() {
            out.extend(epoch.to_le_bytes());
            out.extend(rtt_us.to_le_bytes());
        }
    }
    (out, sites.values().map(Recent::newest).max().unwrap_or(0))
}

/// What [`to_bytes`] wrote; `None` for anything else.
pub fn from_bytes(mut rest: &[u8]) -> Option<BTreeMap<u32, Recent>> {
    let mut sites = BTreeMap::new();
    while !rest.is_empty() {
        let number = u32::from_le_bytes(take(&mut rest)?);
        let [epochs] = take(&mut rest)?;
        let mut recent = Recent::default();
        for _ in 0..epochs {
            let epoch = u32::from_le_bytes(take(&mut rest)?);
            recent.observe(epoch, u32::from_le_bytes(take(&mut rest)?));
        }
        sites.insert(number, recent);
    }
    Some(sites)
}

/// What two replicas know together, with the newest epoch in it. What cannot be read counts as nothing: it fills itself.
pub fn unite(kept: Option<&[u8]>, more: &[u8]) -> (Vec<u8>, u32) {
    let mut sites = kept.and_then(from_bytes).unwrap_or_default();
    for (number, recent) in from_bytes(more).unwrap_or_default() {
        sites.entry(number).or_default().merge(&recent);
    }
    while sites.len() > SITES_PER_CLIENT {
        let farthest = sites.iter().max_by_key(|(number, recent)| (recent.median_us(), **number));
        let farthest = farthest.map(|(number, _)| *number).expect("there are too many");
        sites.remove(&farthest);
    }
    to_bytes(&sites)
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, left) = rest.split_first_chunk::<N>()?;
    *rest = left;
    Some(*taken)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn past(pairs: &[(u32, u32, u32)]) -> Vec<u8> {
        let mut sites: BTreeMap<u32, Recent> = BTreeMap::new();
        for &(number, epoch, rtt_us) in pairs {
            sites.entry(number).or_default().observe(epoch, rtt_us);
        }
        to_bytes(&sites).0
    }

    fn pairs() -> impl Strategy<Value = Vec<(u32, u32, u32)>> {
        prop::collection::vec((0..200u32, 0..12u32, 0..90_000u32), 0..200)
    }

    proptest! {
        #[test]
        fn replicas_unite_in_any_order_and_as_often_as_they_like(one in pairs(), other in pairs(), third in pairs()) {
            let [one, other, third] = [past(&one), past(&other), past(&third)];
            let all = |parts: &[&[u8]]| {
                parts.iter().fold(Vec::new(), |kept, more| unite(Some(&kept), more).0)
            };
            let together = all(&[&one, &other, &third]);
            prop_assert!(from_bytes(&together).unwrap().len() <= SITES_PER_CLIENT);
            if from_bytes(&together).unwrap().len() < SITES_PER_CLIENT {
                prop_assert_eq!(&together, &all(&[&third, &one, &other, &one, &third]));
            }
        }

        #[test]
        fn rubbish_is_nothing_and_makes_nothing_fail(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let known = past(&[(1, 1, 1000)]);
            if from_bytes(&bytes).is_none() {
                prop_assert_eq!(unite(Some(&bytes), &known).0, known);
            }
            client_from_bytes(&bytes);
        }
    }

    #[test]
    fn a_clients_key_is_read_back() {
        for client in [ClientKey::V4(0xc0_00_02), ClientKey::V6(7), ClientKey::Area { asn: 64_512, metro: 9 }]
        {
            assert_eq!(client_from_bytes(&client_to_bytes(client)), Some(client));
        }
    }
}
