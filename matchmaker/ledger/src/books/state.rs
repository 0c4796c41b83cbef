//! Balances and pending amounts, and the rules by which one order changes them.

use super::block::BlockHash;
use super::key::{Key, KeyMap};
use super::order::{Action, Amount, Order};
use super::record::Record;
use crate::Account;
use nearframe_protocol::Currency;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// The number under which an account was opened: 0, 1, 2, …
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountNo(pub u32);

/// What an account's balance may never do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Limit {
    /// Anything.
    None = 0,
    /// Debits, pending ones included, never exceed posted credits: nobody spends what is not there.
    Debits = 1,
    /// Credits, pending ones included, never exceed posted debits.
    Credits = 2,
}

impl Limit {
    pub(super) fn from_code(code: u8) -> Option<Self> {
        [Self::None, Self::Debits, Self::Credits].into_iter().find(|limit| *limit as u8 == code)
    }
}

/// The sums of an account, in micro-units; none is ever negative.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Balance {
    /// Moved out.
    pub debits_micros: i128,
    /// Moved in.
    pub credits_micros: i128,
    /// Set aside to move out.
    pub debits_pending_micros: i128,
    /// Set aside to move in.
    pub credits_pending_micros: i128,
}

impl Balance {
    fn keeps(&self, limit: Limit) -> bool {
        let within = |used: i128, pending: i128, there: i128| {
            used.checked_add(pending).is_some_and(|used| used <= there)
        };
        match limit {
            Limit::None => true,
            Limit::Debits => within(self.debits_micros, self.debits_pending_micros, self.credits_micros),
            Limit::Credits => within(self.credits_micros, self.credits_pending_micros, self.debits_micros),
        }
    }
}

/// An account with its balance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountState {
    /// Whose.
    pub account: Account,
    /// What it is counted in.
    pub currency: Currency,
    /// What its balance never does.
    pub limit: Limit,
    /// Its sums.
    pub balance: Balance,
    pub(super) sums: usize,
}

/// The sums over all accounts of one currency.
pub type Sums = Balance;

/// What is still set aside by one order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pending {
    /// Who will pay.
    pub debit: AccountNo,
    /// Who is to be paid.
    pub credit: AccountNo,
    /// What is neither posted nor voided, in micro-units.
    pub rest_micros: i128,
    /// When it is released by itself, Unix ms; `u64::MAX`: never.
    pub expires_at_ms: u64,
}

/// Why an order is not carried out. Nothing of its group happened; the same key may be used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The key stands for another order.
    #[error("this key was used for another order; choose a fresh key for a new order")]
    KeyReused,
    /// No such account.
    #[error("account {} does not exist; open it first", .0.0)]
    NoAccount(AccountNo),
    /// It exists.
    #[error("the account exists already, as number {}", .0.0)]
    AccountExists(AccountNo),
    /// Both sides are one account.
    #[error("a transfer needs two different accounts")]
    SameAccount,
    /// Two currencies.
    #[error("both accounts of a transfer have to be counted in the same currency")]
    Currency,
    /// Nothing or less.
    #[error("an amount has to be more than zero")]
    NotPositive,
    /// The balance does not allow it.
    #[error("account {} has not enough for this", .0.0)]
    Limit(AccountNo),
    /// Nothing is pending under this key.
    #[error(
        "nothing is pending under this key: it was never set aside, or it was posted, voided or has expired"
    )]
    NotPending,
    /// More than is pending.
    #[error("more than the {rest_micros} micro-units that are still pending")]
    MoreThanPending {
        /// What is left.
        rest_micros: i128,
    },
    /// A sum does not fit.
    #[error("a sum of money is too large to be counted")]
    Overflow,
}

/// Takes back what a group did before one of its orders was refused.
#[derive(Debug)]
enum Undo {
    Balance(AccountNo, Balance),
    Opened,
    Pending(Key, Option<Pending>),
}

/// Every account and every pending amount.
#[derive(Debug, Default)]
pub struct Books {
    pub(super) accounts: Vec<AccountState>,
    pub(super) numbers: HashMap<(Account, Currency), AccountNo>,
    pub(super) currencies: BTreeMap<Currency, usize>,
    pub(super) sums: Vec<Sums>,
    pub(super) pending: KeyMap<Pending>,
    pub(super) due: BTreeSet<(u64, Key)>,
    pub(super) next_height: u64,
    pub(super) head: Option<BlockHash>,
    pub(super) at_ms: u64,
    pub(super) records: u64,
    undo: Vec<Undo>,
}

