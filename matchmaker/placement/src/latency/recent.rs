//! What was lately measured between one client and one site: the lowest round trip of each of the last
//! epochs.
//!
//! The minimum of an epoch is what the path can do; the median over epochs is what it does. Both survive
//! being told twice and in any order, so that replicas merge by telling each other everything.

/// Epochs that are kept: a week has seven days and a lie needs more than half of them.
pub const EPOCHS: usize = 8;
/// An epoch's weight is halved by this many newer ones, for the spread and the age of an estimate.
const HALF_LIFE_EPOCHS: f32 = 6.0;

/// Lowest round trips of recent epochs, newest first, each epoch once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recent {
    minima: Vec<(u32, u32)>,
}

impl Recent {
    /// A round trip of `rtt_us` in `epoch`.
    pub fn observe(&mut self, epoch: u32, rtt_us: u32) {
        match self.minima.binary_search_by(|(known, _)| epoch.cmp(known)) {
            Ok(at) => self.minima[at].1 = self.minima[at].1.min(rtt_us),
            Err(at) if at < EPOCHS => {
                self.minima.insert(at, (epoch, rtt_us));
                self.minima.truncate(EPOCHS);
            }
            Err(_) => {}
        }
    }

    /// Takes over what `other` knows. In any order and however often, the result is the same.
    pub fn merge(&mut self, other: &Self) {
        for &(epoch, rtt_us) in &other.minima {
            self.observe(epoch, rtt_us);
        }
    }

    /// The epochs and their minima, newest first.
    pub fn minima(&self) -> &[(u32, u32)] {
        &self.minima
    }

    /// The newest epoch; 0 where nothing was measured.
    pub fn newest(&self) -> u32 {
        self.minima.first().map_or(0, |(epoch, _)| *epoch)
    }

    /// The minimum of `epoch`, if something was measured in it.
    pub fn in_epoch(&self, epoch: u32) -> Option<u32> {
        let at = self.minima.binary_search_by(|(known, _)| epoch.cmp(known)).ok()?;
        Some(self.minima[at].1)
    }

    /// The median over epochs, of an even number the mean of the two, µs.
    pub fn median_us(&self) -> Option<u32> {
        let mut sorted = [0; EPOCHS];
        let sorted = &mut sorted[..self.minima.len()];
        for (slot, (_, rtt_us)) in sorted.iter_mut().zip(&self.minima) {
            *slot = *rtt_us;
        }
        sorted.sort_unstable();
        let middle = sorted.len() / 2;
        match sorted.len() {
            0 => None,
            odd if odd % 2 == 1 => Some(sorted[middle]),
            _ => Some(u32::midpoint(sorted[middle - 1], sorted[middle])),
        }
    }

    /// How far a next value may lie from the median, µs: the weighted mean deviation, wider the older and the
    /// fewer the epochs are.
    pub fn spread_us(&self, now_epoch: u32) -> Option<u32> {
        let median = self.median_us()?;
        let (mut sum, mut weights) = (0.0, 0.0);
        for &(epoch, rtt_us) in &self.minima {
            let age = now_epoch.saturating_sub(epoch) as f32;
            let weight = (-age / HALF_LIFE_EPOCHS).exp2();
            sum += weight * rtt_us.abs_diff(median) as f32;
            weights += weight;
        }
        // One old epoch says little: the missing weight counts as a deviation of a tenth of the median.
        let missing = (1.0 - weights).max(0.0);
        Some(((sum + missing * median as f32 * 0.1) / (weights + missing)) as u32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_single_outlier_moves_nothing() {
        let mut recent = Recent::default();
        for (epoch, rtt_us) in [(1, 20_000), (2, 21_000), (3, 1), (4, 20_500), (5, 400_000)] {
            recent.observe(epoch, rtt_us);
        }
        assert_eq!(recent.median_us(), Some(20_500));
    }

    #[test]
    fn old_epochs_are_forgotten_and_never_come_back() {
        let mut recent = Recent::default();
        (0..20).for_each(|epoch| recent.observe(epoch, 1000 + epoch));
        recent.observe(3, 1);
        assert_eq!(recent.minima().len(), EPOCHS);
        assert_eq!(recent.minima().last(), Some(&(12, 1012)));
    }

    #[test]
    fn what_is_old_is_less_sure() {
        let mut recent = Recent::default();
        recent.observe(5, 50_000);
        assert!(recent.spread_us(5).unwrap() < recent.spread_us(50).unwrap());
    }
}
