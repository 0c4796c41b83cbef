//! From rows to types and back. A value that no release writes is [`StoreError::Corrupt`].

use super::DbRow;
use super::accounts::maybe_id;
use crate::bus::words::HeldSlots;
use crate::store::{Payer, SessionRow, StoreError};
use nearframe_ledger::{Kind, LedgerError, Tariff, Transfer};
use nearframe_protocol::prices::{Basis, Work};
use nearframe_protocol::{
    AccountId, ApiKeyId, Currency, EndReason, Generation, GuestId, LeaseId, Money, NodeId, PublicKey,
    ReservationId, SessionId, SessionState, Signature, SpendLimit, TitleHash, TitleId, TransferId,
};
use sqlx::Row;

pub(super) fn blob<const N: usize>(row: &DbRow, column: &'static str) -> Result<[u8; N], StoreError> {
    row.try_get::<&[u8], _>(column)?.try_into().map_err(|_| StoreError::Corrupt(column))
}

pub(super) fn text<'r>(row: &'r DbRow, column: &'static str) -> Result<&'r str, StoreError> {
    Ok(row.try_get(column)?)
}

pub(super) fn int<T: TryFrom<i64>>(row: &DbRow, column: &'static str) -> Result<T, StoreError> {
    row.try_get::<i64, _>(column)?.try_into().map_err(|_| StoreError::Corrupt(column))
}

pub(super) fn maybe_int<T: TryFrom<i64>>(row: &DbRow, column: &'static str) -> Result<Option<T>, StoreError> {
    let value: Option<i64> = row.try_get(column)?;
    value.map(|value| value.try_into().map_err(|_| StoreError::Corrupt(column))).transpose()
}

/// An unsigned value as the database's signed integer; times and durations stay far below its end.
pub(super) fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// An amount as the database's signed integer.
pub(super) fn signed_amount(amount_micros: i128) -> Result<i64, StoreError> {
    Ok(i64::try_from(amount_micros).map_err(|_| LedgerError::Overflow)?)
}

/// What limits a column to nodes that are named, as parameters from `first` on; nothing where none are.
pub(super) fn among(column: &str, nodes: Option<&[NodeId]>, first: usize) -> String {
    match nodes {
        None => String::new(),
        Some([]) => " AND 1 = 0".to_owned(),
        Some(nodes) => {
            let places: Vec<String> = (first..first + nodes.len()).map(|at| format!("${at}")).collect();
            format!(" AND {column} IN ({})", places.join(", "))
        }
    }
}

pub(super) fn state_text(state: SessionState) -> &'static str {
    match state {
        SessionState::Starting => "starting",
        SessionState::Live => "live",
        SessionState::Ended => "ended",
    }
}

pub(super) fn state(row: &DbRow) -> Result<SessionState, StoreError> {
    let text = text(row, "state")?;
    [SessionState::Starting, SessionState::Live, SessionState::Ended]
        .into_iter()
        .find(|state| state_text(*state) == text)
        .ok_or(StoreError::Corrupt("state"))
}

pub(super) fn tariff(row: &DbRow) -> Result<Tariff, StoreError> {
    Ok(Tariff {
        price_micros_per_hour: int(row, "price_micros_per_hour")?,
        fee_permille: int(row, "fee_permille")?,
        currency: currency(row)?,
    })
}

/// Columns `rate_card`, `work`, `rate_region` and `gpu_tier` of a lease.
pub(super) fn basis(row: &DbRow) -> Result<Option<Basis>, StoreError> {
    let Some(rate_card) = maybe_int(row, "rate_card")? else { return Ok(None) };
    let work = Work::parse(text(row, "work")?).ok_or(StoreError::Corrupt("work"))?;
    let region = text(row, "rate_region")?.to_owned();
    Ok(Some(Basis { rate_card, work, region, gpu_tier: int(row, "gpu_tier")? }))
}

