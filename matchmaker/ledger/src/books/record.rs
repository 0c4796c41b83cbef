//! Records: what was done, in 128 bytes each, little-endian.
//!
//! A movement: kind u8 (2 move, 3 pend, 4 post, 5 void, 6 expire) · flags u8 (1: the rest, 2: closes) · code u16 ·
//! debit account u32 · credit account u32 · timeout_s u32 · key (16) · key of what was pending (16) ·
//! amount_micros i128 · subject (16) · evidence (32) · zero (16).
//!
//! An opening: kind u8 (1) · limit u8 (0 none, 1 debits, 2 credits) · code u16 · account number u32 ·
//! currency (8, zeros after its code) · key (16) · length of the name u8 · name (71, zeros after it) · subject (16) ·
//! zero (8).
//!
//! An opening's evidence is all zeros: its name takes the room.

use super::key::Key;
use super::order::{Action, Amount, Memo, Order};
use super::state::{AccountNo, Limit};
use crate::Account;
use nearframe_protocol::Currency;
use nearframe_protocol::wire::{Reader, WireError};

/// Length of a record.
pub const RECORD_LEN: usize = 128;
const NAME_LEN: usize = 71;

const OPEN: u8 = 1;
const MOVE: u8 = 2;
const PEND: u8 = 3;
const POST: u8 = 4;
const VOID: u8 = 5;
const EXPIRE: u8 = 6;

const REST: u8 = 1;
const CLOSE: u8 = 2;

/// Bytes that are no record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// Not the form that is written here.
    #[error("a record of the journal is malformed: {0}")]
    Wire(#[from] WireError),
    /// An amount that no order moves.
    #[error("a record of the journal moves less than nothing")]
    Amount,
}

/// One line of the journal: an order with what the books added to it, or what they did by themselves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// An account was opened under this number.
    Opened {
        /// The order.
        order: Order,
        /// The number.
        number: AccountNo,
    },
    /// An amount was moved, set aside, posted or voided.
    Moved {
        /// The order.
        order: Order,
        /// Who pays.
        debit: AccountNo,
        /// Who is paid.
        credit: AccountNo,
        /// How much, in micro-units.
        amount_micros: i128,
    },
    /// What was pending was released because its time was over.
    Expired {
        /// The key of the pending transfer.
        pending: Key,
        /// Who would have paid.
        debit: AccountNo,
        /// Who would have been paid.
        credit: AccountNo,
        /// What was still pending.
        amount_micros: i128,
    },
}

impl Record {
    /// Its bytes.
    pub fn encode(&self) -> [u8; RECORD_LEN] {
        self.body().encode()
    }

    /// Reads a record; refuses any other form, so that one record has one encoding.
    pub fn decode(bytes: &[u8; RECORD_LEN]) -> Result<Self, RecordError> {
        let record = Body::decode(bytes)?.record()?;
        if record.encode() == *bytes { Ok(record) } else { Err(WireError::Range("record").into()) }
    }

    /// The key, of a record that a caller ordered.
    pub fn key(&self) -> Option<Key> {
        match self {
            Self::Opened { order, .. } | Self::Moved { order, .. } => Some(order.key),
            Self::Expired { .. } => None,
        }
    }

    fn body(&self) -> Body {
        match self {
            Self::Opened { order, number } => {
                let mut body = Body::of(order);
                body.key = order.key;
                body.debit = number.0;
                body
            }
            Self::Moved { order, debit, credit, amount_micros } => {
                let mut body = Body::of(order);
                body.key = order.key;
                (body.debit, body.credit, body.amount_micros) = (debit.0, credit.0, *amount_micros);
                body
            }
            Self::Expired { pending, debit, credit, amount_micros } => Body {
                kind: EXPIRE,
                debit: debit.0,
                credit: credit.0,
                pending: *pending,
                amount_micros: *amount_micros,
                ..Body::default()
            },
        }
    }
}

/// The fields of a record, before they mean anything. Of an order's own: no key, and nothing that the books add.
#[derive(Clone, Debug)]
pub(super) struct Body {
    kind: u8,
    flags: u8,
    debit: u32,
    credit: u32,
    timeout_s: u32,
    key: Key,
    pending: Key,
    amount_micros: i128,
    memo: Memo,
    opening: Option<(Account, Currency)>,
}

impl Default for Body {
    fn default() -> Self {
        let none = Key::from_bytes([0; 16]);
        Self {
            kind: 0,
            flags: 0,
            debit: 0,
            credit: 0,
            timeout_s: 0,
            key: none,
            pending: none,
            amount_micros: 0,
            memo: Memo::default(),
            opening: None,
        }
    }
}

fn amount_fields(amount: Amount) -> (i128, u8) {
    match amount {
        Amount::Micros(micros) => (micros, 0),
        Amount::Rest => (0, REST),
    }
}

