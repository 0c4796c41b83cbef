//! An encode session and the calls on it.
#![expect(unsafe_code, reason = "the encoder's interface speaks C; every call is wrapped here")]

use super::cuda::Context;
use super::driver::{Driver, Functions};
use super::params::Config;
use super::status::{ENCODER_BUSY, describe, failure};
use crate::video::{Codec, EncodeError};
use nvidia_video_codec_sdk::sys::nvEncodeAPI as nv;
use std::ffi::c_void;
use std::mem::MaybeUninit;
use std::ptr::null_mut;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Codecs, profiles, presets or formats that a driver may list; today's list about ten.
const MOST_LISTED: u32 = 64;
/// How often a busy engine is asked again, and how long to wait between: a frame at the longest.
const BUSY_TRIES: u32 = 16;
const BUSY_WAIT: Duration = Duration::from_millis(1);

/// An open session. Whatever is created in it holds a reference, so that it is destroyed last.
pub(super) struct Session {
    driver: Arc<Driver>,
    context: Arc<Context>,
    encoder: *mut c_void,
    /// Frames went in, so that the end of the stream has to be told before the session is destroyed.
    fed: AtomicBool,
}

// SAFETY: the interface allows a session's calls from any thread; output is locked on one thread while another
// submits (programming guide, "Threading Model"), which is all that is done here.
unsafe impl Send for Session {}
// SAFETY: as above.
unsafe impl Sync for Session {}

/// A picture on its way into the encoder.
#[derive(Clone, Copy, Debug)]
pub(super) struct Submission {
    pub(super) input: *mut c_void,
    pub(super) output: *mut c_void,
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) pitch: u32,
    pub(super) format: nv::NV_ENC_BUFFER_FORMAT,
    /// Names the frame when it is invalidated.
    pub(super) timestamp: u64,
    pub(super) keyframe: bool,
}

impl Session {
    pub(super) fn open(driver: &Arc<Driver>, context: &Arc<Context>) -> Result<Arc<Self>, EncodeError> {
        let mut params = nv::NV_ENC_OPEN_ENCODE_SESSION_EX_PARAMS {
            version: nv::NV_ENC_OPEN_ENCODE_SESSION_EX_PARAMS_VER,
            deviceType: nv::NV_ENC_DEVICE_TYPE::NV_ENC_DEVICE_TYPE_CUDA,
            device: context.raw(),
            apiVersion: nv::NVENCAPI_VERSION,
            ..Default::default()
        };
        let mut encoder = null_mut();
        // SAFETY: the structure is whole and says its version; the context lives as long as the session.
        let code = unsafe { (driver.nvenc.open)(&raw mut params, &raw mut encoder) };
        let session = Self {
            driver: Arc::clone(driver),
            context: Arc::clone(context),
            encoder,
            fed: AtomicBool::new(false),
        };
        // Dropping destroys what a failed call may have left, as the interface wants.
        if code != 0 {
            return Err(super::status::unavailable(describe(code, &driver.nvenc.last_error(encoder))));
        }
        if encoder.is_null() {
            return Err(failure("opening a session", "the driver gave none".to_owned()));
        }
        Ok(Arc::new(session))
    }

    pub(super) fn context(&self) -> &Arc<Context> {
        &self.context
    }

    pub(super) fn functions(&self) -> &Functions {
        &self.driver.nvenc
    }

    pub(super) fn raw(&self) -> *mut c_void {
        self.encoder
    }

    /// `Ok` for success, else what the driver says.
    pub(super) fn check(&self, doing: &'static str, code: u32) -> Result<(), EncodeError> {
        self.driver.nvenc.check(self.encoder, doing, code)
    }

    pub(super) fn codecs(&self) -> Result<Vec<nv::GUID>, EncodeError> {
        let functions = self.functions();
        // SAFETY: the session is open; pointers are valid for the calls, the array as long as is said.
        self.list(
            "listing its codecs",
            NO_GUID,
            |count| unsafe { (functions.guid_count)(self.encoder, count) },
            |to, room, count| unsafe { (functions.guids)(self.encoder, to, room, count) },
        )
    }

