//! H.264 in Vulkan's words: parameter sets, and what is said of each picture.
#![expect(unsafe_code, reason = "Vulkan's codec structures have no default; they are zeroed")]

use super::choice::Chosen;
use super::dpb::{Held, Step};
use crate::h264::{check_agreed, say_constrained, with_frame_num_gaps};
use crate::video::VideoSettings;
use ash::vk::native as std_video;

/// `log2_max_frame_num_minus4` and the same for picture order counts: 16 bits each.
const LOG2_MAX_MINUS4: u8 = 12;
const FRAME_NUMS: u32 = 1 << (LOG2_MAX_MINUS4 + 4);
/// Baseline, as is agreed with players; the sets' constraints make it constrained baseline.
pub(super) const PROFILE_IDC: std_video::StdVideoH264ProfileIdc =
    std_video::StdVideoH264ProfileIdc_STD_VIDEO_H264_PROFILE_IDC_BASELINE;

/// Plain C structures of integers, flags and pointers.
trait Zeroed: Copy {
    fn zeroed() -> Self {
        // SAFETY: implemented for generated C structures only, for which all zeros is a value: numbers, flags
        // and null pointers.
        unsafe { std::mem::zeroed() }
    }
}

impl Zeroed for std_video::StdVideoH264SequenceParameterSet {}
impl Zeroed for std_video::StdVideoH264SequenceParameterSetVui {}
impl Zeroed for std_video::StdVideoH264PictureParameterSet {}
impl Zeroed for std_video::StdVideoEncodeH264PictureInfo {}
impl Zeroed for std_video::StdVideoEncodeH264SliceHeader {}
impl Zeroed for std_video::StdVideoEncodeH264ReferenceInfo {}
impl Zeroed for std_video::StdVideoEncodeH264ReferenceListsInfo {}
impl Zeroed for std_video::StdVideoEncodeH264RefListModEntry {}

/// What the stream declares. The sequence set's pointer to its VUI is set by whoever pins both.
#[derive(Clone, Copy)]
pub(super) struct Sets {
    pub(super) sps: std_video::StdVideoH264SequenceParameterSet,
    pub(super) vui: std_video::StdVideoH264SequenceParameterSetVui,
    pub(super) pps: std_video::StdVideoH264PictureParameterSet,
}

/// Constrained baseline, progressive, BT.709 limited, nothing reordered.
pub(super) fn sets(settings: &VideoSettings, chosen: &Chosen, window: u32) -> Sets {
    let mut sps = std_video::StdVideoH264SequenceParameterSet::zeroed();
    sps.profile_idc = PROFILE_IDC;
    sps.flags.set_constraint_set0_flag(1);
    sps.flags.set_constraint_set1_flag(1);
    sps.level_idc = level(chosen.level);
    sps.chroma_format_idc = std_video::StdVideoH264ChromaFormatIdc_STD_VIDEO_H264_CHROMA_FORMAT_IDC_420;
    sps.log2_max_frame_num_minus4 = LOG2_MAX_MINUS4;
    sps.pic_order_cnt_type = std_video::StdVideoH264PocType_STD_VIDEO_H264_POC_TYPE_0;
    sps.log2_max_pic_order_cnt_lsb_minus4 = LOG2_MAX_MINUS4;
    sps.max_num_ref_frames = window as u8;
    sps.pic_width_in_mbs_minus1 = chosen.coded.0 / 16 - 1;
    sps.pic_height_in_map_units_minus1 = chosen.coded.1 / 16 - 1;
    // In units of two samples for 4:2:0.
    sps.frame_crop_right_offset = (chosen.coded.0 - settings.width) / 2;
    sps.frame_crop_bottom_offset = (chosen.coded.1 - settings.height) / 2;
    sps.flags.set_frame_mbs_only_flag(1);
    sps.flags.set_direct_8x8_inference_flag(1);
    // A receiver that misses frames keeps its window as the encoder does.
    sps.flags.set_gaps_in_frame_num_value_allowed_flag(1);
    sps.flags.set_frame_cropping_flag(u32::from(chosen.coded != (settings.width, settings.height)));
    sps.flags.set_vui_parameters_present_flag(1);

    let mut vui = std_video::StdVideoH264SequenceParameterSetVui::zeroed();
    vui.flags.set_video_signal_type_present_flag(1);
    vui.flags.set_color_description_present_flag(1);
    // Unspecified kind of signal (Table E-2); BT.709 three times (E-3 to E-5).
    vui.video_format = 5;
    vui.colour_primaries = 1;
    vui.transfer_characteristics = 1;
    vui.matrix_coefficients = 1;
    vui.flags.set_bitstream_restriction_flag(1);
    vui.max_num_reorder_frames = 0;
    vui.max_dec_frame_buffering = window as u8;

    let mut pps = std_video::StdVideoH264PictureParameterSet::zeroed();
    pps.weighted_bipred_idc =
        std_video::StdVideoH264WeightedBipredIdc_STD_VIDEO_H264_WEIGHTED_BIPRED_IDC_DEFAULT;
    // Neither CABAC nor 8×8 transforms: baseline has none.
    pps.flags.set_deblocking_filter_control_present_flag(1);
    Sets { sps, vui, pps }
}