impl Books {
    /// Empty books.
    pub fn new() -> Self {
        Self::default()
    }
    /// The number of an account, if it was opened.
    pub fn number(&self, account: &Account, currency: &Currency) -> Option<AccountNo> {
        self.numbers.get(&(account.clone(), currency.clone())).copied()
    }
    /// The number that the next account gets.
    pub fn next_number(&self) -> AccountNo {
        AccountNo(self.accounts.len() as u32)
    }
    /// An account.
    pub fn account(&self, number: AccountNo) -> Option<&AccountState> {
        self.accounts.get(number.0 as usize)
    }
    /// All accounts, by number.
    pub fn accounts(&self) -> &[AccountState] {
        &self.accounts
    }
    /// What is still set aside under a key.
    pub fn pending(&self, key: &Key) -> Option<&Pending> {
        self.pending.get(key)
    }
    /// How many amounts are pending.
    pub fn pending_count(&self) -> usize {
        self.pending.len()
    }
    /// The height of the next block: how many there are.
    pub fn next_height(&self) -> u64 {
        self.next_height
    }
    /// The hash of the last block.
    pub fn head(&self) -> BlockHash {
        self.head.unwrap_or(BlockHash::NONE)
    }
    /// When the last block was written, Unix ms.
    pub fn at_ms(&self) -> u64 {
        self.at_ms
    }
    /// Records in all blocks.
    pub fn records(&self) -> u64 {
        self.records
    }

    /// Adds up all accounts and compares: debits equal credits, and both what was kept on the way.
    ///
    /// # Panics
    /// Where they differ: the books are broken, and nothing may be written to them any more.
    pub fn assert_balanced(&self) {
        let mut sums = vec![Sums::default(); self.sums.len()];
        for state in &self.accounts {
            add(&mut sums[state.sums], &state.balance);
            assert!(state.balance.keeps(state.limit), "{} passed its limit", state.account);
        }
        assert_eq!(sums, self.sums, "the sums over all accounts are not those kept on the way");
        sums.iter().for_each(assert_equal);
    }

    pub(super) fn begin_group(&mut self) {
        self.undo.clear();
    }

    pub(super) fn take_back_group(&mut self) {
        while let Some(undo) = self.undo.pop() {
            match undo {
                Undo::Balance(number, before) => self.exchange(number, before),
                Undo::Opened => {
                    if let Some(state) = self.accounts.pop() {
                        self.numbers.remove(&(state.account, state.currency));
                    }
                }
                Undo::Pending(key, before) => {
                    self.exchange_pending(key, before);
                }
            }
        }
    }

    /// Carries one order out, at the time of its block. Where it is refused, its group has to be taken back.
    pub(super) fn carry_out(&mut self, order: &Order, at_ms: u64) -> Result<Record, Refusal> {
        let moved = |debit, credit, amount_micros| Record::Moved {
            order: order.clone(),
            debit,
            credit,
            amount_micros,
        };
        match order.action {
            Action::Open { ref account, ref currency, limit } => {
                let number = self.open(account, currency, limit)?;
                Ok(Record::Opened { order: order.clone(), number })
            }
            Action::Move { debit, credit, amount_micros } => {
                self.check_pair(debit, credit, amount_micros)?;
                self.change(credit, |balance| plus(&mut balance.credits_micros, amount_micros))?;
                self.change(debit, |balance| plus(&mut balance.debits_micros, amount_micros))?;
                self.check_limits(debit, credit)?;
                Ok(moved(debit, credit, amount_micros))
            }
            Action::Pend { debit, credit, amount_micros, timeout_s } => {
                self.check_pair(debit, credit, amount_micros)?;
                self.change(debit, |balance| plus(&mut balance.debits_pending_micros, amount_micros))?;
                self.change(credit, |balance| plus(&mut balance.credits_pending_micros, amount_micros))?;
                self.check_limits(debit, credit)?;
                let expires_at_ms = match timeout_s {
                    0 => u64::MAX,
                    seconds => at_ms.saturating_add(u64::from(seconds) * 1000),
                };
                let pending = Pending { debit, credit, rest_micros: amount_micros, expires_at_ms };
                self.set_pending(order.key, Some(pending));
                Ok(moved(debit, credit, amount_micros))
            }
            Action::Post { ref pending, credit, amount, close } => {
                let before = self.still_pending(pending, at_ms)?;
                let amount_micros = before.part(amount)?;
                self.check_pair(before.debit, credit, amount_micros)?;
                let released = if close { before.rest_micros } else { amount_micros };
                self.release(pending, &before, released)?;
                self.change(credit, |balance| plus(&mut balance.credits_micros, amount_micros))?;
                self.change(before.debit, |balance| plus(&mut balance.debits_micros, amount_micros))?;
                self.check_limits(before.debit, credit)?;
                Ok(moved(before.debit, credit, amount_micros))
            }
            Action::Void { ref pending, amount } => {
                let before = self.still_pending(pending, at_ms)?;
                let amount_micros = before.part(amount)?;
                self.release(pending, &before, amount_micros)?;
                Ok(moved(before.debit, before.credit, amount_micros))
            }
        }
    }

