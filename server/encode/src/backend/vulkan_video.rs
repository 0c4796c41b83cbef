//! H.264 and HEVC through Vulkan Video (`VK_KHR_video_encode_h264`, `…_h265`): the way to the encoders of AMD, Intel
//! and NVIDIA alike.
//!
//! `choice`, `dpb`, `rate`, `h264`, `hevc` and `words` decide and know no device; `device`, `profile`, `objects`,
//! `session`, `source` and `coding` call the driver. Every picture is waited for: one is underway at a time, and the
//! caller's frame is free when a call returns.
//!
//! **Not yet run on hardware**: no driver at hand encodes. What decides is tested; what calls the driver is written
//! against the specification (Vulkan 1.3.281, chapters "Video Coding" and "Video Encode Operations").

mod choice;
mod coding;
mod device;
mod dpb;
mod h264;
mod hevc;
mod objects;
mod profile;
mod rate;
mod session;
mod source;
mod words;

use super::adjust::Adjustable;
use crate::video::{
    AccessUnit, Capabilities, Codec, EncodeError, FrameRequest, Invalidated, SliceSink, VideoEncoder,
    VideoSettings, no_slices,
};
use choice::{Chosen, Offered, choose};
use coding::Coder;
use device::Device;
use dpb::Dpb;
use nearframe_gpu::{DeviceUuid, Surface};
use rate::Rate;
use std::sync::Arc;
use std::time::Instant;

const NAME: &str = "Vulkan Video";
/// Beyond what any driver offers; each one's own limits are asked for.
const MAX_SIDES: (u32, u32) = (8192, 8192);

/// One stream.
pub struct VulkanVideoEncoder {
    settings: VideoSettings,
    capabilities: Capabilities,
    device: Arc<Device>,
    offered: Offered,
    header: ash::vk::ExtensionProperties,
    coder: Coder,
    mode: ash::vk::VideoEncodeRateControlModeFlagsKHR,
    /// Ten times the level that the stream declares.
    level: u32,
    dpb: Dpb,
    keyframes: u16,
}

impl VulkanVideoEncoder {
    /// Opens the best device that encodes the codec, the one that draws before others; the error says what each device
    /// lacks.
    pub fn open(settings: VideoSettings, near: Option<DeviceUuid>) -> Result<Self, EncodeError> {
        settings.check(NAME, MAX_SIDES.0, MAX_SIDES.1)?;
        if settings.codec == Codec::Av1 {
            return Err(EncodeError::Unsupported {
                encoder: NAME,
                what: settings.codec.to_string(),
                allowed: "H.264, HEVC, HEVC 10 bit".to_owned(),
            });
        }
        let device = Device::open(settings.codec, near)
            .map_err(|why| EncodeError::Unavailable { encoder: NAME, why })?;
        let (offered, header) =
            profile::query(&device, settings.codec).map_err(|why| failure("asking what it can do", why))?;
        let chosen = choose(&offered, &settings).map_err(|why| unsupported(&device, &settings, &why))?;
        let coder = Coder::open(&device, &settings, &offered, chosen, &header)
            .map_err(|why| failure("opening a session", why))?;
        let capabilities = Capabilities {
            name: NAME,
            codec: settings.codec,
            codecs: device.codecs(),
            layout: settings.codec.hardware_layout(),
            device: imports(&device),
            reference_invalidation: true,
            slices: false,
        };
        Ok(Self {
            settings,
            capabilities,
            offered,
            header,
            coder,
            mode: chosen.rate_control,
            level: chosen.level,
            dpb: Dpb::new(chosen.dpb_slots),
            keyframes: 0,
            device,
        })
    }

    fn choose(&self, settings: &VideoSettings) -> Result<Chosen, EncodeError> {
        choose(&self.offered, settings).map_err(|why| unsupported(&self.device, settings, &why))
    }
}

impl std::fmt::Debug for VulkanVideoEncoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("VulkanVideoEncoder")
            .field("device", &self.device.name)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

/// The device whose exported frames it reads.
fn imports(device: &Device) -> Option<DeviceUuid> {
    device.semaphore_fd.is_some().then_some(device.uuid)
}

fn failure(doing: &'static str, detail: String) -> EncodeError {
    EncodeError::Backend { encoder: NAME, doing, detail }
}

