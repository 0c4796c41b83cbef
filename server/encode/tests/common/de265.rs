//! HEVC decoded by other people's library: libde265, loaded at run time.

#![expect(unsafe_code, reason = "a C library is called here")]

use libloading::Library;
use std::ffi::{c_int, c_void};

const FILE: &str = "libde265.so.0";
const OK: c_int = 0;
const WAITING_FOR_INPUT: c_int = 13;

/// What one picture shows.
pub(crate) struct Shown {
    pub(crate) width: usize,
    pub(crate) height: usize,
    /// Without padding; as many bits as the stream has.
    pub(crate) luma: Vec<u16>,
    /// Full range, colour primaries, transfer characteristics, matrix coefficients (H.265, annex E).
    pub(crate) colours: [u32; 4],
}

/// Every picture of a byte stream, in order.
pub(crate) fn decoded(stream: &[u8]) -> Vec<Shown> {
    // SAFETY: Debian's library runs nothing of note when it is loaded.
    let library = unsafe { Library::new(FILE) };
    let library =
        library.unwrap_or_else(|error| panic!("{error}; libde265-0 is installed by scripts/setup.sh"));
    let decoder = Decoder::new(&library);
    decoder.take_all(stream)
}

struct Decoder<'a> {
    library: &'a Library,
    raw: *mut c_void,
}

impl<'a> Decoder<'a> {
    fn new(library: &'a Library) -> Self {
        // SAFETY: the function of that name has this type.
        let raw = unsafe {
            library.get::<unsafe extern "C" fn() -> *mut c_void>(b"de265_new_decoder\0").expect("it is there")(
            )
        };
        assert!(!raw.is_null(), "libde265 makes a decoder");
        Self { library, raw }
    }

    fn take_all(&self, stream: &[u8]) -> Vec<Shown> {
        type Push = unsafe extern "C" fn(*mut c_void, *const u8, c_int, i64, *mut c_void) -> c_int;
        type Flush = unsafe extern "C" fn(*mut c_void) -> c_int;
        type Decode = unsafe extern "C" fn(*mut c_void, *mut c_int) -> c_int;
        // SAFETY: the functions of these names have these types; the bytes are copied.
        let decode = unsafe {
            let push = self.library.get::<Push>(b"de265_push_data\0").expect("it is there");
            let length = stream.len() as c_int;
            assert_eq!(push(self.raw, stream.as_ptr(), length, 0, std::ptr::null_mut()), OK);
            let flush = self.library.get::<Flush>(b"de265_flush_data\0").expect("it is there");
            assert_eq!(flush(self.raw), OK);
            self.library.get::<Decode>(b"de265_decode\0").expect("it is there")
        };
        let (mut shown, mut more) = (Vec::new(), 1);
        while more != 0 {
            // SAFETY: as above.
            let code = unsafe { decode(self.raw, &raw mut more) };
            while let Some(picture) = self.next() {
                shown.push(picture);
            }
            assert!(matches!(code, OK | WAITING_FOR_INPUT), "libde265 gives the stream up: {code}");
            if code == WAITING_FOR_INPUT {
                break;
            }
        }
        shown
    }

    fn next(&self) -> Option<Shown> {
        type Next = unsafe extern "C" fn(*mut c_void) -> *const c_void;
        type Fact = unsafe extern "C" fn(*const c_void, c_int) -> c_int;
        type Plane = unsafe extern "C" fn(*const c_void, c_int, *mut c_int) -> *const u8;
        // SAFETY: the functions of these names have these types; a picture is valid until the next is asked for, and has
        // as many rows and bytes as it says.
        unsafe {
            let next = self.library.get::<Next>(b"de265_get_next_picture\0").expect("it is there");
            let picture = next(self.raw);
            if picture.is_null() {
                return None;
            }
            let fact =
                |name: &[u8]| self.library.get::<Fact>(name).expect("it is there")(picture, 0) as usize;
            let width = fact(b"de265_get_image_width\0");
            let height = fact(b"de265_get_image_height\0");
            let wide = fact(b"de265_get_bits_per_pixel\0") > 8;
            let colours = [
                &b"de265_get_image_full_range_flag\0"[..],
                b"de265_get_image_colour_primaries\0",
                b"de265_get_image_transfer_characteristics\0",
                b"de265_get_image_matrix_coefficients\0",
            ];
            let colours = colours.map(|name| fact(name) as u32);
            let plane = self.library.get::<Plane>(b"de265_get_image_plane\0").expect("it is there");
            let mut stride = 0;
            let samples = plane(picture, 0, &raw mut stride);
            let bytes = std::slice::from_raw_parts(samples, stride as usize * height);
            let row = width * if wide { 2 } else { 1 };
            let rows = bytes.chunks_exact(stride as usize).flat_map(|padded| &padded[..row]);
            let luma = if wide {
                let bytes: Vec<u8> = rows.copied().collect();
                bytes.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect()
            } else {
                rows.map(|sample| u16::from(*sample)).collect()
            };
            Some(Shown { width, height, luma, colours })
        }
    }
}

impl Drop for Decoder<'_> {
    fn drop(&mut self) {
        type Free = unsafe extern "C" fn(*mut c_void) -> c_int;
        // SAFETY: the function of that name has this type; the decoder is not used afterwards.
        unsafe { self.library.get::<Free>(b"de265_free_decoder\0").expect("it is there")(self.raw) };
    }
}
