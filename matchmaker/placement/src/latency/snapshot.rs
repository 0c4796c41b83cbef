//! The history as bytes, for keeping and for telling other replicas.
//!
//! Little-endian: the magic `NFH1`; the count of clients (u32); for each, its key (a tag and 8 bytes), the
//! count of sites (u8), and for each site its id (u16), the count of epochs (u8) and pairs of epoch and
//! minimum in µs (u32 each).

use super::history::{ClientKey, History};
use super::recent::Recent;
use super::sites::SiteId;

const MAGIC: &[u8; 4] = b"NFH1";

/// Bytes that are no history.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a latency history of this release: start with an empty one, it fills itself")]
pub struct SnapshotError;

impl History {
    /// All of it.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        out.extend(u32::try_from(self.len()).unwrap_or(u32::MAX).to_le_bytes());
        for (client, past) in self.pasts() {
            let (tag, value) = match client {
                ClientKey::V4(prefix) => (4, u64::from(prefix)),
                ClientKey::V6(prefix) => (6, prefix),
                ClientKey::Area { asn, metro } => (0, u64::from(asn) << 32 | u64::from(metro)),
            };
            out.push(tag);
            out.extend(value.to_le_bytes());
            out.push(u8::try_from(past.sites().len()).expect("sites of a client are bounded"));
            for (site, recent) in past.sites() {
                out.extend(site.0.to_le_bytes());
                out.push(u8::try_from(recent.minima().len()).expect("epochs are bounded"));
                for (epoch, rtt_us) in recent.minima() {
                    out.extend(epoch.to_le_bytes());
                    out.extend(rtt_us.to_le_bytes());
                }
            }
        }
        out
    }

    /// Reads what [`History::to_bytes`] wrote, keeping at most `most` clients.
    pub fn from_bytes(bytes: &[u8], most: usize) -> Result<Self, SnapshotError> {
        let mut rest = bytes.strip_prefix(MAGIC).ok_or(SnapshotError)?;
        let mut history = Self::new(most);
        for _ in 0..u32::from_le_bytes(take(&mut rest)?) {
            let [tag] = take(&mut rest)?;
            let value = u64::from_le_bytes(take(&mut rest)?);
            let client = match tag {
                4 => ClientKey::V4(u32::try_from(value).map_err(|_| SnapshotError)?),
                6 => ClientKey::V6(value),
                0 => ClientKey::Area { asn: (value >> 32) as u32, metro: value as u32 },
                _ => return Err(SnapshotError),
            };
            let [count] = take(&mut rest)?;
            let mut sites = Vec::with_capacity(usize::from(count));
            for _ in 0..count {
                let site = SiteId(u16::from_le_bytes(take(&mut rest)?));
                let mut recent = Recent::default();
                let [epochs] = take(&mut rest)?;
                for _ in 0..epochs {
                    let epoch = u32::from_le_bytes(take(&mut rest)?);
                    recent.observe(epoch, u32::from_le_bytes(take(&mut rest)?));
                }
                sites.push((site, recent));
            }
            if !sites.is_sorted_by(|(one, _), (other, _)| one < other) {
                return Err(SnapshotError);
            }
            history.insert(client, sites);
        }
        if rest.is_empty() { Ok(history) } else { Err(SnapshotError) }
    }
}

fn take<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], SnapshotError> {
    let (taken, left) = rest.split_first_chunk::<N>().ok_or(SnapshotError)?;
    *rest = left;
    Ok(*taken)
}
