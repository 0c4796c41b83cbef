//! One picture at a time: copied in, encoded, read out.
#![expect(unsafe_code, reason = "Vulkan is called here")]

use super::choice::{Chosen, Offered};
use super::device::Device;
use super::dpb::{Held, Step};
use super::objects::{ImageUse, Objects, refused};
use super::profile::{format, with_profile};
use super::rate::Rate;
use super::session::{self, Formats, Session};
use super::source::{Input, Source, copies};
use super::words::{with_picture, with_rate};
use crate::video::{Codec, VideoSettings};
use ash::vk;
use nearframe_gpu::Surface;
use std::sync::Arc;

/// A picture takes milliseconds; hardware that is silent for this long hangs. Half of the second that a change of
/// encoders may take.
const STALLED_AFTER_NS: u64 = 500_000_000;

/// Everything that one stream of one size is encoded with.
pub(super) struct Coder {
    objects: Objects,
    source: Source,
    session: Session,
    codec: Codec,
    picture: (u32, u32),
    chosen: Chosen,
    input: (vk::Image, vk::ImageView),
    references: (vk::Image, Vec<vk::ImageView>),
    output: Output,
    queries: vk::QueryPool,
    copying: vk::CommandBuffer,
    encoding: vk::CommandBuffer,
    copied: vk::Semaphore,
    encoded: vk::Fence,
    /// What the hardware was told last; `None` before the first picture.
    told: Option<Rate>,
}

/// Where the hardware writes.
struct Output {
    buffer: vk::Buffer,
    at: *const u8,
    bytes: u64,
}

// SAFETY: the mapped address is read by whoever owns the coder, one thread at a time; Vulkan's handles may be used
// by any thread, one at a time.
unsafe impl Send for Coder {}

impl Coder {
    /// Opens a session and everything around it.
    pub(super) fn open(
        device: &Arc<Device>,
        settings: &VideoSettings,
        offered: &Offered,
        chosen: Chosen,
        header: &vk::ExtensionProperties,
    ) -> Result<Self, String> {
        let mut objects = Objects::new(Arc::clone(device));
        let source_usage = vk::ImageUsageFlags::VIDEO_ENCODE_SRC_KHR | vk::ImageUsageFlags::TRANSFER_DST;
        let reference_usage = vk::ImageUsageFlags::VIDEO_ENCODE_DPB_KHR;
        let formats = Formats {
            source: format(device, settings.codec, source_usage)?,
            reference: format(device, settings.codec, reference_usage)?,
        };
        let session = session::open(&mut objects, settings, &chosen, formats, header)?;
        let (encode, copy) = (device.encode_queue.family, device.copy_queue.family);
        let families = if encode == copy { vec![encode] } else { vec![encode, copy] };
        let (input, references, output, queries) = with_profile(settings.codec, |profile| {
            let image = |format, layers, usage, families| ImageUse {
                format,
                extent: chosen.coded,
                layers,
                usage,
                families,
                profile,
            };
            let input = objects.image(&image(formats.source, 1, source_usage, &families))?;
            let references = image(formats.reference, chosen.dpb_slots, reference_usage, &families[..1]);
            let references = objects.image(&references)?;
            // No picture is larger than its samples: the hardware would store them instead.
            let bytes = u64::from(chosen.coded.0) * u64::from(chosen.coded.1) * 3 + (1 << 16);
            let bytes = bytes.next_multiple_of(offered.size_alignment);
            let usage = vk::BufferUsageFlags::VIDEO_ENCODE_DST_KHR;
            let (buffer, at) = objects.mapped_buffer(bytes, usage, Some(profile))?;
            let output = Output { buffer, at: at.cast_const(), bytes };
            Ok::<_, String>((input, references, output, objects.feedback(profile)?))
        })?;
        let view = input.1.first().copied().ok_or("the driver gave no view")?;
        Ok(Self {
            source: Source::new(),
            session,
            codec: settings.codec,
            picture: (settings.width, settings.height),
            chosen,
            input: (input.0, view),
            references,
            output,
            queries,
            copying: objects.commands(copy)?,
            encoding: objects.commands(encode)?,
            copied: objects.semaphore()?,
            encoded: objects.fence()?,
            told: None,
            objects,
        })
    }

    /// Encodes one frame; a keyframe comes with its parameter sets.
    pub(super) fn encode(
        &mut self,
        surface: &Surface,
        step: &Step,
        keyframes: u16,
        rate: Rate,
    ) -> Result<Vec<u8>, String> {
        let input = match surface {
            Surface::Gpu(surface) => self.source.exported(&mut self.objects, surface)?,
            Surface::Cpu(surface) => self.source.copied(&mut self.objects, surface)?,
        };
        let is_exported = matches!(surface, Surface::Gpu(_));
        self.record_copy(&input, is_exported)?;
        self.record_picture(step, keyframes, rate)?;
        self.submit_copy(&input)?;
        self.submit_picture()?;
        self.told = Some(rate);
        let bytes = self.written()?;
        if step.reference.is_some() {
            return Ok(bytes);
        }
        Ok([self.session.header.as_slice(), &bytes].concat())
    }