    /// Releases what is pending under a key whose time is over at `at_ms`.
    pub(super) fn expire(&mut self, key: &Key, at_ms: u64) -> Result<Record, Refusal> {
        let before = *self.pending.get(key).ok_or(Refusal::NotPending)?;
        if before.expires_at_ms > at_ms {
            return Err(Refusal::NotPending);
        }
        self.release(key, &before, before.rest_micros)?;
        let Pending { debit, credit, rest_micros, .. } = before;
        Ok(Record::Expired { pending: *key, debit, credit, amount_micros: rest_micros })
    }

    /// Sets a balance that a checkpoint named; `None` where no such balance can be.
    pub(super) fn restore_balance(&mut self, number: AccountNo, balance: Balance) -> Option<()> {
        let sums = [
            balance.debits_micros,
            balance.credits_micros,
            balance.debits_pending_micros,
            balance.credits_pending_micros,
        ];
        let limit = self.account(number)?.limit;
        if sums.iter().any(|sum| !(0..=MOST_MICROS).contains(sum)) || !balance.keeps(limit) {
            return None;
        }
        self.exchange(number, balance);
        Some(())
    }

    /// Sets a pending amount that a checkpoint named; `None` where no such amount can be.
    pub(super) fn restore_pending(&mut self, key: Key, pending: Pending) -> Option<()> {
        self.check_pair(pending.debit, pending.credit, pending.rest_micros).ok()?;
        self.exchange_pending(key, Some(pending)).is_none().then_some(())
    }

    /// Asserts that the sums of the currencies that the group touched are equal on both sides.
    pub(super) fn assert_group_balanced(&self) {
        for undo in &self.undo {
            if let Undo::Balance(number, _) = undo {
                assert_equal(&self.sums[self.accounts[number.0 as usize].sums]);
            }
        }
    }

    fn open(&mut self, account: &Account, currency: &Currency, limit: Limit) -> Result<AccountNo, Refusal> {
        if let Some(number) = self.number(account, currency) {
            return Err(Refusal::AccountExists(number));
        }
        let number = self.next_number();
        let new = self.sums.len();
        let sums = *self.currencies.entry(currency.clone()).or_insert(new);
        if sums == new {
            self.sums.push(Sums::default());
        }
        self.numbers.insert((account.clone(), currency.clone()), number);
        let (account, currency) = (account.clone(), currency.clone());
        self.accounts.push(AccountState { account, currency, limit, balance: Balance::default(), sums });
        self.undo.push(Undo::Opened);
        Ok(number)
    }

    fn check_pair(&self, debit: AccountNo, credit: AccountNo, amount_micros: i128) -> Result<(), Refusal> {
        if amount_micros <= 0 {
            return Err(Refusal::NotPositive);
        }
        if debit == credit {
            return Err(Refusal::SameAccount);
        }
        let sums = |number| self.account(number).map(|state| state.sums).ok_or(Refusal::NoAccount(number));
        if sums(debit)? == sums(credit)? { Ok(()) } else { Err(Refusal::Currency) }
    }

