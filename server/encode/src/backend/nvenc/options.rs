//! What can be chosen about the encoder.

use super::driver::NvidiaLibraries;
use nearframe_gpu::DeviceUuid;
use nvidia_video_codec_sdk::sys::nvEncodeAPI as nv;
use std::ops::RangeInclusive;

/// How thoroughly the hardware searches: P1 is the fastest, P7 the finest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NvencPreset {
    /// About 1 Gpixel/s on one engine.
    #[default]
    P1,
    /// Slower than [`Self::P1`], finer.
    P2,
    /// Slower than [`Self::P2`], finer.
    P3,
    /// Slower than [`Self::P3`], finer.
    P4,
    /// Slower than [`Self::P4`], finer.
    P5,
    /// Slower than [`Self::P5`], finer.
    P6,
    /// The finest.
    P7,
}

impl NvencPreset {
    /// From the fastest to the finest.
    pub const ALL: [Self; 7] = [Self::P1, Self::P2, Self::P3, Self::P4, Self::P5, Self::P6, Self::P7];

    pub(super) fn guid(self) -> nv::GUID {
        match self {
            Self::P1 => nv::NV_ENC_PRESET_P1_GUID,
            Self::P2 => nv::NV_ENC_PRESET_P2_GUID,
            Self::P3 => nv::NV_ENC_PRESET_P3_GUID,
            Self::P4 => nv::NV_ENC_PRESET_P4_GUID,
            Self::P5 => nv::NV_ENC_PRESET_P5_GUID,
            Self::P6 => nv::NV_ENC_PRESET_P6_GUID,
            Self::P7 => nv::NV_ENC_PRESET_P7_GUID,
        }
    }
}

impl std::str::FromStr for NvencPreset {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let number = text.strip_prefix(['p', 'P']).and_then(|number| number.parse::<usize>().ok());
        let preset = number.and_then(|number| Self::ALL.get(number.checked_sub(1)?));
        preset
            .copied()
            .ok_or_else(|| format!("{text:?} is no preset; allowed are p1 (fastest) to p7 (finest)"))
    }
}

/// Frames that [`NvencOptions::intra_refresh_frames`] may say: fewer are keyframes, more than four seconds' worth mend
/// nothing in time.
pub const INTRA_REFRESH_FRAMES: RangeInclusive<u32> = 2..=240;

/// What can be chosen about the encoder; the defaults are for games.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NvencOptions {
    /// Where the driver is.
    pub libraries: NvidiaLibraries,
    /// The GPU that surfaces are exported from. `None`: the one whose encoder is least busy.
    pub device: Option<DeviceUuid>,
    /// How thoroughly the hardware searches.
    pub preset: NvencPreset,
    /// More bits for flat parts, where the eye sees more (spatial adaptive quantisation).
    pub spatial_aq: bool,
    /// Renew the picture in stripes over so many frames, again and again, where the hardware can. What a decoder
    /// lacks is then mended without a keyframe, at the price of a constant share of the bits.
    pub intra_refresh_frames: Option<u32>,
    /// Slices of a picture that are handed out before it is whole (see
    /// [`VideoEncoder::stream_slices`](crate::VideoEncoder::stream_slices)), where the hardware can. 1: none.
    pub slices: u32,
}

impl Default for NvencOptions {
    fn default() -> Self {
        Self {
            libraries: NvidiaLibraries::default(),
            device: None,
            preset: NvencPreset::default(),
            spatial_aq: true,
            intra_refresh_frames: None,
            slices: 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn presets_are_chosen_by_name() {
        assert_eq!("p1".parse(), Ok(NvencPreset::P1));
        assert_eq!("P7".parse(), Ok(NvencPreset::P7));
        for wrong in ["p0", "p8", "7", "", "fast"] {
            assert!(wrong.parse::<NvencPreset>().unwrap_err().contains("p1 (fastest) to p7"), "{wrong}");
        }
    }
}
