//! Settlement: every day one signed root over what hosts have earned.
//!
//! The amounts follow from the record, which only grows, and from what was kept out of each root (disputed, under review,
//! of new hosts, paid back), which is written down with it. So a root is computed again whenever a proof is asked for, and
//! compared with the one that was signed. Settling twice, or after a crash half-way, changes nothing.

use crate::state::Shared;
use crate::store::StoreError;
use crate::store::billing::{UsageBy, UsageKey, UsageOf};
use crate::store::trust::{HeldRow, Trial};
use nearframe_ledger::hash::Hash32;
use nearframe_ledger::settlement::{
    DAY_MS, DISPUTE_WINDOW_MS, Epoch, PayoutProof, Settlement, SignedRoot, Totals,
};
use nearframe_protocol::bill::{HeldDay, HeldWhy};
use nearframe_protocol::trust::Withheld;
use nearframe_protocol::{Money, NodeId};
use nearframe_trust::holds::{Free, free};
use std::collections::BTreeMap;

/// Settles the last day whose dispute window is over, where that was not done.
pub(crate) async fn settle(shared: &Shared, now_ms: u64) -> Result<Option<SignedRoot>, StoreError> {
    let ended = Epoch::of(now_ms.saturating_sub(DISPUTE_WINDOW_MS));
    let Some(due) = ended.0.checked_sub(1).map(Epoch) else { return Ok(None) };
    let last = shared.store.last_settlement().await?;
    if last.as_ref().is_some_and(|last| last.epoch >= due) {
        return Ok(last);
    }
    let posted = shared.store.host_totals(due.ends_at_ms(), None).await?;
    let held = held_totals(&shared.store.held_earnings(due.ends_at_ms(), trial(shared, now_ms), None).await?);
    let corrected = shared.store.corrected(None).await?;
    let before = match &last {
        Some(last) => until(shared, last.epoch, None).await?.totals,
        None => Totals::new(),
    };
    let Free { totals, withheld } = free(&posted, &held, &corrected, &before)?;
    if totals.is_empty() {
        return Ok(last);
    }
    let settlement = Settlement { epoch: Some(due), totals, held: BTreeMap::new() };
    let previous = last.map_or(Hash32::default(), |last| last.root);
    let root = SignedRoot::sign(&settlement, previous, &shared.ledger_key).expect("an epoch was settled");
    shared.store.settle(&root, &withheld).await?;
    tracing::info!(epoch = %due, leaves = root.leaves, root = %root.root, "settled");
    // Another matchmaker may have been faster: what it signed is what counts.
    shared.store.last_settlement().await
}

/// The proofs of a node's earnings, by currency, under the last root.
pub(crate) async fn proofs(shared: &Shared, node: NodeId) -> Result<Vec<PayoutProof>, StoreError> {
    let Some(last) = shared.store.last_settlement().await? else { return Ok(vec![]) };
    let settlement = until(shared, last.epoch, None).await?;
    let again = SignedRoot::sign(&settlement, last.previous, &shared.ledger_key);
    if again.is_none_or(|again| again.root != last.root) {
        tracing::error!(epoch = %last.epoch, root = %last.root, "the record does not lead to the root that was signed");
        return Err(StoreError::Corrupt("settlements.root"));
    }
    let own = settlement.totals.keys().filter(|(host, _)| *host == node);
    Ok(own.filter_map(|(host, currency)| last.proof(&settlement, *host, currency)).collect())
}

/// What was earned on the days after the last settled one, by day and currency; of some nodes where they are named.
pub(crate) async fn held(
    shared: &Shared,
    settled_until: Option<Epoch>,
    among: Option<Vec<NodeId>>,
    now_ms: u64,
) -> Result<Vec<HeldDay>, StoreError> {
    let from_ms = settled_until.map_or(0, Epoch::ends_at_ms);
    let of = UsageOf { among, ..UsageOf::all(from_ms..u64::MAX) };
    let rows = shared.store.usage(&of, UsageBy::Step(DAY_MS)).await?;
    let day = |row: &crate::store::billing::UsageRow| {
        let UsageKey::From(from_ms) = row.key else { return None };
        let epoch = Epoch::of(from_ms);
        let why = match now_ms {
            now if now < epoch.ends_at_ms() => HeldWhy::DayRuns,
            now if now < epoch.settles_at_ms() => HeldWhy::DisputeWindow,
            _ => HeldWhy::SettlementDue,
        };
        let amount = Money { amount_micros: row.sums.host_micros, currency: row.currency.clone() };
        let (date, settles_at_ms) = (epoch.to_string(), epoch.settles_at_ms());
        Some(HeldDay { epoch: epoch.0, date, from_ms, amount, settles_at_ms, why })
    };
    Ok(rows.iter().filter_map(day).collect())
}

