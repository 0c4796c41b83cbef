//! A video session with its parameter sets.
#![expect(unsafe_code, reason = "Vulkan is called here")]

use super::choice::Chosen;
use super::device::Device;
use super::objects::Objects;
use super::profile::with_profile;
use super::{h264, hevc};
use crate::video::{Codec, VideoSettings};
use ash::vk;
use std::ptr::from_ref;

/// What is encoded with.
pub(super) struct Session {
    pub(super) raw: vk::VideoSessionKHR,
    pub(super) parameters: vk::VideoSessionParametersKHR,
    /// The parameter sets as the driver writes them, in Annex B, before every keyframe.
    pub(super) header: Vec<u8>,
}

/// Formats of the encoder's images.
#[derive(Clone, Copy, Debug)]
pub(super) struct Formats {
    pub(super) source: vk::Format,
    pub(super) reference: vk::Format,
}

/// Opens a session for these settings.
pub(super) fn open(
    objects: &mut Objects,
    settings: &VideoSettings,
    chosen: &Chosen,
    formats: Formats,
    header_version: &vk::ExtensionProperties,
) -> Result<Session, String> {
    let raw = with_profile(settings.codec, |profile| {
        let (width, height) = chosen.coded;
        let info = vk::VideoSessionCreateInfoKHR::default()
            .queue_family_index(objects.device().encode_queue.family)
            .video_profile(profile)
            .picture_format(formats.source)
            .reference_picture_format(formats.reference)
            .max_coded_extent(vk::Extent2D { width, height })
            .max_dpb_slots(chosen.dpb_slots)
            .max_active_reference_pictures(1)
            .std_header_version(header_version);
        objects.session(&info)
    })?;
    let window = chosen.dpb_slots - 1;
    let parameters = match settings.codec {
        Codec::H264 => h264_parameters(objects, raw, &h264::sets(settings, chosen, window))?,
        _ => hevc_parameters(objects, raw, &hevc::sets(settings, chosen, window))?,
    };
    let header = encoded(objects.device(), settings.codec, parameters)?;
    let header = if settings.codec == Codec::H264 { h264::header(&header)? } else { header };
    Ok(Session { raw, parameters, header })
}

fn h264_parameters(
    objects: &mut Objects,
    session: vk::VideoSessionKHR,
    sets: &h264::Sets,
) -> Result<vk::VideoSessionParametersKHR, String> {
    let mut sps = sets.sps;
    sps.pSequenceParameterSetVui = from_ref(&sets.vui);
    let (sps, pps) = ([sps], [sets.pps]);
    let add = vk::VideoEncodeH264SessionParametersAddInfoKHR::default().std_sp_ss(&sps).std_pp_ss(&pps);
    let mut codec = vk::VideoEncodeH264SessionParametersCreateInfoKHR::default()
        .max_std_sps_count(1)
        .max_std_pps_count(1)
        .parameters_add_info(&add);
    let info =
        vk::VideoSessionParametersCreateInfoKHR::default().video_session(session).push_next(&mut codec);
    objects.parameters(&info)
}

fn hevc_parameters(
    objects: &mut Objects,
    session: vk::VideoSessionKHR,
    sets: &hevc::Sets,
) -> Result<vk::VideoSessionParametersKHR, String> {
    let (mut vps, mut sps) = (sets.vps, sets.sps);
    vps.pDecPicBufMgr = from_ref(&sets.buffering);
    vps.pProfileTierLevel = from_ref(&sets.profile);
    sps.pDecPicBufMgr = from_ref(&sets.buffering);
    sps.pProfileTierLevel = from_ref(&sets.profile);
    sps.pSequenceParameterSetVui = from_ref(&sets.vui);
    let (vps, sps, pps) = ([vps], [sps], [sets.pps]);
    let add = vk::VideoEncodeH265SessionParametersAddInfoKHR::default()
        .std_vp_ss(&vps)
        .std_sp_ss(&sps)
        .std_pp_ss(&pps);
    let mut codec = vk::VideoEncodeH265SessionParametersCreateInfoKHR::default()
        .max_std_vps_count(1)
        .max_std_sps_count(1)
        .max_std_pps_count(1)
        .parameters_add_info(&add);
    let info =
        vk::VideoSessionParametersCreateInfoKHR::default().video_session(session).push_next(&mut codec);
    objects.parameters(&info)
}

/// The parameter sets as bytes: drivers may change some of what was asked for, and what they write holds.
fn encoded(
    device: &Device,
    codec: Codec,
    parameters: vk::VideoSessionParametersKHR,
) -> Result<Vec<u8>, String> {
    let mut h264 =
        vk::VideoEncodeH264SessionParametersGetInfoKHR::default().write_std_sps(true).write_std_pps(true);
    let mut hevc = vk::VideoEncodeH265SessionParametersGetInfoKHR::default()
        .write_std_vps(true)
        .write_std_sps(true)
        .write_std_pps(true);
    let info = vk::VideoEncodeSessionParametersGetInfoKHR::default().video_session_parameters(parameters);
    let info = if codec == Codec::H264 { info.push_next(&mut h264) } else { info.push_next(&mut hevc) };
    let function = device.encode.fp().get_encoded_video_session_parameters_khr;
    let (raw, no_feedback) = (device.raw.handle(), std::ptr::null_mut());
    let mut length = 0;
    // SAFETY: the parameters are this device's; without a buffer only the length is written.
    let asked = unsafe { function(raw, &info, no_feedback, &mut length, std::ptr::null_mut()) };
    if asked != vk::Result::SUCCESS {
        return Err(format!("writing the parameter sets: {asked}"));
    }
    let mut bytes = vec![0_u8; length];
    // SAFETY: as above, and the buffer is as long as it says.
    let written = unsafe { function(raw, &info, no_feedback, &mut length, bytes.as_mut_ptr().cast()) };
    bytes.truncate(length);
    if written != vk::Result::SUCCESS || bytes.is_empty() {
        return Err(format!("writing the parameter sets: {written}, {length} bytes"));
    }
    Ok(bytes)
}