/// The parameter sets as the driver wrote them, made true for players: frames may be missing, and the profile is the one
/// that was agreed on. A driver may override what it is asked for; then another encoder has to be used.
pub(super) fn header(written: &[u8]) -> Result<Vec<u8>, String> {
    // Without it decoders wait for a keyframe after each loss.
    let mut header = with_frame_num_gaps(written).ok_or("its parameter sets cannot be read")?;
    say_constrained(&mut header);
    check_agreed(&header)?;
    Ok(header)
}

/// Ten times the levels, at Vulkan's numbers.
const LEVELS: [u32; 19] = [10, 11, 12, 13, 20, 21, 22, 30, 31, 32, 40, 41, 42, 50, 51, 52, 60, 61, 62];

/// Vulkan's number of a level; ten times the level comes in.
pub(super) fn level(level: u32) -> std_video::StdVideoH264LevelIdc {
    LEVELS.iter().position(|known| *known == level).unwrap_or(LEVELS.len() - 1) as u32
}

/// Ten times the level that Vulkan's number says.
pub(super) fn level_of(idc: std_video::StdVideoH264LevelIdc) -> u32 {
    LEVELS.get(idc as usize).copied().unwrap_or(62)
}

/// What is said of one picture. Pointers between the parts are set by whoever pins them.
#[derive(Clone, Copy)]
pub(super) struct Picture {
    pub(super) info: std_video::StdVideoEncodeH264PictureInfo,
    pub(super) slice: std_video::StdVideoEncodeH264SliceHeader,
    pub(super) lists: std_video::StdVideoEncodeH264ReferenceListsInfo,
    /// Reorders list 0 so that the one reference comes first; used if the reference is not the newest frame.
    pub(super) reorder: [std_video::StdVideoEncodeH264RefListModEntry; 2],
    pub(super) setup: std_video::StdVideoEncodeH264ReferenceInfo,
}

/// The picture of a step; `idr` counts keyframes, so that two in a row differ.
pub(super) fn picture(step: &Step, idr: u16) -> Picture {
    use std_video as v;
    let is_idr = step.reference.is_none();
    let kind = if is_idr {
        v::StdVideoH264PictureType_STD_VIDEO_H264_PICTURE_TYPE_IDR
    } else {
        v::StdVideoH264PictureType_STD_VIDEO_H264_PICTURE_TYPE_P
    };
    let mut info = v::StdVideoEncodeH264PictureInfo::zeroed();
    info.flags.set_IdrPicFlag(u32::from(is_idr));
    info.flags.set_is_reference(1);
    info.idr_pic_id = idr;
    info.primary_pic_type = kind;
    info.frame_num = step.setup.number % FRAME_NUMS;
    info.PicOrderCnt = order(&step.setup);
    let mut slice = v::StdVideoEncodeH264SliceHeader::zeroed();
    slice.slice_type = if is_idr {
        v::StdVideoH264SliceType_STD_VIDEO_H264_SLICE_TYPE_I
    } else {
        v::StdVideoH264SliceType_STD_VIDEO_H264_SLICE_TYPE_P
    };
    slice.flags.set_num_ref_idx_active_override_flag(1);
    slice.disable_deblocking_filter_idc =
        v::StdVideoH264DisableDeblockingFilterIdc_STD_VIDEO_H264_DISABLE_DEBLOCKING_FILTER_IDC_DISABLED;
    let (lists, reorder) = lists(step);
    Picture { info, slice, lists, reorder, setup: reference(&step.setup, kind) }
}

