//! The CLIPBOARD selection: reads what an X11 client copies, serves what others have copied.

use std::sync::{Arc, Mutex};

use smithay::reexports::x11rb::{
    CURRENT_TIME, NONE,
    connection::Connection,
    errors::{ConnectionError, ReplyError},
    protocol::{
        Event,
        xfixes::{ConnectionExt as _, SelectionEventMask},
        xproto::{
            Atom, AtomEnum, ConnectionExt as _, EventMask, PropMode, Property, PropertyNotifyEvent,
            SELECTION_NOTIFY_EVENT, SelectionNotifyEvent, SelectionRequestEvent, Window,
        },
    },
    rust_connection::RustConnection,
    wrapper::ConnectionExt as _,
};

use super::wm::Atoms;
use crate::limits::CLIPBOARD_BYTES;

/// Our part in the selection.
pub(crate) struct Selection {
    atoms: Atoms,
    window: Window,
    text: Arc<Mutex<Arc<str>>>,
    /// Text that arrives in pieces.
    incoming: Option<Vec<u8>>,
}

impl Selection {
    /// Asks to be told whenever a client copies something.
    pub(crate) fn watch(
        conn: &RustConnection,
        atoms: Atoms,
        window: Window,
        text: Arc<Mutex<Arc<str>>>,
    ) -> Result<Self, ReplyError> {
        conn.xfixes_query_version(1, 0)?.reply()?;
        conn.xfixes_select_selection_input(window, atoms.CLIPBOARD, SelectionEventMask::SET_SELECTION_OWNER)?;
        conn.flush()?;
        Ok(Self { atoms, window, text, incoming: None })
    }

    /// Text that has been copied, when this event completes it.
    pub(crate) fn read(
        &mut self,
        conn: &RustConnection,
        event: &Event,
    ) -> Result<Option<String>, ReplyError> {
        match event {
            Event::XfixesSelectionNotify(event) if event.owner != self.window && event.owner != NONE => {
                let (target, property) = (self.atoms.UTF8_STRING, self.atoms.NEARFRAME_CLIPBOARD);
                conn.convert_selection(self.window, self.atoms.CLIPBOARD, target, property, CURRENT_TIME)?;
                conn.flush()?;
                Ok(None)
            }
            Event::SelectionNotify(event) if event.requestor == self.window && event.property != NONE => {
                let (kind, bytes) = self.take_property(conn)?;
                if kind == self.atoms.INCR {
                    self.incoming = Some(Vec::new());
                    return Ok(None);
                }
                Ok(text_of(bytes))
            }
            Event::SelectionRequest(event) => {
                self.serve(conn, event)?;
                Ok(None)
            }
            _ => Ok(None),
        }
    }

    /// The next piece of text that arrives in pieces (ICCCM 2.7.2).
    pub(crate) fn more(
        &mut self,
        conn: &RustConnection,
        event: &PropertyNotifyEvent,
    ) -> Result<Option<String>, ReplyError> {
        let ours = event.window == self.window
            && event.atom == self.atoms.NEARFRAME_CLIPBOARD
            && event.state == Property::NEW_VALUE;
        if !ours || self.incoming.is_none() {
            return Ok(None);
        }
        let (_, bytes) = self.take_property(conn)?;
        if bytes.is_empty() {
            return Ok(self.incoming.take().and_then(text_of));
        }
        if let Some(incoming) = &mut self.incoming {
            incoming.extend(bytes);
            if incoming.len() > CLIPBOARD_BYTES {
                self.incoming = None;
            }
        }
        Ok(None)
    }

    fn take_property(&self, conn: &RustConnection) -> Result<(Atom, Vec<u8>), ReplyError> {
        let words = CLIPBOARD_BYTES as u32 / 4;
        let property = self.atoms.NEARFRAME_CLIPBOARD;
        let reply = conn.get_property(true, self.window, property, AtomEnum::ANY, 0, words)?.reply()?;
        let whole = reply.bytes_after == 0;
        Ok((reply.type_, if whole { reply.value } else { Vec::new() }))
    }

    fn serve(&self, conn: &RustConnection, request: &SelectionRequestEvent) -> Result<(), ConnectionError> {
        // Clients of old conventions leave the property to us (ICCCM 2.2).
        let property = if request.property == NONE { request.target } else { request.property };
        let text = self.text.lock().map(|text| Arc::clone(&text)).unwrap_or_else(|_| "".into());
        let string = Atom::from(AtomEnum::STRING);
        let answered = if request.target == self.atoms.TARGETS {
            let targets = [self.atoms.TARGETS, self.atoms.UTF8_STRING, string];
            conn.change_property32(PropMode::REPLACE, request.requestor, property, AtomEnum::ATOM, &targets)?;
            property
        } else if request.target == self.atoms.UTF8_STRING || request.target == string {
            conn.change_property8(
                PropMode::REPLACE,
                request.requestor,
                property,
                request.target,
                text.as_bytes(),
            )?;
            property
        } else {
            NONE
        };
        let event = SelectionNotifyEvent {
            response_type: SELECTION_NOTIFY_EVENT,
            sequence: 0,
            time: request.time,
            requestor: request.requestor,
            selection: request.selection,
            target: request.target,
            property: answered,
        };
        conn.send_event(false, request.requestor, EventMask::NO_EVENT, event)?;
        conn.flush()
    }
}

fn text_of(bytes: Vec<u8>) -> Option<String> {
    String::from_utf8(bytes).ok().filter(|text| !text.is_empty())
}
