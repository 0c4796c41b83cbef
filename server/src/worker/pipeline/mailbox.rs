//! A mailbox for one: the newest wins.

use std::sync::{Condvar, Mutex};

/// Holds at most one value; putting a second one replaces the first.
pub(super) struct Mailbox<T> {
    state: Mutex<State<T>>,
    filled: Condvar,
}

struct State<T> {
    value: Option<T>,
    closed: bool,
}

impl<T> Mailbox<T> {
    pub(super) fn new() -> Self {
        Self { state: Mutex::new(State { value: None, closed: false }), filled: Condvar::new() }
    }

    /// Puts a value; returns the one it replaced.
    pub(super) fn put(&self, value: T) -> Option<T> {
        let mut state = self.state.lock().ok()?;
        let replaced = state.value.replace(value);
        self.filled.notify_one();
        replaced
    }

    /// Waits for a value; `None` once the mailbox is closed.
    pub(super) fn take(&self) -> Option<T> {
        let mut state = self.state.lock().ok()?;
        loop {
            if state.closed {
                return None;
            }
            if let Some(value) = state.value.take() {
                return Some(value);
            }
            state = self.filled.wait(state).ok()?;
        }
    }

    /// Lets go of whoever waits, for ever.
    pub(super) fn close(&self) {
        if let Ok(mut state) = self.state.lock() {
            state.closed = true;
            self.filled.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_wins_and_closing_lets_go() {
        let mailbox = Mailbox::new();
        assert_eq!(mailbox.put(1), None);
        assert_eq!(mailbox.put(2), Some(1));
        assert_eq!(mailbox.take(), Some(2));
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| mailbox.take());
            mailbox.close();
            assert_eq!(waiting.join().unwrap(), None);
        });
    }
}
