//! Video codecs, each with the profile that is used of it.

use serde::{Deserialize, Serialize};
use std::fmt;

/// How pictures travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VideoCodec {
    /// H.264, constrained baseline or what contains it; every player's browser decodes it.
    H264,
    /// HEVC main, 8 bit.
    Hevc,
    /// HEVC main 10, in HDR10.
    Hevc10,
    /// AV1 main.
    Av1,
}

impl VideoCodec {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::H264, Self::Hevc, Self::Hevc10, Self::Av1];

    /// As it is called on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::H264 => "h264",
            Self::Hevc => "hevc",
            Self::Hevc10 => "hevc10",
            Self::Av1 => "av1",
        }
    }
}

impl fmt::Display for VideoCodec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::H264 => "H.264",
            Self::Hevc => "HEVC",
            Self::Hevc10 => "HEVC 10 bit",
            Self::Av1 => "AV1",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_wire() {
        for codec in VideoCodec::ALL {
            assert_eq!(serde_json::to_value(codec).unwrap(), codec.name());
        }
    }
}
