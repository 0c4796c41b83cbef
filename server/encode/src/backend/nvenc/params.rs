//! Settings as the driver takes them: ultra-low latency, constant bitrate with a buffer of one frame, one endless
//! group of pictures, nothing reordered, nothing looked ahead.
//!
//! The driver fills the structures too, and newer drivers may fill in values that the types here do not know. So
//! every enum is written before a reference to what holds it is formed, and the rest goes through pointers.
#![expect(
    unsafe_code,
    reason = "the structures of the interface are unions and fields that the driver fills"
)]

use super::capability::Capability;
use super::options::{INTRA_REFRESH_FRAMES, NvencOptions};
use crate::video::{Codec, VideoSettings, h264_most_bps};
use nvidia_video_codec_sdk::sys::nvEncodeAPI as nv;
use std::mem::MaybeUninit;

/// Frames a decoder of HEVC or AV1 keeps at any size, beside the one it decodes.
const OTHER_REFERENCES: u32 = 5;
/// As many as H.264 allows.
const MOST_REFERENCES: u32 = 16;
/// `NV_ENC_TIER_HEVC_MAIN`, `NV_ENC_TIER_AV1_0`.
const MAIN_TIER: u32 = 0;
/// Written for AV1: the driver chooses the level.
const AV1_LEVEL_AUTOSELECT: u32 = nv::NV_ENC_LEVEL::NV_ENC_LEVEL_AV1_AUTOSELECT as u32;

/// What the stream declares; a change of it begins with a keyframe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    pub(super) width: u32,
    pub(super) height: u32,
    /// In the codec's own numbers.
    level: u32,
    /// Frames that the decoder keeps, and that invalidation can go back to.
    pub(super) references: u32,
    /// What the level allows; drivers refuse more.
    most_bps: u32,
}

impl Shape {
    pub(super) fn of(settings: &VideoSettings) -> Self {
        let (level, most_bps) = match settings.codec {
            Codec::H264 => (settings.level_idc(), h264_most_bps(settings.level_idc())),
            Codec::Hevc | Codec::Hevc10 => hevc_level(settings),
            Codec::Av1 => (AV1_LEVEL_AUTOSELECT, u32::MAX),
        };
        let references = match settings.codec {
            Codec::H264 => h264_references(settings, level),
            _ => OTHER_REFERENCES,
        };
        Self { width: settings.width, height: settings.height, level, references, most_bps }
    }

    /// Whether a stream that declares `self` may go on as `other`: same size, no higher level.
    pub(super) fn covers(&self, other: &Self) -> bool {
        (self.width, self.height) == (other.width, other.height) && other.level <= self.level
    }
}

/// Frames that fit the decoder's memory (H.264 Table A-1, `MaxDpbMbs`).
fn h264_references(settings: &VideoSettings, level_idc: u32) -> u32 {
    let most = match level_idc {
        ..=30 => 8_100,
        31 => 18_000,
        32 => 20_480,
        40 | 41 => 32_768,
        42 => 34_816,
        50 => 110_400,
        _ => 184_320,
    };
    (most / (settings.width.div_ceil(16) * settings.height.div_ceil(16))).clamp(1, MOST_REFERENCES)
}

/// Level, 30 times its number, and its bitrate (HEVC Tables A.8 and A.9). The main tier is what is negotiated: bits that
/// only the high tier allows take a higher level instead.
fn hevc_level(settings: &VideoSettings) -> (u32, u32) {
    /// Level, luma samples a second, luma samples a picture, kbit/s.
    const LEVELS: [(u32, u64, u64, u32); 10] = [
        (90, 16_588_800, 552_960, 6_000),
        (93, 33_177_600, 983_040, 10_000),
        (120, 66_846_720, 2_228_224, 12_000),
        (123, 133_693_440, 2_228_224, 20_000),
        (150, 267_386_880, 8_912_896, 25_000),
        (153, 534_773_760, 8_912_896, 40_000),
        (156, 1_069_547_520, 8_912_896, 60_000),
        (180, 1_069_547_520, 35_651_584, 60_000),
        (183, 2_139_095_040, 35_651_584, 120_000),
        (186, 4_278_190_080, 35_651_584, 240_000),
    ];
    let (picture, kbps) = (settings.pixels(), settings.bitrate_bps / 1_000);
    let suffices = |&&(_, per_second, largest, most_kbps): &&(u32, u64, u64, u32)| {
        picture <= largest && picture * u64::from(settings.fps) <= per_second && kbps <= most_kbps
    };
    let (level, _, _, most_kbps) = *LEVELS.iter().find(suffices).unwrap_or(&LEVELS[9]);
    (level, most_kbps * 1_000)
}

