//! What a slot of each site is worth, carried from tick to tick.
//!
//! Each tick solves the assignment of everybody who plays or wants to, as if all could move; its prices then
//! lead those who come. Nobody is moved: in the long run those who come are those who are there.

use super::flow::{Market, assign};

/// Below this share of all slots in use, prices are zero and the nearest slot is simply taken, percent.
pub const GREEDY_BELOW_PERCENT: u64 = 60;
/// A tick moves prices by one in so many of the difference: one crowd does not set the price for all.
const SMOOTHING: i64 = 4;

/// Prices of sites, µs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Prices {
    smoothed_us: Vec<u32>,
    solved_us: Vec<u32>,
}

impl Prices {
    /// Takes in who is there now and what there is; returns the prices to use.
    pub fn tick(&mut self, market: &Market) -> &[u32] {
        self.smoothed_us.resize(market.capacity.len(), 0);
        let sum = |values: &[u32]| values.iter().map(|&value| u64::from(value)).sum::<u64>();
        let (demand, capacity) = (sum(&market.demand), sum(&market.capacity));
        let target = if demand * 100 < capacity * GREEDY_BELOW_PERCENT {
            vec![0; market.capacity.len()]
        } else {
            self.solved_us = assign(market, &self.solved_us).prices_us;
            self.solved_us.clone()
        };
        for (price, target) in self.smoothed_us.iter_mut().zip(target) {
            let step = i64::from(target) - i64::from(*price);
            // The last few steps are taken at once, so that an empty house has no prices at all.
            let step = if step.abs() < SMOOTHING { step } else { step / SMOOTHING };
            *price = (i64::from(*price) + step) as u32;
        }
        &self.smoothed_us
    }

    /// The prices of the last tick.
    pub fn us(&self) -> &[u32] {
        &self.smoothed_us
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prices_rise_where_it_is_full_and_fall_to_nothing_when_it_empties() {
        let busy = Market {
            demand: vec![50, 50],
            capacity: vec![50, 80],
            cost_us: vec![10_000, 30_000, 11_000, 60_000],
        };
        let mut prices = Prices::default();
        for _ in 0..60 {
            prices.tick(&busy);
        }
        assert!(prices.us()[0] > 19_000 && prices.us()[1] == 0, "{prices:?}");
        let quiet = Market { demand: vec![5, 5], ..busy };
        for _ in 0..60 {
            prices.tick(&quiet);
        }
        assert_eq!(prices.us(), [0, 0]);
    }
}
