//! The queue for a full house: fair between accounts, and honest about the wait.
//!
//! Start-time fair queueing (Goyal, Vin, Cheng 1996): each account's requests are spaced by the inverse of its
//! weight in virtual time, so that a hundred requests of one account do not stand before the first of another.

use std::collections::BTreeMap;

/// Who waits, as the caller numbers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// Whose requests are counted together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Account(pub u64);

/// Virtual time that a request of weight 1 takes.
const SPACING: u64 = 1 << 16;
/// Waiting requests of one queue; more have no hope within a day.
pub const MOST_WAITING: usize = 100_000;
/// Slots that were given out, of whose pace the wait is told.
const PACE_OF: usize = 64;

/// The wait that somebody is told, ms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wait {
    /// Half of those told so wait less.
    pub likely_ms: u64,
    /// Nine of ten wait less.
    pub at_most_ms: u64,
}

/// Requests that wait.
#[derive(Clone, Debug, Default)]
pub struct Queue {
    /// By virtual start, then by ticket.
    waiting: BTreeMap<(u64, Ticket), Account>,
    starts: BTreeMap<Ticket, u64>,
    /// Where the next request of an account stands; forgotten once virtual time has passed it.
    next: BTreeMap<Account, u64>,
    now: u64,
    given_ms: Vec<u64>,
}

/// The queue takes no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{MOST_WAITING} requests wait already: try again later")]
pub struct Crowded;

impl Queue {
    /// Nobody.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether nobody waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Lines up. A ticket that waits already keeps its place.
    pub fn join(&mut self, ticket: Ticket, account: Account, weight: u32) -> Result<(), Crowded> {
        if self.starts.contains_key(&ticket) {
            return Ok(());
        }
        if self.waiting.len() >= MOST_WAITING {
            return Err(Crowded);
        }
        let start = self.next.get(&account).copied().unwrap_or(0).max(self.now);
        self.next.insert(account, start + SPACING / u64::from(weight.max(1)));
        self.waiting.insert((start, ticket), account);
        self.starts.insert(ticket, start);
        Ok(())
    }

    /// Goes away without a slot.
    pub fn leave(&mut self, ticket: Ticket) {
        if let Some(start) = self.starts.remove(&ticket) {
            self.waiting.remove(&(start, ticket));
        }
    }

    /// The tickets in the order in which slots go to them. Who cannot use the slot that is free is passed over
    /// and keeps its place.
    pub fn order(&self) -> impl Iterator<Item = Ticket> + '_ {
        self.waiting.keys().map(|(_, ticket)| *ticket)
    }

    /// A slot was given to this ticket at `now_ms`.
    pub fn served(&mut self, ticket: Ticket, now_ms: u64) {
        if let Some(start) = self.starts.get(&ticket).copied() {
            self.now = self.now.max(start);
            self.leave(ticket);
            let now = self.now;
            self.next.retain(|_, next| *next > now);
            self.given_ms.push(now_ms);
            if self.given_ms.len() > PACE_OF {
                self.given_ms.remove(0);
            }
        }
    }

    /// How long the ticket will wait from `now_ms`; `None` where too few slots were given out to say.
    ///
    /// Slots become free at random, so that the wait for the k-th is a gamma distribution, and so is what the pace
    /// is known from; the quotient of both is an F distribution, whose median and ninth decile are told (by the
    /// cube roots of Wilson and Hilferty, Paulson 1942). A pace that has slackened since the last slot counts as slow
    /// as it is now.
    pub fn wait(&self, ticket: Ticket, now_ms: u64) -> Option<Wait> {
        self.wait_behind(self.before(ticket)?, now_ms)
    }

    /// How many are served before the ticket.
    pub fn before(&self, ticket: Ticket) -> Option<usize> {
        let start = *self.starts.get(&ticket)?;
        Some(self.waiting.range(..(start, ticket)).count())
    }

    /// How many would be served before a ticket of an account that has none.
    pub fn before_newcomer(&self) -> usize {
        self.waiting.range(..=(self.now, Ticket(u64::MAX))).count()
    }

    /// How long whoever has so many before it waits.
    pub fn wait_behind(&self, before: usize, now_ms: u64) -> Option<Wait> {
        let (first, last) = (*self.given_ms.first()?, *self.given_ms.last()?);
        let intervals = self.given_ms.len() - 1;
        if intervals == 0 {
            return None;
        }
        let paced = (last - first) as f64 / intervals as f64;
        let silence = now_ms.saturating_sub(first) as f64 / (intervals + 1) as f64;
        let each_ms = paced.max(silence);
        let (waits, known) = (1.0 / (9.0 * (before + 1) as f64), 1.0 / (9.0 * intervals as f64));
        let quantile = |z: f64| {
            let (one, other) = (1.0 - known, 1.0 - waits);
            let spread = waits * one * one + known * other * other - z * z * waits * known;
            let cube_root =
                (one * other + z * spread.max(0.0).sqrt()) / (one * one - z * z * known).max(0.05);
            ((before + 1) as f64 * each_ms * cube_root.powi(3)) as u64
        };
        Some(Wait { likely_ms: quantile(0.0), at_most_ms: quantile(1.2816) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crowd_of_one_account_does_not_stand_before_the_first_of_another() {
        let mut queue = Queue::new();
        (0..100).for_each(|n| queue.join(Ticket(n), Account(1), 1).unwrap());
        queue.join(Ticket(100), Account(2), 1).unwrap();
        let order: Vec<_> = queue.order().collect();
        assert_eq!(order[..3], [Ticket(0), Ticket(100), Ticket(1)]);
    }

    #[test]
    fn a_heavier_account_is_served_in_proportion() {
        let mut queue = Queue::new();
        for n in 0..90 {
            queue.join(Ticket(n), Account(1), 1).unwrap();
            queue.join(Ticket(1000 + n), Account(2), 2).unwrap();
        }
        let first: Vec<_> = queue.order().take(60).collect();
        let heavy = first.iter().filter(|ticket| ticket.0 >= 1000).count();
        assert!((39..=41).contains(&heavy), "{heavy} of 60");
    }

    /// Slots become free by a seeded Poisson process; the told waits are held against the real ones.
    #[test]
    fn nine_of_ten_wait_no_longer_than_they_were_told_at_most_and_half_no_longer_than_likely() {
        let mut seed = 7_u64;
        let mut interval = || {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let uniform = ((seed >> 11) as f64 + 1.0) / (1_u64 << 53) as f64;
            (-uniform.ln() * 1000.0) as u64
        };
        let mut queue = Queue::new();
        let mut now = 0;
        let (mut told, mut within, mut sooner) = (BTreeMap::new(), 0, 0);
        let mut served = 0;
        for n in 0..4000 {
            queue.join(Ticket(n), Account(n), 1).unwrap();
            if let Some(wait) = queue.wait(Ticket(n), now) {
                told.insert(Ticket(n), (now, wait));
            }
            // Twenty wait at any time.
            while queue.len() > 20 {
                now += interval();
                let next = queue.order().next().unwrap();
                queue.served(next, now);
                if let Some((since, wait)) = told.remove(&next) {
                    served += 1;
                    within += u32::from(now - since <= wait.at_most_ms);
                    sooner += u32::from(now - since <= wait.likely_ms);
                }
            }
        }
        let share = |count: u32| f64::from(count) / f64::from(served);
        assert!((0.85..0.96).contains(&share(within)), "{}", share(within));
        assert!((0.42..0.62).contains(&share(sooner)), "{}", share(sooner));
    }
}
