//! Medians and spreads of a few rounds.

/// Several rounds in two numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Sample {
    pub(crate) median: f64,
    /// The largest difference between rounds, relative to the median; 0 for one round.
    pub(crate) spread: f64,
}

/// The sample of `values`; `None` if there are none.
pub(crate) fn sample(values: &[f64]) -> Option<Sample> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let (least, most) = (*sorted.first()?, *sorted.last()?);
    let upper = *sorted.get(sorted.len() / 2)?;
    // For an even number, the mean of the middle two.
    let lower = *sorted.get((sorted.len() - 1) / 2)?;
    let median = f64::midpoint(lower, upper);
    let spread = if median == 0.0 { 0.0 } else { (most - least) / median.abs() };
    Some(Sample { median, spread })
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "these figures are exact in binary")]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_even_number_is_between_two() {
        assert_eq!(sample(&[4.0, 1.0, 3.0, 2.0]).unwrap().median, 2.5);
        assert_eq!(sample(&[9.0, 1.0, 2.0]).unwrap().median, 2.0);
    }

    #[test]
    fn the_spread_is_relative_to_the_median() {
        assert_eq!(sample(&[8.0, 10.0, 13.0]).unwrap().spread, 0.5);
        assert_eq!(sample(&[7.0]).unwrap().spread, 0.0);
        assert_eq!(sample(&[0.0, 0.0]).unwrap().spread, 0.0);
    }

    #[test]
    fn nothing_has_no_median() {
        assert_eq!(sample(&[]), None);
    }
}
