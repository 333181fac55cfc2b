//! The median of several runs, and how far they lie apart.

/// Never without runs.
#[derive(Clone, Copy, Debug)]
pub struct Spread {
    /// The middle one, or between the two in the middle.
    pub median: f64,
    low: f64,
    high: f64,
}

impl Spread {
    /// None of nothing.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let (low, high) = (*values.first()?, *values.last()?);
        let half = values.len() / 2;
        let median = if values.len() % 2 == 1 {
            values[half]
        } else {
            f64::midpoint(values[half - 1], values[half])
        };
        Some(Self { median, low, high })
    }

    /// The median, and in brackets the extremes if they differ.
    pub fn text(&self, digits: usize) -> String {
        let Self { median, low, high } = self;
        if low == high {
            return format!("{median:.digits$}");
        }
        format!("{median:.digits$} ({low:.digits$} to {high:.digits$})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_even_and_odd_counts() {
        let text = |values: &[f64]| Spread::of(values.to_vec()).map(|spread| spread.text(1));
        assert_eq!(text(&[]), None);
        assert_eq!(text(&[2.0]).unwrap(), "2.0");
        assert_eq!(text(&[3.0, 1.0]).unwrap(), "2.0 (1.0 to 3.0)");
        assert_eq!(text(&[9.0, 1.0, 2.0]).unwrap(), "2.0 (1.0 to 9.0)");
    }
}
