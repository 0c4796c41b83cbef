//! The stand-in for NVIDIA's driver, one of its own for each test.

#![expect(unsafe_code, reason = "the library is loaded at run time, as the driver is")]

use libloading::Library;
use nearframe_encode::{NvencOptions, NvidiaLibraries};
use std::ffi::{CString, c_char};
use std::path::PathBuf;
use tempfile::TempDir;

/// What a system names the library that this crate's tests depend on.
const FILE: &str = "libnearframe_nvenc_stand_in.so";

/// A copy of the library: copies share nothing, so that faults ordered of one do not reach another.
pub(crate) struct StandIn {
    library: Library,
    path: PathBuf,
    _folder: TempDir,
}

impl StandIn {
    pub(crate) fn new() -> Self {
        Self::with_faults("")
    }

    pub(crate) fn with_faults(faults: &str) -> Self {
        let tests = std::env::current_exe().expect("a test has a path");
        let built = tests.with_file_name(FILE);
        let folder = tempfile::tempdir().expect("a folder for the copy");
        let path = folder.path().join(FILE);
        std::fs::copy(&built, &path).unwrap_or_else(|error| {
            panic!("{}: {error}; it is built with this crate's tests", built.display())
        });
        // SAFETY: our own library, without initialisers.
        let library = unsafe { Library::new(&path) }.expect("it loads");
        let stand_in = Self { library, path, _folder: folder };
        stand_in.order(faults);
        stand_in
    }

    /// Orders faults, in place of those before.
    pub(crate) fn order(&self, faults: &str) {
        let text = CString::new(faults).expect("words");
        // SAFETY: the function of that name has this type; the text is a C string.
        let code = unsafe {
            let order =
                self.library.get::<unsafe extern "C" fn(*const c_char) -> i32>(b"stand_in_configure\0");
            order.expect("it is there")(text.as_ptr())
        };
        assert_eq!(code, 0, "{faults:?} orders nothing");
    }

    pub(crate) fn options(&self) -> NvencOptions {
        let path = || self.path.clone();
        let libraries = NvidiaLibraries { cuda: path(), encode: path(), management: path() };
        NvencOptions { libraries, ..Default::default() }
    }

    /// What was done wrong since this was asked last.
    pub(crate) fn violations(&self) -> String {
        let mut text = vec![0u8; 4096];
        // SAFETY: the function of that name has this type; it writes no further than it is told.
        let length = unsafe {
            let ask =
                self.library.get::<unsafe extern "C" fn(*mut u8, usize) -> usize>(b"stand_in_violations\0");
            ask.expect("it is there")(text.as_mut_ptr(), text.len())
        };
        text.truncate(length);
        String::from_utf8_lossy(&text).into_owned()
    }

    /// Sessions, buffers, contexts and imports that are alive.
    pub(crate) fn left(&self) -> usize {
        // SAFETY: the function of that name has this type.
        unsafe {
            let ask = self.library.get::<unsafe extern "C" fn() -> usize>(b"stand_in_left\0");
            ask.expect("it is there")()
        }
    }

    /// Nothing was done wrong, and nothing is left.
    pub(crate) fn assert_clean(&self, what: &str) {
        assert_eq!((self.violations().as_str(), self.left()), ("", 0), "{what}");
    }
}
