//! NVENC: the function table, sessions and buffers.
#![expect(unsafe_code, reason = "stands in for a C library")]

use crate::buffers;
use crate::engine::Engine;
use crate::params::{self, Codec, PRESETS, Settings};
use crate::picture::{self, Bitstream};
use crate::state::{State, pointer, with};
use nv::NVENCSTATUS as Status;
use nvidia_video_codec_sdk::sys::nvEncodeAPI as nv;
use std::collections::BTreeMap;
use std::ffi::{CString, c_char, c_int, c_void};

/// An open session.
#[derive(Default)]
pub(crate) struct Session {
    pub(crate) settings: Option<Settings>,
    pub(crate) engine: Option<Engine>,
    pub(crate) inputs: BTreeMap<usize, Input>,
    pub(crate) registered: BTreeMap<usize, Registered>,
    /// Mapped handle → registered handle.
    pub(crate) mapped: BTreeMap<usize, usize>,
    pub(crate) bitstreams: BTreeMap<usize, Bitstream>,
    pub(crate) stream: Option<usize>,
    pub(crate) fed: bool,
    pub(crate) flushed: bool,
    error: CString,
}

/// An input buffer.
pub(crate) struct Input {
    pub(crate) size: (u32, u32),
    pub(crate) format: nv::NV_ENC_BUFFER_FORMAT,
    pub(crate) pitch: u32,
    pub(crate) samples: Vec<u8>,
    pub(crate) locked: bool,
}

/// Memory of the device that may be mapped.
pub(crate) struct Registered {
    pub(crate) address: u64,
    pub(crate) size: (u32, u32),
    pub(crate) pitch: u32,
    pub(crate) format: nv::NV_ENC_BUFFER_FORMAT,
}

impl Session {
    pub(crate) fn left(&self) -> usize {
        self.inputs.len() + self.registered.len() + self.mapped.len() + self.bitstreams.len()
    }

    pub(crate) fn is_registered(&self, address: u64) -> bool {
        self.registered.values().any(|resource| resource.address == address)
    }

    /// Whether a picture that reads `input` is under way.
    pub(crate) fn is_read(&self, input: usize) -> bool {
        self.bitstreams.values().any(|bitstream| bitstream.reads(input))
    }
}

pub(crate) type Answer = Result<(), Status>;

/// Runs `act` on an open session; notes and refuses calls on others.
pub(crate) fn on(encoder: *mut c_void, call: &str, act: impl FnOnce(&mut State, usize) -> Answer) -> Status {
    with(|state| {
        let handle = encoder as usize;
        if !state.sessions.contains_key(&handle) {
            return state.wrong(
                format!("{call} on a session that is not open"),
                Status::NV_ENC_ERR_INVALID_ENCODERDEVICE,
            );
        }
        if state.is_lost() {
            return Status::NV_ENC_ERR_DEVICE_NOT_EXIST;
        }
        let before = state.violations.len();
        let answer = act(state, handle);
        if let (Some(what), Some(session)) = (state.violations.get(before), state.sessions.get_mut(&handle)) {
            session.error = CString::new(what.clone()).unwrap_or_default();
        }
        answer.err().unwrap_or(Status::NV_ENC_SUCCESS)
    })
}

impl State {
    /// The session of a handle that [`on`] has checked.
    pub(crate) fn session(&mut self, handle: usize) -> &mut Session {
        self.sessions.get_mut(&handle).expect("the handle was checked")
    }

    /// What a started session was started with.
    pub(crate) fn started(&mut self, handle: usize, call: &str) -> Result<Settings, Status> {
        match self.session(handle).settings.clone() {
            Some(settings) => Ok(settings),
            None => Err(self.wrong(
                format!("{call} before the encoder is started"),
                Status::NV_ENC_ERR_ENCODER_NOT_INITIALIZED,
            )),
        }
    }

    pub(crate) fn version(&mut self, name: &str, is: u32, wanted: u32) -> Answer {
        if is == wanted {
            return Ok(());
        }
        Err(self.wrong(format!("{name} of version {is:#x}"), Status::NV_ENC_ERR_INVALID_VERSION))
    }

    /// One more buffer, if memory is left by order.
    pub(crate) fn room(&mut self) -> Answer {
        if self.faults.buffers == 0 {
            return Err(Status::NV_ENC_ERR_OUT_OF_MEMORY);
        }
        self.faults.buffers -= 1;
        Ok(())
    }

