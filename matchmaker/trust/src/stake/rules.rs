//! The table of rules: how much is asked of whom, and what is lost for what.
//!
//! A table is never changed: another version is written. What happens to a stake names the version that it follows.

use crate::fraud::Kind;
use serde::{Deserialize, Serialize};

/// Least stake of a GPU tier.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TierLeast {
    /// The tier; it holds for higher ones that have none of their own as well.
    pub gpu_tier: u8,
    /// In micro-units.
    pub least_micros: i64,
}

/// What a kind of finding costs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KindShare {
    /// The kind.
    pub kind: Kind,
    /// The part of the stake, in thousandths.
    pub permille: u16,
}

/// A version of the table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Rules {
    /// Counts up whenever anything else here changes.
    pub version: u32,
    /// What a machine has to stake, in micro-units; 0: nothing, as for machines of one's own.
    pub least_micros: i64,
    /// The same of GPU tiers that differ.
    pub tiers: Vec<TierLeast>,
    /// Days from a notice until the stake is free.
    pub notice_days: u16,
    /// A machine with stake that cannot be reached for longer than so many hours, without notice, has left early.
    pub leave_hours: u16,
    /// What that costs, in thousandths of the stake.
    pub left_early_permille: u16,
    /// What a proved deception costs, in thousandths of the stake.
    pub deceived_permille: u16,
    /// The same of kinds that differ.
    pub kinds: Vec<KindShare>,
    /// Days from a decision until its part of the stake is taken; until then the host may appeal.
    pub appeal_days: u16,
    /// What cases of one day in UTC set aside of a stake together at most, in thousandths of it.
    pub cap_permille: u16,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            version: 1,
            least_micros: 0,
            tiers: vec![],
            notice_days: 14,
            leave_hours: 72,
            left_early_permille: 250,
            deceived_permille: 500,
            kinds: vec![],
            appeal_days: 14,
            cap_permille: 500,
        }
    }
}

/// A rule that cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key}: allowed is {allowed}")]
pub struct RuleError {
    /// Which.
    pub key: &'static str,
    /// What would be right.
    pub allowed: &'static str,
}

impl Rules {
    /// Refuses what cannot work.
    pub fn check(&self) -> Result<(), RuleError> {
        let bad = |key, allowed| Err(RuleError { key, allowed });
        if self.version == 0 {
            return bad("trust.stake.version", "1 or more");
        }
        let leasts = self.tiers.iter().map(|tier| tier.least_micros);
        if leasts.chain([self.least_micros]).any(|least| least < 0) {
            return bad("trust.stake.least_micros", "0 or more");
        }
        let twice = |at: usize| self.tiers[..at].iter().any(|tier| tier.gpu_tier == self.tiers[at].gpu_tier);
        if (0..self.tiers.len()).any(twice) {
            return bad("trust.stake.tiers", "each tier once");
        }
        let twice = |at: usize| self.kinds[..at].iter().any(|share| share.kind == self.kinds[at].kind);
        if (0..self.kinds.len()).any(twice) || self.kinds.iter().any(|share| share.kind == Kind::LeftEarly) {
            return bad(
                "trust.stake.kinds",
                "each kind once, without left_early, which has left_early_permille",
            );
        }
        let shares = self.kinds.iter().map(|share| share.permille);
        let all = [self.left_early_permille, self.deceived_permille, self.cap_permille];
        if shares.chain(all).any(|permille| permille > 1000) {
            return bad("trust.stake: a permille", "0 to 1000");
        }
        if self.notice_days > 366 || self.appeal_days > 366 {
            return bad("trust.stake: notice_days, appeal_days", "at most 366");
        }
        if !(1..=24 * 31).contains(&self.leave_hours) {
            return bad("trust.stake.leave_hours", "1 to 744");
        }
        Ok(())
    }

    /// What a machine of this tier has to stake, in micro-units.
    pub fn least_micros(&self, gpu_tier: u8) -> i128 {
        let below = self.tiers.iter().filter(|tier| tier.gpu_tier <= gpu_tier);
        let nearest = below.max_by_key(|tier| tier.gpu_tier);
        nearest.map_or(self.least_micros, |tier| tier.least_micros).into()
    }

    /// What a proved finding of this kind costs, in thousandths.
    pub fn share_permille(&self, kind: Kind) -> u16 {
        if kind == Kind::LeftEarly {
            return self.left_early_permille;
        }
        let own = self.kinds.iter().find(|share| share.kind == kind);
        own.map_or(self.deceived_permille, |share| share.permille)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tier_has_what_is_said_of_it_or_of_the_next_one_below() {
        let tier = |gpu_tier, least_micros| TierLeast { gpu_tier, least_micros };
        let rules = Rules { least_micros: 5, tiers: vec![tier(4, 40), tier(2, 20)], ..Rules::default() };
        assert_eq!([0, 1, 2, 3, 4, 9].map(|tier| rules.least_micros(tier)), [5, 5, 20, 20, 40, 40]);
    }

    #[test]
    fn kinds_cost_what_is_said_of_them_or_what_deceptions_cost() {
        let kinds = vec![KindShare { kind: Kind::ClonedKey, permille: 1000 }];
        let rules = Rules { kinds, ..Rules::default() };
        let shares = [Kind::ClonedKey, Kind::InflatedTime, Kind::LeftEarly];
        assert_eq!(shares.map(|kind| rules.share_permille(kind)), [1000, 500, 250]);
    }

    #[test]
    fn rules_that_cannot_be_are_refused_by_their_key() {
        Rules::default().check().unwrap();
        let share = |kind| KindShare { kind, permille: 10 };
        let cases = [
            (Rules { version: 0, ..Rules::default() }, "trust.stake.version"),
            (Rules { least_micros: -1, ..Rules::default() }, "trust.stake.least_micros"),
            (Rules { cap_permille: 1001, ..Rules::default() }, "trust.stake: a permille"),
            (Rules { leave_hours: 0, ..Rules::default() }, "trust.stake.leave_hours"),
            (Rules { notice_days: 367, ..Rules::default() }, "trust.stake: notice_days, appeal_days"),
            (Rules { kinds: vec![share(Kind::LeftEarly)], ..Rules::default() }, "trust.stake.kinds"),
            (
                Rules { kinds: vec![share(Kind::OwnPlay), share(Kind::OwnPlay)], ..Rules::default() },
                "trust.stake.kinds",
            ),
        ];
        for (rules, key) in cases {
            assert_eq!(rules.check().unwrap_err().key, key);
        }
    }
}