/// What a settled epoch says: what was posted until its end, less what was kept out of it; of some nodes where they are
/// named.
pub(crate) async fn until(
    shared: &Shared,
    epoch: Epoch,
    among: Option<&[NodeId]>,
) -> Result<Settlement, StoreError> {
    let mut totals = shared.store.host_totals(epoch.ends_at_ms(), among).await?;
    for (place, withheld_micros) in shared.store.withheld(epoch.0, among).await? {
        *totals.entry(place).or_default() -= withheld_micros;
    }
    totals.retain(|_, settled_micros| *settled_micros > 0);
    Ok(Settlement { epoch: Some(epoch), totals, held: BTreeMap::new() })
}

/// From when on a machine is not new any more.
fn trial(shared: &Shared, now_ms: u64) -> Trial {
    let trust = &shared.config.trust;
    let enrolled_before_ms = now_ms.saturating_sub(u64::from(trust.new_host_hours) * 3_600_000);
    Trial { enrolled_before_ms, sessions: trust.new_host_sessions }
}

fn held_totals(rows: &[HeldRow]) -> Totals {
    let mut totals = Totals::new();
    for row in rows {
        *totals.entry((row.host, row.currency.clone())).or_default() += row.amount_micros;
    }
    totals
}

/// What is held beyond the days of the dispute window, and why; of some nodes where they are named.
pub(crate) async fn withheld(
    shared: &Shared,
    among: Option<&[NodeId]>,
    now_ms: u64,
) -> Result<Vec<Withheld>, StoreError> {
    let rows = shared.store.held_earnings(u64::MAX, trial(shared, now_ms), among).await?;
    let shown = |row: HeldRow| Withheld {
        node: row.host,
        why: row.why,
        amount: Money { amount_micros: row.amount_micros, currency: row.currency },
    };
    Ok(rows.into_iter().map(shown).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::TrustConfig;
    use crate::state::Parts;
    use crate::store::trust::{Decided, DisputeRow, Settling};
    use crate::store::{Admission, Created, MemoryStore, NewSession, Store, Taken};
    use crate::{Config, random};
    use nearframe_protocol::account::Actor;
    use nearframe_protocol::link::NodeOffer;
    use nearframe_protocol::receipt::{Receipt, ReceiptHash, SignedReceipt};
    use nearframe_protocol::terms::NodeTerms;
    use nearframe_protocol::trust::{Party, WithheldWhy};
    use nearframe_protocol::{EndReason, Generation, NodeKey, SessionId, TitleHash, TitleId};
    use std::sync::Arc;

    const NOON: u64 = 20_000 * DAY_MS + DAY_MS / 2;

    fn key() -> NodeKey {
        NodeKey::from_seed([1; 32])
    }

    async fn house() -> (Shared, NodeId) {
        let store = Arc::new(MemoryStore::new());
        store.add_enrolment([1; 32], u64::MAX).await.unwrap();
        let offer = NodeOffer {
            name: "n".into(),
            region: String::new(),
            slots: 9,
            adapter: String::new(),
            encoders: vec![],
            titles: vec![],
            capability: None,
            terms: NodeTerms::default(),
        };
        let admitted = store.admit_node(&key().public(), Some([1; 32]), &offer, NOON).await.unwrap();
        let Admission::Admitted(node) = admitted else { panic!("{admitted:?}") };
        // Its sessions count from the first one on.
        let trust = TrustConfig { new_host_hours: 0, new_host_sessions: 0, ..TrustConfig::default() };
        let config = Config { price_micros_per_hour: 3_600_000, trust, ..Config::default() };
        (Shared::new(config, Parts::alone(store, [7; 32])), node)
    }

    /// Ten seconds of play, which earn 8,000 micro-units.
    async fn play(shared: &Shared, node: NodeId, at_ms: u64) -> SessionId {
        let new = NewSession {
            id: random::session_id(),
            guest: random::guest_id(),
            guest_limit: 1,
            title: TitleId::new("meteor").unwrap(),
            title_hash: TitleHash::from_bytes([0; 32]),
            node,
            player_key: key().public(),
            lease: random::lease_id(),
            tariff: shared.config.tariff(),
            basis: None,
            now_ms: at_ms - 10_000,
            idempotency: None,
            fence: None,
            payer: None,
            reservation: None,
            player: None,
        };
        assert!(matches!(shared.store.create_session(&new).await.unwrap(), Created::New(_)));
        let receipt = Receipt {
            session: new.id,
            generation: Generation(0),
            sequence: 0,
            previous: ReceiptHash::ZERO,
            duration_us: 10_000_000,
            frames: 600,
            bytes: 1,
            encoder_us: 1,
            width: 1280,
            height: 720,
            rtt_us: 0,
            packets_sent: 1,
            packets_lost: 0,
        };
        let taken = shared.store.take_receipt(&SignedReceipt::sign(&key(), receipt), at_ms).await.unwrap();
        assert!(matches!(taken, Taken::Counted { .. }));
        new.id
    }

    #[tokio::test]
    async fn what_is_disputed_when_its_day_is_settled_counts_once_that_is_decided_less_what_was_paid_back() {
        let (shared, node) = house().await;
        let first = play(&shared, node, NOON).await;
        play(&shared, node, NOON + DAY_MS).await;
        let row = DisputeRow {
            id: random::dispute_id(),
            session: first,
            party: Party::Player,
            reason: "it froze".into(),
            evidence: String::new(),
            case: None,
            opened_at_ms: NOON,
            settled: None,
        };
        shared.store.open_dispute(&row).await.unwrap();
        let due = |days| 20_000 * DAY_MS + days * DAY_MS + DISPUTE_WINDOW_MS;
        let proved = async || {
            let proof = proofs(&shared, node).await.unwrap().remove(0);
            assert_eq!(proof.verify(&shared.ledger_key.public()), Ok(()));
            proof.earned.amount_micros
        };
        assert_eq!(settle(&shared, due(1)).await.unwrap(), None, "all of it is held");
        let [row_held] = &withheld(&shared, Some(&[node]), due(1)).await.unwrap()[..] else {
            panic!("one session is disputed")
        };
        assert_eq!((row_held.why, row_held.amount.amount_micros), (WithheldWhy::Disputed, 8_000));
        settle(&shared, due(2)).await.unwrap().unwrap();
        assert_eq!(proved().await, 8_000, "that of the second day");
        shared.store.end_session(first, EndReason::PlayerLeft, NOON).await.unwrap();
        shared.store.close_accounts(due(2)).await.unwrap();
        let settling =
            Settling { refund_permille: 500, note: "n".into(), actor: Actor::Operator, at_ms: due(2) };
        let decided = shared.store.decide_dispute(row.id, &settling).await.unwrap();
        assert!(matches!(decided, Decided::Now(_)));
        assert_eq!(proved().await, 8_000, "what was signed stays provable");
        settle(&shared, due(3)).await.unwrap().unwrap();
        assert_eq!(proved().await, 12_000, "half of the first session was paid back");
    }

    #[tokio::test]
    async fn a_day_is_settled_once_three_days_after_its_end_and_proved_to_its_hosts() {
        let (shared, node) = house().await;
        play(&shared, node, NOON).await;
        play(&shared, node, NOON + DAY_MS).await;
        let end = 20_001 * DAY_MS;
        assert_eq!(settle(&shared, end + DISPUTE_WINDOW_MS - 1).await.unwrap(), None);
        let whys = async |now_ms| {
            let days = held(&shared, None, Some(vec![node]), now_ms).await.unwrap();
            days.iter().map(|day| (day.epoch, day.why)).collect::<Vec<_>>()
        };
        let (first, second) = (20_000, 20_001);
        assert_eq!(whys(end).await, [(first, HeldWhy::DisputeWindow), (second, HeldWhy::DayRuns)]);
        let due = end + DISPUTE_WINDOW_MS;
        assert_eq!(whys(due).await, [(first, HeldWhy::SettlementDue), (second, HeldWhy::DisputeWindow)]);
        assert!(held(&shared, None, Some(vec![NodeId::from_bytes([9; 16])]), due).await.unwrap().is_empty());
        let first = settle(&shared, end + DISPUTE_WINDOW_MS).await.unwrap().unwrap();
        assert_eq!((first.epoch, first.leaves, first.previous), (Epoch(20_000), 1, Hash32::default()));
        assert_eq!(settle(&shared, end + DISPUTE_WINDOW_MS + 5).await.unwrap(), Some(first.clone()));
        let late = end + DISPUTE_WINDOW_MS;
        let [day] = &held(&shared, Some(first.epoch), Some(vec![node]), late).await.unwrap()[..] else {
            panic!("the second day is held")
        };
        assert_eq!((day.epoch, day.amount.amount_micros, day.why), (20_001, 8_000, HeldWhy::DisputeWindow));
        let proof = proofs(&shared, node).await.unwrap().remove(0);
        assert_eq!(proof.earned.amount_micros, 8_000, "the second day is not in it");
        assert_eq!(proof.verify(&shared.ledger_key.public()), Ok(()));

        let third = settle(&shared, end + DISPUTE_WINDOW_MS + 2 * DAY_MS).await.unwrap().unwrap();
        assert_eq!((third.epoch, third.previous), (Epoch(20_002), first.root));
        let proof = proofs(&shared, node).await.unwrap().remove(0);
        assert_eq!(proof.earned.amount_micros, 16_000, "a missed day is harmless: totals are cumulative");
        assert!(proofs(&shared, NodeId::from_bytes([9; 16])).await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn where_nobody_earned_nothing_is_settled() {
        let (shared, node) = house().await;
        assert_eq!(settle(&shared, NOON + 30 * DAY_MS).await.unwrap(), None);
        assert!(proofs(&shared, node).await.unwrap().is_empty());
    }
}