pub(super) fn currency(row: &DbRow) -> Result<Currency, StoreError> {
    Currency::new(text(row, "currency")?).map_err(|_| StoreError::Corrupt("currency"))
}

pub(super) fn title(row: &DbRow) -> Result<TitleId, StoreError> {
    TitleId::new(text(row, "title")?).map_err(|_| StoreError::Corrupt("title"))
}

fn payer(row: &DbRow) -> Result<Option<Payer>, StoreError> {
    match (maybe_id(row, "account_id")?, maybe_id(row, "key_id")?) {
        (None, None) => Ok(None),
        (Some(account), key) => {
            let key = key.map(ApiKeyId::from_bytes);
            Ok(Some(Payer { account: AccountId::from_bytes(account), key }))
        }
        _ => Err(StoreError::Corrupt("key_id")),
    }
}

/// A row of `SESSION_COLUMNS`.
pub(super) fn session(row: &DbRow) -> Result<SessionRow, StoreError> {
    let end_reason: Option<&str> = row.try_get("end_reason")?;
    let parse = |text| EndReason::parse(text).ok_or(StoreError::Corrupt("end_reason"));
    let end_limit: Option<&str> = row.try_get("end_limit")?;
    let limit = |text| SpendLimit::parse(text).ok_or(StoreError::Corrupt("end_limit"));
    Ok(SessionRow {
        id: SessionId::from_bytes(blob(row, "id")?),
        guest: GuestId::from_bytes(blob(row, "guest_id")?),
        title: title(row)?,
        title_hash: TitleHash::from_bytes(blob(row, "title_hash")?),
        player_key: PublicKey::from_bytes(blob(row, "player_key")?),
        state: state(row)?,
        generation: Generation(int(row, "generation")?),
        lease: LeaseId::from_bytes(blob(row, "lease_id")?),
        payer: payer(row)?,
        reservation: maybe_id(row, "reservation_id")?.map(ReservationId::from_bytes),
        stands_by: row.try_get::<Option<&str>, _>("work")? == Some(Work::Reserve.as_str()),
        node: NodeId::from_bytes(blob(row, "node_id")?),
        node_name: text(row, "node_name")?.to_owned(),
        node_slots: HeldSlots {
            node: NodeId::from_bytes(blob(row, "node_id")?),
            held: int(row, "held")?,
            change: int(row, "held_changes")?,
        },
        created_at_ms: int(row, "created_at_ms")?,
        ended_at_ms: maybe_int(row, "ended_at_ms")?,
        end_reason: end_reason.map(parse).transpose()?,
        end_limit: end_limit.map(limit).transpose()?,
        receipts: int(row, "receipts")?,
        billed_us: int(row, "billed_us")?,
        cost: Money { amount_micros: int::<i64>(row, "cost_micros")?.into(), currency: currency(row)? },
    })
}

pub(super) fn signature(row: &DbRow, column: &'static str) -> Result<Option<Signature>, StoreError> {
    let bytes: Option<&[u8]> = row.try_get(column)?;
    let parse = |bytes: &[u8]| bytes.try_into().map_err(|_| StoreError::Corrupt(column));
    Ok(bytes.map(parse).transpose()?.map(Signature::from_bytes))
}

pub(super) fn transfer(row: &DbRow) -> Result<Transfer, StoreError> {
    let account = |column| text(row, column)?.parse().map_err(|_| StoreError::Corrupt(column));
    Ok(Transfer {
        id: TransferId::from_bytes(blob(row, "id")?),
        lease: LeaseId::from_bytes(blob(row, "lease_id")?),
        kind: Kind::parse(text(row, "kind")?).ok_or(StoreError::Corrupt("kind"))?,
        debit: account("debit")?,
        credit: account("credit")?,
        amount_micros: int::<i64>(row, "amount_micros")?.into(),
        currency: currency(row)?,
        key: text(row, "key")?.to_owned(),
    })
}
