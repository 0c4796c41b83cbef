//! Encoders, and the decoder of players' voices.
//!
//! [`VideoEncoder`] and [`AudioEncoder`] are the seams; `backend/` holds one file per implementation,
//! all of the same shape, all under one contract suite. Deliberately not here: packets, pacing, or what
//! bitrate is right.
//!
//! **Architecture invariant:** a seam method without a meaning for a backend returns an error or says
//! so in [`Capabilities`]; it never does silently nothing.

mod audio;
mod backend;
pub mod h264;
mod hevc;
pub mod rate;
mod references;
mod video;

pub use audio::{AUDIO_CHANNELS, AUDIO_FRAME_SAMPLES, AUDIO_RATE_HZ, AudioDecoder, AudioEncoder};
pub use backend::{
    CudaReader, EncoderChain, EncoderChange, EncoderLoad, INTRA_REFRESH_FRAMES, NvencDevice, NvencEncoder,
    NvencOptions, NvencPreset, NvidiaLibraries, OpenH264Encoder, OpusDecoder, OpusEncoder, ProbeEncoder,
    VideoBackend, VideoBackendFacts, VideoOptions, VideoPreference, VulkanVideoEncoder, by_load,
    nvenc_devices, open_backend, open_video, probe_frame, video_backends, video_backends_with,
};
pub use hevc::HdrMetadata;
pub use video::{
    AccessUnit, Capabilities, Codec, EncodeError, FrameRequest, Invalidated, Slice, SliceSink, VideoEncoder,
    VideoSettings,
};
