//! CUDA: "device" memory is memory of the CPU, exported memory a memfd, a timeline semaphore eight bytes of one.
#![expect(unsafe_code, reason = "stands in for a C library")]

use crate::state::{State, pointer, with};
use cudarc::driver::sys as cu;
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};
use std::cell::RefCell;
use std::ffi::{c_char, c_int, c_uint, c_void};
use std::os::fd::{FromRawFd, OwnedFd};
use std::ptr::null_mut;
use std::sync::atomic::{AtomicU64, Ordering};

const OK: c_int = 0;
const INVALID_VALUE: c_int = 1;
const NOT_INITIALIZED: c_int = 3;
const NO_DEVICE: c_int = 100;
const INVALID_DEVICE: c_int = 101;
const INVALID_CONTEXT: c_int = 201;
const INVALID_HANDLE: c_int = 400;
const NOT_READY: c_int = 600;
const LAUNCH_FAILED: c_int = 719;
/// Contexts are device numbers above this.
const CONTEXTS: usize = 0xc0de_0000;

thread_local! {
    static CURRENT: RefCell<Vec<usize>> = const { RefCell::new(Vec::new()) };
}

/// Memory that was taken over.
pub(crate) struct Memory {
    mapping: Mapping,
    /// Where it is mapped for the device.
    pub(crate) address: Option<(u64, u64)>,
}

/// A shared mapping of a memfd.
pub(crate) struct Mapping {
    start: *mut c_void,
    bytes: usize,
}

// SAFETY: plain shared memory, reached under the lock of the state.
unsafe impl Send for Mapping {}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: mapped once, by `map`.
        let _ = unsafe { munmap(self.start, self.bytes) };
    }
}

fn map(fd: &OwnedFd, bytes: usize) -> Option<Mapping> {
    let flags = ProtFlags::READ | ProtFlags::WRITE;
    // SAFETY: a new mapping at an address of the system's choice.
    let start = unsafe { mmap(null_mut(), bytes, flags, MapFlags::SHARED, fd, 0) }.ok()?;
    Some(Mapping { start, bytes })
}

/// A timeline that was taken over.
pub(crate) struct Semaphore(Mapping);

impl Semaphore {
    fn value(&self) -> &AtomicU64 {
        // SAFETY: eight bytes at the start of a page.
        unsafe { &*self.0.start.cast::<AtomicU64>() }
    }
}

/// What has to have happened before later work on the stream.
#[derive(Default)]
pub(crate) struct Stream {
    pub(crate) waits: Vec<(usize, u64)>,
}

impl State {
    /// Whether all that a stream waits for has happened.
    pub(crate) fn reached(&mut self, stream: usize) -> bool {
        let Some(waits) = self.streams.get(&stream).map(|stream| stream.waits.clone()) else { return true };
        let open = |(semaphore, value): &(usize, u64)| {
            self.semaphores
                .get(semaphore)
                .is_some_and(|timeline| timeline.value().load(Ordering::Acquire) < *value)
        };
        let left: Vec<_> = waits.into_iter().filter(open).collect();
        let done = left.is_empty();
        if let Some(stream) = self.streams.get_mut(&stream) {
            stream.waits = left;
        }
        done
    }

    /// Samples of device memory, if all of them lie inside of what is mapped.
    pub(crate) fn device_bytes(&self, address: u64, bytes: u64) -> Option<Vec<u8>> {
        let inside = |memory: &&Memory| {
            memory.address.is_some_and(|(start, room)| address >= start && address + bytes <= start + room)
        };
        self.memories.values().find(inside)?;
        // SAFETY: inside of a live mapping.
        Some(unsafe { std::slice::from_raw_parts(address as *const u8, bytes as usize) }.to_vec())
    }

    fn is_current(&self) -> bool {
        CURRENT.with_borrow(|current| {
            current.last().is_some_and(|context| self.contexts.get(context).is_some_and(|count| *count > 0))
        })
    }

    /// An error when no context is current on this thread, or the GPU is gone.
    fn in_context(&mut self, call: &str) -> Result<(), c_int> {
        if !self.is_current() {
            return Err(self.wrong(format!("{call} without a current context"), INVALID_CONTEXT));
        }
        if self.is_lost() { Err(LAUNCH_FAILED) } else { Ok(()) }
    }
}

