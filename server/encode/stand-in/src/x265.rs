//! HEVC through Debian's libx265, loaded when the first HEVC session starts: fast, in one pass, a picture out for each in.
//!
//! Follows `x265.h` of build 199, whose number is part of the name of what is asked for. It is GPL: tests load it where it
//! is installed, and nothing is linked to it.
#![expect(unsafe_code, reason = "a C library is called here")]

use crate::params::Settings;
use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};
use std::ffi::{CString, c_char, c_int, c_void};
use std::ptr;
use std::sync::{Arc, OnceLock};

const LIBRARY: &str = "libx265.so.199";
const PRESET: &std::ffi::CStr = c"ultrafast";
const TUNE: &std::ffi::CStr = c"zerolatency";
/// `X265_TYPE_…`.
const TYPE_IDR: c_int = 1;
const TYPE_I: c_int = 2;
const TYPE_P: c_int = 3;
const CSP_I420: c_int = 1;
/// `NAL_UNIT_CODED_SLICE_IDR_W_RADL` and `…_N_LP`.
const IDR_NALS: [u32; 2] = [19, 20];

/// The front of `x265_picture`.
#[repr(C)]
struct Picture {
    pts: i64,
    dts: i64,
    user: *mut c_void,
    planes: [*const u8; 3],
    strides: [c_int; 3],
    bit_depth: c_int,
    slice_type: c_int,
    order: c_int,
    colour_space: c_int,
}

/// `x265_nal`.
#[repr(C)]
struct Nal {
    kind: u32,
    size: u32,
    payload: *const u8,
}

type Param = c_void;
type Encoder = c_void;

/// The front of `x265_api`.
#[repr(C)]
struct Api {
    /// Versions and sizes of structures.
    numbers: [c_int; 8],
    /// Addresses of texts.
    texts: [usize; 2],
    param_alloc: unsafe extern "C" fn() -> *mut Param,
    param_free: unsafe extern "C" fn(*mut Param),
    param_default: unsafe extern "C" fn(*mut Param),
    param_parse: unsafe extern "C" fn(*mut Param, *const c_char, *const c_char) -> c_int,
    param_apply_profile: unsafe extern "C" fn(*mut Param, *const c_char) -> c_int,
    param_default_preset: unsafe extern "C" fn(*mut Param, *const c_char, *const c_char) -> c_int,
    picture_alloc: unsafe extern "C" fn() -> *mut Picture,
    picture_free: unsafe extern "C" fn(*mut Picture),
    picture_init: unsafe extern "C" fn(*mut Param, *mut Picture),
    encoder_open: unsafe extern "C" fn(*mut Param) -> *mut Encoder,
    encoder_parameters: unsafe extern "C" fn(*mut Encoder, *mut Param),
    encoder_reconfig: unsafe extern "C" fn(*mut Encoder, *mut Param) -> c_int,
    encoder_reconfig_zone: unsafe extern "C" fn(*mut Encoder, *mut c_void) -> c_int,
    encoder_headers: unsafe extern "C" fn(*mut Encoder, *mut *mut Nal, *mut u32) -> c_int,
    encoder_encode:
        unsafe extern "C" fn(*mut Encoder, *mut *mut Nal, *mut u32, *mut Picture, *mut Picture) -> c_int,
    encoder_get_stats: unsafe extern "C" fn(*mut Encoder, *mut c_void, u32),
    encoder_log: unsafe extern "C" fn(*mut Encoder, c_int, *mut *mut c_char),
    encoder_close: unsafe extern "C" fn(*mut Encoder),
}

/// One for each depth of samples.
struct Functions {
    api: &'static Api,
    _library: Library,
}

fn functions(bits: c_int) -> Result<Arc<Functions>, String> {
    static EIGHT: OnceLock<Result<Arc<Functions>, String>> = OnceLock::new();
    static TEN: OnceLock<Result<Arc<Functions>, String>> = OnceLock::new();
    let loaded = if bits == 10 { &TEN } else { &EIGHT };
    loaded.get_or_init(|| load(bits).map(Arc::new)).clone()
}