    fn raw(&self) -> &ash::Device {
        &self.objects.device().raw
    }

    fn begin(&self, commands: vk::CommandBuffer) -> Result<(), String> {
        let once = vk::CommandBufferUsageFlags::ONE_TIME_SUBMIT;
        let begin = vk::CommandBufferBeginInfo::default().flags(once);
        // SAFETY: the commands were waited for with the picture before, and their pool lets them be reset.
        unsafe { self.raw().begin_command_buffer(commands, &begin) }.map_err(refused("recording"))
    }

    fn barriers(&self, commands: vk::CommandBuffer, info: &vk::DependencyInfo<'_>) {
        // SAFETY: the commands are being recorded, and what the barriers name lives as long as this object.
        unsafe { self.raw().cmd_pipeline_barrier2(commands, info) };
    }

    fn record_copy(&self, input: &Input, is_exported: bool) -> Result<(), String> {
        self.begin(self.copying)?;
        let (copy, ignored) = (vk::PipelineStageFlags2::COPY, vk::QUEUE_FAMILY_IGNORED);
        let handover = |from, to, read_before, read_after| {
            vk::BufferMemoryBarrier2::default()
                .src_queue_family_index(from)
                .dst_queue_family_index(to)
                .src_stage_mask(if read_before { copy } else { vk::PipelineStageFlags2::NONE })
                .src_access_mask(if read_before {
                    vk::AccessFlags2::TRANSFER_READ
                } else {
                    vk::AccessFlags2::NONE
                })
                .dst_stage_mask(if read_after { copy } else { vk::PipelineStageFlags2::NONE })
                .dst_access_mask(if read_after {
                    vk::AccessFlags2::TRANSFER_READ
                } else {
                    vk::AccessFlags2::NONE
                })
                .buffer(input.buffer)
                .size(vk::WHOLE_SIZE)
        };
        let (external, ours) = (vk::QUEUE_FAMILY_EXTERNAL, self.objects.device().copy_queue.family);
        let acquire = is_exported.then(|| handover(external, ours, false, true));
        let fresh = [vk::ImageMemoryBarrier2::default()
            .src_stage_mask(vk::PipelineStageFlags2::ALL_COMMANDS)
            .dst_stage_mask(copy)
            .dst_access_mask(vk::AccessFlags2::TRANSFER_WRITE)
            .old_layout(vk::ImageLayout::UNDEFINED)
            .new_layout(vk::ImageLayout::TRANSFER_DST_OPTIMAL)
            .src_queue_family_index(ignored)
            .dst_queue_family_index(ignored)
            .image(self.input.0)
            .subresource_range(layers(1))];
        let acquire: Vec<_> = acquire.into_iter().collect();
        let before =
            vk::DependencyInfo::default().image_memory_barriers(&fresh).buffer_memory_barriers(&acquire);
        self.barriers(self.copying, &before);
        let regions = copies(input.planes, self.picture, self.chosen.coded);
        let target = vk::ImageLayout::TRANSFER_DST_OPTIMAL;
        // SAFETY: the image is in that layout, the regions lie within it and within the buffer.
        unsafe {
            self.raw().cmd_copy_buffer_to_image(self.copying, input.buffer, self.input.0, target, &regions);
        }
        if is_exported {
            let release = [handover(ours, external, true, false)];
            self.barriers(self.copying, &vk::DependencyInfo::default().buffer_memory_barriers(&release));
        }
        // SAFETY: as begun above.
        unsafe { self.raw().end_command_buffer(self.copying) }.map_err(refused("recording"))
    }

