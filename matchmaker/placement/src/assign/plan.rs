//! The plan for a house that fills up: what a slot of each site is worth, and who should sit where.
//!
//! Each tick solves the assignment of everybody who plays or wants to, as if all could move. Nobody is moved: who
//! comes is sent where the plan has more of their cell than are there, and in the long run those who come are
//! those who are there. Whom the plan does not foresee is led by the prices.

use super::flow::{Assignment, Market, assign};
use crate::latency::SiteId;

/// Below this share of all slots in use the nearest slot is simply taken, percent.
pub const GREEDY_BELOW_PERCENT: u64 = 60;

/// Prices and plan, carried from tick to tick.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    optimum: Assignment,
    sites: usize,
    /// Cell by cell, how many more the plan wants at each site.
    wanted: Vec<u32>,
}

impl Plan {
    /// Takes in the market with everybody who is there, and where they are: cell by cell, players at each site.
    pub fn tick(&mut self, market: &Market, seated: &[u32]) {
        let sum = |values: &[u32]| values.iter().map(|&value| u64::from(value)).sum::<u64>();
        self.sites = market.capacity.len();
        if sum(&market.demand) * 100 < sum(&market.capacity) * GREEDY_BELOW_PERCENT {
            self.optimum = Assignment { prices_us: vec![0; self.sites], ..Assignment::default() };
            self.wanted.clear();
            return;
        }
        self.optimum = assign(market, &self.optimum);
        let more =
            self.optimum.flow.iter().zip(seated).map(|(planned, there)| planned.saturating_sub(*there));
        self.wanted = more.collect();
    }

    /// The site that the plan wants the next player of a cell at: the one that lacks most of them. `None` where it
    /// has no wish.
    pub fn site_for(&self, cell: usize) -> Option<SiteId> {
        let row = self.wanted.get(cell * self.sites..(cell + 1) * self.sites)?;
        let (site, most) =
            row.iter().enumerate().max_by_key(|(site, wanted)| (**wanted, usize::MAX - site))?;
        (*most > 0).then(|| SiteId(u16::try_from(site).expect("sites are fewer than 65,536")))
    }

    /// A player of a cell was seated.
    pub fn seated(&mut self, cell: usize, site: SiteId) {
        if let Some(wanted) = self.wanted.get_mut(cell * self.sites + site.index()) {
            *wanted = wanted.saturating_sub(1);
        }
    }

    /// A cell stands for others from now on: it has no wishes.
    pub(crate) fn forget(&mut self, cell: usize) {
        let row = cell * self.sites..(cell + 1) * self.sites;
        self.wanted.get_mut(row).into_iter().flatten().for_each(|wanted| *wanted = 0);
    }

    /// What a slot of each site is worth, µs; for [`crate::Index::set_scarcity`].
    pub fn prices_us(&self) -> &[u32] {
        &self.optimum.prices_us
    }

    /// Paths that the last tick had to route.
    pub fn paths(&self) -> usize {
        self.optimum.paths
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn market(demand: [u32; 2]) -> Market {
        Market {
            demand: demand.into(),
            capacity: vec![50, 80],
            cost_us: vec![10_000, 30_000, 11_000, 60_000],
        }
    }

    #[test]
    fn who_loses_least_is_sent_away_and_only_while_it_is_full() {
        let mut plan = Plan::default();
        // Of the first cell 50 came early and sit where the second would be needed.
        let seated = [50, 0, 0, 20];
        plan.tick(&market([51, 50]), &seated);
        assert!(plan.prices_us()[0] > 19_000 && plan.prices_us()[1] == 0, "{:?}", plan.prices_us());
        assert_eq!(plan.site_for(0), Some(SiteId(1)), "the next of them goes to the farther site");
        assert_eq!(plan.site_for(1), Some(SiteId(0)), "and leaves the near one to the others");
        plan.tick(&market([5, 5]), &[5, 0, 5, 0]);
        assert_eq!((plan.prices_us(), plan.site_for(0)), (&[0, 0][..], None));
    }

    #[test]
    fn a_tick_routes_only_what_changed() {
        let mut plan = Plan::default();
        plan.tick(&market([60, 50]), &[0; 4]);
        plan.tick(&market([60, 50]), &[0; 4]);
        assert_eq!(plan.paths(), 0);
        plan.tick(&market([61, 50]), &[0; 4]);
        assert!(plan.paths() <= 2, "{}", plan.paths());
    }
}
