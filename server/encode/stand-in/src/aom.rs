//! AV1 through Debian's libaom, loaded when the first AV1 session starts: fast, in one pass, a frame out for each in.
//!
//! Follows the headers of libaom 3.6, whose versions of the interface are checked by the library itself.
#![expect(unsafe_code, reason = "a C library is called here")]

use crate::params::Settings;
use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};
use std::ffi::{c_char, c_int, c_long, c_ulong, c_void};
use std::ptr;
use std::sync::{Arc, OnceLock};

const LIBRARY: &str = "libaom.so.3";
/// `AOM_ENCODER_ABI_VERSION`.
const ABI_VERSION: c_int = 10 + (7 + 9) + 3;
const USAGE_REALTIME: u32 = 1;
const CBR: u32 = 1;
const KEYFRAMES_DISABLED: u32 = 0;
const FORCE_KEYFRAME: c_long = 1;
/// `AOM_EFLAG_SET_PRIMARY_REF_NONE`: every picture begins with probabilities of its own, since those of a lost one are
/// unknown.
const FRESH: c_long = 1 << 30;
/// `AV1E_SET_SVC_REF_FRAME_CONFIG`.
const REFERENCES: c_int = 133;
/// Pictures that a decoder keeps.
const SLOTS: usize = 8;
/// As many as are taken in turns: libaom 3.6 refuses a picture made from the eighth.
const TURNS: usize = 7;
const FORMAT_I420: u32 = 0x100 | 2;
const PACKET_FRAME: u32 = 0;
const IS_KEYFRAME: u32 = 1;
const BT709: u32 = 1;

/// `aome_enc_control_id`s with what they are set to.
const CONTROLS: [(c_int, c_int); 8] = [
    (13, 10), // speed: the fastest
    (14, 0),  // no alternative references
    (35, 0),  // no model over several frames
    (45, BT709 as c_int),
    (46, BT709 as c_int),
    (47, BT709 as c_int),
    (52, 0), // limited range
    (79, 0), // no order hints: nothing is reordered
];

/// The front of `aom_codec_enc_cfg_t`, and room for its rest.
#[repr(C)]
struct Config {
    usage: u32,
    threads: u32,
    profile: u32,
    width: u32,
    height: u32,
    limit: u32,
    forced_max: [u32; 2],
    bit_depth: u32,
    input_bit_depth: u32,
    timebase: [c_int; 2],
    error_resilient: u32,
    pass: u32,
    lag_in_frames: u32,
    dropframe_thresh: u32,
    resize: [u32; 3],
    superres: [u32; 5],
    end_usage: u32,
    two_pass: [FixedBuffer; 2],
    target_kbps: u32,
    quantizers: [u32; 2],
    /// Undershoot, overshoot.
    shoot_pct: [u32; 2],
    /// Size, initial and optimal fill, ms of the bitrate.
    buffer_ms: [u32; 3],
    two_pass_shares: [u32; 3],
    forward_keyframes: c_int,
    keyframe_mode: u32,
    rest: [u32; 1024],
}

#[repr(C)]
struct FixedBuffer {
    buffer: *mut c_void,
    size: usize,
}

/// `aom_codec_ctx_t`.
#[repr(C)]
struct Context {
    name: *const c_char,
    interface: *const c_void,
    error: c_int,
    error_detail: *const c_char,
    flags: c_long,
    config: *const c_void,
    private: *mut c_void,
}

/// `aom_image_t`.
#[repr(C)]
struct Image {
    format: u32,
    colour: [u32; 3],
    monochrome: c_int,
    chroma_position: u32,
    range: u32,
    stored: [u32; 2],
    bit_depth: u32,
    displayed: [u32; 2],
    intended: [u32; 2],
    chroma_shift: [u32; 2],
    planes: [*const u8; 3],
    strides: [c_int; 3],
    size: usize,
    bits: c_int,
    layers: [c_int; 2],
    user: *mut c_void,
    data: *mut u8,
    data_owner: c_int,
    self_allocated: c_int,
    metadata: *mut c_void,
    frame_buffer: *mut c_void,
}

/// The front of `aom_codec_cx_pkt_t`, of a frame.
#[repr(C)]
struct Packet {
    kind: u32,
    data: *const u8,
    size: usize,
    pts: i64,
    duration: c_ulong,
    flags: u32,
}

/// `aom_svc_ref_frame_config_t`: which of the seven names of references are used, the slot of each, and which slots the
/// picture is kept in.
#[repr(C)]
#[derive(Default)]
struct References {
    used: [c_int; 7],
    slots: [c_int; 7],
    kept_in: [c_int; SLOTS],
}

