//! Everything that an encoder made on its device, destroyed in the opposite order.
#![expect(unsafe_code, reason = "Vulkan is called here")]

use super::device::Device;
use ash::vk;
use std::sync::Arc;

enum Object {
    Buffer(vk::Buffer),
    Commands(vk::CommandPool),
    Fence(vk::Fence),
    Image(vk::Image),
    Memory(vk::DeviceMemory),
    Parameters(vk::VideoSessionParametersKHR),
    Queries(vk::QueryPool),
    Semaphore(vk::Semaphore),
    Session(vk::VideoSessionKHR),
    View(vk::ImageView),
}

/// The owner of all handles that its methods give out: they are valid as long as it lives.
pub(super) struct Objects {
    device: Arc<Device>,
    made: Vec<Object>,
}

/// A driver's refusal, with what was asked for.
pub(super) fn refused(doing: &str) -> impl Fn(vk::Result) -> String + '_ {
    move |error| format!("{doing}: {error}")
}

/// How an image is used.
pub(super) struct ImageUse<'a> {
    pub(super) format: vk::Format,
    pub(super) extent: (u32, u32),
    pub(super) layers: u32,
    pub(super) usage: vk::ImageUsageFlags,
    /// Queue families that use it; with more than one it is shared between them.
    pub(super) families: &'a [u32],
    pub(super) profile: &'a vk::VideoProfileInfoKHR<'a>,
}

impl Objects {
    pub(super) fn new(device: Arc<Device>) -> Self {
        Self { device, made: Vec::new() }
    }

    /// The hardware still works on something and may do so for ever: nothing is destroyed any more, since that would wait
    /// for it. The process ends with its session soon.
    pub(super) fn abandon(&mut self) {
        if !self.made.is_empty() {
            self.made.clear();
            std::mem::forget(Arc::clone(&self.device));
        }
    }

    pub(super) fn device(&self) -> &Arc<Device> {
        &self.device
    }

    /// Memory for something, dedicated to nothing.
    pub(super) fn memory(
        &mut self,
        needs: &vk::MemoryRequirements,
        wanted: vk::MemoryPropertyFlags,
    ) -> Result<vk::DeviceMemory, String> {
        // Drivers may have no memory of the wanted kind for it; any other that it takes is slower and right.
        let index = self
            .device
            .memory_type(needs.memory_type_bits, wanted)
            .or_else(|| self.device.memory_type(needs.memory_type_bits, vk::MemoryPropertyFlags::empty()))
            .ok_or_else(|| "no memory takes what the encoder needs".to_owned())?;
        let info = vk::MemoryAllocateInfo::default().allocation_size(needs.size).memory_type_index(index);
        // SAFETY: the type is one of those that the requirements name.
        let memory = unsafe { self.device.raw.allocate_memory(&info, None) }.map_err(refused("memory"))?;
        self.made.push(Object::Memory(memory));
        Ok(memory)
    }

    /// A buffer that the CPU reads and writes, mapped at the address.
    pub(super) fn mapped_buffer(
        &mut self,
        bytes: u64,
        usage: vk::BufferUsageFlags,
        profile: Option<&vk::VideoProfileInfoKHR<'_>>,
    ) -> Result<(vk::Buffer, *mut u8), String> {
        let profiles: Vec<_> = profile.into_iter().copied().collect();
        let mut list = vk::VideoProfileListInfoKHR::default().profiles(&profiles);
        let mut info = vk::BufferCreateInfo::default().size(bytes).usage(usage);
        if profile.is_some() {
            info = info.push_next(&mut list);
        }
        // SAFETY: the profile is one that the driver knows, and the chain lives here.
        let buffer = unsafe { self.device.raw.create_buffer(&info, None) }.map_err(refused("a buffer"))?;
        self.made.push(Object::Buffer(buffer));
        // SAFETY: the buffer is this device's.
        let needs = unsafe { self.device.raw.get_buffer_memory_requirements(buffer) };
        let wanted = vk::MemoryPropertyFlags::HOST_VISIBLE | vk::MemoryPropertyFlags::HOST_COHERENT;
        let fast = wanted | vk::MemoryPropertyFlags::HOST_CACHED;
        let kind = self.device.memory_type(needs.memory_type_bits, fast).map_or(wanted, |_| fast);
        if self.device.memory_type(needs.memory_type_bits, kind).is_none() {
            return Err("the CPU reaches no memory that the encoder writes to".to_owned());
        }
        let memory = self.memory(&needs, kind)?;
        let flags = vk::MemoryMapFlags::empty();
        // SAFETY: unbound and unmapped so far, of a type that the buffer takes and that can be mapped; it stays
        // mapped until it is freed.
        unsafe {
            self.device.raw.bind_buffer_memory(buffer, memory, 0).map_err(refused("binding a buffer"))?;
            let at =
                self.device.raw.map_memory(memory, 0, vk::WHOLE_SIZE, flags).map_err(refused("mapping"))?;
            Ok((buffer, at.cast()))
        }
    }

