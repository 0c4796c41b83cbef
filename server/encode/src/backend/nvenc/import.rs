//! Slots of a ring in GPU memory: taken over by CUDA once, registered with the encoder once, mapped for each frame.
#![expect(unsafe_code, reason = "CUDA and the encoder's interface speak C; every call is wrapped here")]

use super::cuda::Context;
use super::params::buffer_format;
use super::session::Session;
use super::status::{check_cuda, describe_cuda, failure};
use crate::video::{Codec, EncodeError};
use cudarc::driver::sys as cu;
use nearframe_gpu::{ExportedSlot, GpuSurface, SlotId};
use nvidia_video_codec_sdk::sys::nvEncodeAPI as nv;
use std::ffi::{c_int, c_void};
use std::os::fd::{AsFd, IntoRawFd, OwnedFd};
use std::ptr::null_mut;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

const DOING: &str = "taking over a picture's memory";
/// A picture that is not drawn by then never will be.
const DRAWN_WITHIN: Duration = Duration::from_millis(500);
const ASKED_EVERY: Duration = Duration::from_micros(50);
const NOT_READY: c_int = cu::CUresult::CUDA_ERROR_NOT_READY as c_int;
/// Rings that may be alive at once: the one in use and one that is being replaced.
const MOST_SLOTS: usize = 16;

/// All imports of a session, oldest first.
pub(super) struct Imports {
    slots: Vec<(SlotId, Import)>,
    stream: Stream,
    session: Arc<Session>,
}

impl Imports {
    pub(super) fn new(session: &Arc<Session>) -> Result<Self, EncodeError> {
        let stream = Stream::create(session)?;
        Ok(Self { slots: Vec::new(), stream, session: Arc::clone(session) })
    }

    /// The picture as the encoder reads it, once it is drawn. Dropping the result gives it back.
    pub(super) fn map(&mut self, codec: Codec, surface: &GpuSurface) -> Result<Mapped, EncodeError> {
        let at = match self.slots.iter().position(|(id, _)| *id == surface.slot().id) {
            Some(at) => at,
            None => self.import(codec, surface.slot())?,
        };
        let import = &self.slots[at].1;
        if let Some(timeline) = &import.timeline {
            self.stream.wait(timeline, surface.ready())?;
        }
        Mapped::map(&self.session, import)
    }

    /// Moves the slot's timeline on once the encoder has read.
    pub(super) fn done(&self, surface: &GpuSurface) -> Result<(), EncodeError> {
        let import = self.slots.iter().find(|(id, _)| *id == surface.slot().id);
        match import.and_then(|(_, import)| import.timeline.as_ref()) {
            Some(timeline) => self.stream.signal(timeline, surface.done()),
            None => Ok(()),
        }
    }

    fn import(&mut self, codec: Codec, slot: &Arc<ExportedSlot>) -> Result<usize, EncodeError> {
        self.slots.retain(|(_, import)| import.slot.strong_count() > 0);
        if self.slots.len() == MOST_SLOTS {
            self.slots.remove(0);
        }
        self.slots.push((slot.id, Import::new(&self.session, codec, slot)?));
        Ok(self.slots.len() - 1)
    }
}

/// One slot. Fields are dropped in this order: the encoder lets go before CUDA does.
struct Import {
    registered: Registered,
    _memory: Memory,
    timeline: Option<Timeline>,
    pitch: u32,
    slot: Weak<ExportedSlot>,
}

impl Import {
    fn new(session: &Arc<Session>, codec: Codec, slot: &Arc<ExportedSlot>) -> Result<Self, EncodeError> {
        let Some((pitch, bytes)) = slot.contiguous() else {
            return Err(failure(DOING, "its planes do not follow each other with one stride".to_owned()));
        };
        let memory = Memory::import(session.context(), slot, bytes)?;
        let timeline = match &slot.timeline {
            Some(timeline) => Some(Timeline::import(session.context(), timeline)?),
            None => None,
        };
        let registered = Registered::register(session, codec, slot, &memory, pitch)?;
        Ok(Self { registered, _memory: memory, timeline, pitch, slot: Arc::downgrade(slot) })
    }
}

/// What CUDA takes over becomes its own; the slot keeps the original.
fn duplicate(fd: &OwnedFd) -> Result<OwnedFd, EncodeError> {
    fd.as_fd()
        .try_clone_to_owned()
        .map_err(|error| failure(DOING, format!("no file descriptor is left: {error}")))
}

/// Exported memory, mapped for the device.
pub(super) struct Memory {
    context: Arc<Context>,
    memory: *mut c_void,
    pub(super) address: cu::CUdeviceptr,
}

// SAFETY: handles of CUDA may be used from any thread whose context is theirs.
unsafe impl Send for Memory {}

