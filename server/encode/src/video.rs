//! The seam to a video encoder.

use nearframe_gpu::{CpuSurface, DeviceUuid, Layout, Surface};
use std::time::Duration;

/// Video codecs that can be negotiated, each with the profile that is used of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Codec {
    /// H.264 constrained baseline ([`ProfileLevelId::AGREED`](crate::h264::ProfileLevelId::AGREED)); level as the size
    /// needs, packetization mode 1.
    H264,
    /// HEVC main, main tier, 8 bit.
    Hevc,
    /// HEVC main 10, main tier, in HDR10: BT.2020, SMPTE ST 2084, limited range.
    Hevc10,
    /// AV1 main, 8 bit.
    Av1,
}

impl Codec {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::H264, Self::Hevc, Self::Hevc10, Self::Av1];

    /// Bits of a sample.
    pub fn bits(self) -> u32 {
        if self == Self::Hevc10 { 10 } else { 8 }
    }

    /// How samples lie in what a hardware encoder takes for it.
    pub fn hardware_layout(self) -> Layout {
        if self == Self::Hevc10 { Layout::P010 } else { Layout::Nv12 }
    }
}

impl std::fmt::Display for Codec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::H264 => "H.264",
            Self::Hevc => "HEVC",
            Self::Hevc10 => "HEVC 10 bit",
            Self::Av1 => "AV1",
        })
    }
}

/// What an encoder is opened with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VideoSettings {
    /// What to emit.
    pub codec: Codec,
    /// Width in pixels, even.
    pub width: u32,
    /// Height in pixels, even.
    pub height: u32,
    /// Frames per second.
    pub fps: u32,
    /// Target bitrate.
    pub bitrate_bps: u32,
}

/// Frames a second that can be asked for; displays go no further.
const MAX_FPS: u32 = 240;
/// Below this even the smallest picture is a blur.
const MIN_BITRATE_BPS: u32 = 50_000;
/// Above this one second overflows what players' links carry many times over.
const MAX_BITRATE_BPS: u32 = 200_000_000;

impl VideoSettings {
    /// Refuses what no encoder takes, and pictures outside `16×16` to `longest×shortest` either way round.
    pub(crate) fn check(
        &self,
        encoder: &'static str,
        longest: u32,
        shortest: u32,
    ) -> Result<(), EncodeError> {
        let refuse = |what: String, allowed: String| Err(EncodeError::Unsupported { encoder, what, allowed });
        let Self { width, height, fps, bitrate_bps, .. } = *self;
        let even = width.is_multiple_of(2) && height.is_multiple_of(2);
        let small_enough = width.max(height) <= longest && width.min(height) <= shortest;
        if !even || !small_enough || width.min(height) < 16 {
            let allowed = format!("even sizes from 16×16 to {longest}×{shortest}");
            return refuse(format!("{width}×{height}"), allowed);
        }
        if !(1..=MAX_FPS).contains(&fps) {
            return refuse(format!("{fps} frames a second"), format!("1 to {MAX_FPS}"));
        }
        check_bitrate(encoder, bitrate_bps)
    }

    pub(crate) fn pixels(&self) -> u64 {
        u64::from(self.width) * u64::from(self.height)
    }

    /// Refuses what an encoder without hardware does not emit.
    pub(crate) fn check_codec(&self, encoder: &'static str, codec: Codec) -> Result<(), EncodeError> {
        if self.codec == codec {
            return Ok(());
        }
        let (what, allowed) = (self.codec.to_string(), codec.to_string());
        Err(EncodeError::Unsupported { encoder, what, allowed })
    }

    /// Refuses a surface of another size or layout.
    pub(crate) fn check_surface(&self, layout: Layout, surface: &Surface) -> Result<(), EncodeError> {
        let got = (surface.layout(), surface.width(), surface.height());
        if got == (layout, self.width, self.height) { Ok(()) } else { Err(self.wrong(layout, surface)) }
    }

    /// As [`Self::check_surface`], for encoders that read with the CPU.
    pub(crate) fn check_cpu<'a>(
        &self,
        layout: Layout,
        surface: &'a Surface,
    ) -> Result<&'a CpuSurface, EncodeError> {
        self.check_surface(layout, surface)?;
        surface.as_cpu().ok_or_else(|| self.wrong(layout, surface))
    }

    /// Refuses a surface of another size, whatever its layout.
    pub(crate) fn check_size(&self, surface: &Surface) -> Result<(), EncodeError> {
        let fits = (surface.width(), surface.height()) == (self.width, self.height);
        if fits { Ok(()) } else { Err(self.wrong(surface.layout(), surface)) }
    }

    /// Refuses a surface in memory of a GPU that the encoder does not read from.
    pub(crate) fn check_device(
        &self,
        device: Option<DeviceUuid>,
        surface: &Surface,
    ) -> Result<(), EncodeError> {
        match surface {
            Surface::Gpu(on_gpu) if Some(on_gpu.slot().device) != device => {
                Err(self.wrong(surface.layout(), surface))
            }
            _ => Ok(()),
        }
    }

    fn wrong(&self, layout: Layout, surface: &Surface) -> EncodeError {
        let memory = if surface.as_cpu().is_some() { "" } else { " in GPU memory" };
        let (got, width, height) = (surface.layout(), surface.width(), surface.height());
        EncodeError::WrongSurface {
            got: format!("{got:?} {width}×{height}{memory}"),
            want: format!("{layout:?} {}×{}", self.width, self.height),
        }
    }

    /// The level that size, frame rate and bitrate need (Table A-1), ten times its number. Nobody plays
    /// below level 3.0.
    pub(crate) fn level_idc(&self) -> u32 {
        let frame = self.width.div_ceil(16) * self.height.div_ceil(16);
        let second = frame * self.fps;
        let suffices = |level: &&(u32, u32, u32, u32)| {
            second <= level.1 && frame <= level.2 && self.bitrate_bps / 1_000 <= level.3
        };
        H264_LEVELS.iter().find(suffices).map_or(52, |level| level.0)
    }
}