struct Functions {
    interface: unsafe extern "C" fn() -> *const c_void,
    default: unsafe extern "C" fn(*const c_void, *mut Config, u32) -> c_int,
    init: unsafe extern "C" fn(*mut Context, *const c_void, *const Config, c_long, c_int) -> c_int,
    set_config: unsafe extern "C" fn(*mut Context, *const Config) -> c_int,
    control: unsafe extern "C" fn(*mut Context, c_int, ...) -> c_int,
    encode: unsafe extern "C" fn(*mut Context, *const Image, i64, c_ulong, c_long) -> c_int,
    packet: unsafe extern "C" fn(*mut Context, *mut *const c_void) -> *const Packet,
    destroy: unsafe extern "C" fn(*mut Context) -> c_int,
    _library: Library,
}

/// Loaded once for the process.
fn functions() -> Result<Arc<Functions>, String> {
    static LOADED: OnceLock<Result<Arc<Functions>, String>> = OnceLock::new();
    LOADED.get_or_init(|| load().map(Arc::new)).clone()
}

fn load() -> Result<Functions, String> {
    let missing = |error: libloading::Error| format!("AV1 is encoded by libaom: install libaom3 ({error})");
    // SAFETY: Debian's library runs nothing of note when it is loaded; each symbol has the type that its header says,
    // and the library is kept as long as they are.
    unsafe {
        let library = Library::open(Some(LIBRARY), RTLD_NOW | RTLD_LOCAL).map_err(missing)?;
        Ok(Functions {
            interface: *library.get(b"aom_codec_av1_cx\0").map_err(missing)?,
            default: *library.get(b"aom_codec_enc_config_default\0").map_err(missing)?,
            init: *library.get(b"aom_codec_enc_init_ver\0").map_err(missing)?,
            set_config: *library.get(b"aom_codec_enc_config_set\0").map_err(missing)?,
            control: *library.get(b"aom_codec_control\0").map_err(missing)?,
            encode: *library.get(b"aom_codec_encode\0").map_err(missing)?,
            packet: *library.get(b"aom_codec_get_cx_data\0").map_err(missing)?,
            destroy: *library.get(b"aom_codec_destroy\0").map_err(missing)?,
            _library: library,
        })
    }
}

/// One stream.
pub(crate) struct Av1 {
    functions: Arc<Functions>,
    /// Boxed: the library keeps their addresses.
    context: Box<Context>,
    config: Box<Config>,
    pictures: u64,
    /// Which pictures the slots hold.
    slots: [Option<u64>; TURNS],
}

// SAFETY: the context is used by one thread at a time, through `&mut self`; libaom ties it to no thread.
unsafe impl Send for Av1 {}

impl Av1 {
    pub(crate) fn open(settings: &Settings) -> Result<Self, String> {
        let functions = functions()?;
        // SAFETY: both are plain integers and pointers, for which zeros are values; the library fills them.
        let (mut context, mut config): (Box<Context>, Box<Config>) =
            unsafe { (Box::new(std::mem::zeroed()), Box::new(std::mem::zeroed())) };
        // SAFETY: the structures are as long as the library's at least, and live until `destroy`.
        unsafe {
            let interface = (functions.interface)();
            check("defaults", (functions.default)(interface, &raw mut *config, USAGE_REALTIME))?;
            apply(&mut config, settings);
            let opened = (functions.init)(&raw mut *context, interface, &raw const *config, 0, ABI_VERSION);
            check("opening", opened)?;
        }
        let mut av1 = Self { functions, context, config, pictures: 0, slots: [None; TURNS] };
        for (control, value) in CONTROLS {
            // SAFETY: the context is open, and each of these takes an int.
            check("a control", unsafe { (av1.functions.control)(&raw mut *av1.context, control, value) })?;
        }
        Ok(av1)
    }

    /// Takes over a bitrate.
    pub(crate) fn change(&mut self, settings: &Settings) -> Result<(), String> {
        apply(&mut self.config, settings);
        // SAFETY: as in `open`.
        let set = unsafe { (self.functions.set_config)(&raw mut *self.context, &raw const *self.config) };
        check("changing", set)
    }

