//! Versions at every door.
//!
//! Whoever opens a connection says the lowest and highest version it speaks and the features it has;
//! the other side picks the highest version both speak, or refuses with both ranges in its message.

use crate::check::challenge;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What one side of a door can speak.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct VersionOffer {
    /// Lowest version spoken.
    pub min: u16,
    /// Highest version spoken.
    pub max: u16,
    /// Optional abilities by name; unknown ones are ignored.
    #[serde(default)]
    pub features: Vec<String>,
}

impl VersionOffer {
    /// What this release speaks at any door that still has its first version.
    pub fn current() -> Self {
        Self { min: 1, max: 1, features: Vec::new() }
    }

    /// Whether that side has an optional ability.
    pub fn has(&self, feature: &str) -> bool {
        self.features.iter().any(|has| has == feature)
    }

    /// The highest version both sides speak.
    pub fn agree(&self, other: &Self) -> Result<u16, VersionError> {
        let version = self.max.min(other.max);
        if self.min > self.max || other.min > other.max || version < self.min.max(other.min) {
            return Err(VersionError { ours: (self.min, self.max), theirs: (other.min, other.max) });
        }
        Ok(version)
    }
}

/// The doors of a player's peer connection, agreed in the first message of the control channel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Versions {
    /// The control channel itself.
    pub control: VersionOffer,
    /// The input channel.
    pub input: VersionOffer,
    /// The frame facts channel.
    pub facts: VersionOffer,
}

impl Versions {
    /// What this release speaks.
    pub fn current() -> Self {
        Self {
            control: VersionOffer {
                features: vec![challenge::FEATURE.to_owned()],
                ..VersionOffer::current()
            },
            input: VersionOffer::current(),
            facts: VersionOffer::current(),
        }
    }
}

/// Two sides that share no version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "no common protocol version: this side speaks {}..={}, the other {}..={}; update the older one",
    ours.0, ours.1, theirs.0, theirs.1
)]
pub struct VersionError {
    ours: (u16, u16),
    theirs: (u16, u16),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offer(min: u16, max: u16) -> VersionOffer {
        VersionOffer { min, max, features: vec![] }
    }

    #[test]
    fn the_highest_common_version_is_chosen() {
        assert_eq!(offer(1, 3).agree(&offer(2, 5)), Ok(3));
        assert_eq!(offer(1, 1).agree(&offer(1, 2)), Ok(1));
    }

    #[test]
    fn disjoint_or_inverted_ranges_are_refused_with_both_ranges_named() {
        let error = offer(1, 1).agree(&offer(2, 3)).unwrap_err().to_string();
        assert!(error.contains("1..=1") && error.contains("2..=3"), "{error}");
        assert!(offer(3, 1).agree(&offer(1, 9)).is_err());
    }
}
