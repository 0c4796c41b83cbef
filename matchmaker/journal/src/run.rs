//! A sorted run of keys in a file, written once.
//!
//! Pages of 4,096 bytes: up to 127 entries of key (16) and fingerprint (16) in the order of the keys, zeros where the
//! last page has fewer, and SHA-256 over all that (32). After the pages: the first key of each page (16 each), the
//! filter, and a footer (64): `"NFKEYS01"` (8) · keys u64 · pages u64 · length of the filter u64 · SHA-256 over first
//! keys, filter and the 32 bytes of the footer before it (32).

use crate::bloom::Bloom;
use crate::keys::KeysError;
use crate::storage::Storage;
use nearframe_ledger::books::{Fingerprint, Key};
use nearframe_protocol::wire::{Reader, WireError};
use sha2::{Digest, Sha256};

const MAGIC: &[u8; 8] = b"NFKEYS01";
const PAGE_LEN: usize = 4096;
const ENTRY_LEN: usize = 32;
const ENTRIES: usize = 127;
const FOOTER_LEN: usize = 64;

/// What files of runs begin with.
pub(crate) const PREFIX: &str = "keys-";

/// The file of a run.
pub(crate) fn name_of(serial: u64) -> String {
    format!("{PREFIX}{serial:012}")
}

pub(crate) type Entry = (Key, Fingerprint);

/// A run, with what finding a page needs in memory: 17.5 bits for each key.
#[derive(Debug)]
pub(crate) struct Run {
    /// Names its file: no serial is ever given twice.
    pub(crate) serial: u64,
    name: String,
    pub(crate) keys: u64,
    /// Of the footer: names the run's content.
    pub(crate) digest: [u8; 32],
    fences: Vec<Key>,
    bloom: Bloom,
}

impl Run {
    /// Writes so many entries, which come in the order of their keys.
    pub(crate) fn write(
        storage: &impl Storage,
        serial: u64,
        keys: u64,
        entries: &mut dyn FnMut() -> Result<Option<Entry>, KeysError>,
    ) -> Result<Self, KeysError> {
        let name = name_of(serial);
        let mut run = Self {
            serial,
            name: name.clone(),
            keys,
            digest: [0; 32],
            fences: vec![],
            bloom: Bloom::for_keys(keys),
        };
        let mut failed = None;
        let mut finished = false;
        storage
            .put(&name, &mut || {
                if finished {
                    return Ok(None);
                }
                match run.next_page(entries) {
                    Ok(Some(page)) => Ok(Some(page)),
                    Ok(None) => {
                        finished = true;
                        Ok(Some(run.trailer()))
                    }
                    Err(error) => {
                        failed = Some(error);
                        Err(std::io::Error::other("merging runs"))
                    }
                }
            })
            .map_err(|error| failed.take().unwrap_or(KeysError::Io(error)))?;
        Ok(run)
    }

    fn next_page(
        &mut self,
        entries: &mut dyn FnMut() -> Result<Option<Entry>, KeysError>,
    ) -> Result<Option<Vec<u8>>, KeysError> {
        let mut page = Vec::with_capacity(PAGE_LEN);
        while page.len() < ENTRIES * ENTRY_LEN {
            let Some((key, fingerprint)) = entries()? else { break };
            if page.is_empty() {
                self.fences.push(key);
            }
            self.bloom.insert(&key);
            page.extend_from_slice(key.as_bytes());
            page.extend_from_slice(fingerprint.as_bytes());
        }
        if page.is_empty() {
            return Ok(None);
        }
        page.resize(ENTRIES * ENTRY_LEN, 0);
        let hash = Sha256::digest(&page);
        page.extend_from_slice(&hash);
        Ok(Some(page))
    }