fn unsupported(device: &Device, settings: &VideoSettings, why: &str) -> EncodeError {
    EncodeError::Unsupported {
        encoder: NAME,
        what: format!("{} {}×{} on {}", settings.codec, settings.width, settings.height, device.name),
        allowed: why.to_owned(),
    }
}

impl Adjustable for VulkanVideoEncoder {
    const NAME: &'static str = NAME;

    fn settings(&mut self) -> &mut VideoSettings {
        &mut self.settings
    }

    fn check(&self, settings: &VideoSettings) -> Result<(), EncodeError> {
        settings.check(NAME, MAX_SIDES.0, MAX_SIDES.1)
    }

    fn goes_on(&self, settings: &VideoSettings) -> Result<bool, EncodeError> {
        Ok(self.choose(settings)?.level <= self.level)
    }

    fn restart(&mut self, settings: VideoSettings) -> Result<(), EncodeError> {
        let chosen = self.choose(&settings)?;
        self.coder = Coder::open(&self.device, &settings, &self.offered, chosen, &self.header)
            .map_err(|why| failure("opening a session", why))?;
        (self.mode, self.level) = (chosen.rate_control, chosen.level);
        self.dpb = Dpb::new(chosen.dpb_slots);
        self.settings = settings;
        Ok(())
    }
}

impl VideoEncoder for VulkanVideoEncoder {
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn encode(
        &mut self,
        surface: &Surface,
        request: FrameRequest,
    ) -> Result<Option<AccessUnit>, EncodeError> {
        let start = Instant::now();
        self.settings.check_surface(self.capabilities.layout, surface)?;
        let most = u32::try_from(self.offered.max_bitrate_bps).unwrap_or(u32::MAX);
        let rate = Rate {
            mode: self.mode,
            bitrate_bps: self.settings.bitrate_bps.min(most.max(1)),
            fps: self.settings.fps,
            frame_bytes: request.budget_bytes,
        };
        let step = self.dpb.plan(request.frame, request.keyframe);
        let is_keyframe = step.reference.is_none();
        let keyframes = self.keyframes.wrapping_add(u16::from(is_keyframe));
        let data = self
            .coder
            .encode(surface, &step, keyframes, rate)
            .map_err(|detail| failure("encoding", format!("{}: {detail}", self.device.name)))?;
        self.keyframes = keyframes;
        self.dpb.encoded(&step);
        Ok(Some(AccessUnit {
            frame: request.frame,
            keyframe: is_keyframe,
            refers_to: step.reference.map(|held| held.frame),
            over_budget: request.budget_bytes.is_some_and(|most| data.len() > most as usize),
            encode_time: start.elapsed(),
            data,
        }))
    }

    fn set_bitrate(&mut self, bitrate_bps: u32) -> Result<(), EncodeError> {
        self.adjust_bitrate(bitrate_bps)
    }

    fn set_frame_rate(&mut self, fps: u32) -> Result<(), EncodeError> {
        self.adjust_frame_rate(fps)
    }

    fn set_size(&mut self, width: u32, height: u32) -> Result<(), EncodeError> {
        self.adjust_size(width, height)
    }

    fn acknowledge(&mut self, frame: u32) -> Result<(), EncodeError> {
        self.dpb.acknowledge(frame);
        Ok(())
    }

    fn invalidate(&mut self, newest_good: u32) -> Result<Invalidated, EncodeError> {
        Ok(self.dpb.invalidate(newest_good))
    }

    fn stream_slices(&mut self, _sink: Option<SliceSink>) -> Result<(), EncodeError> {
        Err(no_slices(NAME))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_nothing_encodes_opening_says_why_and_what_to_do() {
        let settings =
            VideoSettings { codec: Codec::H264, width: 1280, height: 720, fps: 60, bitrate_bps: 6_000_000 };
        match VulkanVideoEncoder::open(settings, None) {
            Ok(encoder) => eprintln!("skipped: {encoder:?} is there"),
            Err(error) => {
                let text = error.to_string();
                assert!(text.starts_with("Vulkan Video cannot be used here: "), "{text}");
            }
        }
        let av1 =
            VulkanVideoEncoder::open(VideoSettings { codec: Codec::Av1, ..settings }, None).unwrap_err();
        assert!(av1.to_string().contains("HEVC 10 bit"), "{av1}");
    }
}