    /// A buffer and memory that were made elsewhere on this device, to be destroyed with the rest.
    pub(super) fn adopt(&mut self, buffer: vk::Buffer, memory: vk::DeviceMemory) {
        self.made.push(Object::Memory(memory));
        self.made.push(Object::Buffer(buffer));
    }

    /// A semaphore that was made elsewhere on this device.
    pub(super) fn adopt_semaphore(&mut self, semaphore: vk::Semaphore) {
        self.made.push(Object::Semaphore(semaphore));
    }

    /// An image in the GPU's memory with a view of each layer.
    pub(super) fn image(&mut self, wanted: &ImageUse<'_>) -> Result<(vk::Image, Vec<vk::ImageView>), String> {
        let profiles = [*wanted.profile];
        let mut list = vk::VideoProfileListInfoKHR::default().profiles(&profiles);
        let sharing =
            if wanted.families.len() > 1 { vk::SharingMode::CONCURRENT } else { vk::SharingMode::EXCLUSIVE };
        let (width, height) = wanted.extent;
        let info = vk::ImageCreateInfo::default()
            .image_type(vk::ImageType::TYPE_2D)
            .format(wanted.format)
            .extent(vk::Extent3D { width, height, depth: 1 })
            .mip_levels(1)
            .array_layers(wanted.layers)
            .samples(vk::SampleCountFlags::TYPE_1)
            .tiling(vk::ImageTiling::OPTIMAL)
            .usage(wanted.usage)
            .sharing_mode(sharing)
            .queue_family_indices(wanted.families)
            .push_next(&mut list);
        // SAFETY: the driver offers this format for this usage and profile (`profile::format`).
        let image = unsafe { self.device.raw.create_image(&info, None) }.map_err(refused("an image"))?;
        self.made.push(Object::Image(image));
        // SAFETY: the image is this device's.
        let needs = unsafe { self.device.raw.get_image_memory_requirements(image) };
        let memory = self.memory(&needs, vk::MemoryPropertyFlags::DEVICE_LOCAL)?;
        // SAFETY: unbound so far, of a type and size that the image takes.
        unsafe { self.device.raw.bind_image_memory(image, memory, 0) }
            .map_err(refused("binding an image"))?;
        let views =
            (0..wanted.layers).map(|layer| self.view(image, wanted, layer)).collect::<Result<_, _>>()?;
        Ok((image, views))
    }

    fn view(&mut self, image: vk::Image, wanted: &ImageUse<'_>, layer: u32) -> Result<vk::ImageView, String> {
        // A view may be used for video alone; copies name the image.
        let video = vk::ImageUsageFlags::VIDEO_ENCODE_SRC_KHR | vk::ImageUsageFlags::VIDEO_ENCODE_DPB_KHR;
        let mut usage = vk::ImageViewUsageCreateInfo::default().usage(wanted.usage & video);
        let range = vk::ImageSubresourceRange::default()
            .aspect_mask(vk::ImageAspectFlags::COLOR)
            .level_count(1)
            .base_array_layer(layer)
            .layer_count(1);
        let info = vk::ImageViewCreateInfo::default()
            .image(image)
            .view_type(vk::ImageViewType::TYPE_2D)
            .format(wanted.format)
            .subresource_range(range)
            .push_next(&mut usage);
        // SAFETY: the image is this device's, has this layer and this format.
        let view = unsafe { self.device.raw.create_image_view(&info, None) }.map_err(refused("a view"))?;
        self.made.push(Object::View(view));
        Ok(view)
    }