/// What is said of a frame in the buffer.
pub(super) fn reference(
    held: &Held,
    kind: std_video::StdVideoH264PictureType,
) -> std_video::StdVideoEncodeH264ReferenceInfo {
    let mut info = std_video::StdVideoEncodeH264ReferenceInfo::zeroed();
    info.primary_pic_type = kind;
    info.FrameNum = held.number % FRAME_NUMS;
    info.PicOrderCnt = order(held);
    info
}

/// List 0 with the one reference in front.
fn lists(
    step: &Step,
) -> (std_video::StdVideoEncodeH264ReferenceListsInfo, [std_video::StdVideoEncodeH264RefListModEntry; 2]) {
    use std_video as v;
    let mut lists = v::StdVideoEncodeH264ReferenceListsInfo::zeroed();
    lists.RefPicList0 = [NO_REFERENCE; 32];
    lists.RefPicList1 = [NO_REFERENCE; 32];
    let mut reorder = [v::StdVideoEncodeH264RefListModEntry::zeroed(); 2];
    let Some(reference) = step.reference else { return (lists, reorder) };
    lists.RefPicList0[0] = reference.slot as u8;
    // The initial list is by descending frame_num (8.2.4.2.1): only another than the newest has to be moved.
    let behind = step.setup.number - reference.number;
    if behind > 1 {
        lists.flags.set_ref_pic_list_modification_flag_l0(1);
        lists.refList0ModOpCount = 2;
        reorder[0].modification_of_pic_nums_idc =
            v::StdVideoH264ModificationOfPicNumsIdc_STD_VIDEO_H264_MODIFICATION_OF_PIC_NUMS_IDC_SHORT_TERM_SUBTRACT;
        reorder[0].abs_diff_pic_num_minus1 = (behind - 1) as u16;
        reorder[1].modification_of_pic_nums_idc =
            v::StdVideoH264ModificationOfPicNumsIdc_STD_VIDEO_H264_MODIFICATION_OF_PIC_NUMS_IDC_END;
    }
    (lists, reorder)
}

/// `STD_VIDEO_H264_NO_REFERENCE_PICTURE`.
const NO_REFERENCE: u8 = 0xff;

