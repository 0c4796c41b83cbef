//! Everything that is alive, and what was done wrong.
//!
//! Handles are numbers that are never used twice, so that a stale one is known for what it is.

use crate::cuda::{Memory, Semaphore, Stream};
use crate::faults::Faults;
use crate::nvenc::Session;
use std::collections::BTreeMap;
use std::ffi::c_void;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

/// All of it.
pub(crate) struct State {
    pub(crate) faults: Faults,
    pub(crate) violations: Vec<String>,
    next: usize,
    /// How often each device's context is retained.
    pub(crate) contexts: BTreeMap<usize, usize>,
    pub(crate) sessions: BTreeMap<usize, Session>,
    pub(crate) memories: BTreeMap<usize, Memory>,
    pub(crate) semaphores: BTreeMap<usize, Semaphore>,
    pub(crate) streams: BTreeMap<usize, Stream>,
    /// Pictures that were handed in, over all sessions.
    pub(crate) pictures: u64,
    pub(crate) initialised: bool,
}

static STATE: Mutex<Option<State>> = Mutex::new(None);

/// Calls come from several threads; each is done whole.
pub(crate) fn with<T>(act: impl FnOnce(&mut State) -> T) -> T {
    let mut state = STATE.lock().unwrap_or_else(PoisonError::into_inner);
    act(state.get_or_insert_with(State::new))
}

impl State {
    fn new() -> Self {
        Self {
            faults: ordered_beside().and_then(|text| text.parse().ok()).unwrap_or_default(),
            violations: Vec::new(),
            // Small numbers stand out in a debugger, and are no address of anything.
            next: 0x1000,
            contexts: BTreeMap::new(),
            sessions: BTreeMap::new(),
            memories: BTreeMap::new(),
            semaphores: BTreeMap::new(),
            streams: BTreeMap::new(),
            pictures: 0,
            initialised: false,
        }
    }

    /// A handle that was never given out.
    pub(crate) fn handle(&mut self) -> usize {
        self.next += 0x10;
        self.next
    }

    /// Notes what was done wrong, and gives the code that says so.
    pub(crate) fn wrong<C>(&mut self, what: impl Into<String>, code: C) -> C {
        self.violations.push(what.into());
        code
    }

    pub(crate) fn left(&self) -> usize {
        let retained: usize = self.contexts.values().sum();
        let in_sessions: usize = self.sessions.values().map(Session::left).sum();
        retained
            + self.sessions.len()
            + in_sessions
            + self.memories.len()
            + self.semaphores.len()
            + self.streams.len()
    }

    /// Whether the GPU is gone by order.
    pub(crate) fn is_lost(&self) -> bool {
        self.faults.lost_at.is_some_and(|at| self.pictures > at)
    }
}

/// The faults that are ordered by a file beside the library, which has its name and the ending `faults`.
fn ordered_beside() -> Option<String> {
    let own = pointer as *const () as usize;
    let maps = std::fs::read_to_string("/proc/self/maps").ok()?;
    let path = maps.lines().find_map(|line| {
        let (range, rest) = line.split_once(' ')?;
        let (start, end) = range.split_once('-')?;
        let hex = |text| usize::from_str_radix(text, 16).ok();
        (hex(start)?..hex(end)?).contains(&own).then(|| rest.find('/').map(|at| &rest[at..]))?
    })?;
    std::fs::read_to_string(Path::new(path).with_extension("faults")).ok()
}

pub(crate) fn pointer(handle: usize) -> *mut c_void {
    handle as *mut c_void
}
