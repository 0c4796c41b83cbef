//! Failures on demand, so that what follows them can be tested and drilled with a real device.

use crate::error::GpuError;
use std::sync::{Mutex, PoisonError};

/// What a device is made to lack. Nothing, unless somebody asks.
#[derive(Debug, Default)]
pub struct Faults {
    /// Bytes that may still be allocated for exported frames.
    room_bytes: Mutex<Option<u64>>,
}

impl Faults {
    /// From now on only this much more memory is there for exported frames.
    pub fn limit_memory(&self, bytes: u64) {
        *self.room_bytes.lock().unwrap_or_else(PoisonError::into_inner) = Some(bytes);
    }

    /// Takes `bytes` out of what is left, where there is a limit.
    pub(crate) fn may_allocate(&self, bytes: u64) -> Result<(), GpuError> {
        let mut room = self.room_bytes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(left) = *room {
            *room = Some(left.checked_sub(bytes).ok_or(GpuError::OutOfMemory { bytes })?);
        }
        Ok(())
    }
}
