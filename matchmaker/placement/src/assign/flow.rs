//! The cheapest assignment of demand to sites, and what one more slot at each site would be worth.
//!
//! A transportation problem: cells of players on one side, sites with capacities on the other. Solved by
//! successive shortest paths with potentials (Ahuja, Magnanti, Orlin, Network Flows, 1993, section 9.7), from
//! the flow and the prices of the tick before, so that only what changed is routed. Whoever finds no slot waits, at a cost above any round trip.

/// An arc that must not be used.
pub const FORBIDDEN: u32 = u32::MAX;
/// What waiting costs: more than any round trip, µs.
const WAITING: i64 = 10_000_000;

/// Demand, capacity and the cost of bringing them together.
#[derive(Clone, Debug, Default)]
pub struct Market {
    /// Players in each cell.
    pub demand: Vec<u32>,
    /// Slots at each site.
    pub capacity: Vec<u32>,
    /// Cell by cell, the round trip to each site, µs; [`FORBIDDEN`] where it is not allowed.
    pub cost_us: Vec<u32>,
}

/// Who goes where.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Assignment {
    /// Cell by cell, players at each site.
    pub flow: Vec<u32>,
    /// Players of each cell that find no slot.
    pub waiting: Vec<u32>,
    /// What one more slot at each site would save, µs.
    pub prices_us: Vec<u32>,
    /// Paths that were needed: the work that the old prices did not save.
    pub paths: usize,
}

impl Assignment {
    /// Sum of all round trips of those that found a slot, µs.
    pub fn cost_us(&self, market: &Market) -> u64 {
        self.flow
            .iter()
            .zip(&market.cost_us)
            .map(|(&players, &cost)| u64::from(players) * u64::from(cost))
            .sum()
    }
}

/// The optimum, found from an earlier one. Any earlier one leads to an optimum, a similar one sooner: what of its
/// flow its prices still justify is kept, and only the rest is routed.
pub fn assign(market: &Market, earlier: &Assignment) -> Assignment {
    let mut network = Network::new(market, earlier);
    let mut paths = 0;
    while network.augment() {
        paths += 1;
    }
    network.finish(paths)
}

/// Cells, then sites, then the sink.
struct Network<'a> {
    market: &'a Market,
    cells: usize,
    sites: usize,
    /// Players of a cell at a site.
    flow: Vec<u32>,
    /// Players of a cell that wait.
    waiting: Vec<u32>,
    /// Slots of a site that are passed on to the sink.
    used: Vec<u32>,
    /// What comes in and is not passed on; negative: what is missing.
    excess: Vec<i64>,
    potential: Vec<i64>,
}

impl<'a> Network<'a> {
    fn new(market: &'a Market, earlier: &Assignment) -> Self {
        let (cells, sites) = (market.demand.len(), market.capacity.len());
        let mut network = Self {
            market,
            cells,
            sites,
            flow: vec![0; cells * sites],
            waiting: vec![0; cells],
            used: vec![0; sites],
            excess: vec![0; cells + sites + 1],
            potential: vec![0; cells + sites + 1],
        };
        for site in 0..sites {
            let price = earlier.prices_us.get(site).copied().unwrap_or(0);
            network.potential[cells + site] = -i64::from(price).min(WAITING);
        }
        (0..cells).for_each(|cell| network.begin_cell(cell, earlier));
        network.begin_sites();
        network
    }

    /// Sets a cell's potential by its cheapest way, and keeps what went over ways that are as cheap.
    fn begin_cell(&mut self, cell: usize, earlier: &Assignment) {
        let row = cell * self.sites..(cell + 1) * self.sites;
        let dear: Vec<i64> = (0..self.sites)
            .map(|site| match self.market.cost_us[row.start + site] {
                FORBIDDEN => i64::MAX,
                cost => i64::from(cost) - self.potential[self.cells + site],
            })
            .collect();
        let least = dear.iter().copied().min().unwrap_or(WAITING).min(WAITING);
        self.potential[cell] = -least;
        let same_shape = earlier.flow.len() == self.flow.len() && earlier.waiting.len() == self.cells;
        let mut left = self.market.demand[cell];
        if same_shape {
            for site in (0..self.sites).filter(|&site| dear[site] == least) {
                let kept = earlier.flow[row.start + site].min(left);
                self.flow[row.start + site] = kept;
                left -= kept;
            }
            if least == WAITING {
                self.waiting[cell] = earlier.waiting[cell].min(left);
                left -= self.waiting[cell];
            }
        }
        self.excess[cell] = i64::from(left);
    }

    /// A site with a price passes on all it can, others what they get; what does not fit is too much or missing.
    fn begin_sites(&mut self) {
        let mut passed: i64 = self.waiting.iter().map(|&count| i64::from(count)).sum();
        for site in 0..self.sites {
            let capacity = self.market.capacity[site];
            let gets: u32 = self.flow.iter().skip(site).step_by(self.sites).sum();
            let priced = self.potential[self.cells + site] < 0;
            self.used[site] = if priced { capacity } else { gets.min(capacity) };
            self.excess[self.cells + site] = i64::from(gets) - i64::from(self.used[site]);
            passed += i64::from(self.used[site]);
        }
        let demand: i64 = self.market.demand.iter().map(|&count| i64::from(count)).sum();
        self.excess[self.cells + self.sites] = passed - demand;
    }

