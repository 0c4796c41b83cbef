//! Quantiles of samples.

/// The value below which the share `p` (0..=1) of `samples` lies; `None` for none.
pub(crate) fn quantile(samples: &[f64], p: f64) -> Option<f64> {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    let last = sorted.len().checked_sub(1)?;
    sorted.get(((p * sorted.len() as f64) as usize).min(last)).copied()
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
}
