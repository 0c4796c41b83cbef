//! Stakes in the general ledger: `stake:NODE` holds what is staked, and a part that a case costs is pending there until it
//! is taken or free again.

use super::{AT_ONCE, General, Ledger, Numbers, PostError, written};
use crate::state::Shared;
use crate::store::stake::StakeRow;
use nearframe_journal::JournalError;
use nearframe_ledger::books::{Action, Amount, Books, Group, Key, Memo, Order};
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
    pub(super) fn post_stakes(&mut self, rows: &[StakeRow], now_ms: u64) -> Result<bool, JournalError> {
        let Some(last) = rows.last() else { return Ok(true) };
        let groups = |books: &Books| -> Vec<Group> {
            let mut numbers = Numbers::new(books);
            let orders: Vec<Group> = rows.iter().filter_map(|row| order(row, &mut numbers)).collect();
            numbers.openings.into_iter().chain(orders).collect()
        };
        let done = self.carry_out(groups, now_ms)?;
        if done {
            self.read.stakes = last.seq;
        }
        Ok(done)
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

/// Posts entries that the ledger has not; false where it refuses one.
pub(super) async fn bring(shared: &Shared, ledger: &Ledger) -> Result<bool, PostError> {
    loop {
        let read = ledger.with(|general| Ok(general.read())).await?;
        let rows = shared.store.stake_entries_after(read.stakes, AT_ONCE).await?;
        if rows.is_empty() {
            return Ok(true);
        }
        if !written(shared, ledger, move |general, now_ms| general.post_stakes(&rows, now_ms)).await? {
            return Ok(false);
        }
    }
}