impl Memory {
    pub(super) fn import(
        context: &Arc<Context>,
        slot: &ExportedSlot,
        bytes: u64,
    ) -> Result<Self, EncodeError> {
        const DEDICATED: u32 = 1;
        let (_current, external) = context.external()?;
        let fd = duplicate(&slot.memory)?.into_raw_fd();
        let description = cu::CUDA_EXTERNAL_MEMORY_HANDLE_DESC {
            type_: cu::CUexternalMemoryHandleType::CU_EXTERNAL_MEMORY_HANDLE_TYPE_OPAQUE_FD,
            handle: cu::CUDA_EXTERNAL_MEMORY_HANDLE_DESC_st__bindgen_ty_1 { fd },
            size: slot.allocation_bytes,
            flags: if slot.dedicated { DEDICATED } else { 0 },
            reserved: [0; 16],
        };
        let mut handle = null_mut();
        // SAFETY: the context is current; the structure is whole. CUDA owns the descriptor on success.
        let code = unsafe { (external.import_memory)(&raw mut handle, &raw const description) };
        if code != 0 {
            close(fd);
            return Err(failure(DOING, describe_cuda(code)));
        }
        let mut memory = Self { context: Arc::clone(context), memory: handle, address: 0 };
        let buffer = cu::CUDA_EXTERNAL_MEMORY_BUFFER_DESC {
            offset: slot.planes[0].offset_bytes,
            size: bytes,
            ..Default::default()
        };
        // SAFETY: the memory was just taken over, and the planes lie inside of it (`ExportedSlot::contiguous`).
        let code = unsafe { (external.map_buffer)(&raw mut memory.address, handle, &raw const buffer) };
        check_cuda(DOING, code)?;
        Ok(memory)
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        let Ok((_current, external)) = self.context.external() else { return };
        // SAFETY: taken over and mapped once by `import`; the encoder has let go of it.
        unsafe {
            if self.address != 0 {
                (external.free)(self.address);
            }
            (external.destroy_memory)(self.memory);
        }
    }
}

/// A timeline semaphore of Vulkan.
pub(super) struct Timeline {
    context: Arc<Context>,
    pub(super) semaphore: *mut c_void,
}

// SAFETY: as for `Memory`.
unsafe impl Send for Timeline {}

impl Timeline {
    pub(super) fn import(context: &Arc<Context>, timeline: &OwnedFd) -> Result<Self, EncodeError> {
        let (_current, external) = context.external()?;
        let fd = duplicate(timeline)?.into_raw_fd();
        let description = cu::CUDA_EXTERNAL_SEMAPHORE_HANDLE_DESC {
            type_: cu::CUexternalSemaphoreHandleType::CU_EXTERNAL_SEMAPHORE_HANDLE_TYPE_TIMELINE_SEMAPHORE_FD,
            handle: cu::CUDA_EXTERNAL_SEMAPHORE_HANDLE_DESC_st__bindgen_ty_1 { fd },
            flags: 0,
            reserved: [0; 16],
        };
        let mut semaphore = null_mut();
        // SAFETY: the context is current; the structure is whole. CUDA owns the descriptor on success.
        let code = unsafe { (external.import_semaphore)(&raw mut semaphore, &raw const description) };
        if code != 0 {
            close(fd);
            return Err(failure("taking over a semaphore", describe_cuda(code)));
        }
        Ok(Self { context: Arc::clone(context), semaphore })
    }
}

impl Drop for Timeline {
    fn drop(&mut self) {
        let Ok((_current, external)) = self.context.external() else { return };
        // SAFETY: taken over once by `import`.
        unsafe { (external.destroy_semaphore)(self.semaphore) };
    }
}

/// Closes a descriptor that CUDA did not take.
fn close(fd: c_int) {
    use std::os::fd::FromRawFd;
    // SAFETY: it came out of an `OwnedFd` just before and nobody took it over.
    drop(unsafe { OwnedFd::from_raw_fd(fd) });
}

/// Hands `value` of a timeline to a stream: what follows on it comes after.
pub(super) fn wait_for(
    external: &super::cuda::External,
    timeline: &Timeline,
    value: u64,
    stream: *mut c_void,
) -> Result<(), EncodeError> {
    // SAFETY: zeros are valid for this structure of integers and unions of them.
    let mut params: cu::CUDA_EXTERNAL_SEMAPHORE_WAIT_PARAMS = unsafe { std::mem::zeroed() };
    params.params.fence.value = value;
    // SAFETY: one semaphore and one structure, as is said; both live through the call, in which a context is current.
    let code = unsafe { (external.wait)(&raw const timeline.semaphore, &raw const params, 1, stream) };
    check_cuda("waiting for the picture", code)
}

/// Waits until everything on a stream is done.
pub(super) fn drain(external: &super::cuda::External, stream: *mut c_void) -> Result<(), EncodeError> {
    let asked = Instant::now();
    loop {
        // SAFETY: the caller's context is current and the stream alive.
        match unsafe { (external.query)(stream) } {
            NOT_READY if asked.elapsed() < DRAWN_WITHIN => std::thread::sleep(ASKED_EVERY),
            NOT_READY => {
                let why = format!("the picture was not drawn within {DRAWN_WITHIN:?}: the GPU may be lost");
                return Err(failure("waiting for the picture", why));
            }
            code => return check_cuda("waiting for the picture", code),
        }
    }
}

