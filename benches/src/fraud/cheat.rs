//! How nodes cheat, as whoever runs the bench says.

use nearframe_trust::fraud::Kind;
use std::fmt;
use std::str::FromStr;

/// A way to cheat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cheat {
    /// Receipts claim more time; what the lease refuses is claimed as far as it goes.
    InflateTime,
    /// … more frames.
    InflateFrames,
    /// … more bytes.
    InflateBytes,
    /// Receipts claim all time that the lease can hold, start-up and waiting included, and never more.
    Skim,
    /// Receipts of an earlier session are signed again for a new one.
    Replay,
    /// A second machine with the same key.
    Clone,
    /// Claims a GPU it has not, and says that encoding takes what that one takes.
    FakeGpu,
    /// Shows a film.
    Recorded,
    /// Several nodes on one machine.
    Sybil,
    /// Plays on itself.
    Wash,
}

const NAMES: [(&str, Cheat, f64); 10] = [
    ("inflate-time", Cheat::InflateTime, 0.1),
    ("inflate-frames", Cheat::InflateFrames, 0.1),
    ("inflate-bytes", Cheat::InflateBytes, 0.1),
    ("skim", Cheat::Skim, 1.0),
    ("replay", Cheat::Replay, 0.3),
    ("clone", Cheat::Clone, 1.0),
    ("fake-gpu", Cheat::FakeGpu, 0.5),
    ("recorded", Cheat::Recorded, 1.0),
    ("sybil", Cheat::Sybil, 4.0),
    ("wash", Cheat::Wash, 0.8),
];

impl Cheat {
    /// What detectors should call it.
    pub(crate) fn kinds(self) -> &'static [Kind] {
        match self {
            Self::InflateTime | Self::Skim => &[Kind::InflatedTime],
            Self::InflateFrames => &[Kind::InflatedFrames],
            Self::InflateBytes => &[Kind::InflatedBytes],
            Self::Replay => &[Kind::ReplayedReceipts],
            Self::Clone => &[Kind::ClonedKey],
            Self::FakeGpu => &[Kind::PretendedTier],
            Self::Recorded => &[Kind::RecordedPicture],
            Self::Sybil => &[Kind::SharedCapacity, Kind::PretendedTier],
            Self::Wash => &[Kind::OwnPlay],
        }
    }

    pub(crate) fn inflates(self) -> bool {
        matches!(self, Self::InflateTime | Self::InflateFrames | Self::InflateBytes)
    }
}

/// Cheaters of one kind.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Plan {
    /// All three in turns, where inflation is not told apart.
    pub(crate) cheats: Vec<Cheat>,
    /// How much: the part claimed too much; the part of sessions replayed; the part of the claimed speed that is there;
    /// the part of random pictures that is missing; nodes by machine; the part of play that is the owner's.
    pub(crate) rate: f64,
    /// How many nodes.
    pub(crate) nodes: u32,
    name: String,
}

impl Plan {
    fn new(name: &str, rate: Option<f64>, nodes: u32) -> Result<Self, String> {
        let known = |wanted| NAMES.iter().find(|(name, ..)| *name == wanted);
        let (cheats, default) = match (name, known(name)) {
            ("inflate", _) => (vec![Cheat::InflateTime, Cheat::InflateFrames, Cheat::InflateBytes], 0.1),
            (_, Some((_, cheat, rate))) => (vec![*cheat], *rate),
            (_, None) => {
                let names: Vec<_> = NAMES.iter().map(|(name, ..)| *name).collect();
                return Err(format!("unknown kind {name}: choose inflate, {}", names.join(", ")));
            }
        };
        let rate = rate.unwrap_or(default);
        let whole = cheats == [Cheat::Sybil];
        let fits = if whole { (2.0..=64.0).contains(&rate) } else { (0.0..=10.0).contains(&rate) };
        if !fits {
            return Err(format!(
                "{name}={rate}: a rate is a part such as 0.05; of sybil, 2 to 64 nodes by machine"
            ));
        }
        Ok(Self { cheats, rate, nodes, name: name.to_owned() })
    }

    /// What is planted where nobody says what.
    pub(crate) fn some_of_each() -> Vec<Self> {
        let inflate = ["inflate-time", "inflate-frames", "inflate-bytes"];
        let rates = inflate.into_iter().flat_map(|name| [0.05, 0.1, 0.3].map(|rate| (name, Some(rate), 20)));
        let others = ["skim", "replay", "clone", "fake-gpu", "recorded", "sybil", "wash"];
        let plans = rates.chain(others.map(|name| (name, None, 20)));
        plans.filter_map(|(name, rate, nodes)| Self::new(name, rate, nodes).ok()).collect()
    }
}

impl FromStr for Plan {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let (kind, nodes) =
            text.rsplit_once(':').ok_or("KIND[=RATE]:NODES, such as inflate-time=0.05:20, is expected")?;
        let nodes = nodes.parse().map_err(|_| format!("{nodes} is no number of nodes"))?;
        match kind.split_once('=') {
            None => Self::new(kind, None, nodes),
            Some((name, rate)) => {
                let rate = rate.parse().map_err(|_| format!("{rate} is no rate, such as 0.05"))?;
                Self::new(name, Some(rate), nodes)
            }
        }
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.name, self.rate)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_is_read_and_a_wrong_one_says_what_is_expected() {
        let plan: Plan = "inflate=0.07:9".parse().unwrap();
        assert_eq!((plan.cheats.len(), plan.rate, plan.nodes), (3, 0.07, 9));
        let plan: Plan = "replay:2".parse().unwrap();
        assert_eq!((plan.cheats.as_slice(), plan.rate), ([Cheat::Replay].as_slice(), 0.3));
        for (wrong, why) in [
            ("replay", "expected"),
            ("steal:1", "choose"),
            ("clone=x:1", "no rate"),
            ("sybil=1:4", "2 to 64"),
        ] {
            let error = wrong.parse::<Plan>().unwrap_err();
            assert!(error.contains(why), "{error}");
        }
    }
}