    /// After both sides moved: a limit may depend on either.
    fn check_limits(&self, debit: AccountNo, credit: AccountNo) -> Result<(), Refusal> {
        for number in [debit, credit] {
            let state = &self.accounts[number.0 as usize];
            if !state.balance.keeps(state.limit) {
                return Err(Refusal::Limit(number));
            }
        }
        Ok(())
    }

    fn still_pending(&self, key: &Key, at_ms: u64) -> Result<Pending, Refusal> {
        let found = self.pending.get(key).filter(|pending| pending.expires_at_ms > at_ms);
        found.copied().ok_or(Refusal::NotPending)
    }

    fn release(&mut self, key: &Key, before: &Pending, amount_micros: i128) -> Result<(), Refusal> {
        self.change(before.debit, |balance| plus(&mut balance.debits_pending_micros, -amount_micros))?;
        self.change(before.credit, |balance| plus(&mut balance.credits_pending_micros, -amount_micros))?;
        let rest_micros = before.rest_micros - amount_micros;
        let after = (rest_micros > 0).then_some(Pending { rest_micros, ..*before });
        self.set_pending(*key, after);
        Ok(())
    }

    fn change(
        &mut self,
        number: AccountNo,
        how: impl FnOnce(&mut Balance) -> Result<(), Refusal>,
    ) -> Result<(), Refusal> {
        let before = self.account(number).ok_or(Refusal::NoAccount(number))?.balance;
        let mut after = before;
        how(&mut after)?;
        self.undo.push(Undo::Balance(number, before));
        self.exchange(number, after);
        Ok(())
    }

    /// The only place where a balance changes; the sums of its currency change by what it changed.
    fn exchange(&mut self, number: AccountNo, after: Balance) {
        let state = &mut self.accounts[number.0 as usize];
        let before = std::mem::replace(&mut state.balance, after);
        let sums = &mut self.sums[state.sums];
        sums.debits_micros += after.debits_micros - before.debits_micros;
        sums.credits_micros += after.credits_micros - before.credits_micros;
        sums.debits_pending_micros += after.debits_pending_micros - before.debits_pending_micros;
        sums.credits_pending_micros += after.credits_pending_micros - before.credits_pending_micros;
    }

    fn set_pending(&mut self, key: Key, after: Option<Pending>) {
        let before = self.exchange_pending(key, after);
        self.undo.push(Undo::Pending(key, before));
    }

    fn exchange_pending(&mut self, key: Key, after: Option<Pending>) -> Option<Pending> {
        let before = match after {
            Some(pending) => self.pending.insert(key, pending),
            None => self.pending.remove(&key),
        };
        let due = |pending: Option<Pending>| pending.map(|p| p.expires_at_ms).filter(|at| *at != u64::MAX);
        if due(before) != due(after) {
            due(before).map(|at| self.due.remove(&(at, key)));
            due(after).map(|at| self.due.insert((at, key)));
        }
        before
    }
}

impl Pending {
    fn part(&self, amount: Amount) -> Result<i128, Refusal> {
        match amount {
            Amount::Rest => Ok(self.rest_micros),
            Amount::Micros(micros) if micros <= 0 => Err(Refusal::NotPositive),
            Amount::Micros(micros) if micros > self.rest_micros => {
                Err(Refusal::MoreThanPending { rest_micros: self.rest_micros })
            }
            Amount::Micros(micros) => Ok(micros),
        }
    }
}

/// No single sum passes this, so that sums over all accounts still fit.
const MOST_MICROS: i128 = i128::MAX >> 40;

fn plus(sum: &mut i128, by: i128) -> Result<(), Refusal> {
    *sum = sum.checked_add(by).filter(|sum| *sum <= MOST_MICROS).ok_or(Refusal::Overflow)?;
    assert!(*sum >= 0, "more was taken off a sum than was ever put on it");
    Ok(())
}

fn add(sums: &mut Sums, balance: &Balance) {
    sums.debits_micros += balance.debits_micros;
    sums.credits_micros += balance.credits_micros;
    sums.debits_pending_micros += balance.debits_pending_micros;
    sums.credits_pending_micros += balance.credits_pending_micros;
}

fn assert_equal(sums: &Sums) {
    assert_eq!(sums.debits_micros, sums.credits_micros, "posted debits and credits differ");
    assert_eq!(sums.debits_pending_micros, sums.credits_pending_micros, "pending debits and credits differ");
}