/// What frames may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rate {
    pub(super) bitrate_bps: u32,
    /// The one frame that the buffer holds.
    pub(super) frame_bits: u32,
}

impl Rate {
    /// Frames of even size at a bitrate.
    pub(super) fn even(bitrate_bps: u32, fps: u32) -> Self {
        Self { bitrate_bps, frame_bits: bitrate_bps / fps.max(1) }
    }

    /// No more than the level allows.
    pub(super) fn within(self, shape: &Shape, fps: u32) -> Self {
        let frame_bits = self.frame_bits.min(shape.most_bps / fps.max(1));
        Self { bitrate_bps: self.bitrate_bps.min(shape.most_bps), frame_bits }
    }

    /// Frames of this size.
    pub(super) fn of_frame(bytes: u32, fps: u32) -> Self {
        /// Less holds no picture, and drivers refuse bitrates near nothing.
        const LEAST_BITS: u32 = 2_048;
        let frame_bits = bytes.saturating_mul(8).max(LEAST_BITS);
        Self { bitrate_bps: frame_bits.saturating_mul(fps), frame_bits }
    }
}

/// A configuration that the driver proposed for a preset and that was made ours.
pub(super) struct Config {
    preset: Box<MaybeUninit<nv::NV_ENC_PRESET_CONFIG>>,
    codec: Codec,
}

// SAFETY: the structure is data; what pointers in it the driver may fill are given back to it alone.
unsafe impl Send for Config {}

impl Config {
    /// Zeros and versions, for `nvEncGetEncodePresetConfigEx` to fill.
    pub(super) fn empty(codec: Codec) -> Self {
        let mut preset = Box::new(MaybeUninit::<nv::NV_ENC_PRESET_CONFIG>::zeroed());
        let pointer = preset.as_mut_ptr();
        // SAFETY: in bounds of the structure just made; integers are written, no reference is formed.
        unsafe {
            (&raw mut (*pointer).version).write(nv::NV_ENC_PRESET_CONFIG_VER);
            (&raw mut (*pointer).presetCfg.version).write(nv::NV_ENC_CONFIG_VER);
        }
        Self { preset, codec }
    }

    pub(super) fn preset(&mut self) -> *mut nv::NV_ENC_PRESET_CONFIG {
        self.preset.as_mut_ptr()
    }

    pub(super) fn pointer(&mut self) -> *mut nv::NV_ENC_CONFIG {
        // SAFETY: the address of a field of a live structure.
        unsafe { &raw mut (*self.preset.as_mut_ptr()).presetCfg }
    }

    /// Overrides what matters for games, in what the driver filled.
    pub(super) fn configure(&mut self, shape: &Shape, rate: Rate, can: &Capability, options: &NvencOptions) {
        let (config, codec) = (self.pointer(), self.codec);
        // SAFETY: all bytes of the structure are initialised; integers and known enums are written to fields.
        unsafe {
            (&raw mut (*config).version).write(nv::NV_ENC_CONFIG_VER);
            (&raw mut (*config).profileGUID).write(profile(codec));
            (&raw mut (*config).gopLength).write(nv::NVENC_INFINITE_GOPLENGTH);
            (&raw mut (*config).frameIntervalP).write(1);
            (&raw mut (*config).monoChromeEncoding).write(0);
            let frames = nv::NV_ENC_PARAMS_FRAME_FIELD_MODE::NV_ENC_PARAMS_FRAME_FIELD_MODE_FRAME;
            (&raw mut (*config).frameFieldMode).write(frames);
            set_rate(&raw mut (*config).rcParams, rate, can, options);
            let codec_config = &raw mut (*config).encodeCodecConfig;
            match codec {
                Codec::H264 => h264(codec_config.cast(), shape, can, options),
                Codec::Hevc | Codec::Hevc10 => hevc(codec_config.cast(), shape, codec, can, options),
                Codec::Av1 => av1(codec_config.cast(), shape, can, options),
            }
        }
    }

    /// Changes only what frames may take.
    pub(super) fn set_rate(&mut self, rate: Rate, can: &Capability, options: &NvencOptions) {
        // SAFETY: as in `configure`.
        unsafe { set_rate(&raw mut (*self.pointer()).rcParams, rate, can, options) }
    }

