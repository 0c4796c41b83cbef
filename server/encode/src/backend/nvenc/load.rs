//! How busy each GPU's encoder is, as NVML tells, and the choice among GPUs.
#![expect(unsafe_code, reason = "NVML speaks C; every call is wrapped here")]

use libloading::Library;
use nearframe_gpu::DeviceUuid;
use std::ffi::{CString, c_char, c_uint, c_void};
use std::fmt::Write as _;
use std::ptr::null_mut;

/// How busy the encoder of a GPU is, over all processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EncoderLoad {
    /// Share of the last sample that its engines worked, 0 to 100.
    pub percent: u32,
    /// Sessions that are open.
    pub sessions: u32,
}

/// Below this difference two loads are the same: samples of a second or so scatter.
const PERCENT_STEP: u32 = 10;

/// GPUs in the order in which the next session tries them: the least busy encoder first, of those alike the one
/// with the fewest sessions (a session that just began does not show in the load yet), then the first. One whose
/// load is not known counts as idle without sessions.
pub fn by_load(loads: &[Option<EncoderLoad>]) -> Vec<usize> {
    let rank = |&at: &usize| {
        let load = loads[at].unwrap_or(EncoderLoad { percent: 0, sessions: 0 });
        (load.percent / PERCENT_STEP, load.sessions)
    };
    let mut order: Vec<_> = (0..loads.len()).collect();
    order.sort_by_key(rank);
    order
}

type Handle = *mut c_void;
type Init = unsafe extern "C" fn() -> c_uint;
type ByUuid = unsafe extern "C" fn(*const c_char, *mut Handle) -> c_uint;
type Utilization = unsafe extern "C" fn(Handle, *mut c_uint, *mut c_uint) -> c_uint;
type Stats = unsafe extern "C" fn(Handle, *mut c_uint, *mut c_uint, *mut c_uint) -> c_uint;

/// The loaded library.
pub(super) struct Management {
    by_uuid: ByUuid,
    utilization: Utilization,
    stats: Stats,
}

impl Management {
    /// `None`: not of this kind, or it does not start.
    pub(super) fn load(library: &Library) -> Option<Self> {
        // SAFETY: NVML's functions of these names have these types (nvml.h); initialising may happen at any time
        // and is undone by the end of the process.
        unsafe {
            let init = library.get::<Init>(b"nvmlInit_v2\0").ok()?;
            let management = Self {
                by_uuid: *library.get(b"nvmlDeviceGetHandleByUUID\0").ok()?,
                utilization: *library.get(b"nvmlDeviceGetEncoderUtilization\0").ok()?,
                stats: *library.get(b"nvmlDeviceGetEncoderStats\0").ok()?,
            };
            (init() == 0).then_some(management)
        }
    }

    /// `None`: the library does not say.
    pub(super) fn load_of(&self, device: DeviceUuid) -> Option<EncoderLoad> {
        let name = CString::new(nvml_name(device)).ok()?;
        let mut handle = null_mut();
        let (mut percent, mut period_us, mut sessions, mut fps, mut latency_us) = (0, 0, 0, 0, 0);
        // SAFETY: the name is a C string and all pointers to write to are valid for the calls; the handle comes
        // from the library.
        let known = unsafe {
            (self.by_uuid)(name.as_ptr(), &raw mut handle) == 0
                && (self.utilization)(handle, &raw mut percent, &raw mut period_us) == 0
                && (self.stats)(handle, &raw mut sessions, &raw mut fps, &raw mut latency_us) == 0
        };
        known.then_some(EncoderLoad { percent, sessions })
    }
}

/// `GPU-` and the id in groups of 8, 4, 4, 4 and 12 digits.
fn nvml_name(device: DeviceUuid) -> String {
    let mut name = "GPU".to_owned();
    for (at, byte) in device.0.iter().enumerate() {
        if matches!(at, 0 | 4 | 6 | 8 | 10) {
            name.push('-');
        }
        let _ = write!(name, "{byte:02x}");
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(percent: u32, sessions: u32) -> Option<EncoderLoad> {
        Some(EncoderLoad { percent, sessions })
    }

    #[test]
    fn the_least_busy_encoder_gets_the_next_session() {
        assert_eq!(by_load(&[load(60, 1), load(20, 3), load(90, 1)]), [1, 0, 2]);
        assert_eq!(by_load(&[load(22, 4), load(28, 1)]), [1, 0], "alike, but fewer sessions");
        assert_eq!(by_load(&[load(0, 1), load(0, 0)]), [1, 0], "a session that just began counts");
        assert_eq!(by_load(&[load(5, 1), None]), [1, 0]);
        assert_eq!(by_load(&[load(5, 1), load(5, 1)]), [0, 1], "the first of equals");
        assert!(by_load(&[]).is_empty());
    }

    #[test]
    fn a_device_is_named_as_the_library_names_it() {
        let uuid = DeviceUuid([0x12, 0x34, 0x56, 0x78, 0x9a, 0xbc, 0xde, 0xf0, 1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(nvml_name(uuid), "GPU-12345678-9abc-def0-0102-030405060708");
    }
}
