//! The optimal assignment of players to sites by cancelling negative cycles (Klein 1967): no potentials, no
//! prices and nothing of `nearframe-placement`, so that it can judge what that found.

/// Players of each city at each site, and what is left.
pub(super) struct Seating<'a> {
    /// City by city, µs.
    pub(super) cost_us: &'a [u32],
    pub(super) capacity: &'a [u32],
    /// City by city.
    pub(super) players: Vec<u32>,
}

impl Seating<'_> {
    pub(super) fn total_us(&self) -> u64 {
        self.players.iter().zip(self.cost_us).map(|(&count, &cost)| u64::from(count) * u64::from(cost)).sum()
    }

    /// Moves players until no exchange makes the sum of round trips lower.
    pub(super) fn optimise(&mut self) {
        while self.cancel() {}
    }

    /// Cheapest move of one player from one site to another: its city and what changes.
    fn cheapest_move(&self, from: usize, to: usize) -> Option<(i64, usize)> {
        let sites = self.capacity.len();
        let cities = self.players.len() / sites;
        let there = (0..cities).filter(|city| self.players[city * sites + from] > 0);
        let change = |city: usize| {
            i64::from(self.cost_us[city * sites + to]) - i64::from(self.cost_us[city * sites + from])
        };
        there.map(|city| (change(city), city)).min()
    }

    /// Finds a cycle of moves that saves, by Bellman and Ford, and makes them; false when there is none. The node
    /// past the last site stands for empty slots: entering a site from it leaves one, leaving a site to it takes
    /// one.
    fn cancel(&mut self) -> bool {
        let sites = self.capacity.len();
        let used: Vec<u32> =
            (0..sites).map(|site| self.players.iter().skip(site).step_by(sites).sum()).collect();
        let mut moves = vec![None; (sites + 1) * (sites + 1)];
        for from in 0..sites {
            for to in 0..sites {
                if from != to {
                    moves[from * (sites + 1) + to] = self.cheapest_move(from, to).map(|(change, _)| change);
                }
            }
            moves[sites * (sites + 1) + from] = Some(0);
            moves[from * (sites + 1) + sites] = (used[from] < self.capacity[from]).then_some(0);
        }
        let mut distance = vec![0_i64; sites + 1];
        let mut before = vec![usize::MAX; sites + 1];
        let mut last = None;
        for _ in 0..=sites {
            last = None;
            for from in 0..=sites {
                for to in 0..=sites {
                    if let Some(change) = moves[from * (sites + 1) + to]
                        && distance[from] + change < distance[to]
                    {
                        distance[to] = distance[from] + change;
                        before[to] = from;
                        last = Some(to);
                    }
                }
            }
            if last.is_none() {
                return false;
            }
        }
        let Some(mut node) = last else { return false };
        // Walking back as often as there are nodes ends inside the cycle.
        for _ in 0..=sites {
            node = before[node];
        }
        let mut cycle = vec![node];
        let mut walk = before[node];
        while walk != node {
            cycle.push(walk);
            walk = before[walk];
        }
        cycle.push(node);
        cycle.reverse();
        self.shift(&cycle, &used);
        true
    }

    fn shift(&mut self, cycle: &[usize], used: &[u32]) {
        let sites = self.capacity.len();
        let steps: Vec<(usize, usize)> = cycle.windows(2).map(|pair| (pair[0], pair[1])).collect();
        let mut amount = u32::MAX;
        let mut shifts = Vec::new();
        for &(from, to) in &steps {
            if from == sites {
                continue;
            }
            if to == sites {
                amount = amount.min(self.capacity[from] - used[from]);
                continue;
            }
            let (_, city) = self.cheapest_move(from, to).expect("a move of the cycle exists");
            amount = amount.min(self.players[city * sites + from]);
            shifts.push((city * sites + from, city * sites + to));
        }
        for (from, to) in shifts {
            self.players[from] -= amount;
            self.players[to] += amount;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ring_of_players_who_sit_at_each_others_sites_is_put_right() {
        let cost_us = [1, 9, 5, 5, 1, 9, 9, 5, 1];
        let mut seating =
            Seating { cost_us: &cost_us, capacity: &[1; 3], players: vec![0, 1, 0, 0, 0, 1, 1, 0, 0] };
        seating.optimise();
        assert_eq!((seating.total_us(), &seating.players[..]), (3, &[1, 0, 0, 0, 1, 0, 0, 0, 1][..]));
    }

    #[test]
    fn an_empty_slot_that_is_nearer_is_taken() {
        let mut seating = Seating { cost_us: &[7, 3], capacity: &[5, 2], players: vec![4, 0] };
        seating.optimise();
        assert_eq!(seating.players, [2, 2]);
    }
}
