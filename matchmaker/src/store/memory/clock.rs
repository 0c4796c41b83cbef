//! The clock of a store in memory.

/// A clock that goes as fast as the runtime's, which tests may stop.
#[derive(Debug)]
pub(super) struct Clock {
    started_at_ms: u64,
    started: tokio::time::Instant,
}

impl Default for Clock {
    fn default() -> Self {
        Self { started_at_ms: crate::state::wall_ms(), started: tokio::time::Instant::now() }
    }
}

impl Clock {
    pub(super) fn now_ms(&self) -> u64 {
        self.started_at_ms + u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}
