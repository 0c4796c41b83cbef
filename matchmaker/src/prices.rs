//! The rate card in force: read from the store again and again, so that every replica takes its prices from what one of
//! them was told.
//!
//! **Architecture invariant:** a lease names the version of the card that its price follows from, and that version is in
//! the store before any lease or quote names it.

use crate::config::Config;
use crate::http::problem::{Code, Problem};
use crate::state::Shared;
use crate::store::billing::{CardRow, CardSource, UsageBy, UsageKey, UsageOf, UsageRow};
use crate::store::{BillingStore, NewSession, StoreError};
use nearframe_ledger::rates::{GPU_TIERS, RateCard};
use nearframe_placement::profile::{Hour, PriceList};
use nearframe_protocol::prices::{Basis, IndexPrice, PriceIndex, Work};
use nearframe_protocol::{Money, NodeId};
use std::sync::{Arc, PoisonError, RwLock};

/// Tries to write the configuration's card while others write theirs.
const MAX_TRIES: u32 = 8;

/// The card that new leases and quotes are priced by.
#[derive(Debug)]
pub(crate) struct InForce(RwLock<Arc<CardRow>>);

impl InForce {
    /// Until the store was read, the configuration's, which has no version yet.
    pub(crate) fn of(config: &Config) -> Self {
        Self(RwLock::new(Arc::new(CardRow { version: 0, since_ms: 0, card: config.card() })))
    }
    /// The card.
    pub(crate) fn card(&self) -> Arc<CardRow> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }
    /// Takes a newer card, and shows it before anyone takes a price from it; one that was read late changes nothing.
    fn advance(&self, row: Arc<CardRow>, show: impl FnOnce(Arc<CardRow>)) {
        let mut now = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if row.version > now.version {
            show(Arc::clone(&row));
            *now = row;
        }
    }
}

impl PriceList for CardRow {
    fn hour(&self, gpu_tier: u8, region: &str) -> Hour {
        let price = |work| {
            let micros = self.card.price_micros_per_hour(work, region, gpu_tier);
            u64::try_from(micros).unwrap_or(0)
        };
        Hour { interactive_micros: price(Work::Interactive), batch_micros: price(Work::Batch) }
    }
}

/// Writes the configuration's card as the next version, if it is not the one that a configuration wrote last: a start
/// with the same configuration changes nothing, whatever an operator has set since.
pub(crate) async fn open(shared: &Shared) -> Result<(), StoreError> {
    let configured = shared.config.card();
    for _ in 0..MAX_TRIES {
        let last = shared.store.newest_card(Some(CardSource::Configuration)).await?;
        if last.is_some_and(|last| last.card == configured) {
            break;
        }
        let over = shared.store.newest_card(None).await?.map_or(0, |newest| newest.version);
        let (source, now_ms) = (CardSource::Configuration, shared.now_ms());
        if shared.store.add_card(&configured, source, over, now_ms).await? {
            tracing::info!(version = over + 1, "prices are those of the configuration");
            break;
        }
    }
    refresh(shared).await
}

/// Takes the newest card into force here.
pub(crate) async fn refresh(shared: &Shared) -> Result<(), StoreError> {
    let Some(newest) = shared.store.newest_card(None).await? else { return Ok(()) };
    shared.prices.advance(Arc::new(newest), |card| shared.fleet().set_prices(card));
    Ok(())
}

/// Time that index prices are the means of.
const INDEX_MS: u64 = 24 * 3_600_000;
/// Computed anew this often at most: anybody may ask.
const INDEX_AGE_MS: u64 = 60_000;
const HOUR_US: i128 = 3_600_000_000;

/// What an hour has cost lately.
#[derive(Debug, Default)]
pub(crate) struct Index(tokio::sync::Mutex<Option<PriceIndex>>);

/// The index prices of now, or of a minute ago; those who ask at the same time wait for one computation.
pub(crate) async fn index(shared: &Shared) -> Result<PriceIndex, StoreError> {
    let mut kept = shared.price_index.0.lock().await;
    let now_ms = shared.now_ms();
    if let Some(index) = kept.as_ref().filter(|index| now_ms < index.to_ms + INDEX_AGE_MS) {
        return Ok(index.clone());
    }
    let from_ms = now_ms.saturating_sub(INDEX_MS);
    let rows = shared.store.usage(&UsageOf::all(from_ms..now_ms + 1), UsageBy::Rate).await?;
    let card = shared.prices.card();
    let prices = rows.into_iter().filter_map(|row| index_price(&card.card, row)).collect();
    let index = PriceIndex { from_ms, to_ms: now_ms, prices };
    *kept = Some(index.clone());
    Ok(index)
}

