//! The codec's own structures of a picture and of its rate, chained for the time of one call. Pure.

use super::dpb::{Held, Step};
use super::rate::Rate;
use super::{h264, hevc};
use crate::video::Codec;
use ash::vk;
use ash::vk::native as std_video;
use ash::vk::{
    VideoEncodeH264RateControlFlagsKHR as Flags264, VideoEncodeH265RateControlFlagsKHR as Flags265,
};
use std::ffi::c_void;
use std::ptr::from_ref;

/// Heads of chains that are valid for the time of one call.
pub(super) struct Words {
    /// Of the picture.
    pub(super) picture: *const c_void,
    /// Of the slot that it is reconstructed into.
    pub(super) setup: *const c_void,
    /// Of the slot that it is predicted from.
    pub(super) reference: *const c_void,
}

/// Calls `work` with what the codec says of a picture.
pub(super) fn with_picture<T>(
    codec: Codec,
    step: &Step,
    keyframes: u16,
    work: impl FnOnce(&Words) -> T,
) -> T {
    if codec == Codec::H264 { h264_picture(step, keyframes, work) } else { hevc_picture(step, work) }
}

fn h264_picture<T>(step: &Step, keyframes: u16, work: impl FnOnce(&Words) -> T) -> T {
    let h264::Picture { mut info, slice, mut lists, reorder, setup } = h264::picture(step, keyframes);
    if lists.refList0ModOpCount > 0 {
        lists.pRefList0ModOperations = reorder.as_ptr();
    }
    info.pRefLists = from_ref(&lists);
    let slices = [vk::VideoEncodeH264NaluSliceInfoKHR::default().std_slice_header(&slice)];
    let picture =
        vk::VideoEncodeH264PictureInfoKHR::default().nalu_slice_entries(&slices).std_picture_info(&info);
    let setup = vk::VideoEncodeH264DpbSlotInfoKHR::default().std_reference_info(&setup);
    let kind = |held: &Held| match held.number {
        0 => std_video::StdVideoH264PictureType_STD_VIDEO_H264_PICTURE_TYPE_IDR,
        _ => std_video::StdVideoH264PictureType_STD_VIDEO_H264_PICTURE_TYPE_P,
    };
    let known = step.reference.map(|held| h264::reference(&held, kind(&held)));
    let reference =
        known.as_ref().map(|known| vk::VideoEncodeH264DpbSlotInfoKHR::default().std_reference_info(known));
    work(&Words {
        picture: from_ref(&picture).cast(),
        setup: from_ref(&setup).cast(),
        reference: reference.as_ref().map_or(std::ptr::null(), |reference| from_ref(reference).cast()),
    })
}

fn hevc_picture<T>(step: &Step, work: impl FnOnce(&Words) -> T) -> T {
    let hevc::Picture { mut info, slice, lists, kept, setup } = hevc::picture(step);
    if step.reference.is_some() {
        info.pRefLists = from_ref(&lists);
        info.pShortTermRefPicSet = from_ref(&kept);
    }
    let slices = [vk::VideoEncodeH265NaluSliceSegmentInfoKHR::default().std_slice_segment_header(&slice)];
    let picture = vk::VideoEncodeH265PictureInfoKHR::default()
        .nalu_slice_segment_entries(&slices)
        .std_picture_info(&info);
    let setup = vk::VideoEncodeH265DpbSlotInfoKHR::default().std_reference_info(&setup);
    let kind = |held: &Held| match held.number {
        0 => std_video::StdVideoH265PictureType_STD_VIDEO_H265_PICTURE_TYPE_IDR,
        _ => std_video::StdVideoH265PictureType_STD_VIDEO_H265_PICTURE_TYPE_P,
    };
    let known = step.reference.map(|held| hevc::reference(&held, kind(&held)));
    let reference =
        known.as_ref().map(|known| vk::VideoEncodeH265DpbSlotInfoKHR::default().std_reference_info(known));
    work(&Words {
        picture: from_ref(&picture).cast(),
        setup: from_ref(&setup).cast(),
        reference: reference.as_ref().map_or(std::ptr::null(), |reference| from_ref(reference).cast()),
    })
}

/// Calls `work` with what rate control is told: groups without end, no reordering, one layer.
pub(super) fn with_rate<T>(
    codec: Codec,
    rate: &Rate,
    work: impl FnOnce(&mut vk::VideoEncodeRateControlInfoKHR<'_>) -> T,
) -> T {
    let (has_limit, limit) = (rate.frame_bytes.is_some(), rate.frame_bytes.unwrap_or(0));
    if codec == Codec::H264 {
        let size =
            vk::VideoEncodeH264FrameSizeKHR { frame_i_size: limit, frame_p_size: limit, frame_b_size: limit };
        let mut own = vk::VideoEncodeH264RateControlLayerInfoKHR::default()
            .use_max_frame_size(has_limit)
            .max_frame_size(size);
        let layers = [rate.layer().push_next(&mut own)];
        let group = vk::VideoEncodeH264RateControlInfoKHR::default()
            .flags(Flags264::REGULAR_GOP | Flags264::REFERENCE_PATTERN_FLAT)
            .gop_frame_count(u32::MAX)
            .idr_period(u32::MAX)
            .temporal_layer_count(1);
        let mut control = rate.control().layers(&layers);
        // Both go behind one begin or control; they travel together.
        control.p_next = from_ref(&group).cast();
        work(&mut control)
    } else {
        let size =
            vk::VideoEncodeH265FrameSizeKHR { frame_i_size: limit, frame_p_size: limit, frame_b_size: limit };
        let mut own = vk::VideoEncodeH265RateControlLayerInfoKHR::default()
            .use_max_frame_size(has_limit)
            .max_frame_size(size);
        let layers = [rate.layer().push_next(&mut own)];
        let group = vk::VideoEncodeH265RateControlInfoKHR::default()
            .flags(Flags265::REGULAR_GOP | Flags265::REFERENCE_PATTERN_FLAT)
            .gop_frame_count(u32::MAX)
            .idr_period(u32::MAX)
            .sub_layer_count(1);
        let mut control = rate.control().layers(&layers);
        // Both go behind one begin or control; they travel together.
        control.p_next = from_ref(&group).cast();
        work(&mut control)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_layer_is_told_and_its_bitrate() {
        let rate = Rate {
            mode: vk::VideoEncodeRateControlModeFlagsKHR::CBR,
            bitrate_bps: 6_000_000,
            fps: 60,
            frame_bytes: Some(20_000),
        };
        for codec in [Codec::H264, Codec::Hevc] {
            with_rate(codec, &rate, |control| {
                assert_eq!((control.layer_count, control.rate_control_mode), (1, rate.mode));
                assert!(!control.p_layers.is_null() && !control.p_next.is_null());
            });
        }
    }

    #[test]
    fn a_keyframe_names_no_reference() {
        let held = |number, slot| Held { frame: number, number, slot };
        let keyframe = Step { setup: held(0, 0), reference: None, held: vec![] };
        let next = Step { setup: held(1, 1), reference: Some(held(0, 0)), held: vec![held(0, 0)] };
        for codec in [Codec::H264, Codec::Hevc] {
            with_picture(codec, &keyframe, 1, |words| assert!(words.reference.is_null()));
            with_picture(codec, &next, 1, |words| {
                assert!(!words.reference.is_null() && !words.picture.is_null() && !words.setup.is_null());
            });
        }
    }
}
