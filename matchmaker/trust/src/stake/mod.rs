//! Stakes: what a host puts down for a machine, and what becomes of it.
//!
//! A stake is read from its entries; what may happen next is decided here and written as another one. A part is only ever
//! set aside on [`Grounds`], it is taken when the time for an appeal is over, and what the host takes back it has given
//! notice of. Nothing here moves money: [`Entry::posting`] says what an entry means to the general ledger.
//!
//! **Architecture invariant:** what is set aside never exceeds what is staked, and what was taken or released is gone.

mod entry;
mod grounds;
mod rules;

pub use entry::{Deed, Entry, Posting, Source, label};
pub use grounds::Grounds;
pub use rules::{KindShare, RuleError, Rules, TierLeast};

use crate::fraud::Kind;
use nearframe_ledger::settlement::{DAY_MS, Epoch};
use nearframe_protocol::CaseId;
use nearframe_protocol::account::Actor;
use std::collections::BTreeMap;

/// Why something may not happen.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StakeError {
    /// Nothing or less.
    #[error("an amount has to be more than zero")]
    NotPositive,
    /// More than can be counted.
    #[error("a stake has to be less than 9,223,372,036,854 units")]
    Overflow,
    /// Notice was given.
    #[error("notice was given for this stake; stake again once it is released")]
    NoticeGiven,
    /// Nothing is staked.
    #[error("nothing is staked for this machine")]
    NothingStaked,
    /// No part was set aside for the case.
    #[error("nothing was decided about this machine's stake because of that case")]
    NotSetAside,
    /// The time is over.
    #[error("the time for an appeal is over")]
    TooLate,
    /// One appeal each.
    #[error("there was an appeal in this case before; one is all there is")]
    AppealedBefore,
    /// None to rule on.
    #[error("there is no appeal in this case, or it was ruled on the other way")]
    NoAppeal,
    /// Whoever decided the case may not rule on the appeal.
    #[error("whoever decided the case cannot rule on its appeal: another operator has to")]
    SameOperator,
    /// Entries that cannot follow each other.
    #[error("entry {0} does not follow the ones before it")]
    OutOfOrder(u32),
}

/// An appeal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Appeal {
    /// Why.
    pub text: String,
    /// Whose.
    pub by: Option<Actor>,
    /// Unix ms.
    pub at_ms: u64,
    /// What was ruled.
    pub ruling: Option<Ruling>,
}

/// What was ruled on an appeal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ruling {
    /// Whether what was set aside is free again.
    pub is_allowed: bool,
    /// Why.
    pub reason: String,
    /// By whom.
    pub by: Option<Actor>,
    /// Unix ms.
    pub at_ms: u64,
}

/// Who rules on an appeal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judge {
    /// Who.
    pub by: Actor,
    /// Who decided the case: may rule only where there are no others.
    pub decided: Option<Actor>,
    /// Whether there are.
    pub others: bool,
}

/// A part that was set aside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Aside {
    /// Of the entry that did.
    pub number: u32,
    /// How much, in micro-units.
    pub amount_micros: i128,
    /// Why.
    pub kind: Kind,
    /// Version of the rules that say how much.
    pub rules: u32,
    /// Unix ms.
    pub at_ms: u64,
    /// When it is taken, Unix ms.
    pub takes_at_ms: u64,
    /// What the host says.
    pub appeal: Option<Appeal>,
    /// When it was taken, Unix ms.
    pub taken_at_ms: Option<u64>,
}

impl Aside {
    fn is_freed(&self) -> bool {
        self.ruling().is_some_and(|ruling| ruling.is_allowed)
    }

    fn ruling(&self) -> Option<&Ruling> {
        self.appeal.as_ref().and_then(|appeal| appeal.ruling.as_ref())
    }

    /// Whether it is neither taken nor free again.
    pub fn is_open(&self) -> bool {
        self.taken_at_ms.is_none() && !self.is_freed()
    }

    /// Whether the host appealed and nobody ruled.
    pub fn awaits_ruling(&self) -> bool {
        self.appeal.as_ref().is_some_and(|appeal| appeal.ruling.is_none())
    }
}

/// A machine's stake as it stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stake {
    /// What is staked, in micro-units, with what is set aside.
    pub staked_micros: i128,
    /// When it is free by the notice that was given, Unix ms.
    pub releases_at_ms: Option<u64>,
    /// What was ever set aside, by case.
    pub asides: BTreeMap<CaseId, Aside>,
    /// Entries so far.
    pub entries: u32,
    /// The day of the last entry, what was staked before its first one, and what cases set aside in it.
    day: (u32, i128, i128),
}

