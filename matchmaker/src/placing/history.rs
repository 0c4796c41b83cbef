//! Round trips, kept in the store and united with what other replicas learnt.

use crate::random;
use crate::state::Shared;
use crate::store::placement::PastRow;
use crate::store::{PlacementStore, StoreError};
use nearframe_placement::latency::{DEFAULT_CLIENTS, Recent, keep};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};

use super::epoch;

/// Clients written in one transaction.
const BATCH: usize = 256;
/// Rows read at once.
const ROWS: u32 = 2_048;
/// Clocks of replicas differ by no more than this; changes from so long ago are read again, ms.
const SKEW_MS: u64 = 11 * 60 * 1000;
/// A client that was not heard of for so many epochs is forgotten.
const FORGOTTEN_AFTER: u32 = 60;
/// One in so many rounds forgets.
const PRUNED_IN: u8 = 64;

/// Numbers of sites, and up to when changes were read.
#[derive(Debug, Default)]
pub(crate) struct Reading(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    numbers: HashMap<String, u32>,
    names: HashMap<u32, String>,
    read_ms: u64,
}

impl Reading {
    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn learn(&self, sites: impl IntoIterator<Item = (u32, String)>) {
        let mut state = self.lock();
        for (number, name) in sites {
            state.numbers.insert(name.clone(), number);
            state.names.insert(number, name);
        }
    }
}

/// Writes what was learnt since the last time; what the store does not take is written the next time.
pub(crate) async fn write(shared: &Shared) -> Result<(), StoreError> {
    loop {
        let learnt = shared.fleet().take_learnt(BATCH);
        if learnt.is_empty() {
            return Ok(());
        }
        let clients: Vec<_> = learnt.iter().map(|(client, _)| *client).collect();
        let written = write_some(shared, learnt).await;
        if written.is_err() {
            let mut fleet = shared.fleet();
            clients.into_iter().for_each(|client| fleet.keep_again(client));
        }
        written?;
    }
}

async fn write_some(shared: &Shared, learnt: Vec<nearframe_placement::kept::Past>) -> Result<(), StoreError> {
    let store: &dyn PlacementStore = &*shared.store;
    let new: Vec<String> = {
        let state = shared.reading.lock();
        let names = learnt.iter().flat_map(|(_, sites)| sites.iter().map(|(name, _)| name));
        let mut new: Vec<_> = names.filter(|name| !state.numbers.contains_key(*name)).cloned().collect();
        new.sort_unstable();
        new.dedup();
        new
    };
    if !new.is_empty() {
        let numbers = store.latency_sites(&new).await?;
        shared.reading.learn(numbers.into_iter().zip(new));
    }
    let rows: Vec<PastRow> = {
        let state = shared.reading.lock();
        let row = |(client, sites): (_, Vec<(String, Recent)>)| {
            let numbered =
                sites.into_iter().filter_map(|(name, recent)| Some((*state.numbers.get(&name)?, recent)));
            let (past, newest) = keep::to_bytes(&numbered.collect::<BTreeMap<_, _>>());
            PastRow { client: keep::client_to_bytes(client).to_vec(), past, newest }
        };
        learnt.into_iter().map(row).collect()
    };
    store.merge_latency(&rows, shared.now_ms()).await
}

/// Reads what changed since the last time; all of it at first.
pub(crate) async fn read(shared: &Shared) -> Result<(), StoreError> {
    let store: &dyn PlacementStore = &*shared.store;
    shared.reading.learn(store.known_latency_sites().await?);
    let mut since_ms = shared.reading.lock().read_ms;
    let mut newest_ms = since_ms;
    loop {
        let rows = store.latency_since(since_ms, ROWS).await?;
        let (count, last_ms) = (rows.len(), rows.last().map_or(since_ms, |(at_ms, _)| *at_ms));
        {
            let state = shared.reading.lock();
            let mut fleet = shared.fleet();
            for (_, row) in rows {
                let client = keep::client_from_bytes(&row.client);
                let Some((client, past)) = client.zip(keep::from_bytes(&row.past)) else { continue };
                let named = past
                    .into_iter()
                    .filter_map(|(number, recent)| Some((state.names.get(&number)?.clone(), recent)));
                fleet.take_in((client, named.collect()));
            }
        }
        newest_ms = newest_ms.max(last_ms);
        if count < ROWS as usize {
            break;
        }
        // Rows of one ms beyond the page are read with the next round's overlap.
        since_ms = last_ms + u64::from(last_ms == since_ms);
    }
    shared.reading.lock().read_ms = newest_ms.saturating_sub(SKEW_MS);
    Ok(())
}

/// Writes, reads, and forgets now and then.
pub(crate) async fn exchange(shared: &Shared) -> Result<(), StoreError> {
    write(shared).await?;
    read(shared).await?;
    let [dice] = random::bytes::<1>();
    if dice % PRUNED_IN == 0 {
        let before = epoch(shared.now_ms()).saturating_sub(FORGOTTEN_AFTER);
        let store: &dyn PlacementStore = &*shared.store;
        store.prune_latency(before, u32::try_from(DEFAULT_CLIENTS).unwrap_or(u32::MAX)).await?;
    }
    Ok(())
}