/// Two for each frame, as fields count.
fn order(held: &Held) -> i32 {
    (held.number as i32).wrapping_mul(2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::h264::{ProfileLevelId, Sps, nals, push_nal};
    use crate::video::Codec;
    use ash::vk;

    fn chosen() -> Chosen {
        Chosen {
            coded: (1920, 1088),
            dpb_slots: 8,
            rate_control: vk::VideoEncodeRateControlModeFlagsKHR::CBR,
            level: 50,
            ctb_log2: 4,
            transform_log2: (2, 5),
        }
    }

    fn held(number: u32, slot: u32) -> Held {
        Held { frame: 100 + number, number, slot }
    }

    #[test]
    fn the_stream_declares_no_reordering_bt_709_and_the_visible_size() {
        let settings =
            VideoSettings { codec: Codec::H264, width: 1920, height: 1080, fps: 60, bitrate_bps: 1_000_000 };
        let Sets { sps, vui, pps } = sets(&settings, &chosen(), 7);
        assert_eq!((sps.pic_width_in_mbs_minus1 + 1, sps.pic_height_in_map_units_minus1 + 1), (120, 68));
        assert_eq!((sps.frame_crop_right_offset, sps.frame_crop_bottom_offset), (0, 4));
        assert_eq!((sps.flags.frame_cropping_flag(), sps.max_num_ref_frames), (1, 7));
        assert_eq!(level_of(sps.level_idc), 50);
        assert_eq!((vui.flags.bitstream_restriction_flag(), vui.max_num_reorder_frames), (1, 0));
        assert_eq!((vui.colour_primaries, vui.transfer_characteristics, vui.matrix_coefficients), (1, 1, 1));
        assert_eq!((vui.flags.video_full_range_flag(), vui.max_dec_frame_buffering), (0, 7));
        assert_eq!((pps.flags.entropy_coding_mode_flag(), pps.flags.transform_8x8_mode_flag()), (0, 0));
    }

    #[test]
    fn what_is_asked_for_is_the_profile_that_players_agreed_to() {
        let settings =
            VideoSettings { codec: Codec::H264, width: 1920, height: 1080, fps: 60, bitrate_bps: 1_000_000 };
        let sps = sets(&settings, &chosen(), 7).sps;
        let flags = [
            sps.flags.constraint_set0_flag(),
            sps.flags.constraint_set1_flag(),
            sps.flags.constraint_set2_flag(),
            sps.flags.constraint_set3_flag(),
            sps.flags.constraint_set4_flag(),
            sps.flags.constraint_set5_flag(),
        ];
        let constraints = flags.iter().fold(0, |bits, flag| bits << 1 | *flag as u8) << 2;
        // Vulkan numbers profiles as the standard does.
        let asked = ProfileLevelId {
            profile_idc: sps.profile_idc as u8,
            constraints,
            level_idc: level_of(sps.level_idc) as u8,
        };
        assert!(ProfileLevelId::AGREED.allows(&asked), "{asked}");
        assert_eq!(sps.profile_idc, PROFILE_IDC, "the session is opened for the profile of its sets");
    }

    #[test]
    fn a_driver_that_overrides_the_profile_is_not_used() {
        let written = |set: &Sps| {
            let mut stream = Vec::new();
            push_nal(&mut stream, 0x67, &set.write());
            stream
        };
        let set = Sps { constraints: 0, max_num_ref_frames: 7, ..Sps::constrained_baseline(1920, 1080, 50) };
        let mended = header(&written(&set)).unwrap();
        let first = nals(&mended).next().unwrap();
        assert!(Sps::parse(&first).unwrap().frame_num_gaps);
        assert_eq!(ProfileLevelId::of(&first).unwrap().to_string(), "424032");
        let main = header(&written(&Sps { profile_idc: 77, ..set })).unwrap_err();
        assert!(main.contains("4d0032 where 42e034 was agreed on"), "{main}");
    }

    #[test]
    fn levels_translate_both_ways() {
        for known in [30, 41, 50, 52, 62] {
            assert_eq!(level_of(level(known)), known);
        }
        assert_eq!(level(52), std_video::StdVideoH264LevelIdc_STD_VIDEO_H264_LEVEL_IDC_5_2);
    }

    #[test]
    fn a_keyframe_starts_anew_and_an_older_reference_is_moved_to_the_front() {
        let keyframe = picture(&Step { setup: held(0, 0), reference: None, held: vec![] }, 3);
        assert_eq!(
            (keyframe.info.flags.IdrPicFlag(), keyframe.info.idr_pic_id, keyframe.info.frame_num),
            (1, 3, 0)
        );
        assert_eq!(keyframe.lists.RefPicList0[0], NO_REFERENCE);
        let next =
            Step { setup: held(5, 2), reference: Some(held(4, 1)), held: vec![held(4, 1), held(3, 0)] };
        let next = picture(&next, 3);
        assert_eq!((next.info.frame_num, next.info.PicOrderCnt), (5, 10));
        assert_eq!((next.lists.RefPicList0[0], next.lists.refList0ModOpCount), (1, 0));
        let older =
            Step { setup: held(5, 2), reference: Some(held(2, 6)), held: vec![held(4, 1), held(2, 6)] };
        let older = picture(&older, 3);
        assert_eq!((older.lists.RefPicList0[0], older.lists.refList0ModOpCount), (6, 2));
        // CurrPicNum − 3 is frame 2; the syntax holds the difference less one.
        assert_eq!(older.reorder[0].abs_diff_pic_num_minus1, 2);
    }

    #[test]
    fn frame_numbers_wrap_as_the_parameter_set_says() {
        let wrapped =
            Step { setup: held(FRAME_NUMS + 3, 0), reference: Some(held(FRAME_NUMS + 2, 1)), held: vec![] };
        let wrapped = picture(&wrapped, 0);
        assert_eq!((wrapped.info.frame_num, wrapped.lists.refList0ModOpCount), (3, 0));
    }
}