    /// What has to be visible before the picture is encoded.
    fn prepare_images(&self) {
        let ignored = vk::QUEUE_FAMILY_IGNORED;
        let encode = vk::PipelineStageFlags2::VIDEO_ENCODE_KHR;
        let access = vk::AccessFlags2::VIDEO_ENCODE_READ_KHR | vk::AccessFlags2::VIDEO_ENCODE_WRITE_KHR;
        let barrier = |image, old, new, count| {
            vk::ImageMemoryBarrier2::default()
                .src_stage_mask(vk::PipelineStageFlags2::ALL_COMMANDS)
                .src_access_mask(vk::AccessFlags2::MEMORY_WRITE)
                .dst_stage_mask(encode)
                .dst_access_mask(access)
                .old_layout(old)
                .new_layout(new)
                .src_queue_family_index(ignored)
                .dst_queue_family_index(ignored)
                .image(image)
                .subresource_range(layers(count))
        };
        let dpb = vk::ImageLayout::VIDEO_ENCODE_DPB_KHR;
        let before = if self.told.is_some() { dpb } else { vk::ImageLayout::UNDEFINED };
        let source = vk::ImageLayout::VIDEO_ENCODE_SRC_KHR;
        let images = [
            barrier(self.input.0, vk::ImageLayout::TRANSFER_DST_OPTIMAL, source, 1),
            barrier(self.references.0, before, dpb, self.chosen.dpb_slots),
        ];
        self.barriers(self.encoding, &vk::DependencyInfo::default().image_memory_barriers(&images));
    }