/// Level, macroblocks a second, macroblocks a frame, kbit/s.
const H264_LEVELS: [(u32, u32, u32, u32); 9] = [
    (30, 40_500, 1_620, 10_000),
    (31, 108_000, 3_600, 14_000),
    (32, 216_000, 5_120, 20_000),
    (40, 245_760, 8_192, 20_000),
    (41, 245_760, 8_192, 50_000),
    (42, 522_240, 8_704, 50_000),
    (50, 589_824, 22_080, 135_000),
    (51, 983_040, 36_864, 240_000),
    (52, 2_073_600, 36_864, 240_000),
];

/// The highest bitrate of a stream that declares this level of H.264.
pub(crate) fn h264_most_bps(level_idc: u32) -> u32 {
    H264_LEVELS.iter().find(|level| level.0 >= level_idc).unwrap_or(&H264_LEVELS[8]).3 * 1_000
}

/// The refusal of [`VideoEncoder::stream_slices`] by encoders whose pictures are whole at once.
pub(crate) fn no_slices(encoder: &'static str) -> EncodeError {
    let what = "slices before the picture is whole".to_owned();
    EncodeError::Unsupported { encoder, what, allowed: "whole pictures".to_owned() }
}

/// Refuses bitrates that no encoder is run at.
pub(crate) fn check_bitrate(encoder: &'static str, bitrate_bps: u32) -> Result<(), EncodeError> {
    if (MIN_BITRATE_BPS..=MAX_BITRATE_BPS).contains(&bitrate_bps) {
        return Ok(());
    }
    Err(EncodeError::Unsupported {
        encoder,
        what: format!("{bitrate_bps} bit/s"),
        allowed: format!("{MIN_BITRATE_BPS} to {MAX_BITRATE_BPS}"),
    })
}

/// What an encoder is and can do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// Shown to players and operators, such as `OpenH264`.
    pub name: &'static str,
    /// What it emits.
    pub codec: Codec,
    /// What it could be opened for in place of that, where it runs; its own codec is among them.
    pub codecs: Vec<Codec>,
    /// How the samples lie in what it takes.
    pub layout: Layout,
    /// Takes surfaces that were exported from this device beside those in CPU memory. `None`: CPU memory only.
    pub device: Option<DeviceUuid>,
    /// Whether [`VideoEncoder::invalidate`] can avoid a keyframe, given acknowledgements.
    pub reference_invalidation: bool,
    /// Whether [`VideoEncoder::stream_slices`] works: parts of a picture can be had before it is whole.
    pub slices: bool,
}

/// One frame to encode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameRequest {
    /// 0, 1, 2, …; gaps are frames the title drew but nobody encoded.
    pub frame: u32,
    /// When the frame was drawn, counted from the session's start.
    pub at: Duration,
    /// Make it a keyframe.
    pub keyframe: bool,
    /// What the frame may take, given the capacity of this instant; a frame with a budget is never left
    /// out. `None`: the target bitrate decides, over windows of one second.
    pub budget_bytes: Option<u32>,
}

/// One encoded frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessUnit {
    /// As requested.
    pub frame: u32,
    /// H.264 and HEVC: Annex B, start codes, parameter sets before every keyframe, one or more slices. AV1: a
    /// temporal unit of OBUs with sizes, a sequence header in every keyframe.
    pub data: Vec<u8>,
    /// Needs no other frame.
    pub keyframe: bool,
    /// The newest of the frames that it was predicted from; `None` for keyframes.
    pub refers_to: Option<u32>,
    /// Larger than its budget although the encoder went as coarse as it can: pictures like this need
    /// fewer frames or fewer pixels.
    pub over_budget: bool,
    /// Time the encoder worked on it.
    pub encode_time: Duration,
}

