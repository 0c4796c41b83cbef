//! Credits: what whoever paid gets back for a month in which less was given than promised.
//!
//! What was paid on a machine is credited by the level of its site. The platform bears it, save for a part where the outage
//! was the machine's own.

use crate::service::PROMISED_PPM;
use serde::{Deserialize, Serialize};

/// Below a level, so much is credited.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// In millionths of the time.
    pub below_ppm: u64,
    /// Of what was paid, in thousandths.
    pub permille: u16,
}

/// A version of the table of credits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CreditRules {
    /// Counts up whenever anything else here changes.
    pub version: u32,
    /// What is credited below which level.
    pub steps: Vec<Step>,
    /// Regions whose machines are promised to be reachable as well; elsewhere only what players were given counts.
    pub promised_regions: Vec<String>,
    /// What a host bears at most of credits for what its machine earned, in thousandths.
    pub host_permille: u16,
}

impl Default for CreditRules {
    fn default() -> Self {
        let step = |below_ppm, permille| Step { below_ppm, permille };
        Self {
            version: 1,
            steps: vec![step(PROMISED_PPM, 100), step(999_000, 250), step(950_000, 1000)],
            promised_regions: vec![],
            host_permille: 500,
        }
    }
}

impl CreditRules {
    /// Whether all values can be; else the key and what is allowed.
    pub fn check(&self) -> Result<(), (&'static str, &'static str)> {
        if self.version == 0 {
            return Err(("trust.credit.version", "1 or more"));
        }
        let parts = self.steps.iter().map(|step| step.permille);
        if parts.chain([self.host_permille]).any(|permille| permille > 1000) {
            return Err(("trust.credit: a permille", "0 to 1000"));
        }
        if self.steps.iter().any(|step| step.below_ppm > PROMISED_PPM) {
            return Err(("trust.credit.steps", "at most what is promised, 999900"));
        }
        Ok(())
    }

    /// What is credited at a level, in thousandths of what was paid.
    pub fn permille(&self, level_ppm: u64) -> u16 {
        let below = self.steps.iter().filter(|step| level_ppm < step.below_ppm);
        below.map(|step| step.permille).max().unwrap_or(0)
    }

    /// The level that counts at a site.
    pub fn level_ppm(&self, region: &str, availability_ppm: u64, reachable_ppm: Option<u64>) -> u64 {
        let is_promised = self.promised_regions.iter().any(|promised| promised == region);
        match reachable_ppm {
            Some(reachable_ppm) if is_promised => availability_ppm.min(reachable_ppm),
            _ => availability_ppm,
        }
    }
}

/// What was paid on a machine is credited in this way, in micro-units.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Credit {
    /// In all: the floor of the part.
    pub amount_micros: i128,
    /// Of it from the host.
    pub host_micros: i128,
}

impl Credit {
    /// `bearable_micros`: what the host has that is not paid out; 0 where the outage was not its own.
    pub fn of(paid_micros: i128, permille: u16, host_permille: u16, bearable_micros: i128) -> Self {
        // Whole and rest apart, so that no product leaves 128 bits.
        let part = |of_micros: i128, permille: u16| {
            of_micros / 1000 * i128::from(permille) + of_micros % 1000 * i128::from(permille) / 1000
        };
        let amount_micros = part(paid_micros.max(0), permille.min(1000));
        let host_micros = part(amount_micros, host_permille.min(1000)).min(bearable_micros).max(0);
        Self { amount_micros, host_micros }
    }

    /// What of it is for each of the leases that were paid for, in their order: floors of what is cumulative, so that the
    /// shares come to the whole, to the micro-unit. `paid_micros` are those that the whole was made of; `permille` is its.
    pub fn shares(self, paid_micros: impl IntoIterator<Item = i128>, permille: u16) -> Vec<Self> {
        let (mut paid, mut before) = (0, Self::default());
        let share = |micros: i128| {
            paid += micros.max(0);
            let until = Self::of(paid, permille, 1000, i128::MAX).amount_micros;
            let host_micros =
                if self.amount_micros > 0 { until * self.host_micros / self.amount_micros } else { 0 };
            let share = Self {
                amount_micros: until - before.amount_micros,
                host_micros: host_micros - before.host_micros,
            };
            before = Self { amount_micros: until, host_micros };
            share
        };
        paid_micros.into_iter().map(share).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn less_service_is_more_credit_and_what_was_promised_is_none() {
        let rules = CreditRules::default();
        rules.check().unwrap();
        let levels = [1_000_000, 999_900, 999_899, 998_999, 950_000, 949_999, 0];
        assert_eq!(levels.map(|level| rules.permille(level)), [0, 0, 100, 250, 250, 1000, 1000]);
    }

    #[test]
    fn reachability_counts_only_where_it_is_promised() {
        let rules = CreditRules { promised_regions: vec!["DE".into()], ..CreditRules::default() };
        assert_eq!(rules.level_ppm("DE", 1_000_000, Some(900_000)), 900_000);
        assert_eq!(rules.level_ppm("DE", 800_000, Some(900_000)), 800_000);
        assert_eq!(rules.level_ppm("FR", 1_000_000, Some(900_000)), 1_000_000);
        assert_eq!(rules.level_ppm("DE", 1_000_000, None), 1_000_000);
    }

    #[test]
    fn tables_that_cannot_be_are_refused_by_their_key() {
        let step = |below_ppm, permille| vec![Step { below_ppm, permille }];
        let wrong = [
            (CreditRules { version: 0, ..CreditRules::default() }, "trust.credit.version"),
            (CreditRules { host_permille: 1001, ..CreditRules::default() }, "trust.credit: a permille"),
            (CreditRules { steps: step(1, 1001), ..CreditRules::default() }, "trust.credit: a permille"),
            (CreditRules { steps: step(999_901, 1), ..CreditRules::default() }, "trust.credit.steps"),
        ];
        for (rules, key) in wrong {
            assert_eq!(rules.check().unwrap_err().0, key);
        }
    }

    proptest! {
        #[test]
        fn shares_of_leases_come_to_the_whole_and_each_is_its_part_to_the_micro_unit(
            paid in proptest::collection::vec(0_i128..9_000_000_000, 1..20), permille in 0_u16..=1000,
            host in 0_u16..=1000, bearable in 0_i128..1_000_000,
        ) {
            let whole = Credit::of(paid.iter().sum(), permille, host, bearable);
            let shares = whole.shares(paid.iter().copied(), permille);
            prop_assert_eq!(shares.iter().map(|share| share.amount_micros).sum::<i128>(), whole.amount_micros);
            prop_assert_eq!(shares.iter().map(|share| share.host_micros).sum::<i128>(), whole.host_micros);
            for (share, paid) in shares.iter().zip(paid) {
                prop_assert!((0..=share.amount_micros).contains(&share.host_micros));
                prop_assert!((share.amount_micros * 1000 - paid * i128::from(permille)).abs() < 1000);
            }
        }

        #[test]
        fn nobody_gets_more_than_was_paid_and_no_host_bears_more_than_its_part_or_has(
            paid in 0_i128..=i128::from(i64::MAX), permille in 0_u16..=1000, host in 0_u16..=1000,
            bearable in -5_i128..1_000_000,
        ) {
            let credit = Credit::of(paid, permille, host, bearable);
            prop_assert_eq!(credit.amount_micros, paid * i128::from(permille) / 1000);
            prop_assert!((0..=credit.amount_micros).contains(&credit.host_micros));
            prop_assert!(credit.host_micros <= bearable.max(0));
            prop_assert!(credit.host_micros * 1000 <= credit.amount_micros * i128::from(host));
        }
    }
}