    /// A command buffer of its own pool, to be recorded again and again.
    pub(super) fn commands(&mut self, family: u32) -> Result<vk::CommandBuffer, String> {
        let info = vk::CommandPoolCreateInfo::default()
            .queue_family_index(family)
            .flags(vk::CommandPoolCreateFlags::RESET_COMMAND_BUFFER);
        // SAFETY: the family is one that the device was opened with.
        let pool =
            unsafe { self.device.raw.create_command_pool(&info, None) }.map_err(refused("commands"))?;
        self.made.push(Object::Commands(pool));
        let info = vk::CommandBufferAllocateInfo::default().command_pool(pool).command_buffer_count(1);
        // SAFETY: the pool is this device's; its buffers go with it.
        let buffers =
            unsafe { self.device.raw.allocate_command_buffers(&info) }.map_err(refused("commands"))?;
        buffers.first().copied().ok_or_else(|| "the driver gave no command buffer".to_owned())
    }

    pub(super) fn fence(&mut self) -> Result<vk::Fence, String> {
        // SAFETY: a plain fence.
        let fence = unsafe { self.device.raw.create_fence(&vk::FenceCreateInfo::default(), None) }
            .map_err(refused("a fence"))?;
        self.made.push(Object::Fence(fence));
        Ok(fence)
    }

    pub(super) fn semaphore(&mut self) -> Result<vk::Semaphore, String> {
        // SAFETY: a plain binary semaphore.
        let semaphore =
            unsafe { self.device.raw.create_semaphore(&vk::SemaphoreCreateInfo::default(), None) }
                .map_err(refused("a semaphore"))?;
        self.made.push(Object::Semaphore(semaphore));
        Ok(semaphore)
    }

    /// One query for where in the buffer the bytes of a picture lie.
    pub(super) fn feedback(
        &mut self,
        profile: &vk::VideoProfileInfoKHR<'_>,
    ) -> Result<vk::QueryPool, String> {
        let wanted = vk::VideoEncodeFeedbackFlagsKHR::BITSTREAM_BUFFER_OFFSET
            | vk::VideoEncodeFeedbackFlagsKHR::BITSTREAM_BYTES_WRITTEN;
        let mut feedback =
            vk::QueryPoolVideoEncodeFeedbackCreateInfoKHR::default().encode_feedback_flags(wanted);
        // The profile is chained as it stands, with its own chain.
        feedback.p_next = std::ptr::from_ref(profile).cast();
        let mut info = vk::QueryPoolCreateInfo::default()
            .query_type(vk::QueryType::VIDEO_ENCODE_FEEDBACK_KHR)
            .query_count(1);
        info.p_next = std::ptr::from_ref(&feedback).cast();
        // SAFETY: the driver offers this feedback (`choice`); both chained structures live until the call is over.
        let pool = unsafe { self.device.raw.create_query_pool(&info, None) }.map_err(refused("feedback"))?;
        self.made.push(Object::Queries(pool));
        Ok(pool)
    }

