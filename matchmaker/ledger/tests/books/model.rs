//! What the books should hold, kept a second time in the plainest way: no undo, no index, no blocks.

use nearframe_ledger::books::{
    AccountNo, Action, Amount, Answer, Balance, Books, Group, Key, Limit, Refusal,
};
use std::collections::HashMap;

#[derive(Clone, Debug)]
struct Row {
    limit: Limit,
    currency: usize,
    balance: Balance,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Waiting {
    debit: AccountNo,
    credit: AccountNo,
    rest: i128,
    until_ms: u64,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Model {
    rows: Vec<Row>,
    waiting: HashMap<Key, Waiting>,
    now_ms: u64,
}

impl Model {
    pub(crate) fn open(&mut self, limit: Limit, currency: usize) {
        self.rows.push(Row { limit, currency, balance: Balance::default() });
    }

    /// Time passes: what is over is over.
    pub(crate) fn pass_to(&mut self, now_ms: u64) {
        self.now_ms = now_ms;
        let over: Vec<Key> =
            self.waiting.iter().filter(|(_, w)| w.until_ms <= now_ms).map(|(key, _)| *key).collect();
        for key in over {
            let rest = self.waiting[&key].rest;
            self.release(&key, rest);
        }
    }

    /// What the books should answer to a group whose keys are fresh.
    pub(crate) fn answer(&mut self, group: &Group) -> Answer {
        match self.group(group) {
            Some((order, refusal)) => Answer::Refused { order, refusal },
            None => Answer::Done,
        }
    }

    fn group(&mut self, group: &Group) -> Option<(usize, Refusal)> {
        // A copy for each group would be plain as well, but a run has millions of them.
        let mut ahead = Self { now_ms: self.now_ms, ..Self::default() };
        let several = group.len() > 1;
        if several {
            ahead.rows = self.rows.clone();
            ahead.waiting = self.keys_of(group);
        }
        for (at, order) in group.iter().enumerate() {
            let target = if several { &mut ahead } else { &mut *self };
            if let Err(refusal) = target.act(order.key, &order.action) {
                return Some((at, refusal));
            }
        }
        if several {
            for order in group {
                let key = match order.action {
                    Action::Post { pending, .. } | Action::Void { pending, .. } => pending,
                    _ => order.key,
                };
                match ahead.waiting.get(&key) {
                    Some(waiting) => drop(self.waiting.insert(key, *waiting)),
                    None => drop(self.waiting.remove(&key)),
                }
            }
            self.rows = ahead.rows;
        }
        None
    }

    fn keys_of(&self, group: &Group) -> HashMap<Key, Waiting> {
        let keys = group.iter().filter_map(|order| match order.action {
            Action::Post { pending, .. } | Action::Void { pending, .. } => Some(pending),
            _ => None,
        });
        keys.filter_map(|key| self.waiting.get(&key).map(|waiting| (key, *waiting))).collect()
    }

    fn act(&mut self, key: Key, action: &Action) -> Result<(), Refusal> {
        match *action {
            Action::Open { .. } => unreachable!("accounts are opened before a run"),
            Action::Move { debit, credit, amount_micros } => {
                self.pair(debit, credit, amount_micros)?;
                let mut after = [self.row(debit).balance, self.row(credit).balance];
                after[0].debits_micros += amount_micros;
                after[1].credits_micros += amount_micros;
                self.set(debit, credit, after)
            }
            Action::Pend { debit, credit, amount_micros, timeout_s } => {
                self.pair(debit, credit, amount_micros)?;
                let mut after = [self.row(debit).balance, self.row(credit).balance];
                after[0].debits_pending_micros += amount_micros;
                after[1].credits_pending_micros += amount_micros;
                self.set(debit, credit, after)?;
                let until_ms =
                    if timeout_s == 0 { u64::MAX } else { self.now_ms + u64::from(timeout_s) * 1000 };
                self.waiting.insert(key, Waiting { debit, credit, rest: amount_micros, until_ms });
                Ok(())
            }
            Action::Post { pending, credit, amount, close } => {
                let before = *self.waiting.get(&pending).ok_or(Refusal::NotPending)?;
                let moved = part(before, amount)?;
                self.pair(before.debit, credit, moved)?;
                let mut trial = self.row(credit).balance;
                trial.credits_micros += moved;
                if credit == before.credit {
                    trial.credits_pending_micros -= if close { before.rest } else { moved };
                }
                if !keeps(self.row(credit).limit, &trial) {
                    return Err(Refusal::Limit(credit));
                }
                self.release(&pending, if close { before.rest } else { moved });
                self.rows[before.debit.0 as usize].balance.debits_micros += moved;
                self.rows[credit.0 as usize].balance.credits_micros += moved;
                Ok(())
            }
            Action::Void { pending, amount } => {
                let before = *self.waiting.get(&pending).ok_or(Refusal::NotPending)?;
                self.release(&pending, part(before, amount)?);
                Ok(())
            }
        }
    }

    fn release(&mut self, key: &Key, amount: i128) {
        let waiting = self.waiting.get_mut(key).unwrap();
        waiting.rest -= amount;
        let Waiting { debit, credit, rest, .. } = *waiting;
        self.rows[debit.0 as usize].balance.debits_pending_micros -= amount;
        self.rows[credit.0 as usize].balance.credits_pending_micros -= amount;
        if rest == 0 {
            self.waiting.remove(key);
        }
    }

    fn row(&self, number: AccountNo) -> &Row {
        &self.rows[number.0 as usize]
    }

    fn pair(&self, debit: AccountNo, credit: AccountNo, amount: i128) -> Result<(), Refusal> {
        if amount <= 0 {
            return Err(Refusal::NotPositive);
        }
        if debit == credit {
            return Err(Refusal::SameAccount);
        }
        for number in [debit, credit] {
            self.rows.get(number.0 as usize).ok_or(Refusal::NoAccount(number))?;
        }
        if self.row(debit).currency == self.row(credit).currency { Ok(()) } else { Err(Refusal::Currency) }
    }

    fn set(&mut self, debit: AccountNo, credit: AccountNo, after: [Balance; 2]) -> Result<(), Refusal> {
        for (number, balance) in [debit, credit].into_iter().zip(after) {
            if !keeps(self.row(number).limit, &balance) {
                return Err(Refusal::Limit(number));
            }
        }
        self.rows[debit.0 as usize].balance = after[0];
        self.rows[credit.0 as usize].balance = after[1];
        Ok(())
    }

    /// How far the books are from this, in micro-units, over all sums of all accounts and all that is pending.
    pub(crate) fn drift_units(&self, books: &Books) -> i128 {
        assert_eq!(books.accounts().len(), self.rows.len());
        assert_eq!(books.pending_count(), self.waiting.len());
        let fields = |b: &Balance| {
            [b.debits_micros, b.credits_micros, b.debits_pending_micros, b.credits_pending_micros]
        };
        let accounts = books.accounts().iter().zip(&self.rows).flat_map(|(theirs, ours)| {
            fields(&theirs.balance).into_iter().zip(fields(&ours.balance)).map(|(a, b)| (a - b).abs())
        });
        let pending = self.waiting.iter().map(|(key, ours)| {
            let theirs = books.pending(key).unwrap();
            assert_eq!(
                (theirs.debit, theirs.credit, theirs.expires_at_ms),
                (ours.debit, ours.credit, ours.until_ms)
            );
            (theirs.rest_micros - ours.rest).abs()
        });
        accounts.sum::<i128>() + pending.sum::<i128>()
    }

    /// No account with a limit ever passed it.
    pub(crate) fn assert_limits(&self) {
        for row in &self.rows {
            assert!(keeps(row.limit, &row.balance), "{row:?}");
        }
    }
}

fn keeps(limit: Limit, balance: &Balance) -> bool {
    match limit {
        Limit::None => true,
        Limit::Debits => balance.debits_micros + balance.debits_pending_micros <= balance.credits_micros,
        Limit::Credits => balance.credits_micros + balance.credits_pending_micros <= balance.debits_micros,
    }
}

fn part(waiting: Waiting, amount: Amount) -> Result<i128, Refusal> {
    match amount {
        Amount::Rest => Ok(waiting.rest),
        Amount::Micros(micros) if micros <= 0 => Err(Refusal::NotPositive),
        Amount::Micros(micros) if micros > waiting.rest => {
            Err(Refusal::MoreThanPending { rest_micros: waiting.rest })
        }
        Amount::Micros(micros) => Ok(micros),
    }
}
