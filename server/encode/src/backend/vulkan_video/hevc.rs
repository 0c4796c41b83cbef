//! HEVC in Vulkan's words: parameter sets, and what is said of each picture.
#![expect(unsafe_code, reason = "Vulkan's codec structures have no default; they are zeroed")]

use super::choice::Chosen;
use super::dpb::{Held, Step};
use crate::video::{Codec, VideoSettings};
use ash::vk::native as std_video;

/// `log2_max_pic_order_cnt_lsb_minus4`: 16 bits.
const LOG2_MAX_MINUS4: u8 = 12;
/// log2 of the smallest coding block less 3: 8 samples.
const MIN_CODING_MINUS3: u8 = 0;

/// Plain C structures of integers, flags and pointers.
trait Zeroed: Copy {
    fn zeroed() -> Self {
        // SAFETY: implemented for generated C structures only, for which all zeros is a value: numbers, flags
        // and null pointers.
        unsafe { std::mem::zeroed() }
    }
}

impl Zeroed for std_video::StdVideoH265VideoParameterSet {}
impl Zeroed for std_video::StdVideoH265SequenceParameterSet {}
impl Zeroed for std_video::StdVideoH265SequenceParameterSetVui {}
impl Zeroed for std_video::StdVideoH265PictureParameterSet {}
impl Zeroed for std_video::StdVideoH265ProfileTierLevel {}
impl Zeroed for std_video::StdVideoH265DecPicBufMgr {}
impl Zeroed for std_video::StdVideoH265ShortTermRefPicSet {}
impl Zeroed for std_video::StdVideoEncodeH265PictureInfo {}
impl Zeroed for std_video::StdVideoEncodeH265SliceSegmentHeader {}
impl Zeroed for std_video::StdVideoEncodeH265ReferenceInfo {}
impl Zeroed for std_video::StdVideoEncodeH265ReferenceListsInfo {}

/// What the stream declares. Pointers between the sets are set by whoever pins them.
#[derive(Clone, Copy)]
pub(super) struct Sets {
    pub(super) vps: std_video::StdVideoH265VideoParameterSet,
    pub(super) sps: std_video::StdVideoH265SequenceParameterSet,
    pub(super) vui: std_video::StdVideoH265SequenceParameterSetVui,
    pub(super) pps: std_video::StdVideoH265PictureParameterSet,
    pub(super) profile: std_video::StdVideoH265ProfileTierLevel,
    pub(super) buffering: std_video::StdVideoH265DecPicBufMgr,
}

/// Main, or main 10 with the colours of HDR10; main tier, progressive, limited range, nothing reordered.
pub(super) fn sets(settings: &VideoSettings, chosen: &Chosen, window: u32) -> Sets {
    let mut profile = std_video::StdVideoH265ProfileTierLevel::zeroed();
    profile.general_profile_idc = profile_idc(settings.codec);
    profile.general_level_idc = level(chosen.level);
    profile.flags.set_general_progressive_source_flag(1);
    profile.flags.set_general_frame_only_constraint_flag(1);

    let mut buffering = std_video::StdVideoH265DecPicBufMgr::zeroed();
    buffering.max_dec_pic_buffering_minus1[0] = window as u8;
    buffering.max_num_reorder_pics[0] = 0;

    let mut vps = std_video::StdVideoH265VideoParameterSet::zeroed();
    vps.flags.set_vps_temporal_id_nesting_flag(1);
    vps.flags.set_vps_sub_layer_ordering_info_present_flag(1);

    let sps = sequence(settings, chosen);

    let mut vui = std_video::StdVideoH265SequenceParameterSetVui::zeroed();
    vui.flags.set_video_signal_type_present_flag(1);
    vui.flags.set_colour_description_present_flag(1);
    // Unspecified kind of signal (Table E.2); BT.709 three times, or BT.2020, ST 2084 and BT.2020 (E.3 to E.5).
    vui.video_format = 5;
    let colours = if settings.codec == Codec::Hevc10 { (9, 16, 9) } else { (1, 1, 1) };
    (vui.colour_primaries, vui.transfer_characteristics, vui.matrix_coeffs) = colours;

    let mut pps = std_video::StdVideoH265PictureParameterSet::zeroed();
    pps.flags.set_cu_qp_delta_enabled_flag(1);
    pps.flags.set_deblocking_filter_control_present_flag(1);
    // An older frame than the newest comes to the front of list 0 through the reference picture set alone.
    pps.flags.set_lists_modification_present_flag(0);
    Sets { vps, sps, vui, pps, profile, buffering }
}

