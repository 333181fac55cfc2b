//! How long a source rests: what its guest asked for with `idle`, or the pause after a poll that can
//! be tried again. Acks and commits are served meanwhile, and do not shorten it.

use std::time::Duration;

use tokio::time::Instant;

/// The rest of a source task, if it rests.
#[derive(Debug, Default)]
pub(crate) struct Rest(Until);

#[derive(Debug, Default, Clone, Copy)]
enum Until {
    #[default]
    Over,
    At(Instant),
    /// A pause that no clock can hold.
    Forever,
}

impl Rest {
    /// Rests for this long from now on.
    pub(crate) fn begin(&mut self, pause: Duration) {
        self.0 = Instant::now()
            .checked_add(pause)
            .map_or(Until::Forever, Until::At);
    }

    /// What is left of the rest; none when it is over.
    pub(crate) fn left(&self) -> Option<Duration> {
        match self.0 {
            Until::Over => None,
            Until::Forever => Some(Duration::MAX),
            Until::At(until) => {
                Some(until.saturating_duration_since(Instant::now())).filter(|left| !left.is_zero())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rest_is_not_shortened_by_being_looked_at() {
        let mut rest = Rest::default();
        assert_eq!(rest.left(), None);
        rest.begin(Duration::from_secs(3600));
        for _ in 0..3 {
            assert!(rest.left() > Some(Duration::from_secs(3000)));
        }
        rest.begin(Duration::MAX);
        assert_eq!(rest.left(), Some(Duration::MAX));
        rest.begin(Duration::ZERO);
        assert_eq!(rest.left(), None);
    }
}