    pub(super) fn profiles(&self, codec: nv::GUID) -> Result<Vec<nv::GUID>, EncodeError> {
        let functions = self.functions();
        // SAFETY: as above.
        self.list(
            "listing its profiles",
            NO_GUID,
            |count| unsafe { (functions.profile_count)(self.encoder, codec, count) },
            |to, room, count| unsafe { (functions.profiles)(self.encoder, codec, to, room, count) },
        )
    }

    pub(super) fn presets(&self, codec: nv::GUID) -> Result<Vec<nv::GUID>, EncodeError> {
        let functions = self.functions();
        // SAFETY: as above.
        self.list(
            "listing its presets",
            NO_GUID,
            |count| unsafe { (functions.preset_count)(self.encoder, codec, count) },
            |to, room, count| unsafe { (functions.presets)(self.encoder, codec, to, room, count) },
        )
    }

    /// Numbers of `NV_ENC_BUFFER_FORMAT`: newer drivers list more than the enum knows.
    pub(super) fn formats(&self, codec: nv::GUID) -> Result<Vec<u32>, EncodeError> {
        let functions = self.functions();
        // SAFETY: as above; formats are 32 bits wide.
        self.list(
            "listing its formats",
            0u32,
            |count| unsafe { (functions.format_count)(self.encoder, codec, count) },
            |to, room, count| unsafe { (functions.formats)(self.encoder, codec, to.cast(), room, count) },
        )
    }

    /// Asks how many there are, then for them.
    fn list<T: Copy>(
        &self,
        doing: &'static str,
        nothing: T,
        count: impl Fn(*mut u32) -> u32,
        fill: impl Fn(*mut T, u32, *mut u32) -> u32,
    ) -> Result<Vec<T>, EncodeError> {
        let mut there = 0;
        self.check(doing, count(&raw mut there))?;
        let room = there.min(MOST_LISTED);
        let mut found = vec![nothing; room as usize];
        let mut filled = 0;
        if room > 0 {
            self.check(doing, fill(found.as_mut_ptr(), room, &raw mut filled))?;
        }
        found.truncate(filled.min(room) as usize);
        Ok(found)
    }

    pub(super) fn capability(&self, codec: nv::GUID, asked: nv::NV_ENC_CAPS) -> Result<i32, EncodeError> {
        let mut params = nv::NV_ENC_CAPS_PARAM {
            version: nv::NV_ENC_CAPS_PARAM_VER,
            capsToQuery: asked,
            ..Default::default()
        };
        let mut value = 0;
        // SAFETY: the session is open, the structure whole, the pointer to write to valid for the call.
        let code = unsafe { (self.functions().caps)(self.encoder, codec, &raw mut params, &raw mut value) };
        self.check("asking what it can", code)?;
        Ok(value)
    }

    /// What the driver proposes for a preset with ultra-low latency.
    pub(super) fn preset_config(
        &self,
        codec: Codec,
        guid: nv::GUID,
        preset: nv::GUID,
    ) -> Result<Config, EncodeError> {
        let mut config = Config::empty(codec);
        let tuning = nv::NV_ENC_TUNING_INFO::NV_ENC_TUNING_INFO_ULTRA_LOW_LATENCY;
        // SAFETY: the session is open; the structure is whole and says its versions.
        let code =
            unsafe { (self.functions().preset_config)(self.encoder, guid, preset, tuning, config.preset()) };
        self.check("reading a preset", code)?;
        Ok(config)
    }

    /// Starts the encoder; once for each session.
    pub(super) fn initialize(&self, mut params: nv::NV_ENC_INITIALIZE_PARAMS) -> Result<(), EncodeError> {
        // SAFETY: the session is open; the structure is whole and its configuration alive (see `Config`).
        let code = unsafe { (self.functions().initialize)(self.encoder, &raw mut params) };
        self.check("starting", code)
    }

