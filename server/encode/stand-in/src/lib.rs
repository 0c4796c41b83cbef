//! A **stand-in** for NVIDIA's driver: CUDA, NVENC and NVML in one library that tests load in their place.
//!
//! It checks what it is called with: versions and fields of structures, the order of calls, who owns which buffer
//! and for how long. What is wrong is refused as the driver would, and noted; tests read the notes. H.264 is
//! really encoded, by OpenH264, AV1 by libaom and HEVC by libx265 where those are installed. Faults can be ordered.
//!
//! **It proves only this project's side of the contract.** It was written from NVIDIA's header and programming guide, not
//! from a driver: that a call is accepted here does not mean that hardware accepts it. It does not ship.

mod aom;
mod buffers;
mod cuda;
mod engine;
mod faults;
mod management;
mod nvenc;
mod params;
mod picture;
mod state;
mod x265;

use state::with;
use std::ffi::{CStr, c_char};

/// Orders faults, as text: see `faults.rs`. Anything but 0: the text is wrong.
///
/// # Safety
/// A C string.
#[expect(unsafe_code, reason = "called by tests through the loader")]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn stand_in_configure(text: *const c_char) -> i32 {
    // SAFETY: the caller's.
    let text = unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned();
    with(|state| match text.parse() {
        Ok(faults) => {
            state.faults = faults;
            0
        }
        Err(()) => 1,
    })
}

/// Writes what was done wrong, a line each, and forgets it. The number of bytes written.
///
/// # Safety
/// `room` bytes may be written at `to`.
#[expect(unsafe_code, reason = "called by tests through the loader")]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn stand_in_violations(to: *mut u8, room: usize) -> usize {
    let text = with(|state| std::mem::take(&mut state.violations)).join("\n");
    let length = text.len().min(room);
    // SAFETY: the caller's.
    unsafe { to.copy_from_nonoverlapping(text.as_ptr(), length) };
    length
}

/// How many objects are alive: sessions, contexts, buffers, registrations, imports, streams.
#[expect(unsafe_code, reason = "called by tests through the loader")]
#[unsafe(no_mangle)]
pub extern "C" fn stand_in_left() -> usize {
    with(|state| state.left())
}
