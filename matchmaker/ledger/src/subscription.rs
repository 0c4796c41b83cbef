//! Subscriptions: hours of play that are paid ahead, month by month, and used before any money is.
//!
//! Deliberately without a record of its own: whoever keeps a [`Term`] and the [`Cover`] of each lease writes both in the
//! transaction that sets a lease's money aside. A lease keeps its price and its transfers; what is covered is posted back
//! to whoever paid.
//!
//! **Invariant:** the time that leases hold of a term never exceeds what it includes, and any way to cut a month between
//! plans comes to the same sums, because a plan's share of a month is a difference of floors of what is cumulative.

use crate::settlement::{DAY_MS, Epoch};
use crate::{LedgerError, Tariff};

const US_PER_HOUR: i128 = 3_600_000_000;

/// What a month of a plan includes and costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Time of interactive play, in µs.
    pub included_us: u64,
    /// Micro-units.
    pub price_micros: i128,
}

/// A month of one account's subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Term {
    /// When the first month began, Unix ms: all of them begin on its day.
    pub anchor_ms: u64,
    /// 0 for the first month.
    pub number: u32,
    /// Unix ms.
    pub from_ms: u64,
    /// Unix ms, the first after it.
    pub to_ms: u64,
    /// Time that it includes, in µs.
    pub included_us: u64,
    /// What it costs, in micro-units.
    pub fee_micros: i128,
    /// Time that leases hold or have used, in µs.
    pub used_us: u64,
    /// What was posted back for that, in micro-units.
    pub covered_micros: i128,
}

/// When the month `number` after `anchor_ms` begins: on its day, or on the last one of a month that has no such day.
fn month(anchor_ms: u64, number: u32) -> u64 {
    let (year, month, day) = Epoch::of(anchor_ms).date();
    let months = u64::from(month - 1) + u64::from(number);
    let (year, month) = (u64::from(year) + months / 12, months % 12 + 1);
    let of = |day| Epoch::from_date(u32::try_from(year).ok()?, month as u32, day);
    let begins = (1..=day).rev().find_map(of).expect("every month has a first day");
    begins.begins_at_ms() + anchor_ms % DAY_MS
}

impl Term {
    /// The first month, from now on.
    pub fn first(plan: Plan, now_ms: u64) -> Self {
        Self::of(plan, now_ms, 0)
    }

    /// The month after this one.
    pub fn next(&self, plan: Plan) -> Self {
        Self::of(plan, self.anchor_ms, self.number + 1)
    }

    fn of(plan: Plan, anchor_ms: u64, number: u32) -> Self {
        Self {
            anchor_ms,
            number,
            from_ms: month(anchor_ms, number),
            to_ms: month(anchor_ms, number + 1),
            included_us: plan.included_us,
            fee_micros: plan.price_micros,
            used_us: 0,
            covered_micros: 0,
        }
    }

    /// The rest of the month by another plan: of each, the share of its time. Used time stays used.
    pub fn changed(&self, from: Plan, to: Plan, now_ms: u64) -> Result<Self, LedgerError> {
        let rest = |whole: i128| {
            let (elapsed, all) =
                (now_ms.clamp(self.from_ms, self.to_ms) - self.from_ms, self.to_ms - self.from_ms);
            let used = whole.checked_mul(elapsed.into()).ok_or(LedgerError::Overflow)? / i128::from(all);
            Ok::<_, LedgerError>(whole - used)
        };
        let included =
            i128::from(self.included_us) - rest(from.included_us.into())? + rest(to.included_us.into())?;
        let fee_micros = self.fee_micros - rest(from.price_micros)? + rest(to.price_micros)?;
        let included_us = u64::try_from(included).map_err(|_| LedgerError::Overflow)?;
        Ok(Self { included_us, fee_micros, ..*self })
    }

    /// Time that no lease holds, in µs.
    pub fn left_us(&self) -> u64 {
        self.included_us.saturating_sub(self.used_us)
    }
}

/// What a lease holds of its payer's subscription.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cover {
    /// All of it, in µs.
    pub included_us: u64,
    /// Of the term that was current when it last took some, in µs.
    pub current_us: u64,
    /// When that term began, Unix ms.
    pub from_ms: u64,
    /// What was posted back, in micro-units.
    pub posted_micros: i128,
}