/// The order of waits, reads and signals on the device.
struct Stream {
    session: Arc<Session>,
    /// Boxed, since the encoder keeps a pointer to the handle.
    stream: Box<*mut c_void>,
    /// The encoder reads in the order of the stream; else the CPU waits for the picture.
    ordered: bool,
}

// SAFETY: as for `Memory`.
unsafe impl Send for Stream {}

impl Stream {
    fn create(session: &Arc<Session>) -> Result<Self, EncodeError> {
        const NON_BLOCKING: u32 = 1;
        let mut stream = Box::new(null_mut());
        {
            let (_current, external) = session.context().external()?;
            // SAFETY: the context is current; the pointer to write to is valid for the call.
            check_cuda("creating a stream", unsafe {
                (external.create_stream)(&raw mut *stream, NON_BLOCKING)
            })?;
        }
        let mut created = Self { session: Arc::clone(session), stream, ordered: false };
        let pointer = (&raw mut *created.stream).cast();
        created.ordered = session.functions().set_streams.is_some_and(|set| {
            // SAFETY: the session is started; the handle stays in its box until the session's last frame.
            unsafe { set(session.raw(), pointer, pointer) == 0 }
        });
        Ok(created)
    }

    /// What follows on the device comes after `value`.
    fn wait(&self, timeline: &Timeline, value: u64) -> Result<(), EncodeError> {
        let (_current, external) = self.session.context().external()?;
        wait_for(external, timeline, value, *self.stream)?;
        if self.ordered { Ok(()) } else { drain(external, *self.stream) }
    }

    fn signal(&self, timeline: &Timeline, value: u64) -> Result<(), EncodeError> {
        let (_current, external) = self.session.context().external()?;
        // SAFETY: zeros are valid for this structure of integers and unions of them.
        let mut params: cu::CUDA_EXTERNAL_SEMAPHORE_SIGNAL_PARAMS = unsafe { std::mem::zeroed() };
        params.params.fence.value = value;
        // SAFETY: one semaphore and one structure, as is said; both live through the call.
        let code =
            unsafe { (external.signal)(&raw const timeline.semaphore, &raw const params, 1, *self.stream) };
        check_cuda("giving the picture back", code)
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let Ok((_current, external)) = self.session.context().external() else { return };
        // SAFETY: created once; no frame is under way.
        unsafe { (external.destroy_stream)(*self.stream) };
    }
}

/// A slot as the encoder knows it.
struct Registered {
    session: Arc<Session>,
    resource: *mut c_void,
    size: (u32, u32),
}

// SAFETY: used through calls of its session alone, which may come from any thread.
unsafe impl Send for Registered {}

impl Registered {
    fn register(
        session: &Arc<Session>,
        codec: Codec,
        slot: &ExportedSlot,
        memory: &Memory,
        pitch: u32,
    ) -> Result<Self, EncodeError> {
        let mut params = nv::NV_ENC_REGISTER_RESOURCE {
            version: nv::NV_ENC_REGISTER_RESOURCE_VER,
            resourceType: nv::NV_ENC_INPUT_RESOURCE_TYPE::NV_ENC_INPUT_RESOURCE_TYPE_CUDADEVICEPTR,
            width: slot.width,
            height: slot.height,
            pitch,
            resourceToRegister: memory.address as *mut c_void,
            bufferFormat: buffer_format(codec),
            bufferUsage: nv::NV_ENC_BUFFER_USAGE::NV_ENC_INPUT_IMAGE,
            ..Default::default()
        };
        // SAFETY: the session is started, the structure whole; the memory outlives the registration.
        let code = unsafe { (session.functions().register)(session.raw(), &raw mut params) };
        session.check("registering a picture", code)?;
        let size = (slot.width, slot.height);
        Ok(Self { session: Arc::clone(session), resource: params.registeredResource, size })
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        // SAFETY: registered once, and not mapped: `Mapped` lives shorter than a frame.
        unsafe { (self.session.functions().unregister)(self.session.raw(), self.resource) };
    }
}

/// A registered picture, mapped for one frame.
pub(super) struct Mapped {
    session: Arc<Session>,
    pub(super) input: *mut c_void,
    pub(super) pitch: u32,
    pub(super) size: (u32, u32),
}

impl Mapped {
    fn map(session: &Arc<Session>, import: &Import) -> Result<Self, EncodeError> {
        let mut params = nv::NV_ENC_MAP_INPUT_RESOURCE {
            version: nv::NV_ENC_MAP_INPUT_RESOURCE_VER,
            registeredResource: import.registered.resource,
            ..Default::default()
        };
        // SAFETY: registered in this session and not mapped.
        let code = unsafe { (session.functions().map)(session.raw(), &raw mut params) };
        session.check("mapping a picture", code)?;
        let (pitch, size) = (import.pitch, import.registered.size);
        Ok(Self { session: Arc::clone(session), input: params.mappedResource, pitch, size })
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        // SAFETY: mapped once; the frame that reads it is done.
        unsafe { (self.session.functions().unmap)(self.session.raw(), self.input) };
    }
}