    /// The structure that starts or changes the encoder. It points into `self`, and is used before `self` moves.
    pub(super) fn initialize(
        &mut self,
        shape: &Shape,
        fps: u32,
        most: (u32, u32),
        can: &Capability,
        options: &NvencOptions,
    ) -> nv::NV_ENC_INITIALIZE_PARAMS {
        let mut params = nv::NV_ENC_INITIALIZE_PARAMS {
            version: nv::NV_ENC_INITIALIZE_PARAMS_VER,
            encodeGUID: codec_guid(self.codec),
            presetGUID: options.preset.guid(),
            encodeWidth: shape.width,
            encodeHeight: shape.height,
            darWidth: shape.width,
            darHeight: shape.height,
            frameRateNum: fps,
            frameRateDen: 1,
            enableEncodeAsync: 0,
            enablePTD: 1,
            encodeConfig: self.pointer(),
            maxEncodeWidth: most.0,
            maxEncodeHeight: most.1,
            tuningInfo: nv::NV_ENC_TUNING_INFO::NV_ENC_TUNING_INFO_ULTRA_LOW_LATENCY,
            ..Default::default()
        };
        if slices(can, options) > 1 {
            params.set_enableSubFrameWrite(1);
            params.set_reportSliceOffsets(1);
            // Neither goes together with a picture that several engines share.
            params.set_splitEncodeMode(nv::NV_ENC_SPLIT_ENCODE_MODE::NV_ENC_SPLIT_DISABLE_MODE as u32);
        }
        params
    }
}

/// Slices of a picture: more than one only where they can be had before the picture is whole.
pub(super) fn slices(can: &Capability, options: &NvencOptions) -> u32 {
    if can.sub_frame { options.slices.clamp(1, 32) } else { 1 }
}

/// Stripes of an intra refresh, where the hardware can.
fn refresh(can: &Capability, options: &NvencOptions) -> Option<u32> {
    options
        .intra_refresh_frames
        .filter(|_| can.intra_refresh)
        .map(|frames| frames.clamp(*INTRA_REFRESH_FRAMES.start(), *INTRA_REFRESH_FRAMES.end()))
}

pub(super) fn codec_guid(codec: Codec) -> nv::GUID {
    match codec {
        Codec::H264 => nv::NV_ENC_CODEC_H264_GUID,
        Codec::Hevc | Codec::Hevc10 => nv::NV_ENC_CODEC_HEVC_GUID,
        Codec::Av1 => nv::NV_ENC_CODEC_AV1_GUID,
    }
}

/// H.264 is constrained baseline, as is agreed with players.
pub(super) fn profile(codec: Codec) -> nv::GUID {
    match codec {
        Codec::H264 => nv::NV_ENC_H264_PROFILE_BASELINE_GUID,
        Codec::Hevc => nv::NV_ENC_HEVC_PROFILE_MAIN_GUID,
        Codec::Hevc10 => nv::NV_ENC_HEVC_PROFILE_MAIN10_GUID,
        Codec::Av1 => nv::NV_ENC_AV1_PROFILE_MAIN_GUID,
    }
}

pub(super) fn buffer_format(codec: Codec) -> nv::NV_ENC_BUFFER_FORMAT {
    match codec.bits() {
        10 => nv::NV_ENC_BUFFER_FORMAT::NV_ENC_BUFFER_FORMAT_YUV420_10BIT,
        _ => nv::NV_ENC_BUFFER_FORMAT::NV_ENC_BUFFER_FORMAT_NV12,
    }
}

/// # Safety
/// Points to a structure whose bytes are all initialised.
unsafe fn set_rate(target: *mut nv::NV_ENC_RC_PARAMS, rate: Rate, can: &Capability, options: &NvencOptions) {
    // SAFETY: the caller's; all enums of the structure are written before the reference is formed.
    unsafe {
        (&raw mut (*target).version).write(nv::NV_ENC_RC_PARAMS_VER);
        (&raw mut (*target).rateControlMode).write(nv::NV_ENC_PARAMS_RC_MODE::NV_ENC_PARAMS_RC_CBR);
        (&raw mut (*target).qpMapMode).write(nv::NV_ENC_QP_MAP_MODE::NV_ENC_QP_MAP_DISABLED);
        (&raw mut (*target).multiPass).write(nv::NV_ENC_MULTI_PASS::NV_ENC_TWO_PASS_QUARTER_RESOLUTION);
        let rc = &mut *target;
        rc.averageBitRate = rate.bitrate_bps;
        rc.maxBitRate = rate.bitrate_bps;
        (rc.vbvBufferSize, rc.vbvInitialDelay) =
            if can.custom_vbv { (rate.frame_bits, rate.frame_bits) } else { (0, 0) };
        rc.set_enableAQ(u32::from(options.spatial_aq));
        rc.set_aqStrength(0);
        rc.set_enableTemporalAQ(0);
        rc.set_enableLookahead(0);
        rc.lookaheadDepth = 0;
        rc.set_zeroReorderDelay(1);
        rc.set_enableNonRefP(0);
        rc.lowDelayKeyFrameScale = 1;
    }
}