    fn trailer(&mut self) -> Vec<u8> {
        let mut out: Vec<u8> = self.fences.iter().flat_map(|key| *key.as_bytes()).collect();
        out.extend_from_slice(self.bloom.bytes());
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&self.keys.to_le_bytes());
        out.extend_from_slice(&(self.fences.len() as u64).to_le_bytes());
        out.extend_from_slice(&(self.bloom.bytes().len() as u64).to_le_bytes());
        self.digest = Sha256::digest(&out).into();
        out.extend_from_slice(&self.digest);
        out
    }

    /// Opens a run that was written, and checks that it is the one with this digest.
    pub(crate) fn open(storage: &impl Storage, serial: u64, digest: [u8; 32]) -> Result<Self, KeysError> {
        let name = &name_of(serial);
        let damaged = |_: WireError| KeysError::Damaged(name.clone());
        let length = match storage.len(name) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(KeysError::Damaged(name.clone()));
            }
            length => length?,
        };
        let footer_at = length.checked_sub(FOOTER_LEN as u64).ok_or(WireError::Short).map_err(damaged)?;
        let mut footer = [0; FOOTER_LEN];
        storage.read(name, footer_at, &mut footer)?;
        let mut r = Reader::new(&footer);
        let mut read = || -> Result<_, WireError> {
            if r.bytes(8)? != MAGIC {
                return Err(WireError::Range("magic"));
            }
            Ok((r.u64()?, r.u64()?, r.u64()?, r.array::<32>()?))
        };
        let (keys, pages, bloom_len, kept) = read().map_err(damaged)?;
        let fits = pages
            .checked_mul((PAGE_LEN + 16) as u64)
            .and_then(|sum| sum.checked_add(bloom_len))
            .and_then(|sum| sum.checked_add(FOOTER_LEN as u64));
        if fits != Some(length) || kept != digest {
            return Err(KeysError::Damaged(name.clone()));
        }
        let mut trailer = vec![0; (length - pages * PAGE_LEN as u64) as usize];
        storage.read(name, pages * PAGE_LEN as u64, &mut trailer)?;
        let hashed = trailer.len() - 32;
        if <[u8; 32]>::from(Sha256::digest(&trailer[..hashed])) != digest {
            return Err(KeysError::Damaged(name.clone()));
        }
        let (fences, rest) = trailer.split_at(pages as usize * 16);
        let bloom = Bloom::from_bytes(rest[..bloom_len as usize].to_vec());
        let fences = fences.as_chunks::<16>().0.iter().map(|bytes| Key::from_bytes(*bytes)).collect();
        let bloom = bloom.ok_or(WireError::Range("filter")).map_err(damaged)?;
        Ok(Self { serial, name: name.clone(), keys, digest, fences, bloom })
    }

    /// What was asked for under a key.
    pub(crate) fn find(&self, storage: &impl Storage, key: &Key) -> Result<Option<Fingerprint>, KeysError> {
        if !self.bloom.may_hold(key) {
            return Ok(None);
        }
        let page = self.fences.partition_point(|first| first <= key);
        let Some(page) = page.checked_sub(1) else { return Ok(None) };
        let entries = self.page(storage, page)?;
        let found = entries.binary_search_by_key(key, |(key, _)| *key);
        Ok(found.ok().map(|at| entries[at].1))
    }

    /// The entries of a page, whose hash is right.
    pub(crate) fn page(&self, storage: &impl Storage, page: usize) -> Result<Vec<Entry>, KeysError> {
        let mut bytes = [0; PAGE_LEN];
        storage.read(&self.name, (page * PAGE_LEN) as u64, &mut bytes)?;
        let (body, hash) = bytes.split_at(ENTRIES * ENTRY_LEN);
        if Sha256::digest(body).as_slice() != hash {
            return Err(KeysError::Damaged(self.name.clone()));
        }
        let count = (self.keys - (page * ENTRIES) as u64).min(ENTRIES as u64) as usize;
        let entry = |bytes: &[u8; ENTRY_LEN]| {
            let (key, fingerprint) = bytes.split_first_chunk::<16>().expect("16 of 32 bytes");
            let fingerprint = fingerprint.try_into().expect("the other 16");
            (Key::from_bytes(*key), Fingerprint::from_bytes(fingerprint))
        };
        Ok(body.as_chunks::<ENTRY_LEN>().0[..count].iter().map(entry).collect())
    }

    pub(crate) fn pages(&self) -> usize {
        self.fences.len()
    }
}