    /// Cost of the residual arc from one node to another, and how much it takes; `None`: there is none.
    fn arc(&self, from: usize, to: usize) -> Option<(i64, i64)> {
        let (cells, sink) = (self.cells, self.cells + self.sites);
        let cost = |cell: usize, site: usize| self.market.cost_us[cell * self.sites + site];
        let back = |amount: u32, cost: i64| (amount > 0).then(|| (-cost, i64::from(amount)));
        if from < cells {
            return match to {
                to if to == sink => Some((WAITING, i64::MAX)),
                to if to >= cells => {
                    let cost = cost(from, to - cells);
                    (cost != FORBIDDEN).then(|| (i64::from(cost), i64::MAX))
                }
                _ => None,
            };
        }
        if from < sink {
            let site = from - cells;
            return match to {
                to if to == sink => {
                    let spare = self.market.capacity[site] - self.used[site];
                    (spare > 0).then(|| (0, i64::from(spare)))
                }
                to if to < cells => back(self.flow[to * self.sites + site], i64::from(cost(to, site))),
                _ => None,
            };
        }
        match to {
            to if to < cells => back(self.waiting[to], WAITING),
            to if to < sink => back(self.used[to - cells], 0),
            _ => None,
        }
    }

    fn push(&mut self, from: usize, to: usize, amount: u32) {
        let (cells, sink) = (self.cells, self.cells + self.sites);
        match (from, to) {
            (cell, to) if cell < cells && to == sink => self.waiting[cell] += amount,
            (cell, site) if cell < cells => self.flow[cell * self.sites + site - cells] += amount,
            (site, to) if site < sink && to == sink => self.used[site - cells] += amount,
            (site, cell) if site < sink => self.flow[cell * self.sites + site - cells] -= amount,
            (_, cell) if cell < cells => self.waiting[cell] -= amount,
            (_, site) => self.used[site - cells] -= amount,
        }
    }

    /// Sends what is too much somewhere to where it is missing, over the cheapest way; false when all is even.
    fn augment(&mut self) -> bool {
        let nodes = self.potential.len();
        let mut distance = vec![i64::MAX; nodes];
        let mut before = vec![usize::MAX; nodes];
        let mut done = vec![false; nodes];
        // From one place at a time: what is near is found before much is looked at.
        let Some(source) = self.excess.iter().position(|excess| *excess > 0) else { return false };
        distance[source] = 0;
        let target = loop {
            let open = (0..nodes).filter(|&node| !done[node] && distance[node] < i64::MAX);
            let Some(node) = open.min_by_key(|&node| (distance[node], node)) else { return false };
            if self.excess[node] < 0 {
                break node;
            }
            done[node] = true;
            for next in (0..nodes).filter(|&next| !done[next]) {
                if let Some((cost, _)) = self.arc(node, next) {
                    let reduced = cost + self.potential[node] - self.potential[next];
                    let reached = distance[node] + reduced;
                    if reached < distance[next] {
                        distance[next] = reached;
                        before[next] = node;
                    }
                }
            }
        };
        let far = distance[target];
        for (potential, distance) in self.potential.iter_mut().zip(&distance) {
            *potential += (*distance).min(far);
        }
        self.send(target, &before);
        true
    }

    fn send(&mut self, target: usize, before: &[usize]) {
        let mut path = vec![target];
        while before[path[path.len() - 1]] != usize::MAX {
            path.push(before[path[path.len() - 1]]);
        }
        path.reverse();
        let source = path[0];
        let arcs: Vec<(usize, usize)> = path.windows(2).map(|pair| (pair[0], pair[1])).collect();
        let narrowest = arcs.iter().filter_map(|&(from, to)| self.arc(from, to)).map(|(_, room)| room).min();
        let amount = narrowest.unwrap_or(i64::MAX).min(self.excess[source]).min(-self.excess[target]);
        let players = u32::try_from(amount).expect("no more than the demand or the capacity of one side");
        for (from, to) in arcs {
            self.push(from, to, players);
        }
        self.excess[source] -= amount;
        self.excess[target] += amount;
    }

    fn finish(self, paths: usize) -> Assignment {
        let sink = self.potential[self.cells + self.sites];
        let price = |site: usize| (sink - self.potential[self.cells + site]).clamp(0, WAITING);
        Assignment {
            prices_us: (0..self.sites).map(|site| price(site) as u32).collect(),
            flow: self.flow,
            waiting: self.waiting,
            paths,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_contested_slot_goes_to_whoever_would_lose_most_without_it() {
        // Both cells are nearest to site 0; the second has no tolerable other.
        let market = Market {
            demand: vec![1, 1],
            capacity: vec![1, 1],
            cost_us: vec![10_000, 12_000, 11_000, 90_000],
        };
        let optimum = assign(&market, &Assignment::default());
        assert_eq!(optimum.flow, [0, 1, 1, 0]);
        assert_eq!(optimum.prices_us, [2_000, 0], "whoever takes site 0 costs the other 2 ms");
        let again = assign(&market, &optimum);
        assert_eq!((again.flow, again.paths), (optimum.flow, 0), "nothing changed, nothing is routed");
    }

    #[test]
    fn who_finds_no_slot_waits_and_what_is_forbidden_stays_so() {
        let market = Market {
            demand: vec![3, 2],
            capacity: vec![2, 9],
            cost_us: vec![5_000, FORBIDDEN, 1_000, 2_000],
        };
        let optimum = assign(&market, &Assignment::default());
        assert_eq!(optimum.flow, [2, 0, 0, 2]);
        assert_eq!(optimum.waiting, [1, 0]);
    }
}
