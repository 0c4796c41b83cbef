//! One file per implementation, and the choice among them.

mod openh264;
mod opus;
mod opus_decoder;
mod probe;

pub use openh264::OpenH264Encoder;
pub use opus::OpusEncoder;
pub use opus_decoder::OpusDecoder;
pub use probe::{ProbeEncoder, probe_frame};

use crate::video::{Capabilities, Codec, EncodeError, VideoEncoder, VideoSettings};

/// The video encoders of this build.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VideoBackend {
    /// Cisco's H.264 encoder on the CPU; built in, so there on every machine.
    OpenH264,
    /// Emits byte streams of exact sizes without a picture, for tests and benches of what carries them.
    Probe,
}

/// What is configured about the encoder.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum VideoPreference {
    /// The best encoder that opens here.
    #[default]
    Best,
    /// This one, or an error.
    Only(VideoBackend),
}

impl std::str::FromStr for VideoPreference {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "auto" => Ok(Self::Best),
            "openh264" => Ok(Self::Only(VideoBackend::OpenH264)),
            "probe" => Ok(Self::Only(VideoBackend::Probe)),
            _ => Err(format!("{text:?} is no video encoder; allowed are auto, openh264, probe")),
        }
    }
}

/// An encoder and whether it can be opened on this machine, for `nearframe doctor`.
#[derive(Clone, Debug)]
pub struct VideoBackendFacts {
    /// Which one.
    pub backend: VideoBackend,
    /// What it can do, or why it cannot be opened.
    pub state: Result<Capabilities, String>,
}

/// Opens an encoder for one stream.
pub fn open_video(
    settings: VideoSettings,
    preference: VideoPreference,
) -> Result<Box<dyn VideoEncoder>, EncodeError> {
    match preference {
        VideoPreference::Best | VideoPreference::Only(VideoBackend::OpenH264) => {
            Ok(Box::new(OpenH264Encoder::open(settings)?))
        }
        VideoPreference::Only(VideoBackend::Probe) => Ok(Box::new(ProbeEncoder::open(settings)?)),
    }
}

/// The encoders a session may be given, best first, each tried with a small picture.
pub fn video_backends() -> Vec<VideoBackendFacts> {
    let settings = VideoSettings { codec: Codec::H264, width: 64, height: 64, fps: 30, bitrate_bps: 500_000 };
    let state = open_video(settings, VideoPreference::Only(VideoBackend::OpenH264))
        .map(|encoder| encoder.capabilities().clone())
        .map_err(|error| error.to_string());
    vec![VideoBackendFacts { backend: VideoBackend::OpenH264, state }]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_encoder_is_chosen_by_name() {
        assert_eq!("auto".parse(), Ok(VideoPreference::Best));
        assert_eq!("openh264".parse(), Ok(VideoPreference::Only(VideoBackend::OpenH264)));
        assert_eq!("probe".parse(), Ok(VideoPreference::Only(VideoBackend::Probe)));
        let refused = "x264".parse::<VideoPreference>().unwrap_err();
        assert!(refused.contains("auto, openh264, probe"), "{refused}");
    }
}