fn load(bits: c_int) -> Result<Functions, String> {
    let missing =
        |error: libloading::Error| format!("HEVC is encoded by libx265: install libx265-199 ({error})");
    // SAFETY: Debian's library runs nothing of note when it is loaded; the function of that name has this type, and the
    // table that it returns lives as long as the library, which is kept.
    let (api, library) = unsafe {
        let library = Library::open(Some(LIBRARY), RTLD_NOW | RTLD_LOCAL).map_err(missing)?;
        let ask: unsafe extern "C" fn(c_int) -> *const Api =
            *library.get(b"x265_api_get_199\0").map_err(missing)?;
        (ask(bits).as_ref(), library)
    };
    let api = api.ok_or_else(|| format!("libx265 was built without {bits} bit"))?;
    Ok(Functions { api, _library: library })
}

/// What a picture is to be made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// Nothing, and the stream begins anew.
    Keyframe,
    /// Nothing, and the stream goes on: what came before may be lost.
    Nothing,
    /// The picture before.
    Newest,
}

/// One stream.
pub(crate) struct Hevc {
    functions: Arc<Functions>,
    settings: Settings,
    param: *mut Param,
    picture: *mut Picture,
    encoder: *mut Encoder,
    pictures: i64,
}

// SAFETY: the library's objects are used by one thread at a time, through `&mut self`; they are tied to no thread.
unsafe impl Send for Hevc {}

impl Hevc {
    pub(crate) fn open(settings: &Settings) -> Result<Self, String> {
        let functions = functions(if settings.ten_bit { 10 } else { 8 })?;
        let api = functions.api;
        // SAFETY: the table's functions; each object is owned here until `drop`.
        let (param, picture) = unsafe { ((api.param_alloc)(), (api.picture_alloc)()) };
        let mut hevc = Self {
            functions,
            settings: settings.clone(),
            param,
            picture,
            encoder: ptr::null_mut(),
            pictures: 0,
        };
        if param.is_null() || picture.is_null() {
            return Err("libx265: no memory".to_owned());
        }
        // SAFETY: the parameters are alive; preset and tune are C strings.
        let preset = unsafe { (api.param_default_preset)(param, PRESET.as_ptr(), TUNE.as_ptr()) };
        check("its preset", preset)?;
        for (name, value) in words(settings).into_iter().chain(rate(settings)) {
            hevc.set(name, &value)?;
        }
        let profile = if settings.ten_bit { c"main10" } else { c"main" };
        // SAFETY: as above.
        check("its profile", unsafe { (api.param_apply_profile)(param, profile.as_ptr()) })?;
        // SAFETY: as above; the encoder copies the parameters.
        hevc.encoder = unsafe { (api.encoder_open)(param) };
        if hevc.encoder.is_null() { Err("libx265: opening failed".to_owned()) } else { Ok(hevc) }
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        let words = [name, value].map(|word| CString::new(word).expect("words have no zeros"));
        // SAFETY: the parameters are alive, and both are C strings.
        let set =
            unsafe { (self.functions.api.param_parse)(self.param, words[0].as_ptr(), words[1].as_ptr()) };
        check(name, set)
    }

    /// Takes over a bitrate.
    pub(crate) fn change(&mut self, settings: &Settings) -> Result<(), String> {
        self.settings = settings.clone();
        for (name, value) in rate(settings) {
            self.set(name, &value)?;
        }
        // SAFETY: encoder and parameters are alive.
        let changed = unsafe { (self.functions.api.encoder_reconfig)(self.encoder, self.param) };
        // Positive: nothing that can be changed was.
        if changed < 0 { Err(format!("libx265: changing gave {changed}")) } else { Ok(()) }
    }

