//! How many copies of a title each site keeps warm, from the demand of the same hour on days before and of
//! the last minutes.

use crate::index::TitleKey;
use crate::latency::SiteId;
use std::collections::BTreeMap;

/// Hours of a day: demand repeats by the day before anything else.
const HOURS: usize = 24;
/// A day counts for a quarter of its hour's expectation: four days make a habit.
const DAY_WEIGHT: f32 = 0.25;
/// The last interval counts for half of what is expected of the next: crowds come and go in minutes.
const RECENT_WEIGHT: f32 = 0.5;
/// Starts that find a warm copy, as a quantile of the normal distribution: 95 %.
const SERVED_Z: f32 = 1.645;
/// Pairs of title and site that are remembered.
pub const MOST_PAIRS: usize = 200_000;

/// What is expected of one title at one site.
#[derive(Clone, Debug)]
struct Demand {
    /// Starts in an hour, for each hour of the day.
    by_hour: [f32; HOURS],
    /// Starts in an hour at the pace of the last intervals.
    recent: f32,
    /// Starts in this interval so far.
    counting: u32,
}

/// Expected starts.
#[derive(Clone, Debug, Default)]
pub struct Forecast {
    pairs: BTreeMap<(TitleKey, SiteId), Demand>,
}

/// What a site should keep warm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Warm {
    /// Of which title.
    pub title: TitleKey,
    /// Where.
    pub site: SiteId,
    /// How many.
    pub copies: u32,
}

impl Forecast {
    /// Nothing is expected.
    pub fn new() -> Self {
        Self::default()
    }

    /// A session of the title started at the site. Beyond [`MOST_PAIRS`] new pairs are not remembered.
    pub fn started(&mut self, title: TitleKey, site: SiteId) {
        let full = self.pairs.len() >= MOST_PAIRS;
        if let Some(demand) = self.pairs.get_mut(&(title, site)) {
            demand.counting += 1;
        } else if !full {
            self.pairs.insert((title, site), Demand { by_hour: [0.0; HOURS], recent: 0.0, counting: 1 });
        }
    }

    /// An interval of `seconds` in this hour of the day (0 to 23) is over.
    pub fn tick(&mut self, hour: u8, seconds: u32) {
        let hour = usize::from(hour) % HOURS;
        let intervals = 3600.0 / seconds.max(1) as f32;
        for demand in self.pairs.values_mut() {
            let pace = demand.counting as f32 * intervals;
            demand.counting = 0;
            demand.recent += RECENT_WEIGHT * (pace - demand.recent);
            // An hour's intervals together weigh as much as a day shall.
            let weight = 1.0 - (1.0 - DAY_WEIGHT).powf(1.0 / intervals);
            demand.by_hour[hour] += weight * (pace - demand.by_hour[hour]);
        }
        self.pairs
            .retain(|_, demand| demand.expected_soon() || demand.by_hour.iter().any(|starts| *starts > 0.01));
    }

    /// Copies to keep warm in this hour, where one takes `start_s` to warm up and `free` says how many slots a
    /// site has to spare. The most wanted titles come first where not all fit.
    pub fn warm(&self, hour: u8, start_s: u32, free: impl Fn(SiteId) -> u32) -> Vec<Warm> {
        let mut wanted: Vec<(f32, Warm)> = self
            .pairs
            .iter()
            .map(|(&(title, site), demand)| {
                let an_hour = demand.by_hour[usize::from(hour) % HOURS].max(demand.recent);
                let while_starting = an_hour * start_s as f32 / 3600.0;
                let copies = (while_starting + SERVED_Z * while_starting.sqrt()).ceil();
                (an_hour, Warm { title, site, copies: if while_starting < 0.01 { 0 } else { copies as u32 } })
            })
            .filter(|(_, warm)| warm.copies > 0)
            .collect();
        wanted.sort_by(|one, other| other.0.total_cmp(&one.0));
        let mut spare: BTreeMap<SiteId, u32> = BTreeMap::new();
        wanted.iter_mut().for_each(|(_, warm)| {
            let left = spare.entry(warm.site).or_insert_with(|| free(warm.site));
            warm.copies = warm.copies.min(*left);
            *left -= warm.copies;
        });
        wanted.into_iter().map(|(_, warm)| warm).filter(|warm| warm.copies > 0).collect()
    }
}

impl Demand {
    fn expected_soon(&self) -> bool {
        self.recent > 0.01 || self.counting > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVENING: (TitleKey, SiteId) = (TitleKey(1), SiteId(1));

    fn day(forecast: &mut Forecast, evening_starts: u32) {
        for minute in 0..24 * 60_u32 {
            if minute / 60 == 20 {
                (0..evening_starts / 60).for_each(|_| forecast.started(EVENING.0, EVENING.1));
            }
            forecast.tick((minute / 60) as u8, 60);
        }
    }

    #[test]
    fn copies_are_warm_before_the_hour_in_which_they_are_always_wanted() {
        let mut forecast = Forecast::new();
        (0..5).for_each(|_| day(&mut forecast, 600));
        let copies = |hour| forecast.warm(hour, 20, |_| 100).iter().map(|warm| warm.copies).sum::<u32>();
        assert_eq!(copies(9), 0, "nobody plays in the morning");
        assert!((4..=8).contains(&copies(20)), "{} for about three starts in 20 s", copies(20));
        assert_eq!(forecast.warm(20, 20, |_| 2)[0].copies, 2, "never more than there is room for");
    }

    #[test]
    fn a_sudden_crowd_is_followed_within_minutes_and_forgotten_within_the_hour() {
        let mut forecast = Forecast::new();
        for _ in 0..3 {
            (0..30).for_each(|_| forecast.started(TitleKey(2), SiteId(3)));
            forecast.tick(4, 60);
        }
        assert!(forecast.warm(5, 20, |_| 100)[0].copies >= 10);
        (0..60).for_each(|_| forecast.tick(5, 60));
        assert!(forecast.warm(6, 20, |_| 100).is_empty());
    }
}