impl Stake {
    /// What these entries come to.
    pub fn of<'a>(entries: impl IntoIterator<Item = &'a Entry>) -> Result<Self, StakeError> {
        let mut stake = Self::default();
        entries.into_iter().try_for_each(|entry| stake.apply(entry))?;
        Ok(stake)
    }

    /// What is not set aside, in micro-units.
    pub fn free_micros(&self) -> i128 {
        self.staked_micros - self.aside_micros()
    }

    /// What is set aside, in micro-units.
    pub fn aside_micros(&self) -> i128 {
        self.asides.values().filter(|aside| aside.is_open()).map(|aside| aside.amount_micros).sum()
    }

    /// Reads the next entry.
    pub fn apply(&mut self, entry: &Entry) -> Result<(), StakeError> {
        let wrong = StakeError::OutOfOrder(entry.number);
        if entry.number != self.entries + 1 || entry.amount_micros < 0 {
            return Err(wrong);
        }
        let today = Epoch::of(entry.at_ms).0;
        if self.entries == 0 || today != self.day.0 {
            self.day = (today, self.staked_micros, 0);
        }
        match &entry.deed {
            Deed::Posted { .. } => {
                self.staked_micros =
                    self.staked_micros.checked_add(entry.amount_micros).ok_or(StakeError::Overflow)?;
            }
            Deed::Noticed { releases_at_ms, .. } => self.releases_at_ms = Some(*releases_at_ms),
            Deed::Released => self.lose(entry.amount_micros).ok_or(wrong)?,
            Deed::SetAside { case, kind, rules, takes_at_ms } => {
                if self.asides.contains_key(case) || entry.amount_micros > self.free_micros() {
                    return Err(wrong);
                }
                self.day.2 += entry.amount_micros;
                let aside = Aside {
                    number: entry.number,
                    amount_micros: entry.amount_micros,
                    kind: *kind,
                    rules: *rules,
                    at_ms: entry.at_ms,
                    takes_at_ms: *takes_at_ms,
                    appeal: None,
                    taken_at_ms: None,
                };
                self.asides.insert(*case, aside);
            }
            Deed::Appealed { case, text } => {
                let appeal =
                    Appeal { text: text.clone(), by: entry.by.clone(), at_ms: entry.at_ms, ruling: None };
                self.open(*case).ok_or(wrong)?.appeal = Some(appeal);
            }
            Deed::Confirmed { case, reason } => self.rule(*case, false, reason, entry).ok_or(wrong)?,
            Deed::Freed { case, reason, .. } => self.rule(*case, true, reason, entry).ok_or(wrong)?,
            Deed::Taken { case, .. } => {
                self.open(*case).ok_or(wrong.clone())?.taken_at_ms = Some(entry.at_ms);
                self.lose(entry.amount_micros).ok_or(wrong)?;
            }
        }
        self.entries = entry.number;
        Ok(())
    }

    fn open(&mut self, case: CaseId) -> Option<&mut Aside> {
        self.asides.get_mut(&case).filter(|aside| aside.is_open())
    }

    fn rule(&mut self, case: CaseId, is_allowed: bool, reason: &str, entry: &Entry) -> Option<()> {
        let appeal = self.open(case)?.appeal.as_mut().filter(|appeal| appeal.ruling.is_none())?;
        let (reason, by, at_ms) = (reason.to_owned(), entry.by.clone(), entry.at_ms);
        appeal.ruling = Some(Ruling { is_allowed, reason, by, at_ms });
        Some(())
    }

    /// Less is staked; a notice ends with the last of it.
    fn lose(&mut self, amount_micros: i128) -> Option<()> {
        self.staked_micros = self.staked_micros.checked_sub(amount_micros).filter(|left| *left >= 0)?;
        if self.free_micros() < 0 {
            return None;
        }
        if self.staked_micros == 0 {
            self.releases_at_ms = None;
        }
        Some(())
    }

    fn next(&self, at_ms: u64, amount_micros: i128, deed: Deed, by: Option<Actor>) -> Entry {
        Entry { number: self.entries + 1, at_ms, amount_micros, deed, by }
    }

    /// Stakes more.
    pub fn post(
        &self,
        amount_micros: i128,
        from: Source,
        by: Option<Actor>,
        now_ms: u64,
    ) -> Result<Entry, StakeError> {
        if amount_micros <= 0 {
            return Err(StakeError::NotPositive);
        }
        if self.releases_at_ms.is_some() {
            return Err(StakeError::NoticeGiven);
        }
        let most = i128::from(i64::MAX);
        if self.staked_micros.checked_add(amount_micros).is_none_or(|staked| staked > most) {
            return Err(StakeError::Overflow);
        }
        Ok(self.next(now_ms, amount_micros, Deed::Posted { from }, by))
    }

    /// Gives notice. `None`: it was given before.
    pub fn notice(&self, rules: &Rules, by: Option<Actor>, now_ms: u64) -> Result<Option<Entry>, StakeError> {
        if self.releases_at_ms.is_some() {
            return Ok(None);
        }
        if self.staked_micros == 0 {
            return Err(StakeError::NothingStaked);
        }
        let releases_at_ms = now_ms + u64::from(rules.notice_days) * DAY_MS;
        Ok(Some(self.next(now_ms, 0, Deed::Noticed { releases_at_ms, rules: rules.version }, by)))
    }

    /// Sets aside what a case costs by the rules, at most what is free and what the cap of the day leaves. `None`: it was
    /// done before.
    pub fn set_aside(&self, grounds: Grounds, rules: &Rules, now_ms: u64) -> Option<Entry> {
        if self.asides.contains_key(&grounds.case()) {
            return None;
        }
        let part = |of_micros: i128, permille: u16| of_micros * i128::from(permille) / 1000;
        // What was staked today counts as well: otherwise its first day would cost nothing.
        let (before, spent) = if self.entries > 0 && self.day.0 == Epoch::of(now_ms).0 {
            (self.day.1, self.day.2)
        } else {
            (0, 0)
        };
        let left = part(before.max(self.staked_micros), rules.cap_permille) - spent;
        let share = part(self.staked_micros, rules.share_permille(grounds.kind()));
        let amount_micros = share.min(left).min(self.free_micros()).max(0);
        let deed = Deed::SetAside {
            case: grounds.case(),
            kind: grounds.kind(),
            rules: rules.version,
            takes_at_ms: now_ms + u64::from(rules.appeal_days) * DAY_MS,
        };
        Some(self.next(now_ms, amount_micros, deed, None))
    }

    /// Appeals, once, until the part is taken.
    pub fn appeal(
        &self,
        case: CaseId,
        text: &str,
        by: Option<Actor>,
        now_ms: u64,
    ) -> Result<Entry, StakeError> {
        let aside = self.asides.get(&case).ok_or(StakeError::NotSetAside)?;
        if aside.appeal.is_some() {
            return Err(StakeError::AppealedBefore);
        }
        if now_ms >= aside.takes_at_ms || !aside.is_open() {
            return Err(StakeError::TooLate);
        }
        Ok(self.next(now_ms, 0, Deed::Appealed { case, text: text.to_owned() }, by))
    }

    /// Rules on an appeal. `None`: the same was ruled before.
    pub fn decide(
        &self,
        case: CaseId,
        is_allowed: bool,
        reason: &str,
        judge: &Judge,
        now_ms: u64,
    ) -> Result<Option<Entry>, StakeError> {
        let aside = self.asides.get(&case).ok_or(StakeError::NotSetAside)?;
        if let Some(ruling) = aside.ruling() {
            let same = ruling.is_allowed == is_allowed;
            return if same { Ok(None) } else { Err(StakeError::NoAppeal) };
        }
        if !aside.awaits_ruling() {
            return Err(StakeError::NoAppeal);
        }
        if judge.others && judge.decided.as_ref() == Some(&judge.by) {
            return Err(StakeError::SameOperator);
        }
        let (reason, by) = (reason.to_owned(), judge.by.clone());
        let entry = if is_allowed {
            let deed = Deed::Freed { case, aside: aside.number, reason };
            self.next(now_ms, aside.amount_micros, deed, Some(by))
        } else {
            self.next(now_ms, 0, Deed::Confirmed { case, reason }, Some(by))
        };
        Ok(Some(entry))
    }

    /// What time brings, one entry after the other: parts that are taken, a stake that is released. A part waits for a
    /// ruling, and for `undecided` disputes that follow from its case.
    pub fn due(&self, now_ms: u64, undecided: impl Fn(CaseId) -> bool) -> Option<Entry> {
        let ripe = |(case, aside): &(&CaseId, &Aside)| {
            aside.is_open() && !aside.awaits_ruling() && aside.takes_at_ms <= now_ms && !undecided(**case)
        };
        if let Some((case, aside)) = self.asides.iter().find(ripe) {
            let deed = Deed::Taken { case: *case, aside: aside.number };
            return Some(self.next(now_ms, aside.amount_micros, deed, None));
        }
        let is_over = self.releases_at_ms.is_some_and(|at_ms| at_ms <= now_ms);
        let free_micros = self.free_micros();
        (is_over && free_micros > 0).then(|| self.next(now_ms, free_micros, Deed::Released, None))
    }
}

#[cfg(test)]
mod tests;