    /// Encodes luma and interleaved chroma without padding; whether it is a keyframe.
    pub(crate) fn encode(
        &mut self,
        luma: &[u8],
        chroma: &[u8],
        from: Origin,
    ) -> Result<(Vec<u8>, bool), String> {
        let Settings { width, height, ten_bit, .. } = self.settings;
        let sample = if ten_bit { 2 } else { 1 };
        let bytes = width as usize * height as usize * sample;
        if luma.len() != bytes || chroma.len() != bytes / 2 {
            return Err("a picture of another size".to_owned());
        }
        let [cb, cr] = [0, sample].map(|at| {
            chroma
                .chunks_exact(2 * sample)
                .flat_map(|pair| pair[at..at + sample].iter().copied())
                .collect::<Vec<u8>>()
        });
        let api = self.functions.api;
        let (mut nals, mut count) = (ptr::null_mut(), 0);
        // SAFETY: picture, parameters and encoder are alive, and the planes as long as their strides say; the library
        // copies them before it returns. The NAL units it returns are valid until the next call.
        let out = unsafe {
            (api.picture_init)(self.param, self.picture);
            let picture = &mut *self.picture;
            picture.pts = self.pictures;
            picture.planes = [luma, &cb, &cr].map(<[u8]>::as_ptr);
            picture.strides = [width, width / 2, width / 2].map(|row| row as c_int * sample as c_int);
            // Ten bits lie in the high ones of sixteen.
            picture.bit_depth = if ten_bit { 16 } else { 8 };
            picture.colour_space = CSP_I420;
            picture.slice_type = match from {
                Origin::Keyframe => TYPE_IDR,
                Origin::Nothing => TYPE_I,
                Origin::Newest => TYPE_P,
            };
            let coded = (api.encoder_encode)(
                self.encoder,
                &raw mut nals,
                &raw mut count,
                self.picture,
                ptr::null_mut(),
            );
            if coded < 0 {
                return Err(format!("libx265: encoding gave {coded}"));
            }
            if nals.is_null() { &[] } else { std::slice::from_raw_parts(nals, count as usize) }
        };
        self.pictures += 1;
        let mut data = Vec::new();
        for nal in out {
            // SAFETY: so many bytes lie there.
            data.extend_from_slice(unsafe { std::slice::from_raw_parts(nal.payload, nal.size as usize) });
        }
        if data.is_empty() {
            return Err("libx265 kept a picture back".to_owned());
        }
        Ok((data, out.iter().any(|nal| IDR_NALS.contains(&nal.kind))))
    }
}

impl Drop for Hevc {
    fn drop(&mut self) {
        let api = self.functions.api;
        // SAFETY: each was made by the same table and is not used afterwards; the library takes null for neither.
        unsafe {
            if !self.encoder.is_null() {
                (api.encoder_close)(self.encoder);
            }
            if !self.picture.is_null() {
                (api.picture_free)(self.picture);
            }
            if !self.param.is_null() {
                (api.param_free)(self.param);
            }
        }
    }
}

/// What the stream is, in the library's words.
fn words(settings: &Settings) -> Vec<(&'static str, String)> {
    let (primaries, transfer, matrix) = match settings.colours {
        Some((false, 9, 16, 9)) => ("bt2020", "smpte2084", "bt2020nc"),
        _ => ("bt709", "bt709", "bt709"),
    };
    // 30 times the level comes in, ten times is wanted.
    let level = (settings.level / 3).to_string();
    // Levels from 5 on have no smaller one, and the library crashes where it is told so.
    let ctu = if settings.width.min(settings.height) < 64 { 16 } else { 32 };
    let text = |word: &str| word.to_owned();
    vec![
        ("input-res", format!("{}x{}", settings.width, settings.height)),
        ("fps", format!("{}/1", settings.fps)),
        ("level-idc", level),
        ("high-tier", text("0")),
        ("keyint", text("-1")),
        ("scenecut", text("0")),
        ("open-gop", text("0")),
        ("repeat-headers", text("1")),
        ("annexb", text("1")),
        ("info", text("0")),
        ("ref", text("1")),
        ("ctu", ctu.to_string()),
        ("max-tu-size", ctu.to_string()),
        ("frame-threads", text("1")),
        ("pools", text("none")),
        ("wpp", text("0")),
        ("log-level", text("none")),
        ("range", text("limited")),
        ("colorprim", text(primaries)),
        ("transfer", text(transfer)),
        ("colormatrix", text(matrix)),
    ]
}

/// Bits a second, and a buffer of one picture, in thousands.
fn rate(settings: &Settings) -> [(&'static str, String); 3] {
    let kbps = (settings.bitrate_bps / 1000).max(1).to_string();
    let buffer =
        if settings.vbv_bits > 0 { settings.vbv_bits } else { settings.bitrate_bps / settings.fps.max(1) };
    [("bitrate", kbps.clone()), ("vbv-maxrate", kbps), ("vbv-bufsize", (buffer / 1000).max(1).to_string())]
}

fn check(doing: &str, code: c_int) -> Result<(), String> {
    if code == 0 { Ok(()) } else { Err(format!("libx265: {doing} gave {code}")) }
}