    /// Encodes I420 planes without padding, from the newest picture that is `usable`; whether it is a keyframe.
    pub(crate) fn encode(
        &mut self,
        planes: [&[u8]; 3],
        timestamp: u64,
        keyframe: bool,
        usable: impl Fn(u64) -> bool,
    ) -> Result<(Vec<u8>, bool), String> {
        let (width, height) = (self.config.width, self.config.height);
        let samples = width as usize * height as usize;
        if planes[0].len() < samples || planes[1..].iter().any(|plane| plane.len() < samples / 4) {
            return Err("a picture of another size".to_owned());
        }
        // SAFETY: plain integers and pointers, for which zeros are values.
        let mut image: Image = unsafe { std::mem::zeroed() };
        image.format = FORMAT_I420;
        (image.stored, image.displayed) = ([width, height], [width, height]);
        (image.bit_depth, image.bits, image.chroma_shift) = (8, 12, [1, 1]);
        image.colour = [BT709; 3];
        image.planes = planes.map(<[u8]>::as_ptr);
        image.strides = [width, width / 2, width / 2].map(|stride| stride as c_int);
        let from = self.source(usable).filter(|_| !keyframe);
        let at = self.pictures;
        self.pictures += 1;
        let slot = at as usize % TURNS;
        let flags = match from {
            Some(from) => {
                self.refer(from, slot)?;
                FRESH
            }
            None => FORCE_KEYFRAME,
        };
        // SAFETY: the planes hold as many rows as the image says, and outlive the call, which copies them.
        check("encoding", unsafe {
            (self.functions.encode)(&raw mut *self.context, &raw const image, at as i64, 1, flags)
        })?;
        let (data, is_keyframe) = self.take()?;
        // A keyframe is kept in all of them.
        if is_keyframe {
            self.slots = [Some(timestamp); TURNS];
        }
        self.slots[slot] = Some(timestamp);
        Ok((data, is_keyframe))
    }

    /// The slot with the newest usable picture.
    fn source(&self, usable: impl Fn(u64) -> bool) -> Option<usize> {
        let held = self.slots.iter().enumerate().filter_map(|(slot, picture)| Some(((*picture)?, slot)));
        held.filter(|(picture, _)| usable(*picture)).max().map(|(_, slot)| slot)
    }

    /// The next picture is made from that of one slot alone, and kept in another.
    fn refer(&mut self, from: usize, kept_in: usize) -> Result<(), String> {
        let mut references = References { slots: [from as c_int; 7], ..References::default() };
        references.used[0] = 1;
        references.kept_in[kept_in] = 1;
        // SAFETY: the context is open, and this control takes a pointer to such a structure, which it copies.
        let set =
            unsafe { (self.functions.control)(&raw mut *self.context, REFERENCES, &raw mut references) };
        check("choosing references", set)
    }

    fn take(&mut self) -> Result<(Vec<u8>, bool), String> {
        let (mut iterator, mut data, mut is_keyframe) = (ptr::null(), Vec::new(), false);
        loop {
            // SAFETY: the context is open; what is returned is valid until the next call that encodes.
            let packet =
                unsafe { (self.functions.packet)(&raw mut *self.context, &raw mut iterator).as_ref() };
            let Some(packet) = packet else { break };
            if packet.kind == PACKET_FRAME {
                is_keyframe |= packet.flags & IS_KEYFRAME != 0;
                // SAFETY: a frame's packet says where its bytes are.
                data.extend_from_slice(unsafe { std::slice::from_raw_parts(packet.data, packet.size) });
            }
        }
        if data.is_empty() { Err("libaom kept a picture back".to_owned()) } else { Ok((data, is_keyframe)) }
    }
}

impl Drop for Av1 {
    fn drop(&mut self) {
        // SAFETY: the context is open, and nothing of it is used afterwards.
        unsafe { (self.functions.destroy)(&raw mut *self.context) };
    }
}

fn apply(config: &mut Config, settings: &Settings) {
    (config.width, config.height, config.threads) = (settings.width, settings.height, 2);
    (config.forced_max, config.timebase) = ([0; 2], [1, settings.fps.max(1) as c_int]);
    (config.bit_depth, config.input_bit_depth) = (8, 8);
    (config.lag_in_frames, config.error_resilient, config.dropframe_thresh) = (0, 0, 0);
    (config.end_usage, config.keyframe_mode) = (CBR, KEYFRAMES_DISABLED);
    config.target_kbps = (settings.bitrate_bps / 1000).max(1);
    config.quantizers = [2, 56];
    (config.shoot_pct, config.buffer_ms) = ([50, 50], [100, 60, 60]);
}

/// `AOM_CODEC_OK` is 0.
fn check(doing: &str, code: c_int) -> Result<(), String> {
    if code == 0 { Ok(()) } else { Err(format!("libaom: {doing} gave {code}")) }
}
