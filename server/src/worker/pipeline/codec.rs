//! Codecs as the encoders and as the protocol call them.

use nearframe_encode::{Capabilities, Codec};
use nearframe_protocol::VideoCodec;

/// As pages know it.
pub(super) fn named(codec: Codec) -> VideoCodec {
    match codec {
        Codec::H264 => VideoCodec::H264,
        Codec::Hevc => VideoCodec::Hevc,
        Codec::Hevc10 => VideoCodec::Hevc10,
        Codec::Av1 => VideoCodec::Av1,
    }
}

/// As encoders know it.
pub(super) fn meant(codec: VideoCodec) -> Codec {
    match codec {
        VideoCodec::H264 => Codec::H264,
        VideoCodec::Hevc => Codec::Hevc,
        VideoCodec::Hevc10 => Codec::Hevc10,
        VideoCodec::Av1 => Codec::Av1,
    }
}

/// The encoder in use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct EncoderInfo {
    /// For the statistics.
    pub(crate) name: String,
    /// What pictures are in.
    pub(crate) codec: VideoCodec,
    /// What they could be in.
    pub(crate) codecs: Vec<VideoCodec>,
}

impl EncoderInfo {
    pub(super) fn of(can: &Capabilities) -> Self {
        let name = match can.codec {
            Codec::H264 => can.name.to_owned(),
            other => format!("{}, {other}", can.name),
        };
        Self { name, codec: named(can.codec), codecs: can.codecs.iter().map(|codec| named(*codec)).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_sides_mean_the_same() {
        for codec in Codec::ALL {
            assert_eq!(meant(named(codec)), codec);
            assert_eq!(named(codec).to_string(), codec.to_string());
        }
    }
}
