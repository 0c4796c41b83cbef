//! Text of the clipboard, shared by the player's page, Wayland clients and X11 clients. Whoever copies,
//! the text is read at once (bounded in size and time), and the compositor offers it to the others.

use std::{
    io::{ErrorKind, Read, Write},
    os::{fd::OwnedFd, unix::net::UnixStream},
    sync::Arc,
    time::Duration,
};

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use smithay::{
    input::Seat,
    reexports::calloop::{
        Interest, Mode, PostAction, RegistrationToken,
        generic::Generic,
        timer::{TimeoutAction, Timer},
    },
    wayland::selection::{
        SelectionHandler, SelectionSource, SelectionTarget,
        data_device::{
            DataDeviceHandler, DataDeviceState, request_data_device_client_selection,
            set_data_device_selection,
        },
        primary_selection::{PrimarySelectionHandler, PrimarySelectionState},
    },
};

use super::State;
use crate::limits::{CLIPBOARD_BYTES, TRANSFERS};

/// What text is called, best first.
const TEXT_TYPES: [&str; 4] = ["text/plain;charset=utf-8", "text/plain", "UTF8_STRING", "STRING"];
/// A client that does not read or write its end within this time has lost its chance.
const TRANSFER_TIME: Duration = Duration::from_secs(5);

/// The text and what is under way.
#[derive(Debug, Default)]
pub(crate) struct Clipboard {
    text: Arc<str>,
    transfers: usize,
}

impl Clipboard {
    pub(crate) fn text(&self) -> Arc<str> {
        Arc::clone(&self.text)
    }
}

impl State {
    /// The page has text for the title.
    pub(crate) fn set_clipboard(&mut self, text: &str) {
        let text = &text[..text.floor_char_boundary(CLIPBOARD_BYTES)];
        self.clipboard.text = text.into();
        self.offer_to_wayland();
        self.offer_to_x11();
    }

    /// A client has copied text: the page and the other side may have it.
    pub(crate) fn copied(&mut self, text: &str, by_x11: bool) {
        if text.is_empty() || *text == *self.clipboard.text {
            return;
        }
        self.clipboard.text = text.into();
        self.outlet.clipboard = Some(text.to_owned());
        if by_x11 {
            self.offer_to_wayland();
        } else {
            self.offer_to_x11();
        }
    }

    fn offer_to_wayland(&self) {
        let types = TEXT_TYPES.iter().map(ToString::to_string).collect();
        set_data_device_selection(&self.display, &self.seat, types, ());
    }

    /// Reads what a client has copied, while the loop goes on.
    fn read_copied(&mut self, types: &[String]) {
        let Some(kind) = TEXT_TYPES.iter().find(|kind| types.iter().any(|offered| offered == *kind)) else {
            return;
        };
        let Ok((ours, theirs)) = UnixStream::pair() else { return };
        if ours.set_nonblocking(true).is_err()
            || request_data_device_client_selection(&self.seat, (*kind).to_owned(), theirs.into()).is_err()
        {
            return;
        }
        let mut text = Vec::new();
        self.transfer(ours, Interest::READ, move |stream, state| {
            let mut chunk = [0; 16 * 1024];
            loop {
                match (&*stream).read(&mut chunk) {
                    Ok(0) => {
                        if let Ok(text) = std::str::from_utf8(&text) {
                            state.copied(text, false);
                        }
                        return Progress::Done;
                    }
                    Ok(read) if text.len() + read <= CLIPBOARD_BYTES => {
                        text.extend_from_slice(&chunk[..read]);
                    }
                    Ok(_) => return Progress::Done,
                    Err(error) if error.kind() == ErrorKind::WouldBlock => return Progress::More,
                    Err(_) => return Progress::Done,
                }
            }
        });
    }

    /// Writes our text to a client, while the loop goes on.
    fn write_text(&mut self, fd: OwnedFd) {
        let nonblocking = fcntl_getfl(&fd).and_then(|flags| fcntl_setfl(&fd, flags | OFlags::NONBLOCK));
        if nonblocking.is_err() {
            return;
        }
        let text = self.clipboard.text();
        let mut written = 0;
        self.transfer(std::fs::File::from(fd), Interest::WRITE, move |file, _| {
            while written < text.len() {
                match (&*file).write(&text.as_bytes()[written..]) {
                    Ok(0) => return Progress::Done,
                    Ok(more) => written += more,
                    Err(error) if error.kind() == ErrorKind::WouldBlock => return Progress::More,
                    Err(_) => return Progress::Done,
                }
            }
            Progress::Done
        });
    }

    /// Runs a transfer within the event loop, bounded in number and time.
    fn transfer<F, S>(&mut self, stream: F, interest: Interest, mut step: S)
    where
        F: std::os::fd::AsFd + 'static,
        S: FnMut(&F, &mut Self) -> Progress + 'static,
    {
        if self.clipboard.transfers >= TRANSFERS {
            tracing::debug!("too many clipboard transfers at once; one was dropped");
            return;
        }
        let source = Generic::new(stream, interest, Mode::Level);
        let inserted = self.events.insert_source(source, move |_, stream, state| {
            Ok(match step(stream, state) {
                Progress::More => PostAction::Continue,
                Progress::Done => {
                    state.clipboard.transfers = state.clipboard.transfers.saturating_sub(1);
                    PostAction::Remove
                }
            })
        });
        if let Ok(token) = inserted {
            self.clipboard.transfers += 1;
            self.give_up_later(token);
        }
    }

    /// A token of a transfer that is done already names nothing, and removing it does nothing.
    fn give_up_later(&self, token: RegistrationToken) {
        let timer = Timer::from_duration(TRANSFER_TIME);
        let armed = self.events.insert_source(timer, move |_, (), state| {
            if state.events.update(&token).is_ok() {
                state.clipboard.transfers = state.clipboard.transfers.saturating_sub(1);
                state.events.remove(token);
            }
            TimeoutAction::Drop
        });
        if let Err(error) = armed {
            tracing::debug!(%error, "a clipboard transfer has no time limit");
        }
    }
}

/// Whether a transfer goes on.
enum Progress {
    More,
    Done,
}

impl SelectionHandler for State {
    type SelectionUserData = ();

    fn new_selection(&mut self, target: SelectionTarget, source: Option<SelectionSource>, _: Seat<Self>) {
        if let (SelectionTarget::Clipboard, Some(source)) = (target, source) {
            let types = source.mime_types();
            // The client's source is in place only after this call.
            self.events.insert_idle(move |state| state.read_copied(&types));
        }
    }

    fn send_selection(&mut self, target: SelectionTarget, _: String, fd: OwnedFd, _: Seat<Self>, (): &()) {
        if target == SelectionTarget::Clipboard {
            self.write_text(fd);
        }
    }
}

impl DataDeviceHandler for State {
    fn data_device_state(&self) -> &DataDeviceState {
        &self.globals.data_device
    }
}

impl PrimarySelectionHandler for State {
    fn primary_selection_state(&self) -> &PrimarySelectionState {
        &self.globals.primary_selection
    }
}
