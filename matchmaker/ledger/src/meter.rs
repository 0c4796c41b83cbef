//! From time used to money: cumulative floor, so that no sequence of receipts ever drifts.
//!
//! What both ends signed is billed in full. What only the node signed is billed up to
//! [`WITNESS_TOLERANCE_US`] for the whole lease (a player who closes the page cannot sign the last
//! receipt) and beyond that is kept unbilled.

use crate::LedgerError;
use nearframe_protocol::Currency;
use serde::{Deserialize, Serialize};

/// Time without the player's signature that a lease pays for in all, in µs: one receipt interval and
/// the slack of the chain.
pub const WITNESS_TOLERANCE_US: u64 = 12_000_000;

const US_PER_HOUR: i128 = 3_600_000_000;

/// What an hour costs and who gets it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tariff {
    /// Price of an hour, in micro-units.
    pub price_micros_per_hour: i64,
    /// The platform's share, in thousandths.
    pub fee_permille: u16,
    /// What prices are counted in.
    pub currency: Currency,
}

impl Tariff {
    /// What `used_us` cost, rounded down, in micro-units.
    pub fn cost_micros(&self, used_us: u64) -> Result<i128, LedgerError> {
        i128::from(self.price_micros_per_hour)
            .checked_mul(i128::from(used_us))
            .map(|product| product / US_PER_HOUR)
            .ok_or(LedgerError::Overflow)
    }
    /// The platform's part of `cost_micros`, rounded down.
    pub fn fee_micros(&self, cost_micros: i128) -> Result<i128, LedgerError> {
        cost_micros
            .checked_mul(i128::from(self.fee_permille))
            .map(|product| product / 1000)
            .ok_or(LedgerError::Overflow)
    }
}

/// What a lease has used so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Meter {
    /// Time billed, in µs.
    pub billed_us: u64,
    /// The part of it that the player did not sign, in µs.
    pub unsigned_us: u64,
}

/// What one receipt adds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bill {
    /// Time billed by it, in µs; less than its duration where the tolerance is used up.
    pub billed_us: u64,
    /// What the host earns, in micro-units.
    pub host_micros: i128,
    /// What the platform earns, in micro-units.
    pub platform_micros: i128,
}

impl Bill {
    /// What the studio pays.
    pub fn total_micros(&self) -> i128 {
        self.host_micros + self.platform_micros
    }
}

impl Meter {
    /// Bills a receipt of `duration_us`; the meter moves on.
    pub fn bill(
        &mut self,
        tariff: &Tariff,
        duration_us: u64,
        countersigned: bool,
    ) -> Result<Bill, LedgerError> {
        let tolerated_us = WITNESS_TOLERANCE_US.saturating_sub(self.unsigned_us);
        let billed_us = if countersigned { duration_us } else { duration_us.min(tolerated_us) };
        let after_us = self.billed_us.checked_add(billed_us).ok_or(LedgerError::Overflow)?;
        let (before, after) = (tariff.cost_micros(self.billed_us)?, tariff.cost_micros(after_us)?);
        let platform_micros = tariff.fee_micros(after)? - tariff.fee_micros(before)?;
        let host_micros = after - before - platform_micros;
        debug_assert!(host_micros >= 0, "a fee of at most 1000 thousandths never grows faster than the cost");
        self.billed_us = after_us;
        if !countersigned {
            self.unsigned_us += billed_us;
        }
        Ok(Bill { billed_us, host_micros, platform_micros })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn tariff(price_micros_per_hour: i64, fee_permille: u16) -> Tariff {
        Tariff { price_micros_per_hour, fee_permille, currency: Currency::new("EUR").unwrap() }
    }

    #[test]
    fn an_hour_costs_its_price_and_the_platform_keeps_its_share() {
        let mut meter = Meter::default();
        let bill = meter.bill(&tariff(360_000, 200), 3_600_000_000, true).unwrap();
        assert_eq!((bill.host_micros, bill.platform_micros), (288_000, 72_000));
    }

    #[test]
    fn time_the_player_did_not_sign_is_billed_up_to_the_tolerance() {
        let mut meter = Meter::default();
        let tariff = tariff(3_600_000, 0);
        assert_eq!(meter.bill(&tariff, 10_000_000, false).unwrap().billed_us, 10_000_000);
        assert_eq!(meter.bill(&tariff, 10_000_000, false).unwrap().billed_us, 2_000_000);
        assert_eq!(meter.bill(&tariff, 10_000_000, false).unwrap().billed_us, 0);
        assert_eq!(meter.bill(&tariff, 10_000_000, true).unwrap().billed_us, 10_000_000);
    }

    proptest! {
        #[test]
        fn many_small_receipts_cost_exactly_what_one_large_one_does(
            price in 0..10_000_000i64,
            fee in 0..=1000u16,
            durations in prop::collection::vec(0..20_000_000u64, 1..60),
        ) {
            let tariff = tariff(price, fee);
            let mut meter = Meter::default();
            let mut sum = (0, 0);
            for &duration in &durations {
                let bill = meter.bill(&tariff, duration, true).unwrap();
                prop_assert!(bill.host_micros >= 0 && bill.platform_micros >= 0);
                sum = (sum.0 + bill.host_micros, sum.1 + bill.platform_micros);
            }
            let total = tariff.cost_micros(durations.iter().sum()).unwrap();
            prop_assert_eq!(sum.0 + sum.1, total);
            prop_assert_eq!(sum.1, tariff.fee_micros(total).unwrap());
        }
    }
}
