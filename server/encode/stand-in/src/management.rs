//! NVML: how busy each encoder is, as ordered.
#![expect(unsafe_code, reason = "stands in for a C library")]

use crate::cuda::uuid;
use crate::state::{pointer, with};
use std::ffi::{CStr, c_char, c_uint, c_void};

const OK: c_uint = 0;
const NOT_FOUND: c_uint = 6;
/// Devices are their numbers above this.
const DEVICES: usize = 0xd0;

#[unsafe(no_mangle)]
extern "C" fn nvmlInit_v2() -> c_uint {
    OK
}

#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlDeviceGetHandleByUUID(name: *const c_char, device: *mut *mut c_void) -> c_uint {
    // SAFETY: the caller's C string.
    let name = unsafe { CStr::from_ptr(name) }.to_string_lossy().replace('-', "");
    let devices = with(|state| state.faults.devices);
    let id = |at: usize| uuid(at).iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    match (0..devices).find(|at| name == format!("GPU{}", id(*at))) {
        Some(at) => {
            // SAFETY: the caller's pointer to write to.
            unsafe { *device = pointer(DEVICES + at) };
            OK
        }
        None => NOT_FOUND,
    }
}

fn load(device: *mut c_void) -> (u32, u32) {
    let at = (device as usize).wrapping_sub(DEVICES);
    with(|state| state.faults.loads.get(at).copied().unwrap_or_default())
}

#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlDeviceGetEncoderUtilization(
    device: *mut c_void,
    percent: *mut c_uint,
    period_us: *mut c_uint,
) -> c_uint {
    // SAFETY: the caller's pointers to write to.
    unsafe { (*percent, *period_us) = (load(device).0, 167_000) };
    OK
}

#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlDeviceGetEncoderStats(
    device: *mut c_void,
    sessions: *mut c_uint,
    fps: *mut c_uint,
    latency_us: *mut c_uint,
) -> c_uint {
    // SAFETY: the caller's pointers to write to.
    unsafe { (*sessions, *fps, *latency_us) = (load(device).1, 60, 2_000) };
    OK
}
