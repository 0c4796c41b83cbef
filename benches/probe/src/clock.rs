//! The clock that stamps tell.

use rustix::time::{ClockId, clock_gettime};

/// CLOCK_MONOTONIC in µs.
pub(crate) fn now_us() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    // Never negative: this clock counts from the start of the machine.
    time.tv_sec as u64 * 1_000_000 + time.tv_nsec as u64 / 1000
}
