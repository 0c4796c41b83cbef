//! What a driver can do for one codec.
#![expect(unsafe_code, reason = "Vulkan is called here")]

use super::choice::Offered;
use super::device::Device;
use super::{h264, hevc};
use crate::video::Codec;
use ash::vk;

/// The codec as a queue knows it.
pub(super) fn operation(codec: Codec) -> vk::VideoCodecOperationFlagsKHR {
    match codec {
        Codec::H264 => vk::VideoCodecOperationFlagsKHR::ENCODE_H264,
        Codec::Hevc | Codec::Hevc10 => vk::VideoCodecOperationFlagsKHR::ENCODE_H265,
        Codec::Av1 => vk::VideoCodecOperationFlagsKHR::empty(),
    }
}

/// Calls `work` with the profile: 4:2:0 in the codec's depth, drawn pictures, streamed with the least latency.
pub(super) fn with_profile<T>(codec: Codec, work: impl FnOnce(&vk::VideoProfileInfoKHR<'_>) -> T) -> T {
    let depth = if codec.bits() > 8 {
        vk::VideoComponentBitDepthFlagsKHR::TYPE_10
    } else {
        vk::VideoComponentBitDepthFlagsKHR::TYPE_8
    };
    let mut usage = vk::VideoEncodeUsageInfoKHR::default()
        .video_usage_hints(vk::VideoEncodeUsageFlagsKHR::STREAMING)
        .video_content_hints(vk::VideoEncodeContentFlagsKHR::RENDERED)
        .tuning_mode(vk::VideoEncodeTuningModeKHR::ULTRA_LOW_LATENCY);
    let mut h264 = vk::VideoEncodeH264ProfileInfoKHR::default().std_profile_idc(h264::PROFILE_IDC);
    let mut hevc = vk::VideoEncodeH265ProfileInfoKHR::default().std_profile_idc(hevc::profile_idc(codec));
    let profile = vk::VideoProfileInfoKHR::default()
        .video_codec_operation(operation(codec))
        .chroma_subsampling(vk::VideoChromaSubsamplingFlagsKHR::TYPE_420)
        .luma_bit_depth(depth)
        .chroma_bit_depth(depth);
    if codec == Codec::H264 {
        work(&profile.push_next(&mut h264).push_next(&mut usage))
    } else {
        work(&profile.push_next(&mut hevc).push_next(&mut usage))
    }
}

/// What the driver says of the codec, and the version of its header, which sessions have to name.
pub(super) fn query(device: &Device, codec: Codec) -> Result<(Offered, vk::ExtensionProperties), String> {
    let mut h264 = vk::VideoEncodeH264CapabilitiesKHR::default();
    let mut hevc = vk::VideoEncodeH265CapabilitiesKHR::default();
    let mut encode = vk::VideoEncodeCapabilitiesKHR::default();
    let mut general = vk::VideoCapabilitiesKHR::default().push_next(&mut encode);
    general = if codec == Codec::H264 { general.push_next(&mut h264) } else { general.push_next(&mut hevc) };
    let asked = with_profile(codec, |profile| {
        let function = device.queries.fp().get_physical_device_video_capabilities_khr;
        // SAFETY: the extension is there (`Device::open`); profile and chain live until the call is over, and the
        // chain has the structures that the profile's operation demands.
        unsafe { function(device.physical, profile, &mut general) }
    });
    if asked != vk::Result::SUCCESS {
        return Err(format!("{}: {codec} is refused: {asked}", device.name));
    }
    let pair = |extent: vk::Extent2D| (extent.width, extent.height);
    let header = general.std_header_version;
    let mut offered = Offered {
        min_extent: pair(general.min_coded_extent),
        max_extent: pair(general.max_coded_extent),
        access_granularity: pair(general.picture_access_granularity),
        input_granularity: (1, 1),
        max_dpb_slots: general.max_dpb_slots,
        max_active_references: general.max_active_reference_pictures,
        max_p_references: 0,
        rate_control_modes: vk::VideoEncodeRateControlModeFlagsKHR::empty(),
        max_bitrate_bps: 0,
        max_level: 0,
        feedback: vk::VideoEncodeFeedbackFlagsKHR::empty(),
        ctb_log2: Vec::new(),
        transform_log2: Vec::new(),
        size_alignment: general.min_bitstream_buffer_size_alignment.max(1),
    };
    offered.input_granularity = pair(encode.encode_input_picture_granularity);
    offered.rate_control_modes = encode.rate_control_modes;
    offered.max_bitrate_bps = encode.max_bitrate;
    offered.feedback = encode.supported_encode_feedback_flags;
    if codec == Codec::H264 {
        offered.max_p_references = h264.max_p_picture_l0_reference_count;
        offered.max_level = h264::level_of(h264.max_level_idc);
    } else {
        offered.max_p_references = hevc.max_p_picture_l0_reference_count;
        offered.max_level = hevc::level_of(hevc.max_level_idc);
        offered.ctb_log2 = ctb_sizes(hevc.ctb_sizes);
        offered.transform_log2 = transform_sizes(hevc.transform_block_sizes);
    }
    Ok((offered, header))
}

fn ctb_sizes(offered: vk::VideoEncodeH265CtbSizeFlagsKHR) -> Vec<u8> {
    use vk::VideoEncodeH265CtbSizeFlagsKHR as Size;
    let sizes = [(Size::TYPE_16, 4), (Size::TYPE_32, 5), (Size::TYPE_64, 6)];
    sizes.into_iter().filter(|(flag, _)| offered.contains(*flag)).map(|(_, log2)| log2).collect()
}

fn transform_sizes(offered: vk::VideoEncodeH265TransformBlockSizeFlagsKHR) -> Vec<u8> {
    use vk::VideoEncodeH265TransformBlockSizeFlagsKHR as Size;
    let sizes = [(Size::TYPE_4, 2), (Size::TYPE_8, 3), (Size::TYPE_16, 4), (Size::TYPE_32, 5)];
    sizes.into_iter().filter(|(flag, _)| offered.contains(*flag)).map(|(_, log2)| log2).collect()
}

/// The format of samples for a codec, if the driver takes images of it for `usage`.
pub(super) fn format(
    device: &Device,
    codec: Codec,
    usage: vk::ImageUsageFlags,
) -> Result<vk::Format, String> {
    let wanted = if codec.bits() > 8 {
        vk::Format::G10X6_B10X6R10X6_2PLANE_420_UNORM_3PACK16
    } else {
        vk::Format::G8_B8R8_2PLANE_420_UNORM
    };
    let offered = with_profile(codec, |profile| {
        let profiles = [*profile];
        let mut list = vk::VideoProfileListInfoKHR::default().profiles(&profiles);
        let asked = vk::PhysicalDeviceVideoFormatInfoKHR::default().image_usage(usage).push_next(&mut list);
        let function = device.queries.fp().get_physical_device_video_format_properties_khr;
        let mut count = 0;
        // SAFETY: the extension is there; without an array only the count is written.
        let counted = unsafe { function(device.physical, &asked, &mut count, std::ptr::null_mut()) };
        if counted != vk::Result::SUCCESS {
            return Err(counted);
        }
        let mut formats = vec![vk::VideoFormatPropertiesKHR::default(); count as usize];
        // SAFETY: as above, and the array has room for as many as it says.
        let listed = unsafe { function(device.physical, &asked, &mut count, formats.as_mut_ptr()) };
        formats.truncate(count as usize);
        if listed == vk::Result::SUCCESS || listed == vk::Result::INCOMPLETE {
            Ok(formats)
        } else {
            Err(listed)
        }
    });
    let offered = offered.map_err(|error| format!("{}: formats for {codec}: {error}", device.name))?;
    let fits = |format: &vk::VideoFormatPropertiesKHR<'_>| {
        format.format == wanted
            && format.image_tiling == vk::ImageTiling::OPTIMAL
            && format.image_usage_flags.contains(usage)
    };
    match offered.iter().any(fits) {
        true => Ok(wanted),
        false => Err(format!("{} takes no {wanted:?} images for {usage:?}", device.name)),
    }
}
