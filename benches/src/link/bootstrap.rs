//! Medians, and how sure of them one may be.

use crate::quantile::median;
use serde::{Deserialize, Serialize};

/// Samples drawn of the samples; more changes the third digit only.
const RESAMPLES: usize = 4000;

/// A median with its 95 % confidence interval (percentile bootstrap, Efron 1979).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Estimate {
    pub(crate) median: f64,
    pub(crate) low: f64,
    pub(crate) high: f64,
}

/// Of what was measured; `None` of nothing.
pub(super) fn estimate(samples: &[f64]) -> Option<Estimate> {
    resampled(samples.len(), |picked| {
        let samples: Vec<f64> = picked.iter().map(|&i| samples[i]).collect();
        median(&samples)
    })
}

/// Of the medians' ratio of what was measured in pairs; `None` where it is no number.
pub(super) fn ratio(pairs: &[(f64, f64)]) -> Option<Estimate> {
    resampled(pairs.len(), |picked| {
        let (ours, theirs): (Vec<f64>, Vec<f64>) = picked.iter().map(|&i| pairs[i]).unzip();
        Some(median(&ours)? / median(&theirs)?).filter(|ratio| ratio.is_finite())
    })
}

fn resampled(count: usize, statistic: impl Fn(&[usize]) -> Option<f64>) -> Option<Estimate> {
    let all: Vec<usize> = (0..count).collect();
    let middle = statistic(&all)?;
    // The same draws in every run (SplitMix64), so that one file of results has one interval.
    let mut state = 0_u64;
    let mut draw = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (((z ^ (z >> 31)) >> 32) as usize * count) >> 32
    };
    let picks = (0..RESAMPLES).filter_map(|_| {
        let picked: Vec<usize> = (0..count).map(|_| draw()).collect();
        statistic(&picked)
    });
    let mut statistics: Vec<f64> = picks.collect();
    statistics.sort_by(f64::total_cmp);
    let at = |p: f64| statistics.get((p * statistics.len() as f64) as usize).copied().unwrap_or(middle);
    Some(Estimate { median: middle, low: at(0.025), high: at(0.975) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_holds_the_median_and_narrows_with_samples() {
        let spread = |count: u32| -> Vec<f64> { (0..count).map(|i| f64::from(i * 37 % 101)).collect() };
        let (few, many) = (estimate(&spread(7)).unwrap(), estimate(&spread(101)).unwrap());
        for estimate in [few, many] {
            assert!(estimate.low <= estimate.median && estimate.median <= estimate.high, "{estimate:?}");
        }
        assert!(many.high - many.low < few.high - few.low);
        assert_eq!(estimate(&spread(7)), estimate(&spread(7)));
    }

    #[test]
    fn one_sample_is_its_own_interval_and_none_has_none() {
        assert_eq!(estimate(&[3.0]), Some(Estimate { median: 3.0, low: 3.0, high: 3.0 }));
        assert_eq!(estimate(&[]), None);
        assert_eq!(ratio(&[(1.0, 4.0)]).unwrap().median, 0.25);
        assert_eq!(ratio(&[(1.0, 0.0)]), None);
    }
}
