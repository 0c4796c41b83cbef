//! The driver's libraries, loaded at run time: nothing is linked, so that the program starts everywhere.
#![expect(unsafe_code, reason = "symbols of libraries that are loaded at run time are typed by hand")]

use super::cuda::Cuda;
use super::load::Management;
use super::status::{describe, failure, unavailable};
use crate::video::EncodeError;
use libloading::Library;
use nvidia_video_codec_sdk::sys::nvEncodeAPI as nv;
use std::ffi::{c_char, c_int, c_void};
use std::mem::{ManuallyDrop, transmute};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// The interface that the structures are of, as `NvEncodeAPIGetMaxSupportedVersion` writes it.
const NEEDED: u32 = nv::NVENCAPI_MAJOR_VERSION << 4 | nv::NVENCAPI_MINOR_VERSION;
/// The first driver that has it (Video Codec SDK 12.1, release notes).
const NEEDED_DRIVER: &str = "530.41.03";

/// Where the driver's libraries are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NvidiaLibraries {
    /// CUDA.
    pub cuda: PathBuf,
    /// The encoder.
    pub encode: PathBuf,
    /// NVML, which tells how busy a GPU is; may be missing.
    pub management: PathBuf,
}

impl Default for NvidiaLibraries {
    /// By the names under which the system's loader finds an installed driver.
    fn default() -> Self {
        let name = PathBuf::from;
        Self {
            cuda: name("libcuda.so.1"),
            encode: name("libnvidia-encode.so.1"),
            management: name("libnvidia-ml.so.1"),
        }
    }
}

impl NvidiaLibraries {
    /// Those in this folder, under their usual names.
    pub fn inside(folder: &Path) -> Self {
        let usual = Self::default();
        let join = |name: PathBuf| folder.join(name);
        Self { cuda: join(usual.cuda), encode: join(usual.encode), management: join(usual.management) }
    }
}

type Encoder = *mut c_void;

/// Declares the functions of the interface that are used. Their statuses come back as numbers: newer drivers
/// know more of them than the structures' enum, which therefore must not hold them.
macro_rules! functions {
    ($($name:ident: $field:ident($($argument:ty),*);)*) => {
        /// The encoder's function table.
        pub(super) struct Functions {
            $(pub(super) $name: unsafe extern "C" fn($($argument),*) -> u32,)*
            last_error: Option<unsafe extern "C" fn(Encoder) -> *const c_char>,
            pub(super) set_streams: Option<unsafe extern "C" fn(Encoder, *mut c_void, *mut c_void) -> u32>,
        }

        impl Functions {
            fn from_table(table: &nv::NV_ENCODE_API_FUNCTION_LIST) -> Result<Self, &'static str> {
                Ok(Self {
                    $($name: {
                        let function: unsafe extern "C" fn($($argument),*) -> nv::NVENCSTATUS =
                            table.$field.ok_or(stringify!($field))?;
                        // SAFETY: the same function; `NVENCSTATUS` is `repr(u32)`, so it is returned alike.
                        unsafe { transmute::<
                            unsafe extern "C" fn($($argument),*) -> nv::NVENCSTATUS,
                            unsafe extern "C" fn($($argument),*) -> u32,
                        >(function) }
                    },)*
                    last_error: table.nvEncGetLastErrorString,
                    set_streams: table.nvEncSetIOCudaStreams.map(|function| {
                        // SAFETY: as above.
                        unsafe { transmute::<
                            unsafe extern "C" fn(Encoder, *mut c_void, *mut c_void) -> nv::NVENCSTATUS,
                            unsafe extern "C" fn(Encoder, *mut c_void, *mut c_void) -> u32,
                        >(function) }
                    }),
                })
            }
        }
    };
}