    fn codec(&mut self, guid: nv::GUID) -> Result<Codec, Status> {
        let known = self.faults.codecs.min(3);
        let codec = Codec::ALL[..known].iter().copied().find(|codec| codec.guid() == guid);
        codec.ok_or_else(|| {
            self.wrong("asked about a codec that was not listed", Status::NV_ENC_ERR_UNSUPPORTED_PARAM)
        })
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn NvEncodeAPIGetMaxSupportedVersion(version: *mut u32) -> Status {
    let newest = with(|state| state.faults.version);
    // SAFETY: the caller's pointer to write to.
    unsafe { *version = ((newest / 10) << 4) | (newest % 10) };
    Status::NV_ENC_SUCCESS
}

#[unsafe(no_mangle)]
unsafe extern "C" fn NvEncodeAPICreateInstance(table: *mut nv::NV_ENCODE_API_FUNCTION_LIST) -> Status {
    // SAFETY: the caller's whole table.
    let table = unsafe { &mut *table };
    if table.version != nv::NV_ENCODE_API_FUNCTION_LIST_VER {
        return with(|state| {
            state.wrong("a function list of a wrong version", Status::NV_ENC_ERR_INVALID_VERSION)
        });
    }
    table.nvEncOpenEncodeSessionEx = Some(open);
    table.nvEncGetEncodeGUIDCount = Some(guid_count);
    table.nvEncGetEncodeGUIDs = Some(guids);
    table.nvEncGetEncodeProfileGUIDCount = Some(profile_count);
    table.nvEncGetEncodeProfileGUIDs = Some(profiles);
    table.nvEncGetEncodePresetCount = Some(preset_count);
    table.nvEncGetEncodePresetGUIDs = Some(presets);
    table.nvEncGetInputFormatCount = Some(format_count);
    table.nvEncGetInputFormats = Some(formats);
    table.nvEncGetEncodeCaps = Some(caps);
    table.nvEncGetEncodePresetConfigEx = Some(preset_config);
    table.nvEncInitializeEncoder = Some(initialize);
    table.nvEncReconfigureEncoder = Some(reconfigure);
    table.nvEncCreateInputBuffer = Some(buffers::create_input);
    table.nvEncDestroyInputBuffer = Some(buffers::destroy_input);
    table.nvEncLockInputBuffer = Some(buffers::lock_input);
    table.nvEncUnlockInputBuffer = Some(buffers::unlock_input);
    table.nvEncCreateBitstreamBuffer = Some(buffers::create_bitstream);
    table.nvEncDestroyBitstreamBuffer = Some(buffers::destroy_bitstream);
    table.nvEncEncodePicture = Some(picture::encode);
    table.nvEncLockBitstream = Some(picture::lock);
    table.nvEncUnlockBitstream = Some(picture::unlock);
    table.nvEncRegisterResource = Some(buffers::register);
    table.nvEncUnregisterResource = Some(buffers::unregister);
    table.nvEncMapInputResource = Some(buffers::map);
    table.nvEncUnmapInputResource = Some(buffers::unmap);
    table.nvEncInvalidateRefFrames = Some(picture::invalidate);
    table.nvEncDestroyEncoder = Some(destroy);
    table.nvEncGetLastErrorString = Some(last_error);
    table.nvEncSetIOCudaStreams = Some(buffers::set_streams);
    Status::NV_ENC_SUCCESS
}

unsafe extern "C" fn open(
    params: *mut nv::NV_ENC_OPEN_ENCODE_SESSION_EX_PARAMS,
    encoder: *mut *mut c_void,
) -> Status {
    // SAFETY: the caller's whole structure.
    let params = unsafe { &*params };
    let opened = with(|state| {
        state.version(
            "NV_ENC_OPEN_ENCODE_SESSION_EX_PARAMS",
            params.version,
            nv::NV_ENC_OPEN_ENCODE_SESSION_EX_PARAMS_VER,
        )?;
        let cuda = params.deviceType == nv::NV_ENC_DEVICE_TYPE::NV_ENC_DEVICE_TYPE_CUDA;
        if !cuda
            || params.apiVersion != nv::NVENCAPI_VERSION
            || params.reserved1.iter().any(|&word| word != 0)
        {
            return Err(state.wrong("a session with wrong fields", Status::NV_ENC_ERR_INVALID_PARAM));
        }
        let context = params.device as usize;
        if state.contexts.get(&context).is_none_or(|count| *count == 0) {
            return Err(
                state.wrong("a session in a context that is not retained", Status::NV_ENC_ERR_INVALID_DEVICE)
            );
        }
        if context & 0xff >= state.faults.encoders {
            return Err(Status::NV_ENC_ERR_NO_ENCODE_DEVICE);
        }
        if state.sessions.len() >= state.faults.sessions || state.is_lost() {
            let lost = state.is_lost();
            return Err(if lost {
                Status::NV_ENC_ERR_DEVICE_NOT_EXIST
            } else {
                Status::NV_ENC_ERR_OUT_OF_MEMORY
            });
        }
        let handle = state.handle();
        state.sessions.insert(handle, Session::default());
        Ok(handle)
    });
    match opened {
        Ok(handle) => {
            // SAFETY: the caller's pointer to write to.
            unsafe { *encoder = pointer(handle) };
            Status::NV_ENC_SUCCESS
        }
        Err(status) => status,
    }
}

unsafe extern "C" fn destroy(encoder: *mut c_void) -> Status {
    with(|state| {
        let Some(session) = state.sessions.remove(&(encoder as usize)) else {
            return state
                .wrong("a session is destroyed that is not open", Status::NV_ENC_ERR_INVALID_ENCODERDEVICE);
        };
        let lost = state.is_lost();
        if session.left() > 0 && !lost {
            state
                .violations
                .push(format!("a session is destroyed with {} things alive in it", session.left()));
        }
        if session.fed && !session.flushed && !lost {
            state.violations.push("a session is destroyed without the end of its stream".to_owned());
        }
        Status::NV_ENC_SUCCESS
    })
}

unsafe extern "C" fn last_error(encoder: *mut c_void) -> *const c_char {
    with(|state| {
        state.sessions.get(&(encoder as usize)).map_or(std::ptr::null(), |session| session.error.as_ptr())
    })
}

/// Writes a list of the driver's.
///
/// # Safety
/// `room` values may be written at `to`, and one at `count`.
unsafe fn give<T: Copy>(found: &[T], to: *mut T, room: u32, count: *mut u32) {
    let length = found.len().min(room as usize);
    // SAFETY: the caller's.
    unsafe {
        to.copy_from_nonoverlapping(found.as_ptr(), length);
        *count = length as u32;
    }
}

unsafe extern "C" fn guid_count(encoder: *mut c_void, count: *mut u32) -> Status {
    on(encoder, "nvEncGetEncodeGUIDCount", |state, _| {
        // SAFETY: the caller's pointer to write to.
        unsafe { *count = state.faults.codecs.min(3) as u32 };
        Ok(())
    })
}

unsafe extern "C" fn guids(encoder: *mut c_void, to: *mut nv::GUID, room: u32, count: *mut u32) -> Status {
    on(encoder, "nvEncGetEncodeGUIDs", |state, _| {
        let known: Vec<_> =
            Codec::ALL[..state.faults.codecs.min(3)].iter().map(|codec| codec.guid()).collect();
        // SAFETY: the caller's.
        unsafe { give(&known, to, room, count) };
        Ok(())
    })
}

fn preset_guids(_: Codec) -> Vec<nv::GUID> {
    PRESETS.to_vec()
}

pub(crate) fn takes(codec: Codec) -> Vec<nv::NV_ENC_BUFFER_FORMAT> {
    use nv::NV_ENC_BUFFER_FORMAT as Format;
    match codec {
        Codec::H264 => vec![Format::NV_ENC_BUFFER_FORMAT_NV12, Format::NV_ENC_BUFFER_FORMAT_IYUV],
        _ => vec![Format::NV_ENC_BUFFER_FORMAT_NV12, Format::NV_ENC_BUFFER_FORMAT_YUV420_10BIT],
    }
}

/// How long a list about a codec is.
///
/// # Safety
/// A value may be written at `count`.
unsafe fn count_of<T>(
    encoder: *mut c_void,
    call: &str,
    codec: nv::GUID,
    list: fn(Codec) -> Vec<T>,
    count: *mut u32,
) -> Status {
    on(encoder, call, |state, _| {
        let found = list(state.codec(codec)?);
        // SAFETY: the caller's.
        unsafe { *count = found.len() as u32 };
        Ok(())
    })
}

/// Where a list goes, as the driver's functions are told.
type Place<T> = (*mut T, u32, *mut u32);

/// Writes a list about a codec.
///
/// # Safety
/// As of [`give`].
unsafe fn list_of<T: Copy>(
    encoder: *mut c_void,
    call: &str,
    codec: nv::GUID,
    list: fn(Codec) -> Vec<T>,
    (to, room, count): Place<T>,
) -> Status {
    on(encoder, call, |state, _| {
        let found = list(state.codec(codec)?);
        // SAFETY: the caller's.
        unsafe { give(&found, to, room, count) };
        Ok(())
    })
}

/// The two functions by which the driver tells a list about a codec: its length, then itself.
macro_rules! lists {
    ($($count:ident $count_call:literal, $list:ident $list_call:literal: $of:expr => $item:ty;)*) => {$(
        unsafe extern "C" fn $count(encoder: *mut c_void, codec: nv::GUID, count: *mut u32) -> Status {
            // SAFETY: the caller's pointer to write to.
            unsafe { count_of(encoder, $count_call, codec, $of, count) }
        }

        unsafe extern "C" fn $list(
            encoder: *mut c_void,
            codec: nv::GUID,
            to: *mut $item,
            room: u32,
            count: *mut u32,
        ) -> Status {
            // SAFETY: the caller's room, and its pointer to write to.
            unsafe { list_of(encoder, $list_call, codec, $of, (to, room, count)) }
        }
    )*};
}

lists! {
    profile_count "nvEncGetEncodeProfileGUIDCount", profiles "nvEncGetEncodeProfileGUIDs": Codec::profiles => nv::GUID;
    preset_count "nvEncGetEncodePresetCount", presets "nvEncGetEncodePresetGUIDs": preset_guids => nv::GUID;
    format_count "nvEncGetInputFormatCount", formats "nvEncGetInputFormats": takes => nv::NV_ENC_BUFFER_FORMAT;
}

unsafe extern "C" fn caps(
    encoder: *mut c_void,
    codec: nv::GUID,
    params: *mut nv::NV_ENC_CAPS_PARAM,
    value: *mut c_int,
) -> Status {
    use nv::NV_ENC_CAPS as Cap;
    on(encoder, "nvEncGetEncodeCaps", |state, _| {
        // SAFETY: the caller's whole structure.
        let params = unsafe { &*params };
        state.version("NV_ENC_CAPS_PARAM", params.version, nv::NV_ENC_CAPS_PARAM_VER)?;
        let codec = state.codec(codec)?;
        let is = match params.capsToQuery {
            Cap::NV_ENC_CAPS_WIDTH_MAX | Cap::NV_ENC_CAPS_HEIGHT_MAX => state.faults.size,
            Cap::NV_ENC_CAPS_WIDTH_MIN | Cap::NV_ENC_CAPS_HEIGHT_MIN => 16,
            // Constant quantiser, variable and constant bitrate.
            Cap::NV_ENC_CAPS_SUPPORTED_RATECONTROL_MODES => 3,
            Cap::NV_ENC_CAPS_SUPPORT_DYN_RES_CHANGE => state.faults.resize,
            Cap::NV_ENC_CAPS_SUPPORT_10BIT_ENCODE => c_int::from(codec != Codec::H264),
            Cap::NV_ENC_CAPS_SUPPORT_DYN_BITRATE_CHANGE
            | Cap::NV_ENC_CAPS_SUPPORT_CUSTOM_VBV_BUF_SIZE
            | Cap::NV_ENC_CAPS_SUPPORT_REF_PIC_INVALIDATION
            | Cap::NV_ENC_CAPS_SUPPORT_INTRA_REFRESH
            | Cap::NV_ENC_CAPS_SUPPORT_SUBFRAME_READBACK => 1,
            _ => 0,
        };
        // SAFETY: the caller's pointer to write to.
        unsafe { *value = is };
        Ok(())
    })
}

unsafe extern "C" fn preset_config(
    encoder: *mut c_void,
    codec: nv::GUID,
    preset: nv::GUID,
    tuning: nv::NV_ENC_TUNING_INFO,
    config: *mut nv::NV_ENC_PRESET_CONFIG,
) -> Status {
    on(encoder, "nvEncGetEncodePresetConfigEx", |state, _| {
        state.codec(codec)?;
        // SAFETY: the caller's structure; versions are read and known fields written, no reference is formed.
        unsafe {
            state.version("NV_ENC_PRESET_CONFIG", (*config).version, nv::NV_ENC_PRESET_CONFIG_VER)?;
            state.version("NV_ENC_CONFIG", (*config).presetCfg.version, nv::NV_ENC_CONFIG_VER)?;
            // Values of a driver's own: B pictures and short groups, which whoever wants none must change.
            (*config).presetCfg.gopLength = 30;
            (*config).presetCfg.frameIntervalP = 3;
            (*config).presetCfg.rcParams.averageBitRate = 1;
            (&raw mut (*config).presetCfg.mvPrecision)
                .write(nv::NV_ENC_MV_PRECISION::NV_ENC_MV_PRECISION_QUARTER_PEL);
        }
        let low = nv::NV_ENC_TUNING_INFO::NV_ENC_TUNING_INFO_ULTRA_LOW_LATENCY;
        if !PRESETS.contains(&preset) || tuning != low {
            return Err(state.wrong("no such preset", Status::NV_ENC_ERR_UNSUPPORTED_PARAM));
        }
        Ok(())
    })
}

unsafe extern "C" fn initialize(encoder: *mut c_void, params: *mut nv::NV_ENC_INITIALIZE_PARAMS) -> Status {
    on(encoder, "nvEncInitializeEncoder", |state, handle| {
        if state.session(handle).settings.is_some() {
            return Err(state.wrong("a session is started twice", Status::NV_ENC_ERR_INVALID_CALL));
        }
        // SAFETY: the caller's whole structure.
        let settings = unsafe { params::read(&*params) };
        let settings = settings.map_err(|what| state.wrong(what, Status::NV_ENC_ERR_INVALID_PARAM))?;
        let largest = state.faults.size as u32;
        if settings.width > largest
            || settings.height > largest
            || settings.most < (settings.width, settings.height)
        {
            return Err(state.wrong("a size beyond what can be encoded", Status::NV_ENC_ERR_INVALID_PARAM));
        }
        let engine = Engine::start(&settings);
        let engine = engine.map_err(|what| state.wrong(what, Status::NV_ENC_ERR_GENERIC))?;
        let session = state.session(handle);
        (session.settings, session.engine) = (Some(settings), Some(engine));
        Ok(())
    })
}

unsafe extern "C" fn reconfigure(encoder: *mut c_void, params: *mut nv::NV_ENC_RECONFIGURE_PARAMS) -> Status {
    on(encoder, "nvEncReconfigureEncoder", |state, handle| {
        // SAFETY: the caller's whole structure.
        let params = unsafe { &*params };
        state.version("NV_ENC_RECONFIGURE_PARAMS", params.version, nv::NV_ENC_RECONFIGURE_PARAMS_VER)?;
        let before = state.started(handle, "nvEncReconfigureEncoder")?;
        // SAFETY: the caller's whole structure.
        let now = unsafe { params::read(&params.reInitEncodeParams) };
        let now = now.map_err(|what| state.wrong(what, Status::NV_ENC_ERR_INVALID_PARAM))?;
        let fixed = |settings: &Settings| {
            (settings.codec, settings.most, settings.slices, settings.ten_bit, settings.intra_refresh)
        };
        if fixed(&before) != fixed(&now) {
            return Err(state.wrong(
                "what may not change while running is changed",
                Status::NV_ENC_ERR_UNSUPPORTED_PARAM,
            ));
        }
        let anew = (params.resetEncoder(), params.forceIDR()) == (1, 1);
        let declared =
            |settings: &Settings| (settings.width, settings.height, settings.level, settings.references);
        if declared(&before) != declared(&now) && !anew {
            return Err(state.wrong(
                "what the stream declares changes without a keyframe",
                Status::NV_ENC_ERR_INVALID_PARAM,
            ));
        }
        let size = (before.width, before.height) != (now.width, now.height);
        if size && (state.faults.resize == 0 || now.width > now.most.0 || now.height > now.most.1) {
            return Err(
                state.wrong("the size changes to what was not reserved", Status::NV_ENC_ERR_INVALID_PARAM)
            );
        }
        let session = state.session(handle);
        let changed = session.engine.as_mut().map(|engine| engine.change(&now, anew));
        session.settings = Some(now);
        match changed {
            Some(Err(what)) => Err(state.wrong(what, Status::NV_ENC_ERR_GENERIC)),
            _ => Ok(()),
        }
    })
}