    /// A video session with the memory that it asks for.
    pub(super) fn session(
        &mut self,
        info: &vk::VideoSessionCreateInfoKHR<'_>,
    ) -> Result<vk::VideoSessionKHR, String> {
        let device = Arc::clone(&self.device);
        let (raw, functions) = (device.raw.handle(), device.video.fp());
        let mut session = vk::VideoSessionKHR::null();
        let check = |result: vk::Result, doing: &str| match result {
            vk::Result::SUCCESS => Ok(()),
            error => Err(format!("{doing}: {error}")),
        };
        // SAFETY: what the info points to lives with the caller, and its values are those that the driver offers.
        let made = unsafe { (functions.create_video_session_khr)(raw, info, std::ptr::null(), &mut session) };
        check(made, "a video session")?;
        self.made.push(Object::Session(session));
        let mut count = 0;
        let function = functions.get_video_session_memory_requirements_khr;
        // SAFETY: without an array only the count is written.
        check(unsafe { function(raw, session, &mut count, std::ptr::null_mut()) }, "a session's memory")?;
        let mut needs = vec![vk::VideoSessionMemoryRequirementsKHR::default(); count as usize];
        // SAFETY: the array has room for as many as it says.
        check(unsafe { function(raw, session, &mut count, needs.as_mut_ptr()) }, "a session's memory")?;
        let mut binds = Vec::with_capacity(needs.len());
        for need in needs.iter().take(count as usize) {
            let memory = self.memory(&need.memory_requirements, vk::MemoryPropertyFlags::DEVICE_LOCAL)?;
            binds.push(
                vk::BindVideoSessionMemoryInfoKHR::default()
                    .memory_bind_index(need.memory_bind_index)
                    .memory(memory)
                    .memory_size(need.memory_requirements.size),
            );
        }
        // SAFETY: every index that was asked for gets memory of its own, of the size and a type that it named.
        let bound = unsafe {
            (functions.bind_video_session_memory_khr)(raw, session, binds.len() as u32, binds.as_ptr())
        };
        check(bound, "binding a session's memory")?;
        Ok(session)
    }

    /// Parameter sets of a session.
    pub(super) fn parameters(
        &mut self,
        info: &vk::VideoSessionParametersCreateInfoKHR<'_>,
    ) -> Result<vk::VideoSessionParametersKHR, String> {
        let mut parameters = vk::VideoSessionParametersKHR::null();
        let function = self.device.video.fp().create_video_session_parameters_khr;
        // SAFETY: what the info points to lives with the caller; the session is this device's.
        let made = unsafe { function(self.device.raw.handle(), info, std::ptr::null(), &mut parameters) };
        if made != vk::Result::SUCCESS {
            return Err(format!("parameter sets: {made}"));
        }
        self.made.push(Object::Parameters(parameters));
        Ok(parameters)
    }
}

impl Drop for Objects {
    fn drop(&mut self) {
        if self.made.is_empty() {
            return;
        }
        let (raw, video) = (&self.device.raw, self.device.video.fp());
        // SAFETY: everything was made by this device and by nobody else; nothing uses it once the device is idle, or
        // is lost, and what was made later goes first. Memory outlives what is bound to it, except for sessions and
        // adopted buffers, whose memory was made after or before them: freeing memory that an idle object is bound
        // to is allowed as long as the object is not used again, and it is not.
        unsafe {
            let _ = raw.device_wait_idle();
            for object in self.made.drain(..).rev() {
                match object {
                    Object::Buffer(buffer) => raw.destroy_buffer(buffer, None),
                    Object::Commands(pool) => raw.destroy_command_pool(pool, None),
                    Object::Fence(fence) => raw.destroy_fence(fence, None),
                    Object::Image(image) => raw.destroy_image(image, None),
                    Object::Memory(memory) => raw.free_memory(memory, None),
                    Object::Parameters(parameters) => {
                        (video.destroy_video_session_parameters_khr)(
                            raw.handle(),
                            parameters,
                            std::ptr::null(),
                        );
                    }
                    Object::Queries(pool) => raw.destroy_query_pool(pool, None),
                    Object::Semaphore(semaphore) => raw.destroy_semaphore(semaphore, None),
                    Object::Session(session) => {
                        (video.destroy_video_session_khr)(raw.handle(), session, std::ptr::null());
                    }
                    Object::View(view) => raw.destroy_image_view(view, None),
                }
            }
        }
    }
}