/// `None` where no time was billed.
fn index_price(card: &RateCard, UsageRow { key, currency, sums }: UsageRow) -> Option<IndexPrice> {
    let UsageKey::Rate { work, region, gpu_tier } = key else { return None };
    let paid = sums.host_micros + sums.platform_micros;
    let amount_micros = (paid * HOUR_US).checked_div(sums.billed_us.into())?;
    let listed = card.price_micros_per_hour(work, &region, gpu_tier);
    Some(IndexPrice {
        work,
        gpu_tier,
        price_per_hour: Money { amount_micros, currency },
        listed_per_hour: Money { amount_micros: listed.into(), currency: card.currency.clone() },
        billed_us: sums.billed_us,
        leases: sums.leases,
        region,
    })
}

/// Makes a card the version after `over`; `None` where that is not the newest any more.
pub(crate) async fn replace(
    shared: &Shared,
    card: &RateCard,
    over: u32,
) -> Result<Option<Arc<CardRow>>, StoreError> {
    let store: &dyn BillingStore = &*shared.store;
    let written = store.add_card(card, CardSource::Operator, over, shared.now_ms()).await?;
    refresh(shared).await?;
    Ok(written.then(|| shared.prices.card()))
}

/// A version of the card.
pub(crate) async fn card(shared: &Shared, version: u32) -> Result<Option<Arc<CardRow>>, StoreError> {
    let now = shared.prices.card();
    if now.version == version {
        return Ok(Some(now));
    }
    Ok(shared.store.card(version).await?.map(Arc::new))
}

/// What a lease begins with before its machine is known.
pub(crate) fn beginning(card: &CardRow, work: Work) -> Basis {
    Basis { rate_card: card.version, work, region: String::new(), gpu_tier: 0 }
}

/// Prices a lease by the card that it began with and the machine that was chosen for it.
pub(crate) async fn settle(shared: &Shared, new: &mut NewSession) -> Result<(), Problem> {
    let Some(begun) = new.basis.take() else { return Ok(()) };
    let card = card(shared, begun.rate_card).await?;
    let card = card.ok_or_else(|| {
        Problem::new(Code::Internal, format!("The rate card {} is not in the store.", begun.rate_card))
    })?;
    let basis = on_node(shared, new.node, &begun);
    new.tariff = card.card.tariff(&basis);
    new.basis = Some(basis);
    Ok(())
}

fn on_node(shared: &Shared, node: NodeId, begun: &Basis) -> Basis {
    let fleet = shared.fleet();
    let offer = fleet.member(node).and_then(|member| member.offer.as_ref());
    let gpu_tier = offer.map_or(0, |offer| offer.terms.gpu_tier.min(GPU_TIERS));
    let region = fleet.region_of(node).to_owned();
    Basis { rate_card: begun.rate_card, work: begun.work, region, gpu_tier }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::Parts;
    use crate::store::MemoryStore;

    fn server(store: &Arc<MemoryStore>, price_micros_per_hour: i64) -> Shared {
        let config = Config { price_micros_per_hour, ..Config::default() };
        Shared::new(config, Parts::alone(Arc::clone(store) as _, [7; 32]))
    }

    #[tokio::test]
    async fn a_start_with_the_same_configuration_leaves_what_an_operator_set() {
        let store = Arc::new(MemoryStore::new());
        let first = server(&store, 5);
        open(&first).await.unwrap();
        assert_eq!((first.prices.card().version, first.prices.card().card.clone()), (1, first.config.card()));
        let dearer = RateCard { note: "winter".into(), ..server(&store, 7).config.card() };
        assert_eq!(replace(&first, &dearer, 0).await.unwrap(), None, "another version is in force");
        assert_eq!(replace(&first, &dearer, 1).await.unwrap().unwrap().version, 2);
        assert_eq!(replace(&first, &dearer, 1).await.unwrap(), None, "once");

        let again = server(&store, 5);
        open(&again).await.unwrap();
        assert_eq!((again.prices.card().version, &again.prices.card().card), (2, &dearer));
        let other = server(&store, 9);
        open(&other).await.unwrap();
        assert_eq!((other.prices.card().version, other.prices.card().card.clone()), (3, other.config.card()));
        refresh(&first).await.unwrap();
        assert_eq!(first.prices.card().version, 3, "replicas hear of it");
        let old = card(&first, 1).await.unwrap().unwrap();
        assert_eq!(old.card.price_micros_per_hour(Work::Interactive, "DE", 3), 5);
        assert_eq!(card(&first, 4).await.unwrap(), None);
    }
}