    /// Changes rate or size. `anew`: the next frame begins a stream.
    pub(super) fn reconfigure(
        &self,
        params: nv::NV_ENC_INITIALIZE_PARAMS,
        anew: bool,
    ) -> Result<(), EncodeError> {
        let mut params = nv::NV_ENC_RECONFIGURE_PARAMS {
            version: nv::NV_ENC_RECONFIGURE_PARAMS_VER,
            reInitEncodeParams: params,
            ..Default::default()
        };
        params.set_resetEncoder(u32::from(anew));
        params.set_forceIDR(u32::from(anew));
        // SAFETY: as in `initialize`.
        let code = unsafe { (self.functions().reconfigure)(self.encoder, &raw mut params) };
        self.check("changing its settings", code)
    }

    /// Nothing is predicted any more from this frame, nor from what was predicted from it.
    pub(super) fn invalidate(&self, timestamp: u64) -> Result<(), EncodeError> {
        // SAFETY: the session is open.
        let code = unsafe { (self.functions().invalidate)(self.encoder, timestamp) };
        self.check("invalidating a reference", code)
    }

    /// Hands a picture to the engine.
    pub(super) fn submit(&self, submission: Submission) -> Result<(), EncodeError> {
        let mut params = picture_params();
        params.inputWidth = submission.width;
        params.inputHeight = submission.height;
        params.inputPitch = submission.pitch;
        params.inputBuffer = submission.input;
        params.outputBitstream = submission.output;
        params.bufferFmt = submission.format;
        params.inputTimeStamp = submission.timestamp;
        params.frameIdx = submission.timestamp as u32;
        if submission.keyframe {
            params.encodePicFlags = nv::NV_ENC_PIC_FLAGS::NV_ENC_PIC_FLAG_FORCEIDR as u32
                | nv::NV_ENC_PIC_FLAGS::NV_ENC_PIC_FLAG_OUTPUT_SPSPPS as u32;
        }
        self.fed.store(true, Ordering::Release);
        for _ in 0..BUSY_TRIES {
            // SAFETY: the session is started; input and output were created in it and are not locked.
            let code = unsafe { (self.functions().encode)(self.encoder, &raw mut params) };
            if code != ENCODER_BUSY {
                return self.check("encoding", code);
            }
            std::thread::sleep(BUSY_WAIT);
        }
        self.check("encoding", ENCODER_BUSY)
    }

    /// Tells the end of the stream, before what was created in the session is destroyed.
    pub(super) fn flush(&self) {
        if !self.fed.swap(false, Ordering::AcqRel) {
            return;
        }
        let mut params = picture_params();
        params.encodePicFlags = nv::NV_ENC_PIC_FLAGS::NV_ENC_PIC_FLAG_EOS as u32;
        // SAFETY: as in `submit`; the end needs neither input nor output. A failure leaves nothing to be done.
        unsafe { (self.functions().encode)(self.encoder, &raw mut params) };
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if !self.encoder.is_null() {
            // SAFETY: opened once; all that was created in it held a reference and is gone.
            unsafe { (self.driver.nvenc.destroy)(self.encoder) };
        }
    }
}

const NO_GUID: nv::GUID = nv::GUID { Data1: 0, Data2: 0, Data3: 0, Data4: [0; 8] };

/// Zeros, its version, and a whole frame.
fn picture_params() -> nv::NV_ENC_PIC_PARAMS {
    let mut params = MaybeUninit::<nv::NV_ENC_PIC_PARAMS>::zeroed();
    let pointer = params.as_mut_ptr();
    // SAFETY: zeros are valid for all fields but the picture's structure, whose enum has no zero and is written.
    unsafe {
        (&raw mut (*pointer).pictureStruct).write(nv::NV_ENC_PIC_STRUCT::NV_ENC_PIC_STRUCT_FRAME);
        (&raw mut (*pointer).version).write(nv::NV_ENC_PIC_PARAMS_VER);
        params.assume_init()
    }
}