impl Cover {
    /// What of the lease's money, set aside and spent, is its payer's own.
    pub fn paid_micros(&self, tariff: &Tariff, committed_micros: i128) -> Result<i128, LedgerError> {
        Ok((committed_micros - tariff.cost_micros(self.included_us)?).max(0))
    }

    /// Takes what a term has left for as much more money as is about to be set aside.
    pub fn take(&mut self, term: &mut Term, tariff: &Tariff, more_micros: i128) {
        let take_us = time_of(tariff, more_micros).min(term.left_us());
        if take_us == 0 {
            return;
        }
        if self.from_ms != term.from_ms {
            (self.from_ms, self.current_us) = (term.from_ms, 0);
        }
        self.included_us += take_us;
        self.current_us += take_us;
        term.used_us += take_us;
    }

    /// Gives back what the lease does not need any more, where the term still runs.
    pub fn give_back(&mut self, term: Option<&mut Term>, tariff: &Tariff, committed_micros: i128) {
        let needed_us = time_of(tariff, committed_micros);
        let back_us = self.included_us.saturating_sub(needed_us).min(self.current_us);
        self.included_us -= back_us;
        self.current_us -= back_us;
        if let Some(term) = term.filter(|term| term.from_ms == self.from_ms) {
            term.used_us = term.used_us.saturating_sub(back_us);
        }
    }

    /// What is to be posted back now that the lease has posted so much in all.
    pub fn post(&mut self, tariff: &Tariff, posted_micros: i128) -> Result<i128, LedgerError> {
        let covered_micros = tariff.cost_micros(self.included_us)?.min(posted_micros);
        let more_micros = (covered_micros - self.posted_micros).max(0);
        self.posted_micros += more_micros;
        Ok(more_micros)
    }

    /// What of an amount that is paid back was the payer's own money; the rest was covered. `posted_micros`: what the
    /// lease posted in all; `before_micros`: what of that was paid back before. By the floor of what is cumulative, so
    /// that any way to cut a refund comes to the same.
    pub fn own_share_micros(
        &self,
        posted_micros: i128,
        before_micros: i128,
        back_micros: i128,
    ) -> Result<i128, LedgerError> {
        let own_micros = (posted_micros - self.posted_micros).max(0);
        let share = |back: i128| {
            let product = back.checked_mul(own_micros).ok_or(LedgerError::Overflow)?;
            product.checked_div(posted_micros).ok_or(LedgerError::Overflow)
        };
        let after_micros = before_micros.checked_add(back_micros).ok_or(LedgerError::Overflow)?;
        Ok(share(after_micros)? - share(before_micros)?)
    }

    /// Gives a term that still runs what was covered and is paid back: its part of the time, and the amount. What is left
    /// of the amount was covered by months that are over.
    pub fn pay_back(&self, term: Option<&mut Term>, covered_micros: i128) -> i128 {
        let Some(term) = term.filter(|term| term.from_ms == self.from_ms) else { return covered_micros };
        let part = i128::from(self.current_us).checked_mul(covered_micros);
        let part = part.and_then(|product| product.checked_div(self.posted_micros));
        let back_us = part.map_or(0, |us| u64::try_from(us).unwrap_or(0)).min(self.current_us);
        let of_term = covered_micros.min(term.covered_micros);
        term.used_us = term.used_us.saturating_sub(back_us);
        term.covered_micros -= of_term;
        covered_micros - of_term
    }
}