    fn resource(&self, view: vk::ImageView) -> vk::VideoPictureResourceInfoKHR<'static> {
        let (width, height) = self.chosen.coded;
        vk::VideoPictureResourceInfoKHR::default()
            .coded_extent(vk::Extent2D { width, height })
            .image_view_binding(view)
    }

    fn reference(&self, held: &Held) -> Result<vk::VideoPictureResourceInfoKHR<'static>, String> {
        let view = self.references.1.get(held.slot as usize).ok_or("a slot has no picture")?;
        Ok(self.resource(*view))
    }

    fn record_picture(&self, step: &Step, keyframes: u16, rate: Rate) -> Result<(), String> {
        self.begin(self.encoding)?;
        self.prepare_images();
        // SAFETY: the queries are this device's and none is underway.
        unsafe { self.raw().cmd_reset_query_pool(self.encoding, self.queries, 0, 1) };
        let setup = self.reference(&step.setup)?;
        let held = step.held.iter().map(|held| self.reference(held)).collect::<Result<Vec<_>, _>>()?;
        let mut slots: Vec<_> =
            step.held.iter().zip(&held).map(|(held, resource)| slot(held.slot as i32, resource)).collect();
        // The slot that is written holds nothing yet.
        slots.push(slot(-1, &setup));
        self.begin_coding(&slots);
        self.control(rate);
        let reference = step.reference.map(|held| self.reference(&held)).transpose()?;
        with_picture(self.codec, step, keyframes, |words| {
            let mut setup_slot = slot(step.setup.slot as i32, &setup);
            setup_slot.p_next = words.setup;
            let reference_slots: Vec<_> = step
                .reference
                .iter()
                .zip(&reference)
                .map(|(held, resource)| {
                    let mut slot = slot(held.slot as i32, resource);
                    slot.p_next = words.reference;
                    slot
                })
                .collect();
            let mut info = vk::VideoEncodeInfoKHR::default()
                .dst_buffer(self.output.buffer)
                .dst_buffer_range(self.output.bytes)
                .src_picture_resource(self.resource(self.input.1))
                .setup_reference_slot(&setup_slot)
                .reference_slots(&reference_slots);
            info.p_next = words.picture;
            let flags = vk::QueryControlFlags::empty();
            // SAFETY: recorded between begin and end of coding; every structure lives until the calls are over, and
            // every resource as long as this object.
            unsafe {
                self.raw().cmd_begin_query(self.encoding, self.queries, 0, flags);
                (self.objects.device().encode.fp().cmd_encode_video_khr)(self.encoding, &info);
                self.raw().cmd_end_query(self.encoding, self.queries, 0);
            }
        });
        let end = vk::VideoEndCodingInfoKHR::default();
        // SAFETY: ends what `begin_coding` began.
        unsafe {
            (self.objects.device().video.fp().cmd_end_video_coding_khr)(self.encoding, &end);
            self.raw().end_command_buffer(self.encoding)
        }
        .map_err(refused("recording"))
    }

    /// Coding begins under the rate that the hardware was told last.
    fn begin_coding(&self, slots: &[vk::VideoReferenceSlotInfoKHR<'_>]) {
        let begin = vk::VideoBeginCodingInfoKHR::default()
            .video_session(self.session.raw)
            .video_session_parameters(self.session.parameters)
            .reference_slots(slots);
        let function = self.objects.device().video.fp().cmd_begin_video_coding_khr;
        match self.told {
            // SAFETY: session, parameters and pictures are this device's; every structure lives until the call is
            // over.
            None => unsafe { function(self.encoding, &begin) },
            Some(told) => with_rate(self.codec, &told, |control| {
                // SAFETY: as above.
                unsafe { function(self.encoding, &begin.push_next(control)) };
            }),
        }
    }

    /// Tells the hardware what has changed; the first picture starts from a reset.
    fn control(&self, rate: Rate) {
        if self.told == Some(rate) {
            return;
        }
        let mut flags = vk::VideoCodingControlFlagsKHR::ENCODE_RATE_CONTROL;
        if self.told.is_none() {
            flags |= vk::VideoCodingControlFlagsKHR::RESET;
        }
        with_rate(self.codec, &rate, |control| {
            let info = vk::VideoCodingControlInfoKHR::default().flags(flags).push_next(control);
            // SAFETY: between begin and end of coding; every structure lives until the call is over.
            unsafe { (self.objects.device().video.fp().cmd_control_video_coding_khr)(self.encoding, &info) };
        });
    }

    fn submit_copy(&self, input: &Input) -> Result<(), String> {
        let all = vk::PipelineStageFlags2::ALL_COMMANDS;
        let at = |semaphore, value| {
            vk::SemaphoreSubmitInfo::default().semaphore(semaphore).value(value).stage_mask(all)
        };
        let waits: Vec<_> = input.timeline.iter().map(|(timeline, ready, _)| at(*timeline, *ready)).collect();
        let mut signals = vec![at(self.copied, 0)];
        signals.extend(input.timeline.iter().map(|(timeline, _, done)| at(*timeline, *done)));
        let commands = [vk::CommandBufferSubmitInfo::default().command_buffer(self.copying)];
        let submits = [vk::SubmitInfo2::default()
            .wait_semaphore_infos(&waits)
            .command_buffer_infos(&commands)
            .signal_semaphore_infos(&signals)];
        let queue = self.objects.device().copy_queue.raw;
        // SAFETY: this object is the queue's only user, and waits for the picture before it records again.
        unsafe { self.raw().queue_submit2(queue, &submits, vk::Fence::null()) }.map_err(refused("copying"))
    }

    fn submit_picture(&mut self) -> Result<(), String> {
        let all = vk::PipelineStageFlags2::ALL_COMMANDS;
        let waits = [vk::SemaphoreSubmitInfo::default().semaphore(self.copied).stage_mask(all)];
        let commands = [vk::CommandBufferSubmitInfo::default().command_buffer(self.encoding)];
        let submits =
            [vk::SubmitInfo2::default().wait_semaphore_infos(&waits).command_buffer_infos(&commands)];
        let (queue, fences) = (self.objects.device().encode_queue.raw, [self.encoded]);
        // SAFETY: as above.
        let waited = unsafe {
            self.raw().queue_submit2(queue, &submits, self.encoded).map_err(refused("encoding"))?;
            self.raw().wait_for_fences(&fences, true, STALLED_AFTER_NS)
        };
        if waited == Err(vk::Result::TIMEOUT) {
            self.objects.abandon();
            return Err("the hardware has not finished a picture within half a second".to_owned());
        }
        waited.map_err(refused("waiting for a picture"))?;
        // SAFETY: the fence was waited for.
        unsafe { self.raw().reset_fences(&fences) }.map_err(refused("waiting for a picture"))
    }

    /// The bytes of the picture that was just encoded.
    fn written(&self) -> Result<Vec<u8>, String> {
        // Offset, length and status, in this order (the flags of the pool, lowest first; the status last).
        let mut feedback = [[0_u32; 3]];
        let flags = vk::QueryResultFlags::WITH_STATUS_KHR;
        // SAFETY: the query was made with both kinds of feedback and has ended.
        unsafe { self.raw().get_query_pool_results(self.queries, 0, &mut feedback, flags) }
            .map_err(refused("asking for the picture's length"))?;
        let [offset, length, status] = feedback[0];
        if status.cast_signed() != vk::QueryResultStatusKHR::COMPLETE.as_raw() {
            return Err(format!("the hardware gave the picture up: status {}", status.cast_signed()));
        }
        let end = u64::from(offset) + u64::from(length);
        if end > self.output.bytes || length == 0 {
            return Err(format!("the hardware claims {length} bytes at {offset} of {}", self.output.bytes));
        }
        // SAFETY: within the mapping, which is coherent; the hardware is done with it.
        let bytes =
            unsafe { std::slice::from_raw_parts(self.output.at.add(offset as usize), length as usize) };
        Ok(bytes.to_vec())
    }
}

fn layers(count: u32) -> vk::ImageSubresourceRange {
    vk::ImageSubresourceRange::default()
        .aspect_mask(vk::ImageAspectFlags::COLOR)
        .level_count(1)
        .layer_count(count)
}

fn slot<'a>(
    index: i32,
    resource: &'a vk::VideoPictureResourceInfoKHR<'a>,
) -> vk::VideoReferenceSlotInfoKHR<'a> {
    vk::VideoReferenceSlotInfoKHR::default().slot_index(index).picture_resource(resource)
}