/// Limited range, and what [`colour_enums`] says; without these browsers guess.
fn colours(vui: &mut nv::NV_ENC_CONFIG_H264_VUI_PARAMETERS) {
    vui.videoSignalTypePresentFlag = 1;
    vui.videoFullRangeFlag = 0;
    vui.colourDescriptionPresentFlag = 1;
    vui.bitstreamRestrictionFlag = 1;
}

/// BT.2020 with PQ in ten bits, else BT.709.
///
/// # Safety
/// Points to a structure whose bytes are all initialised.
unsafe fn colour_enums(vui: *mut nv::NV_ENC_CONFIG_H264_VUI_PARAMETERS, codec: Codec) {
    use nv::NV_ENC_VUI_COLOR_PRIMARIES as Primaries;
    use nv::NV_ENC_VUI_MATRIX_COEFFS as Matrix;
    use nv::NV_ENC_VUI_TRANSFER_CHARACTERISTIC as Transfer;
    let (primaries, transfer, matrix) = match codec {
        Codec::Hevc10 => (
            Primaries::NV_ENC_VUI_COLOR_PRIMARIES_BT2020,
            Transfer::NV_ENC_VUI_TRANSFER_CHARACTERISTIC_SMPTE2084,
            Matrix::NV_ENC_VUI_MATRIX_COEFFS_BT2020_NCL,
        ),
        Codec::H264 | Codec::Hevc | Codec::Av1 => (
            Primaries::NV_ENC_VUI_COLOR_PRIMARIES_BT709,
            Transfer::NV_ENC_VUI_TRANSFER_CHARACTERISTIC_BT709,
            Matrix::NV_ENC_VUI_MATRIX_COEFFS_BT709,
        ),
    };
    // SAFETY: the caller's; known enums are written to fields.
    unsafe {
        (&raw mut (*vui).videoFormat).write(nv::NV_ENC_VUI_VIDEO_FORMAT::NV_ENC_VUI_VIDEO_FORMAT_UNSPECIFIED);
        (&raw mut (*vui).colourPrimaries).write(primaries);
        (&raw mut (*vui).transferCharacteristics).write(transfer);
        (&raw mut (*vui).colourMatrix).write(matrix);
    }
}

const NO_B: nv::NV_ENC_BFRAME_REF_MODE = nv::NV_ENC_BFRAME_REF_MODE::NV_ENC_BFRAME_REF_MODE_DISABLED;
const ONE: nv::NV_ENC_NUM_REF_FRAMES = nv::NV_ENC_NUM_REF_FRAMES::NV_ENC_NUM_REF_FRAMES_1;
const AUTO: nv::NV_ENC_NUM_REF_FRAMES = nv::NV_ENC_NUM_REF_FRAMES::NV_ENC_NUM_REF_FRAMES_AUTOSELECT;

