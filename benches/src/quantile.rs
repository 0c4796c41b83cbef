//! Quantiles of samples.

/// The value below which the share `p` (0..=1) of `samples` lies; `None` for none.
pub(crate) fn quantile(samples: &[f64], p: f64) -> Option<f64> {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    let last = sorted.len().checked_sub(1)?;
    sorted.get(((p * sorted.len() as f64) as usize).min(last)).copied()
}

/// The middle of `samples`, of an even number the mean of the two; `None` for none.
pub(crate) fn median(samples: &[f64]) -> Option<f64> {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    let upper = sorted.get(middle)?;
    Some(if sorted.len() % 2 == 1 { *upper } else { f64::midpoint(sorted[middle - 1], *upper) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_values_of_the_samples_in_any_order() {
        let samples: Vec<f64> = (0..100).rev().map(f64::from).collect();
        assert_eq!(quantile(&samples, 0.5), Some(50.0));
        assert_eq!(quantile(&samples, 0.95), Some(95.0));
        assert_eq!(quantile(&samples, 1.0), Some(99.0));
        assert_eq!(quantile(&[], 0.5), None);
    }

    #[test]
    fn a_median_has_as_many_above_as_below() {
        assert_eq!(median(&[5.0, 1.0, 3.0]), Some(3.0));
        assert_eq!(median(&[5.0, 1.0, 3.0, 4.0]), Some(3.5));
        assert_eq!(median(&[]), None);
    }
}