fn code(result: Result<(), c_int>) -> c_int {
    result.err().unwrap_or(OK)
}

#[unsafe(no_mangle)]
extern "C" fn cuInit(flags: c_uint) -> c_int {
    with(|state| {
        if flags != 0 {
            return state.wrong("cuInit with flags", INVALID_VALUE);
        }
        state.initialised = true;
        if state.faults.devices == 0 { NO_DEVICE } else { OK }
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuDeviceGetCount(count: *mut c_int) -> c_int {
    with(|state| {
        if !state.initialised {
            return state.wrong("cuDeviceGetCount before cuInit", NOT_INITIALIZED);
        }
        // SAFETY: the caller's pointer to write to.
        unsafe { *count = state.faults.devices as c_int };
        OK
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuDeviceGet(device: *mut c_int, ordinal: c_int) -> c_int {
    with(|state| {
        if ordinal < 0 || ordinal as usize >= state.faults.devices {
            return state.wrong("cuDeviceGet of a device that is not there", INVALID_DEVICE);
        }
        // SAFETY: the caller's pointer to write to.
        unsafe { *device = ordinal };
        OK
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuDeviceGetName(name: *mut c_char, room: c_int, device: c_int) -> c_int {
    let text = format!("stand-in GPU {device}");
    let length = text.len().min(room.max(0) as usize);
    // SAFETY: the caller gives so much room.
    unsafe { name.cast::<u8>().copy_from_nonoverlapping(text.as_ptr(), length) };
    OK
}

/// The id of a device: its number in the last byte.
pub(crate) fn uuid(device: usize) -> [u8; 16] {
    let mut bytes = *b"stand-in-gpu-00\0";
    bytes[15] = device as u8;
    bytes
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuDeviceGetUuid_v2(to: *mut cu::CUuuid, device: c_int) -> c_int {
    // SAFETY: the caller's pointer to write to.
    unsafe { (*to).bytes = uuid(device as usize).map(|byte| byte as c_char) };
    OK
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuDevicePrimaryCtxRetain(context: *mut *mut c_void, device: c_int) -> c_int {
    with(|state| {
        let handle = CONTEXTS + device as usize;
        *state.contexts.entry(handle).or_default() += 1;
        // SAFETY: the caller's pointer to write to.
        unsafe { *context = pointer(handle) };
        OK
    })
}

#[unsafe(no_mangle)]
extern "C" fn cuDevicePrimaryCtxRelease_v2(device: c_int) -> c_int {
    with(|state| match state.contexts.get_mut(&(CONTEXTS + device as usize)) {
        Some(count) if *count > 0 => {
            *count -= 1;
            OK
        }
        _ => state.wrong("a context is released more often than retained", INVALID_CONTEXT),
    })
}

#[unsafe(no_mangle)]
extern "C" fn cuCtxPushCurrent_v2(context: *mut c_void) -> c_int {
    with(|state| {
        if state.contexts.get(&(context as usize)).is_none_or(|count| *count == 0) {
            return state.wrong("a context is pushed that is not retained", INVALID_CONTEXT);
        }
        CURRENT.with_borrow_mut(|current| current.push(context as usize));
        OK
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuCtxPopCurrent_v2(context: *mut *mut c_void) -> c_int {
    match CURRENT.with_borrow_mut(Vec::pop) {
        Some(popped) => {
            // SAFETY: the caller's pointer to write to.
            unsafe { *context = pointer(popped) };
            OK
        }
        None => with(|state| state.wrong("a context is popped that was not pushed", INVALID_CONTEXT)),
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuImportExternalMemory(
    memory: *mut *mut c_void,
    description: *const cu::CUDA_EXTERNAL_MEMORY_HANDLE_DESC,
) -> c_int {
    // SAFETY: the caller's whole structure.
    let description = unsafe { &*description };
    with(|state| {
        code(state.in_context("cuImportExternalMemory").and_then(|()| {
            // SAFETY: the union holds a descriptor for this kind of handle.
            let fd = unsafe { description.handle.fd };
            let opaque = cu::CUexternalMemoryHandleType::CU_EXTERNAL_MEMORY_HANDLE_TYPE_OPAQUE_FD;
            if description.type_ != opaque || description.reserved != [0; 16] || description.flags > 1 {
                return Err(state.wrong("memory is taken over with wrong fields", INVALID_VALUE));
            }
            // SAFETY: with success the descriptor is ours, as CUDA says; on failure it is let go of below.
            let fd = unsafe { OwnedFd::from_raw_fd(fd) };
            let room = rustix::fs::fstat(&fd).map_or(0, |stat| stat.st_size as u64);
            let mapping = (room == description.size).then(|| map(&fd, room as usize)).flatten();
            let Some(mapping) = mapping else {
                std::mem::forget(fd);
                return Err(state.wrong("memory is taken over with another size than it has", INVALID_HANDLE));
            };
            let handle = state.handle();
            state.memories.insert(handle, Memory { mapping, address: None });
            // SAFETY: the caller's pointer to write to.
            unsafe { *memory = pointer(handle) };
            Ok(())
        }))
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuExternalMemoryGetMappedBuffer(
    address: *mut u64,
    memory: *mut c_void,
    description: *const cu::CUDA_EXTERNAL_MEMORY_BUFFER_DESC,
) -> c_int {
    // SAFETY: the caller's whole structure.
    let description = unsafe { &*description };
    with(|state| {
        code(state.in_context("cuExternalMemoryGetMappedBuffer").and_then(|()| {
            let Some(memory) = state.memories.get_mut(&(memory as usize)) else {
                return Err(state.wrong("memory is mapped that was not taken over", INVALID_HANDLE));
            };
            let fits = description.offset + description.size <= memory.mapping.bytes as u64;
            if !fits || description.flags != 0 || memory.address.is_some() {
                return Err(state.wrong("memory is mapped twice or beyond its end", INVALID_VALUE));
            }
            let start = memory.mapping.start as u64 + description.offset;
            memory.address = Some((start, description.size));
            // SAFETY: the caller's pointer to write to.
            unsafe { *address = start };
            Ok(())
        }))
    })
}

#[unsafe(no_mangle)]
extern "C" fn cuMemFree_v2(address: u64) -> c_int {
    with(|state| {
        if state.sessions.values().any(|session| session.is_registered(address)) {
            return state.wrong("memory is freed that the encoder has registered", INVALID_VALUE);
        }
        let mapped =
            state.memories.values_mut().find(|memory| memory.address.is_some_and(|(at, _)| at == address));
        match mapped {
            Some(memory) => {
                memory.address = None;
                OK
            }
            None => state.wrong("memory is freed that is not mapped", INVALID_VALUE),
        }
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuMemcpyDtoH_v2(to: *mut c_void, from: u64, bytes: usize) -> c_int {
    with(|state| {
        code(state.in_context("cuMemcpyDtoH").and_then(|()| {
            let Some(samples) = state.device_bytes(from, bytes as u64) else {
                return Err(state.wrong("memory is read beyond what is mapped", INVALID_VALUE));
            };
            // SAFETY: the caller's room.
            unsafe { to.cast::<u8>().copy_from_nonoverlapping(samples.as_ptr(), bytes) };
            Ok(())
        }))
    })
}

#[unsafe(no_mangle)]
extern "C" fn cuDestroyExternalMemory(memory: *mut c_void) -> c_int {
    with(|state| match state.memories.remove(&(memory as usize)) {
        Some(memory) if memory.address.is_none() => OK,
        Some(_) => state.wrong("memory is let go of while it is mapped", INVALID_VALUE),
        None => state.wrong("memory is let go of that was not taken over", INVALID_HANDLE),
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuImportExternalSemaphore(
    semaphore: *mut *mut c_void,
    description: *const cu::CUDA_EXTERNAL_SEMAPHORE_HANDLE_DESC,
) -> c_int {
    // SAFETY: the caller's whole structure.
    let description = unsafe { &*description };
    with(|state| {
        code(state.in_context("cuImportExternalSemaphore").and_then(|()| {
            use cu::CUexternalSemaphoreHandleType as Kind;
            let timeline = Kind::CU_EXTERNAL_SEMAPHORE_HANDLE_TYPE_TIMELINE_SEMAPHORE_FD;
            if description.type_ != timeline || description.reserved != [0; 16] || description.flags != 0 {
                return Err(state.wrong("a semaphore is taken over with wrong fields", INVALID_VALUE));
            }
            // SAFETY: the union holds a descriptor for this kind of handle; with success it is ours.
            let fd = unsafe { OwnedFd::from_raw_fd(description.handle.fd) };
            let Some(mapping) = map(&fd, 8) else {
                std::mem::forget(fd);
                return Err(state.wrong("a semaphore is taken over that is none", INVALID_HANDLE));
            };
            let handle = state.handle();
            state.semaphores.insert(handle, Semaphore(mapping));
            // SAFETY: the caller's pointer to write to.
            unsafe { *semaphore = pointer(handle) };
            Ok(())
        }))
    })
}

#[unsafe(no_mangle)]
extern "C" fn cuDestroyExternalSemaphore(semaphore: *mut c_void) -> c_int {
    with(|state| match state.semaphores.remove(&(semaphore as usize)) {
        Some(_) => OK,
        None => state.wrong("a semaphore is let go of that was not taken over", INVALID_HANDLE),
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuWaitExternalSemaphoresAsync(
    semaphores: *const *mut c_void,
    params: *const cu::CUDA_EXTERNAL_SEMAPHORE_WAIT_PARAMS,
    count: c_uint,
    stream: *mut c_void,
) -> c_int {
    // SAFETY: one of each, which is checked next.
    let (semaphore, value) = unsafe { (*semaphores as usize, (*params).params.fence.value) };
    with(|state| {
        code(state.in_context("cuWaitExternalSemaphoresAsync").and_then(|()| {
            if count != 1 || !state.semaphores.contains_key(&semaphore) {
                return Err(state.wrong("what is waited for was not taken over", INVALID_HANDLE));
            }
            match state.streams.get_mut(&(stream as usize)) {
                Some(stream) => stream.waits.push((semaphore, value)),
                None => return Err(state.wrong("there is no such stream to wait on", INVALID_HANDLE)),
            }
            Ok(())
        }))
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuSignalExternalSemaphoresAsync(
    semaphores: *const *mut c_void,
    params: *const cu::CUDA_EXTERNAL_SEMAPHORE_SIGNAL_PARAMS,
    count: c_uint,
    stream: *mut c_void,
) -> c_int {
    // SAFETY: one of each, which is checked next.
    let (semaphore, value) = unsafe { (*semaphores as usize, (*params).params.fence.value) };
    with(|state| {
        code(state.in_context("cuSignalExternalSemaphoresAsync").and_then(|()| {
            if count != 1 || !state.streams.contains_key(&(stream as usize)) {
                return Err(state.wrong("there is no such stream to signal on", INVALID_HANDLE));
            }
            let Some(before) = state
                .semaphores
                .get(&semaphore)
                .map(|timeline| timeline.value().fetch_max(value, Ordering::AcqRel))
            else {
                return Err(state.wrong("what is signalled was not taken over", INVALID_HANDLE));
            };
            if before >= value {
                Err(state.wrong("a timeline is signalled backwards", INVALID_VALUE))
            } else {
                Ok(())
            }
        }))
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuStreamCreate(stream: *mut *mut c_void, _flags: c_uint) -> c_int {
    with(|state| {
        code(state.in_context("cuStreamCreate").map(|()| {
            let handle = state.handle();
            state.streams.insert(handle, Stream::default());
            // SAFETY: the caller's pointer to write to.
            unsafe { *stream = pointer(handle) };
        }))
    })
}

#[unsafe(no_mangle)]
extern "C" fn cuStreamDestroy_v2(stream: *mut c_void) -> c_int {
    with(|state| match state.streams.remove(&(stream as usize)) {
        Some(_) => OK,
        None => state.wrong("a stream is destroyed that is none", INVALID_HANDLE),
    })
}

#[unsafe(no_mangle)]
extern "C" fn cuStreamQuery(stream: *mut c_void) -> c_int {
    with(|state| if state.reached(stream as usize) { OK } else { NOT_READY })
}