/// # Safety
/// Points to a structure whose bytes are all initialised.
unsafe fn h264(target: *mut nv::NV_ENC_CONFIG_H264, shape: &Shape, can: &Capability, options: &NvencOptions) {
    // SAFETY: the caller's; all enums of the structure are written before the reference is formed.
    unsafe {
        (&raw mut (*target).adaptiveTransformMode)
            .write(nv::NV_ENC_H264_ADAPTIVE_TRANSFORM_MODE::NV_ENC_H264_ADAPTIVE_TRANSFORM_DISABLE);
        (&raw mut (*target).fmoMode).write(nv::NV_ENC_H264_FMO_MODE::NV_ENC_H264_FMO_DISABLE);
        (&raw mut (*target).bdirectMode)
            .write(nv::NV_ENC_H264_BDIRECT_MODE::NV_ENC_H264_BDIRECT_MODE_DISABLE);
        (&raw mut (*target).entropyCodingMode)
            .write(nv::NV_ENC_H264_ENTROPY_CODING_MODE::NV_ENC_H264_ENTROPY_CODING_MODE_CAVLC);
        (&raw mut (*target).stereoMode)
            .write(nv::NV_ENC_STEREO_PACKING_MODE::NV_ENC_STEREO_PACKING_MODE_NONE);
        (&raw mut (*target).useBFramesAsRef).write(NO_B);
        (&raw mut (*target).numRefL0).write(ONE);
        (&raw mut (*target).numRefL1).write(AUTO);
        colour_enums(&raw mut (*target).h264VUIParameters, Codec::H264);
        let h264 = &mut *target;
        h264.level = shape.level;
        h264.idrPeriod = nv::NVENC_INFINITE_GOPLENGTH;
        h264.chromaFormatIDC = 1;
        h264.maxNumRefFrames = shape.references;
        h264.set_repeatSPSPPS(1);
        h264.set_disableSPSPPS(0);
        h264.set_outputAUD(0);
        h264.set_outputBufferingPeriodSEI(0);
        h264.set_outputPictureTimingSEI(0);
        h264.set_enableFillerDataInsertion(0);
        h264.set_enableLTR(0);
        (h264.sliceMode, h264.sliceModeData) = slice_mode(can, options);
        let refresh = refresh(can, options);
        h264.set_enableIntraRefresh(u32::from(refresh.is_some()));
        (h264.intraRefreshPeriod, h264.intraRefreshCnt) = refresh_period(refresh);
        colours(&mut h264.h264VUIParameters);
    }
}

/// # Safety
/// Points to a structure whose bytes are all initialised.
unsafe fn hevc(
    target: *mut nv::NV_ENC_CONFIG_HEVC,
    shape: &Shape,
    codec: Codec,
    can: &Capability,
    options: &NvencOptions,
) {
    // SAFETY: the caller's; all enums of the structure are written before the reference is formed.
    unsafe {
        let any_size = nv::NV_ENC_HEVC_CUSIZE::NV_ENC_HEVC_CUSIZE_AUTOSELECT;
        (&raw mut (*target).minCUSize).write(any_size);
        (&raw mut (*target).maxCUSize).write(any_size);
        (&raw mut (*target).useBFramesAsRef).write(NO_B);
        (&raw mut (*target).numRefL0).write(ONE);
        (&raw mut (*target).numRefL1).write(AUTO);
        colour_enums(&raw mut (*target).hevcVUIParameters, codec);
        let hevc = &mut *target;
        (hevc.level, hevc.tier) = (shape.level, MAIN_TIER);
        hevc.idrPeriod = nv::NVENC_INFINITE_GOPLENGTH;
        hevc.maxNumRefFramesInDPB = shape.references;
        hevc.set_chromaFormatIDC(1);
        hevc.set_pixelBitDepthMinus8(codec.bits() - 8);
        hevc.set_repeatSPSPPS(1);
        hevc.set_disableSPSPPS(0);
        hevc.set_outputAUD(0);
        hevc.set_outputBufferingPeriodSEI(0);
        hevc.set_outputPictureTimingSEI(0);
        hevc.set_enableFillerDataInsertion(0);
        hevc.set_enableLTR(0);
        (hevc.sliceMode, hevc.sliceModeData) = slice_mode(can, options);
        let refresh = refresh(can, options);
        hevc.set_enableIntraRefresh(u32::from(refresh.is_some()));
        (hevc.intraRefreshPeriod, hevc.intraRefreshCnt) = refresh_period(refresh);
        colours(&mut hevc.hevcVUIParameters);
    }
}