fn sequence(settings: &VideoSettings, chosen: &Chosen) -> std_video::StdVideoH265SequenceParameterSet {
    let mut sps = std_video::StdVideoH265SequenceParameterSet::zeroed();
    sps.chroma_format_idc = std_video::StdVideoH265ChromaFormatIdc_STD_VIDEO_H265_CHROMA_FORMAT_IDC_420;
    sps.pic_width_in_luma_samples = chosen.coded.0;
    sps.pic_height_in_luma_samples = chosen.coded.1;
    let depth = if settings.codec == Codec::Hevc10 { 2 } else { 0 };
    sps.bit_depth_luma_minus8 = depth;
    sps.bit_depth_chroma_minus8 = depth;
    sps.log2_max_pic_order_cnt_lsb_minus4 = LOG2_MAX_MINUS4;
    sps.log2_min_luma_coding_block_size_minus3 = MIN_CODING_MINUS3;
    sps.log2_diff_max_min_luma_coding_block_size = chosen.ctb_log2.saturating_sub(3 + MIN_CODING_MINUS3);
    let (smallest, largest) = chosen.transform_log2;
    sps.log2_min_luma_transform_block_size_minus2 = smallest.saturating_sub(2);
    sps.log2_diff_max_min_luma_transform_block_size = largest.saturating_sub(smallest);
    // As deep as the sizes allow: the hardware decides what it uses.
    let depth = chosen.ctb_log2.saturating_sub(largest).max(1);
    sps.max_transform_hierarchy_depth_inter = depth;
    sps.max_transform_hierarchy_depth_intra = depth;
    // In units of two samples for 4:2:0.
    sps.conf_win_right_offset = (chosen.coded.0 - settings.width) / 2;
    sps.conf_win_bottom_offset = (chosen.coded.1 - settings.height) / 2;
    sps.flags.set_conformance_window_flag(u32::from(chosen.coded != (settings.width, settings.height)));
    sps.flags.set_sps_temporal_id_nesting_flag(1);
    sps.flags.set_sps_sub_layer_ordering_info_present_flag(1);
    sps.flags.set_sample_adaptive_offset_enabled_flag(1);
    sps.flags.set_amp_enabled_flag(1);
    sps.flags.set_vui_parameters_present_flag(1);
    sps
}

/// Vulkan's number of the codec's profile.
pub(super) fn profile_idc(codec: Codec) -> std_video::StdVideoH265ProfileIdc {
    if codec == Codec::Hevc10 {
        std_video::StdVideoH265ProfileIdc_STD_VIDEO_H265_PROFILE_IDC_MAIN_10
    } else {
        std_video::StdVideoH265ProfileIdc_STD_VIDEO_H265_PROFILE_IDC_MAIN
    }
}

/// Ten times the levels, at Vulkan's numbers.
const LEVELS: [u32; 13] = [10, 20, 21, 30, 31, 40, 41, 50, 51, 52, 60, 61, 62];

/// Vulkan's number of a level; ten times the level comes in.
pub(super) fn level(level: u32) -> std_video::StdVideoH265LevelIdc {
    LEVELS.iter().position(|known| *known >= level).unwrap_or(LEVELS.len() - 1) as u32
}

/// Ten times the level that Vulkan's number says.
pub(super) fn level_of(idc: std_video::StdVideoH265LevelIdc) -> u32 {
    LEVELS.get(idc as usize).copied().unwrap_or(62)
}

/// What is said of one picture. Pointers between the parts are set by whoever pins them.
#[derive(Clone, Copy)]
pub(super) struct Picture {
    pub(super) info: std_video::StdVideoEncodeH265PictureInfo,
    pub(super) slice: std_video::StdVideoEncodeH265SliceSegmentHeader,
    pub(super) lists: std_video::StdVideoEncodeH265ReferenceListsInfo,
    /// Which frames the decoder keeps, and which of them this one is predicted from (7.4.8).
    pub(super) kept: std_video::StdVideoH265ShortTermRefPicSet,
    pub(super) setup: std_video::StdVideoEncodeH265ReferenceInfo,
}

/// The picture of a step.
pub(super) fn picture(step: &Step) -> Picture {
    use std_video as v;
    let is_idr = step.reference.is_none();
    let kind = if is_idr {
        v::StdVideoH265PictureType_STD_VIDEO_H265_PICTURE_TYPE_IDR
    } else {
        v::StdVideoH265PictureType_STD_VIDEO_H265_PICTURE_TYPE_P
    };
    let mut info = v::StdVideoEncodeH265PictureInfo::zeroed();
    info.flags.set_is_reference(1);
    info.flags.set_IrapPicFlag(u32::from(is_idr));
    info.flags.set_pic_output_flag(1);
    info.pic_type = kind;
    info.PicOrderCntVal = step.setup.number as i32;
    let mut slice = v::StdVideoEncodeH265SliceSegmentHeader::zeroed();
    slice.flags.set_first_slice_segment_in_pic_flag(1);
    slice.flags.set_slice_sao_luma_flag(1);
    slice.flags.set_slice_sao_chroma_flag(1);
    slice.flags.set_num_ref_idx_active_override_flag(u32::from(!is_idr));
    slice.slice_type = if is_idr {
        v::StdVideoH265SliceType_STD_VIDEO_H265_SLICE_TYPE_I
    } else {
        v::StdVideoH265SliceType_STD_VIDEO_H265_SLICE_TYPE_P
    };
    slice.MaxNumMergeCand = 5;
    let mut lists = v::StdVideoEncodeH265ReferenceListsInfo::zeroed();
    lists.RefPicList0 = [NO_REFERENCE; 15];
    lists.RefPicList1 = [NO_REFERENCE; 15];
    if let Some(reference) = step.reference {
        lists.RefPicList0[0] = reference.slot as u8;
    }
    Picture { info, slice, lists, kept: kept(step), setup: reference(&step.setup, kind) }
}