functions! {
    open: nvEncOpenEncodeSessionEx(*mut nv::NV_ENC_OPEN_ENCODE_SESSION_EX_PARAMS, *mut Encoder);
    guid_count: nvEncGetEncodeGUIDCount(Encoder, *mut u32);
    guids: nvEncGetEncodeGUIDs(Encoder, *mut nv::GUID, u32, *mut u32);
    profile_count: nvEncGetEncodeProfileGUIDCount(Encoder, nv::GUID, *mut u32);
    profiles: nvEncGetEncodeProfileGUIDs(Encoder, nv::GUID, *mut nv::GUID, u32, *mut u32);
    preset_count: nvEncGetEncodePresetCount(Encoder, nv::GUID, *mut u32);
    presets: nvEncGetEncodePresetGUIDs(Encoder, nv::GUID, *mut nv::GUID, u32, *mut u32);
    format_count: nvEncGetInputFormatCount(Encoder, nv::GUID, *mut u32);
    formats: nvEncGetInputFormats(Encoder, nv::GUID, *mut nv::NV_ENC_BUFFER_FORMAT, u32, *mut u32);
    caps: nvEncGetEncodeCaps(Encoder, nv::GUID, *mut nv::NV_ENC_CAPS_PARAM, *mut c_int);
    preset_config: nvEncGetEncodePresetConfigEx(
        Encoder, nv::GUID, nv::GUID, nv::NV_ENC_TUNING_INFO, *mut nv::NV_ENC_PRESET_CONFIG);
    initialize: nvEncInitializeEncoder(Encoder, *mut nv::NV_ENC_INITIALIZE_PARAMS);
    reconfigure: nvEncReconfigureEncoder(Encoder, *mut nv::NV_ENC_RECONFIGURE_PARAMS);
    create_input: nvEncCreateInputBuffer(Encoder, *mut nv::NV_ENC_CREATE_INPUT_BUFFER);
    destroy_input: nvEncDestroyInputBuffer(Encoder, *mut c_void);
    lock_input: nvEncLockInputBuffer(Encoder, *mut nv::NV_ENC_LOCK_INPUT_BUFFER);
    unlock_input: nvEncUnlockInputBuffer(Encoder, *mut c_void);
    create_bitstream: nvEncCreateBitstreamBuffer(Encoder, *mut nv::NV_ENC_CREATE_BITSTREAM_BUFFER);
    destroy_bitstream: nvEncDestroyBitstreamBuffer(Encoder, *mut c_void);
    encode: nvEncEncodePicture(Encoder, *mut nv::NV_ENC_PIC_PARAMS);
    lock_bitstream: nvEncLockBitstream(Encoder, *mut nv::NV_ENC_LOCK_BITSTREAM);
    unlock_bitstream: nvEncUnlockBitstream(Encoder, *mut c_void);
    register: nvEncRegisterResource(Encoder, *mut nv::NV_ENC_REGISTER_RESOURCE);
    unregister: nvEncUnregisterResource(Encoder, *mut c_void);
    map: nvEncMapInputResource(Encoder, *mut nv::NV_ENC_MAP_INPUT_RESOURCE);
    unmap: nvEncUnmapInputResource(Encoder, *mut c_void);
    invalidate: nvEncInvalidateRefFrames(Encoder, u64);
    destroy: nvEncDestroyEncoder(Encoder);
}

impl Functions {
    /// What the driver adds to its last status, in its own words.
    pub(super) fn last_error(&self, encoder: Encoder) -> String {
        let Some(last_error) = self.last_error.filter(|_| !encoder.is_null()) else { return String::new() };
        // SAFETY: the session is open; the driver returns a C string of its own, or null.
        unsafe {
            let words = last_error(encoder);
            if words.is_null() {
                String::new()
            } else {
                std::ffi::CStr::from_ptr(words).to_string_lossy().into()
            }
        }
    }

    /// `Ok` for `NV_ENC_SUCCESS`.
    pub(super) fn check(&self, encoder: Encoder, doing: &'static str, code: u32) -> Result<(), EncodeError> {
        if code == 0 { Ok(()) } else { Err(failure(doing, describe(code, &self.last_error(encoder)))) }
    }
}

/// The loaded driver.
pub(super) struct Driver {
    pub(super) cuda: Arc<Cuda>,
    pub(super) nvenc: Functions,
    pub(super) management: Option<Management>,
}