/// The least time that costs as much, in µs.
fn time_of(tariff: &Tariff, micros: i128) -> u64 {
    let price = i128::from(tariff.price_micros_per_hour);
    let product = micros.max(0).checked_mul(US_PER_HOUR);
    let time = product.and_then(|product| product.checked_add(price - 1)?.checked_div(price));
    time.map_or(0, |us| u64::try_from(us).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use nearframe_protocol::Currency;
    use proptest::prelude::*;

    const HOUR_US: u64 = 3_600_000_000;
    const SMALL: Plan = Plan { included_us: 10 * HOUR_US, price_micros: 9_990_000 };
    const LARGE: Plan = Plan { included_us: 40 * HOUR_US, price_micros: 29_990_001 };

    fn at(year: u32, month: u32, day: u32) -> u64 {
        Epoch::from_date(year, month, day).unwrap().begins_at_ms() + 5_000
    }

    fn tariff(price_micros_per_hour: i64) -> Tariff {
        Tariff { price_micros_per_hour, fee_permille: 200, currency: Currency::new("EUR").unwrap() }
    }

    #[test]
    fn months_begin_on_the_day_or_on_the_last_that_there_is() {
        let mut term = Term::first(SMALL, at(2027, 10, 31));
        let mut begins = vec![];
        for _ in 0..6 {
            begins.push((term.from_ms, term.to_ms));
            term = term.next(SMALL);
        }
        let days =
            [(2027, 10, 31), (2027, 11, 30), (2027, 12, 31), (2028, 1, 31), (2028, 2, 29), (2028, 3, 31)];
        assert_eq!(
            begins.iter().map(|(from, _)| *from).collect::<Vec<_>>(),
            days.map(|(y, m, d)| at(y, m, d))
        );
        assert!(begins.windows(2).all(|pair| pair[0].1 == pair[1].0), "no ms between two months");
    }

    #[test]
    fn a_change_at_the_middle_costs_half_of_each() {
        let term = Term::first(SMALL, at(2027, 4, 1));
        let middle = (term.from_ms + term.to_ms) / 2;
        let changed = term.changed(SMALL, LARGE, middle).unwrap();
        assert_eq!((changed.fee_micros, changed.included_us), (4_995_000 + 14_995_001, 25 * HOUR_US));
        assert_eq!(term.changed(SMALL, LARGE, term.from_ms).unwrap(), Term::first(LARGE, term.from_ms));
        assert_eq!(term.changed(SMALL, LARGE, term.to_ms).unwrap(), term, "at the end it changes nothing");
    }

    #[test]
    fn included_time_is_used_before_money_and_given_back_after_it() {
        let (tariff, mut term) = (tariff(1_000_000), Term::first(SMALL, at(2027, 4, 1)));
        term.used_us = term.included_us - HOUR_US / 2;
        let mut cover = Cover::default();
        cover.take(&mut term, &tariff, 1_000_000);
        assert_eq!((cover.included_us, term.left_us()), (HOUR_US / 2, 0));
        assert_eq!(cover.paid_micros(&tariff, 1_000_000), Ok(500_000));
        assert_eq!((cover.post(&tariff, 400_000), cover.post(&tariff, 400_000)), (Ok(400_000), Ok(0)));
        assert_eq!(cover.post(&tariff, 700_000), Ok(100_000), "no more than what it holds");
        cover.give_back(Some(&mut term), &tariff, 700_000);
        assert_eq!((cover.paid_micros(&tariff, 700_000), term.left_us()), (Ok(200_000), 0));
        let mut short = Cover::default();
        term.used_us = 0;
        short.take(&mut term, &tariff, 1_000_000);
        short.give_back(Some(&mut term), &tariff, 250_000);
        assert_eq!((short.included_us, term.used_us), (HOUR_US / 4, HOUR_US / 4));
        let mut next = term.next(SMALL);
        short.give_back(Some(&mut next), &tariff, 0);
        assert_eq!(
            (next.used_us, short.included_us),
            (0, 0),
            "a new month gets nothing back from the old one"
        );
    }

    #[test]
    fn what_is_paid_back_is_money_for_what_money_paid_and_time_for_what_was_included() {
        let mut term = Term::first(SMALL, at(2027, 4, 1));
        (term.used_us, term.covered_micros) = (3 * HOUR_US, 3_000_000);
        // Two of three hours were included.
        let cover = Cover {
            included_us: 2 * HOUR_US,
            current_us: 2 * HOUR_US,
            from_ms: term.from_ms,
            posted_micros: 2_000_000,
        };
        assert_eq!(cover.own_share_micros(3_000_000, 0, 1_500_000), Ok(500_000));
        assert_eq!(cover.own_share_micros(3_000_000, 1_500_000, 1_500_000), Ok(500_000));
        assert_eq!(cover.own_share_micros(3_000_000, 0, 0), Ok(0));
        assert_eq!(cover.own_share_micros(0, 0, 1), Err(LedgerError::Overflow), "nothing was posted");
        assert_eq!(Cover::default().own_share_micros(9, 0, 7), Ok(7), "nothing was covered");
        assert_eq!(cover.pay_back(Some(&mut term), 1_000_000), 0);
        assert_eq!((term.used_us, term.covered_micros), (2 * HOUR_US, 2_000_000), "an hour came back");
        let mut next = term.next(SMALL);
        assert_eq!(cover.pay_back(Some(&mut next), 700_000), 700_000, "the month is over");
        assert_eq!(next, term.next(SMALL));
        assert_eq!(cover.pay_back(None, 700_000), 700_000);
        term.covered_micros = 400_000;
        assert_eq!(cover.pay_back(Some(&mut term), 1_000_000), 600_000, "the rest was another month's");
        assert_eq!((term.used_us, term.covered_micros), (HOUR_US, 0));
        assert_eq!(Cover { from_ms: term.from_ms, ..Cover::default() }.pay_back(Some(&mut term), 0), 0);
        assert_eq!(term.used_us, HOUR_US);
    }

    proptest! {
        #[test]
        fn a_refund_in_parts_comes_to_the_same_as_in_one(
            own in 0_i128..9_000_000, covered in 1_i128..9_000_000, cuts in prop::collection::vec(0_i128..1000, 0..6)
        ) {
            let posted = own + covered;
            let cover = Cover { posted_micros: covered, ..Cover::default() };
            let mut back: Vec<i128> = cuts.iter().map(|permille| posted * permille / 1000).collect();
            back.push(posted);
            back.sort_unstable();
            let (mut before, mut sum) = (0, 0);
            for until in back {
                sum += cover.own_share_micros(posted, before, until - before).unwrap();
                prop_assert!(sum <= until && sum <= own);
                before = until;
            }
            prop_assert_eq!(sum, own);
        }

        #[test]
        fn no_way_to_cut_a_month_changes_what_it_costs(cuts in prop::collection::vec(0_u64..2_678_400_000, 0..9)) {
            let whole = Term::first(LARGE, at(2027, 5, 17));
            let mut cuts = cuts;
            cuts.sort_unstable();
            let mut term = whole;
            let mut plan = LARGE;
            for (n, cut) in cuts.iter().enumerate() {
                let other = if n % 2 == 0 { SMALL } else { LARGE };
                term = term.changed(plan, other, whole.from_ms + cut).unwrap();
                // Back at once: as if it had never been changed.
                prop_assert_eq!(term.changed(other, plan, whole.from_ms + cut).unwrap().changed(plan, other, whole.from_ms + cut).unwrap(), term);
                plan = other;
            }
            prop_assert!(term.fee_micros >= SMALL.price_micros && term.fee_micros <= LARGE.price_micros);
            let same = whole.changed(LARGE, LARGE, whole.from_ms + cuts.first().copied().unwrap_or(0)).unwrap();
            prop_assert_eq!(same, whole);
        }

        #[test]
        fn leases_never_hold_more_than_a_term_includes(
            price in 1_i64..9_000_000_000, steps in prop::collection::vec((0_usize..4, 0_u8..2, 0_i128..9_000_000_000), 1..60)
        ) {
            let (tariff, mut term) = (tariff(price), Term::first(SMALL, at(2027, 4, 1)));
            let mut leases = [(Cover::default(), 0_i128); 4];
            for (at, what, micros) in steps {
                let (cover, committed) = &mut leases[at];
                if what == 0 {
                    *committed += micros;
                    cover.take(&mut term, &tariff, micros);
                } else {
                    *committed -= micros.min(*committed);
                    cover.give_back(Some(&mut term), &tariff, *committed);
                }
                let held: u64 = leases.iter().map(|(cover, _)| cover.included_us).sum();
                prop_assert_eq!(held, term.used_us);
                prop_assert!(term.used_us <= term.included_us);
                for (cover, committed) in &leases {
                    prop_assert!(cover.paid_micros(&tariff, *committed).unwrap() <= *committed);
                }
            }
        }
    }
}