/// What is said of a frame in the buffer.
pub(super) fn reference(
    held: &Held,
    kind: std_video::StdVideoH265PictureType,
) -> std_video::StdVideoEncodeH265ReferenceInfo {
    let mut info = std_video::StdVideoEncodeH265ReferenceInfo::zeroed();
    info.pic_type = kind;
    info.PicOrderCntVal = held.number as i32;
    info
}

/// Everything in the window stays; one of it is used.
fn kept(step: &Step) -> std_video::StdVideoH265ShortTermRefPicSet {
    let mut set = std_video::StdVideoH265ShortTermRefPicSet::zeroed();
    let Some(reference) = step.reference else { return set };
    let mut before = step.setup.number;
    for (at, held) in step.held.iter().enumerate().take(set.delta_poc_s0_minus1.len()) {
        set.delta_poc_s0_minus1[at] = (before - held.number - 1) as u16;
        if held.number == reference.number {
            set.used_by_curr_pic_s0_flag |= 1 << at;
        }
        before = held.number;
        set.num_negative_pics += 1;
    }
    set
}

/// `STD_VIDEO_H265_NO_REFERENCE_PICTURE`.
const NO_REFERENCE: u8 = 0xff;

#[cfg(test)]
mod tests {
    use super::*;
    use ash::vk;

    fn chosen() -> Chosen {
        Chosen {
            coded: (1920, 1080),
            dpb_slots: 6,
            rate_control: vk::VideoEncodeRateControlModeFlagsKHR::CBR,
            level: 41,
            ctb_log2: 5,
            transform_log2: (2, 5),
        }
    }

    fn held(number: u32, slot: u32) -> Held {
        Held { frame: 100 + number, number, slot }
    }

    #[test]
    fn the_stream_declares_no_reordering_its_colours_and_its_depth() {
        for (codec, depth, colours) in [(Codec::Hevc, 0, (1, 1, 1)), (Codec::Hevc10, 2, (9, 16, 9))] {
            let settings =
                VideoSettings { codec, width: 1918, height: 1080, fps: 60, bitrate_bps: 1_000_000 };
            let sets = sets(&settings, &chosen(), 5);
            assert_eq!((sets.sps.bit_depth_luma_minus8, sets.sps.bit_depth_chroma_minus8), (depth, depth));
            assert_eq!((sets.sps.conf_win_right_offset, sets.sps.flags.conformance_window_flag()), (1, 1));
            assert_eq!(sets.buffering.max_dec_pic_buffering_minus1[0], 5);
            assert_eq!(sets.buffering.max_num_reorder_pics[0], 0);
            let vui = &sets.vui;
            let said = (vui.colour_primaries, vui.transfer_characteristics, vui.matrix_coeffs);
            assert_eq!(said, colours);
            assert_eq!(sets.vui.flags.video_full_range_flag(), 0);
            assert_eq!(level_of(sets.profile.general_level_idc), 41);
            assert_eq!(sets.profile.general_profile_idc, profile_idc(codec));
            // 8 << 2 = 32: the coding tree block.
            assert_eq!(sets.sps.log2_diff_max_min_luma_coding_block_size, 2);
        }
    }

    #[test]
    fn the_reference_picture_set_keeps_the_window_and_uses_one_frame_of_it() {
        let step = Step {
            setup: held(9, 0),
            reference: Some(held(5, 4)),
            held: vec![held(8, 1), held(7, 2), held(5, 4)],
        };
        let picture = picture(&step);
        assert_eq!(picture.kept.num_negative_pics, 3);
        // 9 → 8 → 7 → 5, each less one.
        assert_eq!(picture.kept.delta_poc_s0_minus1[..3], [0, 0, 1]);
        assert_eq!(picture.kept.used_by_curr_pic_s0_flag, 0b100);
        assert_eq!((picture.lists.RefPicList0[0], picture.info.PicOrderCntVal), (4, 9));
    }

    #[test]
    fn a_keyframe_keeps_nothing() {
        let picture = picture(&Step { setup: held(0, 0), reference: None, held: vec![] });
        assert_eq!((picture.kept.num_negative_pics, picture.info.flags.IrapPicFlag()), (0, 1));
        assert_eq!(picture.lists.RefPicList0[0], NO_REFERENCE);
    }
}
