//! What is asked of a driver, given what it says it can do. Pure.

use crate::video::{Codec, VideoSettings};
use ash::vk;

/// Slots of the decoded picture buffer that are used where the hardware and the level have them. With eight, a
/// loss that is reported within 100 ms at 60 frames a second is mended without a keyframe.
const WANTED_SLOTS: u32 = 8;
/// One frame to predict from, one to write.
const FEWEST_SLOTS: u32 = 2;
/// Lowest level that is declared: what is below saves nothing and holds fewer references.
const LEAST_LEVEL: u32 = 41;

/// What a driver says of one profile, as far as the choice needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Offered {
    pub(super) min_extent: (u32, u32),
    pub(super) max_extent: (u32, u32),
    /// Sizes of coded pictures are multiples of both.
    pub(super) access_granularity: (u32, u32),
    pub(super) input_granularity: (u32, u32),
    pub(super) max_dpb_slots: u32,
    pub(super) max_active_references: u32,
    /// P pictures, by the codec's own capabilities.
    pub(super) max_p_references: u32,
    pub(super) rate_control_modes: vk::VideoEncodeRateControlModeFlagsKHR,
    pub(super) max_bitrate_bps: u64,
    /// Ten times the highest level.
    pub(super) max_level: u32,
    pub(super) feedback: vk::VideoEncodeFeedbackFlagsKHR,
    /// HEVC: sizes of coding tree blocks, log2; empty for H.264.
    pub(super) ctb_log2: Vec<u8>,
    /// HEVC: sizes of transform blocks, log2; empty for H.264.
    pub(super) transform_log2: Vec<u8>,
    /// Buffers of coded pictures are as long as a multiple of this.
    pub(super) size_alignment: u64,
}

/// What a session is opened with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Chosen {
    /// Coded size: the picture's, rounded up to what the hardware writes.
    pub(super) coded: (u32, u32),
    pub(super) dpb_slots: u32,
    pub(super) rate_control: vk::VideoEncodeRateControlModeFlagsKHR,
    /// Ten times the level.
    pub(super) level: u32,
    /// HEVC: log2 of the coding tree block.
    pub(super) ctb_log2: u8,
    /// HEVC: log2 of the smallest and largest transform block.
    pub(super) transform_log2: (u8, u8),
}

/// The best that the driver offers for these settings, or what it lacks.
pub(super) fn choose(offered: &Offered, settings: &VideoSettings) -> Result<Chosen, String> {
    let coded = coded_extent(offered, settings);
    let (width, height) = (settings.width, settings.height);
    if coded.0 > offered.max_extent.0 || coded.1 > offered.max_extent.1 {
        let (most_w, most_h) = offered.max_extent;
        return Err(format!("{width}×{height} is more than its {most_w}×{most_h}"));
    }
    if width < offered.min_extent.0 || height < offered.min_extent.1 {
        let (least_w, least_h) = offered.min_extent;
        return Err(format!("{width}×{height} is less than its {least_w}×{least_h}"));
    }
    if offered.max_active_references == 0 || offered.max_p_references == 0 {
        return Err("it predicts from no frame: every frame would be a keyframe".to_owned());
    }
    let wanted_feedback = vk::VideoEncodeFeedbackFlagsKHR::BITSTREAM_BUFFER_OFFSET
        | vk::VideoEncodeFeedbackFlagsKHR::BITSTREAM_BYTES_WRITTEN;
    if !offered.feedback.contains(wanted_feedback) {
        return Err("it does not tell how many bytes it wrote".to_owned());
    }
    let rate_control = rate_control(offered.rate_control_modes)?;
    let level = level(settings, coded).min(offered.max_level);
    let held = max_dpb_frames(settings.codec, level, coded);
    let dpb_slots = WANTED_SLOTS.min(offered.max_dpb_slots).min(held + 1);
    if dpb_slots < FEWEST_SLOTS {
        return Err(format!("it has {} slots for reconstructed pictures", offered.max_dpb_slots));
    }
    let ctb_log2 = offered.ctb_log2.iter().copied().max().unwrap_or(4);
    let smallest = offered.transform_log2.iter().copied().min().unwrap_or(2);
    let largest = offered.transform_log2.iter().copied().max().unwrap_or(5).min(ctb_log2);
    Ok(Chosen { coded, dpb_slots, rate_control, level, ctb_log2, transform_log2: (smallest, largest) })
}