impl Body {
    pub(super) fn of(order: &Order) -> Self {
        let mut body = Self { memo: order.memo, ..Self::default() };
        match &order.action {
            Action::Open { account, currency, limit } => {
                (body.kind, body.flags) = (OPEN, *limit as u8);
                body.memo.evidence = [0; 32];
                body.opening = Some((account.clone(), currency.clone()));
            }
            Action::Move { debit, credit, amount_micros } => {
                body.kind = MOVE;
                (body.debit, body.credit, body.amount_micros) = (debit.0, credit.0, *amount_micros);
            }
            Action::Pend { debit, credit, amount_micros, timeout_s } => {
                (body.kind, body.timeout_s) = (PEND, *timeout_s);
                (body.debit, body.credit, body.amount_micros) = (debit.0, credit.0, *amount_micros);
            }
            Action::Post { pending, credit, amount, close } => {
                (body.kind, body.credit, body.pending) = (POST, credit.0, *pending);
                (body.amount_micros, body.flags) = amount_fields(*amount);
                body.flags |= if *close { CLOSE } else { 0 };
            }
            Action::Void { pending, amount } => {
                (body.kind, body.pending) = (VOID, *pending);
                (body.amount_micros, body.flags) = amount_fields(*amount);
            }
        }
        body
    }

    pub(super) fn encode(&self) -> [u8; RECORD_LEN] {
        let mut out = [0; RECORD_LEN];
        let mut put = |at: usize, bytes: &[u8]| out[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, &[self.kind, self.flags]);
        put(2, &self.memo.code.to_le_bytes());
        put(4, &self.debit.to_le_bytes());
        put(16, self.key.as_bytes());
        if let Some((account, currency)) = &self.opening {
            let name = account.to_string();
            put(8, currency.as_str().as_bytes());
            let length = name.len();
            debug_assert!(length <= NAME_LEN, "the longest is `studio:` with a title of 64 letters");
            put(32, &[length as u8]);
            put(33, &name.as_bytes()[..length]);
            put(104, &self.memo.subject);
            return out;
        }
        put(8, &self.credit.to_le_bytes());
        put(12, &self.timeout_s.to_le_bytes());
        put(32, self.pending.as_bytes());
        put(48, &self.amount_micros.to_le_bytes());
        put(64, &self.memo.subject);
        put(80, &self.memo.evidence);
        out
    }

    fn decode(bytes: &[u8; RECORD_LEN]) -> Result<Self, WireError> {
        let mut r = Reader::new(bytes);
        let mut body = Self { kind: r.u8()?, flags: r.u8()?, ..Self::default() };
        body.memo.code = r.u16()?;
        body.debit = r.u32()?;
        if body.kind == OPEN {
            let currency = r.array::<8>()?;
            body.key = Key::from_bytes(r.array()?);
            let length = usize::from(r.u8()?);
            let name = r.bytes(NAME_LEN)?.get(..length).ok_or(WireError::Range("name"))?;
            body.memo.subject = r.array()?;
            let code = text(currency.split(|&b| b == 0).next().unwrap_or_default())?;
            let account = text(name)?.parse().map_err(|_| WireError::Range("account"))?;
            let currency = Currency::new(code).map_err(|_| WireError::Range("currency"))?;
            body.opening = Some((account, currency));
            return Ok(body);
        }
        body.credit = r.u32()?;
        body.timeout_s = r.u32()?;
        body.key = Key::from_bytes(r.array()?);
        body.pending = Key::from_bytes(r.array()?);
        body.amount_micros = i128::from_le_bytes(r.array()?);
        body.memo.subject = r.array()?;
        body.memo.evidence = r.array()?;
        Ok(body)
    }

    fn record(self) -> Result<Record, RecordError> {
        if self.amount_micros < 0 {
            return Err(RecordError::Amount);
        }
        let (debit, credit) = (AccountNo(self.debit), AccountNo(self.credit));
        let amount_micros = self.amount_micros;
        let amount = if self.flags & REST == 0 { Amount::Micros(amount_micros) } else { Amount::Rest };
        let action = match (self.kind, self.opening) {
            (OPEN, Some((account, currency))) => {
                let limit = Limit::from_code(self.flags).ok_or(WireError::Range("limit"))?;
                Action::Open { account, currency, limit }
            }
            (MOVE, _) => Action::Move { debit, credit, amount_micros },
            (PEND, _) => Action::Pend { debit, credit, amount_micros, timeout_s: self.timeout_s },
            (POST, _) => {
                Action::Post { pending: self.pending, credit, amount, close: self.flags & CLOSE != 0 }
            }
            (VOID, _) => Action::Void { pending: self.pending, amount },
            (EXPIRE, _) => {
                return Ok(Record::Expired { pending: self.pending, debit, credit, amount_micros });
            }
            _ => return Err(WireError::Range("kind").into()),
        };
        let opens = matches!(action, Action::Open { .. });
        let order = Order { key: self.key, action, memo: self.memo };
        Ok(match opens {
            true => Record::Opened { order, number: debit },
            false => Record::Moved { order, debit, credit, amount_micros },
        })
    }
}

fn text(bytes: &[u8]) -> Result<&str, WireError> {
    std::str::from_utf8(bytes).map_err(|_| WireError::Range("text"))
}
