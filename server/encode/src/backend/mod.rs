//! One file per implementation, and the choice among them.

mod adjust;
mod chain;
mod nvenc;
mod openh264;
mod opus;
mod opus_decoder;
mod probe;
mod vulkan_video;

pub use chain::{EncoderChain, EncoderChange};
pub use nvenc::{
    CudaReader, EncoderLoad, INTRA_REFRESH_FRAMES, NvencDevice, NvencEncoder, NvencOptions, NvencPreset,
    NvidiaLibraries, by_load, nvenc_devices,
};
pub use openh264::OpenH264Encoder;
pub use opus::OpusEncoder;
pub use opus_decoder::OpusDecoder;
pub use probe::{ProbeEncoder, probe_frame};
pub use vulkan_video::VulkanVideoEncoder;

use crate::hevc::HdrMetadata;
use crate::video::{Capabilities, Codec, EncodeError, VideoEncoder, VideoSettings};
use nearframe_gpu::DeviceUuid;
use std::fmt;

/// The video encoders of this build.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VideoBackend {
    /// The encoder of NVIDIA's GPUs.
    Nvenc,
    /// The encoder of any GPU whose driver has Vulkan Video.
    VulkanVideo,
    /// Cisco's H.264 encoder on the CPU; built in, so there on every machine.
    OpenH264,
    /// Emits byte streams of exact sizes without a picture, for tests and benches of what carries them.
    Probe,
}

impl VideoBackend {
    /// Those that a session may be given, best first. The last one works everywhere.
    pub const BEST_FIRST: [Self; 3] = [Self::Nvenc, Self::VulkanVideo, Self::OpenH264];
}

impl fmt::Display for VideoBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nvenc => "NVENC",
            Self::VulkanVideo => "Vulkan Video",
            Self::OpenH264 => "OpenH264",
            Self::Probe => "Probe",
        })
    }
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

impl VideoPreference {
    /// What is tried, in this order.
    pub fn order(self) -> Vec<VideoBackend> {
        match self {
            Self::Best => VideoBackend::BEST_FIRST.to_vec(),
            Self::Only(backend) => vec![backend],
        }
    }
}

impl std::str::FromStr for VideoPreference {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "auto" => Ok(Self::Best),
            "nvenc" => Ok(Self::Only(VideoBackend::Nvenc)),
            "vulkan" => Ok(Self::Only(VideoBackend::VulkanVideo)),
            "openh264" => Ok(Self::Only(VideoBackend::OpenH264)),
            "probe" => Ok(Self::Only(VideoBackend::Probe)),
            _ => {
                Err(format!("{text:?} is no video encoder; allowed are auto, nvenc, vulkan, openh264, probe"))
            }
        }
    }
}

/// What an encoder is chosen by.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VideoOptions {
    /// Which encoders may be used.
    pub preference: VideoPreference,
    /// How NVIDIA's is run.
    pub nvenc: NvencOptions,
    /// The GPU that pictures are drawn on: its encoder is tried before those of others, to which pictures go through
    /// the CPU.
    pub near: Option<DeviceUuid>,
    /// How bright the title's pictures are, where they are in HDR10.
    pub hdr: Option<HdrMetadata>,
}

/// An encoder and whether it can be opened on this machine, for `nearframe doctor`.
#[derive(Clone, Debug)]
pub struct VideoBackendFacts {
    /// Which one.
    pub backend: VideoBackend,
    /// What it can do, or why it cannot be opened.
    pub state: Result<Capabilities, String>,
}

/// Opens one backend, or says why it cannot be used.
pub fn open_backend(
    backend: VideoBackend,
    settings: VideoSettings,
    options: &VideoOptions,
) -> Result<Box<dyn VideoEncoder>, EncodeError> {
    Ok(match backend {
        VideoBackend::Nvenc => Box::new(open_nvenc(settings, options)?),
        VideoBackend::VulkanVideo => Box::new(VulkanVideoEncoder::open(settings, options.near)?),
        VideoBackend::OpenH264 => Box::new(OpenH264Encoder::open(settings)?),
        VideoBackend::Probe => Box::new(ProbeEncoder::open(settings)?),
    })
}

/// On the GPU that draws, or else on the least busy one.
fn open_nvenc(settings: VideoSettings, options: &VideoOptions) -> Result<NvencEncoder, EncodeError> {
    if let (Some(near), None) = (options.near, options.nvenc.device) {
        let there = NvencOptions { device: Some(near), ..options.nvenc.clone() };
        if let Ok(encoder) = NvencEncoder::open(settings, &there) {
            return Ok(encoder);
        }
    }
    NvencEncoder::open(settings, &options.nvenc)
}

/// Opens the first encoder for one stream that can be used here.
pub fn open_video(
    settings: VideoSettings,
    preference: VideoPreference,
) -> Result<Box<dyn VideoEncoder>, EncodeError> {
    let options = VideoOptions { preference, ..Default::default() };
    let mut refusal = None;
    for backend in preference.order() {
        match open_backend(backend, settings, &options) {
            Ok(encoder) => return Ok(encoder),
            Err(error) => refusal = Some(error),
        }
    }
    Err(refusal.expect("every preference tries something"))
}

/// The encoders a session may be given, best first, each tried with a small picture.
pub fn video_backends() -> Vec<VideoBackendFacts> {
    video_backends_with(&VideoOptions::default())
}

/// As [`video_backends`], with what is configured.
pub fn video_backends_with(options: &VideoOptions) -> Vec<VideoBackendFacts> {
    /// Larger than the least that hardware takes (145×49 of H.264, 129×33 of HEVC, 192×128 of AV1).
    const TRIED: VideoSettings =
        VideoSettings { codec: Codec::H264, width: 320, height: 192, fps: 30, bitrate_bps: 500_000 };
    let tried = |backend| {
        let state = open_backend(backend, TRIED, options)
            .map(|encoder| encoder.capabilities().clone())
            .map_err(|error| error.to_string());
        VideoBackendFacts { backend, state }
    };
    options.preference.order().into_iter().map(tried).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_encoder_is_chosen_by_name() {
        assert_eq!("auto".parse(), Ok(VideoPreference::Best));
        assert_eq!("nvenc".parse(), Ok(VideoPreference::Only(VideoBackend::Nvenc)));
        assert_eq!("vulkan".parse(), Ok(VideoPreference::Only(VideoBackend::VulkanVideo)));
        assert_eq!("openh264".parse(), Ok(VideoPreference::Only(VideoBackend::OpenH264)));
        assert_eq!("probe".parse(), Ok(VideoPreference::Only(VideoBackend::Probe)));
        let refused = "x264".parse::<VideoPreference>().unwrap_err();
        assert!(refused.contains("auto, nvenc, vulkan, openh264, probe"), "{refused}");
    }
}
