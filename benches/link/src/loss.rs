//! Which packets are lost on the way.

use crate::rng::Rng;
use crate::spec::Loss;

/// The state of a lossy link.
#[derive(Clone, Debug)]
pub(crate) struct LossChain {
    kind: Kind,
    rng: Rng,
}

#[derive(Clone, Debug)]
enum Kind {
    None,
    Random {
        share: f64,
    },
    /// The simple Gilbert model: `bad` loses all.
    Bursts {
        bad: bool,
        enter: f64,
        leave: f64,
    },
}

impl LossChain {
    /// Of a loss that was checked, in its steady state.
    pub(crate) fn new(loss: Loss, mut rng: Rng) -> Self {
        let kind = match loss {
            Loss::None => Kind::None,
            Loss::Random { share } => Kind::Random { share },
            Loss::Bursts { share, mean_length } => Kind::Bursts {
                bad: rng.chance(share),
                enter: share / (mean_length * (1.0 - share)),
                leave: 1.0 / mean_length,
            },
        };
        Self { kind, rng }
    }

    /// Whether the next packet is lost.
    pub(crate) fn next(&mut self) -> bool {
        match &mut self.kind {
            Kind::None => false,
            Kind::Random { share } => self.rng.chance(*share),
            Kind::Bursts { bad, enter, leave } => {
                let lost = *bad;
                *bad = if lost { !self.rng.chance(*leave) } else { self.rng.chance(*enter) };
                lost
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACKETS: usize = 1_000_000;

    fn fates(loss: Loss, seed: u64) -> Vec<bool> {
        let mut chain = LossChain::new(loss, Rng::stream(seed, 0));
        (0..PACKETS).map(|_| chain.next()).collect()
    }

    /// Share of lost packets and mean length of what is lost in a row.
    fn shape(fates: &[bool]) -> (f64, f64) {
        let lost = fates.iter().filter(|lost| **lost).count() as f64;
        let bursts = fates.chunk_by(|a, b| a == b).filter(|run| run[0]).count() as f64;
        (lost / fates.len() as f64, lost / bursts)
    }

    #[test]
    fn bursts_have_the_mean_loss_and_the_mean_length_asked_for() {
        for (share, mean_length) in [(0.01, 5.0), (0.03, 5.0), (0.05, 2.0), (0.3, 20.0), (0.5, 1.0)] {
            let (lost, length) = shape(&fates(Loss::Bursts { share, mean_length }, 3));
            assert!((lost / share - 1.0).abs() < 0.05, "{lost} instead of {share}");
            assert!((length / mean_length - 1.0).abs() < 0.05, "{length} instead of {mean_length}");
        }
    }

    #[test]
    fn random_loss_has_no_memory() {
        let (lost, length) = shape(&fates(Loss::Random { share: 0.05 }, 3));
        assert!((lost - 0.05).abs() < 0.002, "{lost}");
        assert!((length - 1.0 / 0.95).abs() < 0.01, "{length}");
    }

    #[test]
    fn a_seed_decides_and_no_loss_loses_nothing() {
        let loss = Loss::Bursts { share: 0.03, mean_length: 5.0 };
        assert_eq!(fates(loss, 1), fates(loss, 1));
        assert_ne!(fates(loss, 1), fates(loss, 2));
        assert!(!fates(Loss::None, 1).contains(&true));
    }
}