/// Constant where there is a choice: a one-second average of bits is what a link carries.
fn rate_control(
    modes: vk::VideoEncodeRateControlModeFlagsKHR,
) -> Result<vk::VideoEncodeRateControlModeFlagsKHR, String> {
    use vk::VideoEncodeRateControlModeFlagsKHR as Mode;
    [Mode::CBR, Mode::VBR]
        .into_iter()
        .find(|mode| modes.contains(*mode))
        .ok_or_else(|| "it controls no bitrate: neither CBR nor VBR is offered".to_owned())
}

/// H.264 codes whole macroblocks, HEVC whole smallest coding blocks of 8; hardware may want more.
fn coded_extent(offered: &Offered, settings: &VideoSettings) -> (u32, u32) {
    let unit = if settings.codec == Codec::H264 { 16 } else { 8 };
    let fit = |side: u32, access: u32, input: u32| {
        side.next_multiple_of(unit).next_multiple_of(access.max(1)).next_multiple_of(input.max(1))
    };
    let (access, input) = (offered.access_granularity, offered.input_granularity);
    (fit(settings.width, access.0, input.0), fit(settings.height, access.1, input.1))
}

/// The lowest level that carries size, rate and bitrate and holds as many frames as are wanted, as far as one does.
fn level(settings: &VideoSettings, coded: (u32, u32)) -> u32 {
    let needed = match settings.codec {
        Codec::H264 => settings.level_idc(),
        Codec::Hevc | Codec::Hevc10 | Codec::Av1 => hevc_level(settings),
    };
    let holds = |level: &u32| max_dpb_frames(settings.codec, *level, coded) + 1 >= WANTED_SLOTS.min(6);
    let mut candidates = [41, 42, 50, 51, 52].into_iter().filter(|level| *level >= needed.max(LEAST_LEVEL));
    candidates.clone().find(holds).or(candidates.next_back()).unwrap_or(needed)
}

/// Ten times the level of main tier that carries size and rate (HEVC tables A.8 and A.9).
fn hevc_level(settings: &VideoSettings) -> u32 {
    /// Ten times the level, luma samples of a picture and of a second, kbit/s.
    const LEVELS: [(u32, u64, u64, u32); 7] = [
        (31, 983_040, 33_177_600, 10_000),
        (40, 2_228_224, 66_846_720, 12_000),
        (41, 2_228_224, 133_693_440, 20_000),
        (50, 8_912_896, 267_386_880, 25_000),
        (51, 8_912_896, 534_773_760, 40_000),
        (52, 8_912_896, 1_069_547_520, 60_000),
        (60, 35_651_584, 1_069_547_520, 60_000),
    ];
    let samples = u64::from(settings.width) * u64::from(settings.height);
    let rate = samples * u64::from(settings.fps);
    let carries = |level: &&(u32, u64, u64, u32)| {
        samples <= level.1 && rate <= level.2 && settings.bitrate_bps / 1000 <= level.3
    };
    LEVELS.iter().find(carries).map_or(62, |level| level.0)
}

