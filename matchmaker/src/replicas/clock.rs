//! The one clock of all replicas: the database's.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;
use tokio::time::Instant;

/// Goes as fast as this machine's monotonic clock, and is set by the database.
#[derive(Debug)]
pub(crate) struct Clock {
    started: Instant,
    started_at_ms: AtomicI64,
}

impl Clock {
    pub(crate) fn new(now_ms: u64) -> Self {
        Self { started: Instant::now(), started_at_ms: AtomicI64::new(now_ms.cast_signed()) }
    }

    /// The database said `now_ms` some time between `asked` and now.
    pub(crate) fn set(&self, now_ms: u64, asked: Instant) {
        let half = asked.elapsed() / 2;
        let read = self.started.elapsed().saturating_sub(half);
        self.started_at_ms.store(now_ms.cast_signed() - millis(read), Ordering::Relaxed);
    }

    /// Unix ms.
    pub(crate) fn now_ms(&self) -> u64 {
        let now = self.started_at_ms.load(Ordering::Relaxed) + millis(self.started.elapsed());
        now.max(0).cast_unsigned()
    }

    /// Monotonic ms since the start: for presence.
    pub(crate) fn uptime_ms(&self) -> u64 {
        millis(self.started.elapsed()).cast_unsigned()
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_shows_the_databases_time_whatever_this_machine_thinks() {
        let clock = Clock::new(1_000_000);
        tokio::time::advance(Duration::from_secs(10)).await;
        assert_eq!(clock.now_ms(), 1_010_000);
        let asked = Instant::now();
        tokio::time::advance(Duration::from_millis(200)).await;
        clock.set(600_000, asked);
        assert_eq!(clock.now_ms(), 600_100, "half of the way back is over");
        assert_eq!(clock.uptime_ms(), 10_200);
    }
}
