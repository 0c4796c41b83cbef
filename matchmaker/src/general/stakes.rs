//! Stakes in the general ledger: `stake:NODE` holds what is staked, and a part that a case costs is pending there until it
//! is taken or free again.

use super::{AT_ONCE, General, Ledger, Numbers, Orders, PostError, written};
use crate::state::Shared;
use crate::store::aside::{AsideRow, Feed};
use crate::store::stake::StakeRow;
use nearframe_journal::JournalError;
use nearframe_ledger::books::{Action, Amount, Books, Group, Key, Memo, Order, Refusal};
use nearframe_ledger::{Account, Label};
use nearframe_protocol::Currency;
use nearframe_trust::stake::{Entry, Posting, label};

/// What these orders are marked with.
const CODE: u16 = 0x5354;

/// Where what is taken waits until it is known whose it is.
pub(crate) fn slashed() -> Account {
    Account::Reserve(Label::new(label::SLASHED).expect("the name of the reserve is a label"))
}

/// Where deposits come from.
fn deposits() -> Account {
    Account::Rail(Label::new(label::DEPOSITS).expect("the name of the rail is a label"))
}

impl General {
    /// Gives what the ledger refuses and nobody set aside, as with everything else.
    fn post_stakes(&mut self, rows: &[StakeRow], now_ms: u64) -> Result<Vec<AsideRow>, JournalError> {
        let Some(last) = rows.last() else { return Ok(vec![]) };
        let mut refused = self.try_stakes(rows, now_ms)?;
        refused.retain(|row| !self.asides.contains(&Key::of(&row.key)));
        if refused.is_empty() {
            self.read.stakes = last.seq;
        }
        Ok(refused)
    }

    /// Gives what is refused.
    pub(super) fn try_stakes(
        &mut self,
        rows: &[StakeRow],
        now_ms: u64,
    ) -> Result<Vec<AsideRow>, JournalError> {
        let has_order = |row: &&StakeRow| row.entry.posting(row.node, deposits()).is_some();
        let rows: Vec<&StakeRow> = rows.iter().filter(has_order).collect();
        let orders = |books: &Books| {
            let mut numbers = Numbers::new(books);
            let moves = rows.iter().filter_map(|row| order(row, &mut numbers)).collect();
            Orders { openings: numbers.openings, moves }
        };
        let refused = self.carry_out(orders, now_ms)?;
        Ok(refused.into_iter().map(|(at, refusal)| aside(rows[at], &refusal, now_ms)).collect())
    }

    /// What an account may still be debited, in micro-units.
    pub(crate) fn free_micros(&self, account: &Account, currency: &Currency) -> i128 {
        let books = self.journal.books();
        let state = books.number(account, currency).and_then(|number| books.account(number));
        state.map_or(0, |state| {
            let balance = &state.balance;
            balance.credits_micros - balance.debits_micros - balance.debits_pending_micros
        })
    }
}

fn order(row: &StakeRow, numbers: &mut Numbers<'_>) -> Option<Group> {
    let StakeRow { node, currency, entry, .. } = row;
    let posting = entry.posting(*node, deposits())?;
    let mut number = |account: &Account| numbers.of(account, currency);
    let amount_micros = entry.amount_micros;
    let action = match posting {
        Posting::Move { debit, credit } => {
            Action::Move { debit: number(&debit), credit: number(&credit), amount_micros }
        }
        Posting::Pend => Action::Pend {
            debit: number(&Account::Stake(*node)),
            credit: number(&slashed()),
            amount_micros,
            timeout_s: 0,
        },
        Posting::Take { pending } => Action::Post {
            pending: Key::of(&pending),
            credit: number(&slashed()),
            amount: Amount::Rest,
            close: true,
        },
        Posting::Void { pending } => Action::Void { pending: Key::of(&pending), amount: Amount::Rest },
    };
    let memo = Memo { code: CODE, subject: *node.as_bytes(), evidence: [0; 32] };
    Some(vec![Order { key: Key::of(&Entry::key(*node, entry.number)), action, memo }])
}

fn aside(row: &StakeRow, refusal: &Refusal, now_ms: u64) -> AsideRow {
    let StakeRow { seq, node, currency, entry } = row;
    let stake = Account::Stake(*node);
    let (debit, credit) = match entry.posting(*node, deposits()) {
        Some(Posting::Move { debit, credit }) => (debit, credit),
        Some(Posting::Void { .. }) => (slashed(), stake),
        Some(Posting::Pend | Posting::Take { .. }) | None => (stake, slashed()),
    };
    AsideRow {
        feed: Feed::Stakes,
        seq: *seq,
        key: Entry::key(*node, entry.number),
        debit,
        credit,
        amount_micros: entry.amount_micros,
        currency: currency.clone(),
        reason: refusal.to_string(),
        at_ms: now_ms,
    }
}

/// Posts entries that the ledger has not.
pub(super) async fn bring(shared: &Shared, ledger: &Ledger) -> Result<(), PostError> {
    loop {
        let read = ledger.with(|general| Ok(general.read())).await?;
        let rows = shared.store.stake_entries_after(read.stakes, AT_ONCE).await?;
        if rows.is_empty() {
            return Ok(());
        }
        written(shared, ledger, move |general, now_ms| general.post_stakes(&rows, now_ms)).await?;
    }
}
