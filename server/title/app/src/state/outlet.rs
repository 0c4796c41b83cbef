//! What is told to the session. How things are is kept here and told once a tick when it differs from what
//! was told before, so that a title cannot flood the session.

use std::sync::mpsc::{SyncSender, TrySendError};

use crate::{Cursor, Event, Rect};

/// The state that the session should know, and the state that it knows.
pub(crate) struct Outlet {
    sender: SyncSender<Event>,
    told: Told,
    pub(crate) cursor: Cursor,
    pub(crate) pointer_locked: bool,
    pub(crate) text_input: (bool, Option<Rect<i32>>),
    pub(crate) title: String,
    pub(crate) clipboard: Option<String>,
    pub(crate) windows_shown: usize,
    cursor_told_us: u64,
}

struct Told {
    cursor: Cursor,
    pointer_locked: bool,
    text_input: (bool, Option<Rect<i32>>),
    title: String,
    first_window: bool,
    windows_open: bool,
}

/// A cursor changes at most this often: 60 times a second.
const CURSOR_INTERVAL_US: u64 = 16_000;

impl Outlet {
    pub(crate) fn new(sender: SyncSender<Event>) -> Self {
        Self {
            sender,
            told: Told {
                cursor: Cursor::Named("default"),
                pointer_locked: false,
                text_input: (false, None),
                title: String::new(),
                first_window: false,
                windows_open: false,
            },
            cursor: Cursor::Named("default"),
            pointer_locked: false,
            text_input: (false, None),
            title: String::new(),
            clipboard: None,
            windows_shown: 0,
            cursor_told_us: 0,
        }
    }

    /// Tells what is new. What does not fit now is told at the next tick.
    pub(crate) fn tell(&mut self, now_us: u64) {
        if self.windows_shown > 0 && !self.told.first_window {
            self.told.first_window = self.send(Event::FirstWindow);
        }
        let cursor_due = now_us.saturating_sub(self.cursor_told_us) >= CURSOR_INTERVAL_US;
        if self.told.cursor != self.cursor && cursor_due && self.send(Event::Cursor(self.cursor.clone())) {
            self.told.cursor = self.cursor.clone();
            self.cursor_told_us = now_us;
        }
        if self.told.pointer_locked != self.pointer_locked
            && self.send(Event::PointerLocked(self.pointer_locked))
        {
            self.told.pointer_locked = self.pointer_locked;
        }
        let (active, rect) = self.text_input;
        if self.told.text_input != self.text_input && self.send(Event::TextInput { active, rect }) {
            self.told.text_input = self.text_input;
        }
        if self.told.title != self.title && self.send(Event::Title(self.title.clone())) {
            self.told.title.clone_from(&self.title);
        }
        if let Some(text) = self.clipboard.take()
            && !self.send(Event::Clipboard(text.clone()))
        {
            self.clipboard = Some(text);
        }
        self.tell_windows();
    }

    fn tell_windows(&mut self) {
        if self.windows_shown > 0 {
            self.told.windows_open = true;
        } else if self.told.windows_open && self.send(Event::AllWindowsClosed) {
            self.told.windows_open = false;
        }
    }

    fn send(&self, event: Event) -> bool {
        match self.sender.try_send(event) {
            Ok(()) => true,
            Err(TrySendError::Full(_)) => false,
            // Nobody listens any more; what would be told counts as told.
            Err(TrySendError::Disconnected(_)) => true,
        }
    }
}