/// # Safety
/// Points to a structure whose bytes are all initialised.
unsafe fn av1(target: *mut nv::NV_ENC_CONFIG_AV1, shape: &Shape, can: &Capability, options: &NvencOptions) {
    // SAFETY: the caller's; all enums of the structure are written before the reference is formed.
    unsafe {
        let any_size = nv::NV_ENC_AV1_PART_SIZE::NV_ENC_AV1_PART_SIZE_AUTOSELECT;
        (&raw mut (*target).minPartSize).write(any_size);
        (&raw mut (*target).maxPartSize).write(any_size);
        (&raw mut (*target).colorPrimaries)
            .write(nv::NV_ENC_VUI_COLOR_PRIMARIES::NV_ENC_VUI_COLOR_PRIMARIES_BT709);
        (&raw mut (*target).transferCharacteristics)
            .write(nv::NV_ENC_VUI_TRANSFER_CHARACTERISTIC::NV_ENC_VUI_TRANSFER_CHARACTERISTIC_BT709);
        (&raw mut (*target).matrixCoefficients)
            .write(nv::NV_ENC_VUI_MATRIX_COEFFS::NV_ENC_VUI_MATRIX_COEFFS_BT709);
        (&raw mut (*target).useBFramesAsRef).write(NO_B);
        (&raw mut (*target).numFwdRefs).write(ONE);
        (&raw mut (*target).numBwdRefs).write(AUTO);
        let av1 = &mut *target;
        (av1.level, av1.tier) = (shape.level, MAIN_TIER);
        av1.idrPeriod = nv::NVENC_INFINITE_GOPLENGTH;
        av1.maxNumRefFramesInDPB = shape.references;
        av1.colorRange = 0;
        av1.set_outputAnnexBFormat(0);
        av1.set_repeatSeqHdr(1);
        av1.set_disableSeqHdr(0);
        av1.set_chromaFormatIDC(1);
        av1.set_inputPixelBitDepthMinus8(0);
        av1.set_pixelBitDepthMinus8(0);
        av1.set_enableBitstreamPadding(0);
        // Tiles are AV1's slices; rows of them, as slices are.
        (av1.numTileColumns, av1.numTileRows) = (1, slices(can, options));
        let refresh = refresh(can, options);
        av1.set_enableIntraRefresh(u32::from(refresh.is_some()));
        (av1.intraRefreshPeriod, av1.intraRefreshCnt) = refresh_period(refresh);
    }
}

/// Mode 3 is a number of slices; one whole picture is mode 0 with nothing.
fn slice_mode(can: &Capability, options: &NvencOptions) -> (u32, u32) {
    match slices(can, options) {
        1 => (0, 0),
        count => (3, count),
    }
}

/// The interval between two waves must be longer than a wave.
fn refresh_period(frames: Option<u32>) -> (u32, u32) {
    frames.map_or((0, 0), |frames| (frames + 1, frames))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(codec: Codec, width: u32, height: u32, fps: u32, bitrate_bps: u32) -> VideoSettings {
        VideoSettings { codec, width, height, fps, bitrate_bps }
    }

    #[test]
    fn a_decoder_keeps_what_its_level_has_room_for() {
        let references =
            |width, height, fps| Shape::of(&settings(Codec::H264, width, height, fps, 8_000_000)).references;
        assert_eq!(references(640, 360, 60), 16);
        assert_eq!(references(1280, 720, 60), 5);
        assert_eq!(references(1920, 1080, 60), 4);
        assert_eq!(references(3840, 2160, 60), 5);
    }

    #[test]
    fn hevc_levels_follow_size_rate_and_bitrate() {
        let level = |width, height, fps, bps| hevc_level(&settings(Codec::Hevc, width, height, fps, bps));
        assert_eq!(level(1280, 720, 30, 6_000_000), (93, 10_000_000));
        assert_eq!(level(1920, 1080, 60, 15_000_000), (123, 20_000_000));
        assert_eq!(level(1920, 1080, 60, 30_000_000), (153, 40_000_000), "no high tier");
        assert_eq!(level(3840, 2160, 60, 40_000_000), (153, 40_000_000));
    }

    #[test]
    fn a_lower_rate_goes_on_and_a_higher_level_begins_anew() {
        let at = |fps| Shape::of(&settings(Codec::H264, 1280, 720, fps, 4_000_000));
        assert!(at(60).covers(&at(30)) && !at(30).covers(&at(60)));
        let smaller = Shape::of(&settings(Codec::H264, 640, 360, 30, 4_000_000));
        assert!(!at(60).covers(&smaller));
    }

    #[test]
    fn a_frame_with_a_budget_has_a_buffer_of_its_size() {
        assert_eq!(Rate::of_frame(10_000, 60), Rate { bitrate_bps: 4_800_000, frame_bits: 80_000 });
        assert_eq!(Rate::even(6_000_000, 60), Rate { bitrate_bps: 6_000_000, frame_bits: 100_000 });
        let shape = Shape::of(&settings(Codec::H264, 1280, 720, 60, 4_000_000));
        let most = Rate::even(100_000_000, 60).within(&shape, 60);
        assert_eq!(most, Rate::even(20_000_000, 60), "level 3.2 allows no more");
        assert!(Rate::of_frame(u32::MAX, 240).bitrate_bps > 0 && Rate::of_frame(0, 60).frame_bits > 0);
    }
}