/// Frames that a decoder of the level holds besides the one being decoded (H.264 A.3.1 h; HEVC A.4.2).
fn max_dpb_frames(codec: Codec, level: u32, (width, height): (u32, u32)) -> u32 {
    if codec == Codec::H264 {
        let macroblocks = match level {
            ..=40 => 32_768,
            41 => 32_768,
            42 => 34_816,
            50 => 110_400,
            51 | 52 => 184_320,
            _ => 696_320,
        };
        return (macroblocks / (width.div_ceil(16) * height.div_ceil(16)).max(1)).min(16);
    }
    let most: u64 = match level {
        ..=31 => 983_040,
        32..=41 => 2_228_224,
        42..=52 => 8_912_896,
        _ => 35_651_584,
    };
    let samples = u64::from(width) * u64::from(height);
    // The table's maxDpbSize counts the current picture.
    let size = if samples <= most / 4 {
        16
    } else if samples <= most / 2 {
        12
    } else if samples <= most * 3 / 4 {
        8
    } else {
        6
    };
    size - 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use vk::VideoEncodeRateControlModeFlagsKHR as Mode;

    fn offered() -> Offered {
        Offered {
            min_extent: (128, 128),
            max_extent: (4096, 4096),
            access_granularity: (16, 16),
            input_granularity: (1, 1),
            max_dpb_slots: 17,
            max_active_references: 4,
            max_p_references: 3,
            rate_control_modes: Mode::CBR | Mode::VBR | Mode::DISABLED,
            max_bitrate_bps: 100_000_000,
            max_level: 52,
            feedback: vk::VideoEncodeFeedbackFlagsKHR::BITSTREAM_BUFFER_OFFSET
                | vk::VideoEncodeFeedbackFlagsKHR::BITSTREAM_BYTES_WRITTEN,
            ctb_log2: vec![4, 5, 6],
            transform_log2: vec![2, 3, 4, 5],
            size_alignment: 256,
        }
    }

    fn settings(codec: Codec, width: u32, height: u32) -> VideoSettings {
        VideoSettings { codec, width, height, fps: 60, bitrate_bps: 15_000_000 }
    }

    #[test]
    fn sizes_are_coded_in_whole_blocks_and_constant_bitrate_is_preferred() {
        let chosen = choose(&offered(), &settings(Codec::H264, 1920, 1080)).unwrap();
        assert_eq!((chosen.coded, chosen.rate_control), ((1920, 1088), Mode::CBR));
        let only_variable = Offered { rate_control_modes: Mode::VBR, ..offered() };
        assert_eq!(
            choose(&only_variable, &settings(Codec::H264, 1280, 720)).unwrap().rate_control,
            Mode::VBR
        );
        let hevc = choose(&offered(), &settings(Codec::Hevc, 1366, 768)).unwrap();
        assert_eq!((hevc.coded, hevc.ctb_log2, hevc.transform_log2), ((1376, 768), 6, (2, 5)));
        let coarse = Offered { access_granularity: (64, 64), ..offered() };
        assert_eq!(choose(&coarse, &settings(Codec::H264, 1920, 1080)).unwrap().coded, (1920, 1088));
    }

    #[test]
    fn the_level_holds_enough_references_and_hardware_bounds_them() {
        let small = choose(&offered(), &settings(Codec::H264, 1280, 720)).unwrap();
        assert_eq!((small.level, small.dpb_slots), (41, 8));
        let large = choose(&offered(), &settings(Codec::H264, 1920, 1080)).unwrap();
        assert_eq!((large.level, large.dpb_slots), (50, 8), "4.2 would hold four frames only");
        let few = Offered { max_dpb_slots: 3, ..offered() };
        assert_eq!(choose(&few, &settings(Codec::H264, 1280, 720)).unwrap().dpb_slots, 3);
        let hevc = choose(&offered(), &settings(Codec::Hevc, 3840, 2160)).unwrap();
        assert_eq!((hevc.level, hevc.dpb_slots), (51, 6));
    }

    #[test]
    fn what_is_missing_is_said() {
        let why = |offered: &Offered| choose(offered, &settings(Codec::H264, 1280, 720)).unwrap_err();
        assert!(why(&Offered { max_extent: (1024, 1024), ..offered() }).contains("1024×1024"));
        assert!(why(&Offered { min_extent: (2000, 16), ..offered() }).contains("less than"));
        assert!(why(&Offered { max_active_references: 0, ..offered() }).contains("keyframe"));
        assert!(why(&Offered { rate_control_modes: Mode::DISABLED, ..offered() }).contains("bitrate"));
        assert!(why(&Offered { max_dpb_slots: 1, ..offered() }).contains("1 slots"));
        let feedback = vk::VideoEncodeFeedbackFlagsKHR::BITSTREAM_BUFFER_OFFSET;
        assert!(why(&Offered { feedback, ..offered() }).contains("bytes"));
    }
}
