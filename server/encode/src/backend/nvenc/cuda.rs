//! The few calls of CUDA's driver interface that the encoder needs, through a table of our own.
//!
//! The crate whose types are used loads the driver too, but panics where it is missing; so it only lends its
//! types here.
#![expect(unsafe_code, reason = "CUDA speaks C; every call is wrapped here")]

use super::status::{check_cuda, describe_cuda, unavailable};
use crate::video::EncodeError;
use cudarc::driver::sys as cu;
use libloading::Library;
use nearframe_gpu::DeviceUuid;
use std::ffi::{c_char, c_int, c_uint, c_void};
use std::fmt;
use std::ptr::null_mut;
use std::sync::Arc;

type Pointer = *mut c_void;

/// Declares a table of functions of the driver. Statuses are numbers, as in the encoder's table.
macro_rules! table {
    ($(#[$outer:meta])* $table:ident { $($name:ident: $symbol:literal($($argument:ty),*);)* }) => {
        $(#[$outer])*
        #[derive(Clone, Copy)]
        pub(super) struct $table { $(pub(super) $name: unsafe extern "C" fn($($argument),*) -> c_int,)* }

        impl $table {
            fn load(library: &Library) -> Result<Self, &'static str> {
                Ok(Self { $($name: {
                    // SAFETY: the driver's function of that name has this type (cuda.h, since CUDA 10).
                    let found = unsafe {
                        library.get::<unsafe extern "C" fn($($argument),*) -> c_int>(
                            concat!($symbol, "\0").as_bytes())
                    };
                    *found.map_err(|_| $symbol)?
                },)* })
            }
        }
    };
}

table! {
    /// What every driver has.
    Functions {
        init: "cuInit"(c_uint);
        count: "cuDeviceGetCount"(*mut c_int);
        device: "cuDeviceGet"(*mut c_int, c_int);
        retain: "cuDevicePrimaryCtxRetain"(*mut Pointer, c_int);
        release: "cuDevicePrimaryCtxRelease_v2"(c_int);
        push: "cuCtxPushCurrent_v2"(Pointer);
        pop: "cuCtxPopCurrent_v2"(*mut Pointer);
    }
}

table! {
    /// What takes over memory and semaphores of Vulkan.
    External {
        import_memory: "cuImportExternalMemory"(*mut Pointer, *const cu::CUDA_EXTERNAL_MEMORY_HANDLE_DESC);
        map_buffer: "cuExternalMemoryGetMappedBuffer"(
            *mut cu::CUdeviceptr, Pointer, *const cu::CUDA_EXTERNAL_MEMORY_BUFFER_DESC);
        destroy_memory: "cuDestroyExternalMemory"(Pointer);
        free: "cuMemFree_v2"(cu::CUdeviceptr);
        import_semaphore: "cuImportExternalSemaphore"(*mut Pointer, *const cu::CUDA_EXTERNAL_SEMAPHORE_HANDLE_DESC);
        destroy_semaphore: "cuDestroyExternalSemaphore"(Pointer);
        wait: "cuWaitExternalSemaphoresAsync"(
            *const Pointer, *const cu::CUDA_EXTERNAL_SEMAPHORE_WAIT_PARAMS, c_uint, Pointer);
        signal: "cuSignalExternalSemaphoresAsync"(
            *const Pointer, *const cu::CUDA_EXTERNAL_SEMAPHORE_SIGNAL_PARAMS, c_uint, Pointer);
        create_stream: "cuStreamCreate"(*mut Pointer, c_uint);
        destroy_stream: "cuStreamDestroy_v2"(Pointer);
        query: "cuStreamQuery"(Pointer);
        read: "cuMemcpyDtoH_v2"(Pointer, cu::CUdeviceptr, usize);
    }
}

type Name = unsafe extern "C" fn(*mut c_char, c_int, c_int) -> c_int;
type Uuid = unsafe extern "C" fn(*mut cu::CUuuid, c_int) -> c_int;

/// The loaded and initialised driver.
pub(super) struct Cuda {
    functions: Functions,
    /// `None`: pictures go through the CPU.
    external: Option<External>,
    devices: Vec<Device>,
}

/// A GPU that CUDA sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Device {
    handle: c_int,
    pub(super) name: String,
    /// `None`: the driver does not say, so that no memory can be taken over.
    pub(super) uuid: Option<DeviceUuid>,
}

impl Cuda {
    /// Initialises the driver, which starts its threads in this process.
    pub(super) fn load(library: &Library) -> Result<Self, EncodeError> {
        let functions = Functions::load(library)
            .map_err(|name| unavailable(format!("libcuda.so.1 lacks {name}: update the driver")))?;
        // SAFETY: may be called at any time; flags must be 0.
        let code = unsafe { (functions.init)(0) };
        if code != 0 {
            return Err(unavailable(describe_cuda(code)));
        }
        let mut cuda = Self { functions, external: External::load(library).ok(), devices: Vec::new() };
        cuda.devices = cuda.list(library)?;
        if cuda.devices.is_empty() {
            return Err(unavailable(describe_cuda(cu::CUresult::CUDA_ERROR_NO_DEVICE as c_int)));
        }
        Ok(cuda)
    }