impl Driver {
    /// Loads what `libraries` names, once for each set of names in a process.
    pub(super) fn load(libraries: &NvidiaLibraries) -> Result<Arc<Self>, EncodeError> {
        static LOADED: Mutex<Vec<(NvidiaLibraries, Arc<Driver>)>> = Mutex::new(Vec::new());
        let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, driver)) = loaded.iter().find(|(names, _)| names == libraries) {
            return Ok(Arc::clone(driver));
        }
        let driver = Arc::new(Self::load_new(libraries)?);
        loaded.push((libraries.clone(), Arc::clone(&driver)));
        Ok(driver)
    }

    /// The encoder's library first: it tells whether the driver is too old without touching a GPU.
    fn load_new(libraries: &NvidiaLibraries) -> Result<Self, EncodeError> {
        let encode = open(&libraries.encode).map_err(|error| missing(libraries, &error))?;
        check_version(&encode)?;
        let nvenc = create_instance(&encode)?;
        let cuda = load_cuda(libraries)?;
        let management = open(&libraries.management).ok().and_then(|library| Management::load(&library));
        Ok(Self { cuda, nvenc, management })
    }
}

/// CUDA alone, which GPUs without an encoder have too.
pub(super) fn load_cuda(libraries: &NvidiaLibraries) -> Result<Arc<Cuda>, EncodeError> {
    let cuda = open(&libraries.cuda)
        .map_err(|error| unavailable(format!("{error}; install the whole NVIDIA driver")))?;
    Cuda::load(&cuda).map(Arc::new)
}

/// Loads a library for good: drivers leave threads behind that run its code.
fn open(path: &Path) -> Result<ManuallyDrop<Library>, String> {
    // SAFETY: the driver's libraries have initialisers that may run at any time in any process.
    let loaded = unsafe { Library::new(path) };
    loaded.map(ManuallyDrop::new).map_err(|error| format!("{} cannot be loaded: {error}", path.display()))
}

/// Without CUDA there is no driver at all; with it, only the encoder's part is missing.
fn missing(libraries: &NvidiaLibraries, error: &str) -> EncodeError {
    if open(&libraries.cuda).is_ok() {
        return unavailable(format!(
            "{error}; the NVIDIA driver is here without its encoder: install libnvidia-encode1, or give the \
             container NVIDIA_DRIVER_CAPABILITIES=video,compute,graphics"
        ));
    }
    unavailable(format!(
        "no NVIDIA driver: {error}; where there is an NVIDIA GPU, install driver {NEEDED_DRIVER} or newer"
    ))
}

fn check_version(library: &Library) -> Result<(), EncodeError> {
    type Newest = unsafe extern "C" fn(*mut u32) -> u32;
    let name = b"NvEncodeAPIGetMaxSupportedVersion\0";
    let mut newest = 0;
    // SAFETY: the function of that name has this type in every version of the interface.
    let code = unsafe {
        let function = library.get::<Newest>(name).map_err(|_| too_old("an interface without a version"))?;
        function(&raw mut newest)
    };
    if code != 0 {
        return Err(unavailable(describe(code, "")));
    }
    if newest < NEEDED {
        return Err(too_old(&format!("interface {}.{}", newest >> 4, newest & 15)));
    }
    Ok(())
}

fn too_old(has: &str) -> EncodeError {
    let needed = format!("{}.{}", NEEDED >> 4, NEEDED & 15);
    unavailable(format!(
        "the NVIDIA driver is too old: it has {has}, needed is {needed}; install driver {NEEDED_DRIVER} or newer"
    ))
}

fn create_instance(library: &Library) -> Result<Functions, EncodeError> {
    type Create = unsafe extern "C" fn(*mut nv::NV_ENCODE_API_FUNCTION_LIST) -> u32;
    let mut table = nv::NV_ENCODE_API_FUNCTION_LIST {
        version: nv::NV_ENCODE_API_FUNCTION_LIST_VER,
        ..Default::default()
    };
    // SAFETY: the function of that name has this type; the table is whole and says its version.
    let code = unsafe {
        let create = library.get::<Create>(b"NvEncodeAPICreateInstance\0");
        let create = create.map_err(|error| unavailable(format!("its library is broken: {error}")))?;
        create(&raw mut table)
    };
    if code != 0 {
        return Err(unavailable(describe(code, "")));
    }
    Functions::from_table(&table).map_err(|function| {
        unavailable(format!("the driver lacks {function}; install driver {NEEDED_DRIVER} or newer"))
    })
}