/// Part of a picture that is still being encoded; keyframes come whole, with their parameter sets put right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slice<'a> {
    /// As requested.
    pub frame: u32,
    /// The frame that it is predicted from.
    pub refers_to: Option<u32>,
    /// Whole NAL units (H.264, HEVC) or OBUs (AV1) as the hardware wrote them; those of one frame one after the
    /// other are its picture.
    pub data: &'a [u8],
    /// Nothing follows for this frame.
    pub last: bool,
}

/// Takes slices as they come, on a thread of the encoder.
pub type SliceSink = Box<dyn FnMut(Slice<'_>) + Send>;

/// What came of an invalidation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Invalidated {
    /// The next frame is predicted from this acknowledged frame alone, or from nothing.
    Refers {
        /// As requested when it was encoded.
        frame: u32,
    },
    /// No such reference is left, or it is too old to be worth it: the next frame is a keyframe.
    KeyframeNeeded,
}

/// An encoder for one stream.
pub trait VideoEncoder: Send {
    /// What it is and can do.
    fn capabilities(&self) -> &Capabilities;

    /// Encodes one frame. `None`: rate control left the frame out, the receiver keeps the one before.
    fn encode(&mut self, surface: &Surface, request: FrameRequest)
    -> Result<Option<AccessUnit>, EncodeError>;

    /// Changes the target bitrate from the next frame on, without a keyframe.
    fn set_bitrate(&mut self, bitrate_bps: u32) -> Result<(), EncodeError>;

    /// Changes how many frames a second are coming. A keyframe follows only where the stream has to
    /// declare a higher level.
    fn set_frame_rate(&mut self, fps: u32) -> Result<(), EncodeError>;

    /// Changes the size of the surfaces from the next frame on, which is a keyframe with parameter sets
    /// of its own. After a refusal the size is as before.
    fn set_size(&mut self, width: u32, height: u32) -> Result<(), EncodeError>;

    /// The receiver (each of them, where there are several) has `frame` and all that it was predicted from,
    /// so that it surely shows it as it was encoded. Frames that were never sent, are long gone or were
    /// invalidated change nothing.
    fn acknowledge(&mut self, frame: u32) -> Result<(), EncodeError>;

    /// The receiver has `newest_good`, as in [`Self::acknowledge`], but something after it is lost: nothing
    /// that follows may be predicted from what came after. The answer holds for the next frame that is
    /// encoded; what comes after builds on that one. Where nothing at all is good, ask for a keyframe.
    fn invalidate(&mut self, newest_good: u32) -> Result<Invalidated, EncodeError>;

    /// From the next frame on hands parts of each picture but keyframes to `sink` as soon as they are encoded, before
    /// [`Self::encode`] returns the whole; with `None` no more. Refused where [`Capabilities::slices`] says so.
    fn stream_slices(&mut self, sink: Option<SliceSink>) -> Result<(), EncodeError>;
}

/// What can go wrong in an encoder.
#[derive(Debug, thiserror::Error)]
pub enum EncodeError {
    /// Settings outside what the encoder takes.
    #[error("{encoder} cannot encode {what}: allowed is {allowed}")]
    Unsupported {
        /// Which encoder.
        encoder: &'static str,
        /// What was asked for.
        what: String,
        /// What would work.
        allowed: String,
    },
    /// The encoder cannot be used on this machine, at least not now.
    #[error("{encoder} cannot be used here: {why}")]
    Unavailable {
        /// Which encoder.
        encoder: &'static str,
        /// Why, and what to do about it.
        why: String,
    },
    /// A surface that does not fit the settings.
    #[error("the surface is {got}, the encoder was opened for {want}")]
    WrongSurface {
        /// Size and layout of the surface.
        got: String,
        /// Size and layout wanted.
        want: String,
    },
    /// The codec library reported a failure.
    #[error("{encoder} failed while {doing}: {detail}; the session opens another encoder or ends")]
    Backend {
        /// Which encoder.
        encoder: &'static str,
        /// What it was doing.
        doing: &'static str,
        /// Its own words or code.
        detail: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn level(width: u32, height: u32, fps: u32, bitrate_bps: u32) -> u32 {
        VideoSettings { codec: Codec::H264, width, height, fps, bitrate_bps }.level_idc()
    }

    #[test]
    fn the_level_follows_size_rate_and_bitrate() {
        assert_eq!(level(640, 360, 30, 1_000_000), 30);
        assert_eq!(level(1280, 720, 30, 6_000_000), 31);
        assert_eq!(level(1280, 720, 60, 6_000_000), 32);
        assert_eq!(level(1280, 720, 60, 30_000_000), 41);
        assert_eq!(level(1920, 1080, 60, 15_000_000), 42);
        assert_eq!(level(3840, 2160, 60, 60_000_000), 52);
    }

    #[test]
    fn a_refusal_says_what_would_work() {
        let settings =
            VideoSettings { codec: Codec::H264, width: 1281, height: 720, fps: 60, bitrate_bps: 6_000_000 };
        let text = settings.check("Probe", 3840, 2160).unwrap_err().to_string();
        assert_eq!(text, "Probe cannot encode 1281×720: allowed is even sizes from 16×16 to 3840×2160");
    }
}