    fn list(&self, library: &Library) -> Result<Vec<Device>, EncodeError> {
        let mut count = 0;
        // SAFETY: the pointer to write to is valid for the call.
        let code = unsafe { (self.functions.count)(&raw mut count) };
        if code != 0 {
            return Err(unavailable(describe_cuda(code)));
        }
        // SAFETY: the driver's functions of these names have these types.
        let (name, uuid) = unsafe {
            let uuid = library.get::<Uuid>(b"cuDeviceGetUuid_v2\0");
            let uuid = uuid.or_else(|_| library.get::<Uuid>(b"cuDeviceGetUuid\0"));
            (library.get::<Name>(b"cuDeviceGetName\0").ok().map(|f| *f), uuid.ok().map(|f| *f))
        };
        Ok((0..count).filter_map(|ordinal| self.device(ordinal, name, uuid)).collect())
    }

    fn device(&self, ordinal: c_int, name: Option<Name>, uuid: Option<Uuid>) -> Option<Device> {
        let mut handle = 0;
        // SAFETY: the pointer to write to is valid for the call.
        if unsafe { (self.functions.device)(&raw mut handle, ordinal) } != 0 {
            return None;
        }
        let mut text = [0u8; 128];
        let named = name.is_some_and(|name| {
            // SAFETY: the buffer is one byte longer than what the driver is told, so it stays terminated.
            unsafe { name(text.as_mut_ptr().cast(), text.len() as c_int - 1, handle) == 0 }
        });
        let end = text.iter().position(|&byte| byte == 0).unwrap_or(0);
        let name =
            if named { String::from_utf8_lossy(&text[..end]).into() } else { format!("GPU {ordinal}") };
        let uuid = uuid.and_then(|uuid| {
            let mut bytes = cu::CUuuid { bytes: [0; 16] };
            // SAFETY: the pointer is to a whole CUuuid.
            let known = unsafe { uuid(&raw mut bytes, handle) } == 0;
            known.then(|| DeviceUuid(bytes.bytes.map(|byte| byte as u8)))
        });
        Some(Device { handle, name, uuid })
    }

    /// In CUDA's order; never empty.
    pub(super) fn devices(&self) -> &[Device] {
        &self.devices
    }
}

/// What a session's calls run in: the primary context of a device, shared by all in this process.
pub(super) struct Context {
    cuda: Arc<Cuda>,
    device: c_int,
    context: Pointer,
}

// SAFETY: contexts may be made current on any thread; CUDA serialises what must be.
unsafe impl Send for Context {}
// SAFETY: as above.
unsafe impl Sync for Context {}

/// A context made current on this thread, until dropped.
pub(super) struct Entered<'a>(&'a Context);

impl Context {
    pub(super) fn retain(cuda: &Arc<Cuda>, device: &Device) -> Result<Arc<Self>, EncodeError> {
        let mut context = null_mut();
        // SAFETY: the device comes from the driver; the pointer to write to is valid for the call.
        let code = unsafe { (cuda.functions.retain)(&raw mut context, device.handle) };
        check_cuda("opening the GPU", code)?;
        Ok(Arc::new(Self { cuda: Arc::clone(cuda), device: device.handle, context }))
    }

    /// For `NvEncOpenEncodeSessionEx`.
    pub(super) fn raw(&self) -> Pointer {
        self.context
    }

    /// Whether memory and semaphores of Vulkan can be taken over.
    pub(super) fn can_import(&self) -> bool {
        self.cuda.external.is_some()
    }

    /// What takes over memory and semaphores, with the context current on this thread.
    pub(super) fn external(&self) -> Result<(Entered<'_>, &External), EncodeError> {
        let external = self.cuda.external.as_ref();
        let external =
            external.ok_or_else(|| unavailable("this driver takes over no memory: update it".to_owned()))?;
        // SAFETY: the context is retained as long as `self` lives.
        check_cuda("entering the GPU's context", unsafe { (self.cuda.functions.push)(self.context) })?;
        Ok((Entered(self), external))
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context").field("device", &self.device).finish_non_exhaustive()
    }
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        let mut popped = null_mut();
        // SAFETY: this value was made by a push on this thread, which it never leaves.
        unsafe { (self.0.cuda.functions.pop)(&raw mut popped) };
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        // SAFETY: retained once by `retain`; whatever was made in it holds a reference to `self`.
        unsafe { (self.cuda.functions.release)(self.device) };
    }
}
