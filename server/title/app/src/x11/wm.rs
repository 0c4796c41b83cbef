//! The window manager: a thread that reads X11 events and asks the server what it must, so that a client
//! which grabs the server never blocks the compositor. What the compositor decides is sent without
//! waiting for answers.

use std::{
    collections::HashMap,
    os::unix::net::UnixStream,
    sync::{Arc, Mutex},
};

use smithay::{
    reexports::{
        calloop::channel::SyncSender,
        x11rb::{
            self, CURRENT_TIME, NONE,
            connection::Connection,
            errors::{ReplyError, ReplyOrIdError},
            protocol::{
                Event,
                composite::{ConnectionExt as _, Redirect},
                xproto::{
                    AtomEnum, ChangeWindowAttributesAux, ClientMessageEvent, ConfigureNotifyEvent,
                    ConfigureWindowAux, ConnectionExt as _, CreateWindowAux, EventMask, InputFocus, PropMode,
                    Window, WindowClass,
                },
            },
            rust_connection::{ConnectionError, DefaultStream, RustConnection},
            wrapper::ConnectionExt as _,
        },
    },
    utils::{Logical, Rectangle},
};

use super::{Info, clipboard::Selection};
use crate::limits;

x11rb::atom_manager! {
    /// The names that are spoken with X11 clients.
    pub(crate) Atoms: AtomsCookie {
        CLIPBOARD, INCR, TARGETS, UTF8_STRING, NEARFRAME_CLIPBOARD,
        WL_SURFACE_ID, WM_PROTOCOLS, WM_S0, WM_STATE, WM_TAKE_FOCUS,
        _NET_ACTIVE_WINDOW, _NET_SUPPORTED, _NET_SUPPORTING_WM_CHECK, _NET_WM_CM_S0, _NET_WM_NAME,
        _NET_WM_STATE, _NET_WM_STATE_FULLSCREEN, _NET_WM_STATE_MAXIMIZED_HORZ, _NET_WM_STATE_MAXIMIZED_VERT,
        _NET_WM_WINDOW_TYPE, _NET_WM_WINDOW_TYPE_DIALOG,
        _NET_WM_WINDOW_TYPE_SPLASH, _NET_WM_WINDOW_TYPE_UTILITY,
        _XWAYLAND_RANDR_EMU_MONITOR_RECTS,
    }
}

impl Atoms {
    /// The states of a window that is to fill the screen.
    pub(crate) fn whole(&self) -> [u32; 3] {
        [self._NET_WM_STATE_FULLSCREEN, self._NET_WM_STATE_MAXIMIZED_HORZ, self._NET_WM_STATE_MAXIMIZED_VERT]
    }
}

/// What the thread tells the compositor.
pub(crate) enum Notice {
    /// The server may be managed through this.
    Ready(Wm),
    /// The server has ended.
    Gone,
    /// A client has copied text.
    Copied(String),
    Window(WindowNotice),
}

/// What has happened to a window.
#[derive(Debug)]
pub(crate) enum WindowNotice {
    /// It wants to be shown, or (a window that places itself) is.
    Map {
        id: Window,
        info: Info,
        geometry: Rectangle<i32, Logical>,
    },
    /// Something that it says of itself has changed.
    Changed {
        id: Window,
        info: Info,
    },
    Unmapped(Window),
    Destroyed(Window),
    /// It wants another size.
    Resize {
        id: Window,
        width: Option<i32>,
        height: Option<i32>,
    },
    /// It has another place.
    Moved {
        id: Window,
        geometry: Rectangle<i32, Logical>,
    },
    /// Xwayland draws it into this surface.
    Surface {
        id: Window,
        surface: u32,
    },
    /// It wants to be in front.
    Activate(Window),
    /// It wants to fill the screen.
    Fill(Window),
}

/// The compositor's way to the X server.
pub(crate) struct Wm {
    conn: Arc<RustConnection>,
    atoms: Atoms,
    root: Window,
    window: Window,
    text: Arc<Mutex<Arc<str>>>,
}

impl Wm {
    /// Becomes the window manager on a thread of its own, which ends with the server.
    pub(crate) fn start(stream: UnixStream, notices: SyncSender<Notice>) -> Result<(), std::io::Error> {
        std::thread::Builder::new().name("x11".into()).spawn(move || {
            if let Err(error) = manage(stream, &notices) {
                tracing::debug!(%error, "the X11 connection has ended");
            }
            // When nobody listens any more, the session is ending.
            let _ = notices.send(Notice::Gone);
        })?;
        Ok(())
    }

    /// Places a window and tells it so, even where nothing changes (ICCCM 4.1.5).
    pub(crate) fn configure(&self, id: Window, place: Rectangle<i32, Logical>) {
        let (x, y) = (place.loc.x, place.loc.y);
        let (width, height) = (place.size.w.clamp(1, 16_384) as u32, place.size.h.clamp(1, 16_384) as u32);
        let aux = ConfigureWindowAux::new().x(x).y(y).width(width).height(height).border_width(0);
        let told = ConfigureNotifyEvent {
            response_type: x11rb::protocol::xproto::CONFIGURE_NOTIFY_EVENT,
            sequence: 0,
            event: id,
            window: id,
            above_sibling: NONE,
            x: x as i16,
            y: y as i16,
            width: width as u16,
            height: height as u16,
            border_width: 0,
            override_redirect: false,
        };
        self.attempt(|conn| {
            conn.configure_window(id, &aux)?;
            conn.send_event(false, id, EventMask::STRUCTURE_NOTIFY, told)?;
            Ok(())
        });
    }

    /// Gives a window that is not shown yet the size that it asks for.
    pub(crate) fn grant(&self, id: Window, width: Option<i32>, height: Option<i32>) {
        let edge = |length: Option<i32>| length.map(|length| length.clamp(1, 16_384) as u32);
        let mut aux = ConfigureWindowAux::new();
        (aux.width, aux.height) = (edge(width), edge(height));
        self.attempt(|conn| conn.configure_window(id, &aux).map(drop));
    }

    /// Shows a window, filling the picture or not.
    pub(crate) fn map(&self, id: Window, fullscreen: bool) {
        let states: &[u32] = if fullscreen { &[self.atoms._NET_WM_STATE_FULLSCREEN] } else { &[] };
        self.attempt(|conn| {
            conn.change_property32(PropMode::REPLACE, id, self.atoms._NET_WM_STATE, AtomEnum::ATOM, states)?;
            // WM_STATE: NormalState, no icon window.
            conn.change_property32(
                PropMode::REPLACE,
                id,
                self.atoms.WM_STATE,
                self.atoms.WM_STATE,
                &[1, NONE],
            )?;
            conn.map_window(id)?;
            Ok(())
        });
    }

    /// Brings a window to the front of the X11 screen, where clicks are decided.
    pub(crate) fn raise(&self, id: Window) {
        let aux = ConfigureWindowAux::new().stack_mode(x11rb::protocol::xproto::StackMode::ABOVE);
        self.attempt(|conn| conn.configure_window(id, &aux).map(drop));
    }

    /// Gives the keyboard to a window, or to none.
    pub(crate) fn focus(&self, window: Option<(Window, &Info)>) {
        let id = window.map_or(NONE, |(id, _)| id);
        self.attempt(|conn| {
            conn.change_property32(
                PropMode::REPLACE,
                self.root,
                self.atoms._NET_ACTIVE_WINDOW,
                AtomEnum::WINDOW,
                &[id],
            )?;
            if window.is_none_or(|(_, info)| info.accepts_focus) {
                conn.set_input_focus(InputFocus::NONE, id, CURRENT_TIME)?;
            }
            if window.is_some_and(|(_, info)| info.takes_focus) {
                let data = [self.atoms.WM_TAKE_FOCUS, CURRENT_TIME, 0, 0, 0];
                let event = ClientMessageEvent::new(32, id, self.atoms.WM_PROTOCOLS, data);
                conn.send_event(false, id, EventMask::NO_EVENT, event)?;
            }
            Ok(())
        });
    }

    /// Offers text of the clipboard to X11 clients.
    pub(crate) fn offer(&self, text: &Arc<str>) {
        if let Ok(mut shared) = self.text.lock() {
            *shared = Arc::clone(text);
        }
        self.attempt(|conn| {
            conn.set_selection_owner(self.window, self.atoms.CLIPBOARD, CURRENT_TIME).map(drop)
        });
    }

    /// Failures mean that the server is ending, which the thread reports.
    fn attempt(&self, requests: impl FnOnce(&RustConnection) -> Result<(), ConnectionError>) {
        if let Err(error) = requests(&self.conn).and_then(|()| self.conn.flush()) {
            tracing::debug!(%error, "the X server does not listen");
        }
    }
}

/// Everything the thread does.
fn manage(stream: UnixStream, notices: &SyncSender<Notice>) -> Result<(), ReplyOrIdError> {
    let stream = DefaultStream::from_unix_stream(stream).map_err(ConnectionError::from)?.0;
    let conn = RustConnection::connect_to_stream(stream, 0).map_err(|error| {
        tracing::error!(%error, "Xwayland refuses its window manager");
        ConnectionError::UnknownError
    })?;
    let conn = Arc::new(conn);
    let atoms = Atoms::new(&conn)?.reply()?;
    let window = become_manager(&conn, &atoms)?;
    let text = Arc::new(Mutex::new(Arc::from("")));
    let selection = Selection::watch(&conn, atoms, window, Arc::clone(&text))?;
    let root = conn.setup().roots[0].root;
    let wm = Wm { conn: Arc::clone(&conn), atoms, root, window, text };
    if notices.send(Notice::Ready(wm)).is_err() {
        return Ok(());
    }
    let mut reader = Reader { conn: &conn, atoms, selection, windows: HashMap::new() };
    loop {
        let event = conn.wait_for_event()?;
        match reader.read(event) {
            Ok(Some(notice)) => {
                if notices.send(notice).is_err() {
                    return Ok(());
                }
            }
            Ok(None) => {}
            Err(ReplyError::ConnectionError(error)) => return Err(error.into()),
            // A window that is gone before it was asked about.
            Err(ReplyError::X11Error(error)) => tracing::trace!(?error, "an X11 request came too late"),
        }
    }
}

/// Redirects what clients want to the manager. Xwayland lets nobody in before `WM_S0` is owned.
fn become_manager(conn: &RustConnection, atoms: &Atoms) -> Result<Window, ReplyOrIdError> {
    let screen = &conn.setup().roots[0];
    let events = EventMask::SUBSTRUCTURE_REDIRECT | EventMask::SUBSTRUCTURE_NOTIFY;
    conn.change_window_attributes(screen.root, &ChangeWindowAttributesAux::new().event_mask(events))?;
    conn.composite_redirect_subwindows(screen.root, Redirect::MANUAL)?;
    let window = conn.generate_id()?;
    let aux = CreateWindowAux::new().event_mask(EventMask::PROPERTY_CHANGE).override_redirect(1);
    conn.create_window(0, window, screen.root, 0, 0, 1, 1, 0, WindowClass::INPUT_ONLY, 0, &aux)?;
    let check = atoms._NET_SUPPORTING_WM_CHECK;
    for on in [screen.root, window] {
        conn.change_property32(PropMode::REPLACE, on, check, AtomEnum::WINDOW, &[window])?;
    }
    conn.change_property8(PropMode::REPLACE, window, atoms._NET_WM_NAME, atoms.UTF8_STRING, b"nearframe")?;
    let supported = [
        atoms._NET_ACTIVE_WINDOW,
        atoms._NET_SUPPORTING_WM_CHECK,
        atoms._NET_WM_NAME,
        atoms._NET_WM_STATE,
        atoms._NET_WM_STATE_FULLSCREEN,
        atoms._NET_WM_WINDOW_TYPE,
    ];
    conn.change_property32(PropMode::REPLACE, screen.root, atoms._NET_SUPPORTED, AtomEnum::ATOM, &supported)?;
    conn.set_selection_owner(window, atoms._NET_WM_CM_S0, CURRENT_TIME)?;
    conn.set_selection_owner(window, atoms.WM_S0, CURRENT_TIME)?;
    conn.flush()?;
    Ok(window)
}

/// From X11 events to notices.
struct Reader<'a> {
    conn: &'a Arc<RustConnection>,
    atoms: Atoms,
    selection: Selection,
    /// Top-level windows, and whether they place themselves.
    windows: HashMap<Window, bool>,
}

impl Reader<'_> {
    fn read(&mut self, event: Event) -> Result<Option<Notice>, ReplyError> {
        let notice = match event {
            Event::CreateNotify(event) => {
                if self.windows.len() < limits::X11_WINDOWS {
                    self.windows.insert(event.window, event.override_redirect);
                    // Later changes are told; windows beyond the limit stay unseen.
                    let aux = ChangeWindowAttributesAux::new().event_mask(EventMask::PROPERTY_CHANGE);
                    self.conn.change_window_attributes(event.window, &aux)?;
                    self.conn.flush()?;
                }
                return Ok(None);
            }
            Event::MapRequest(event) => {
                if !self.knows(event.window, false) {
                    return Ok(None);
                }
                self.mapped(event.window, false)?
            }
            Event::MapNotify(event) if event.override_redirect => {
                if !self.knows(event.window, true) {
                    return Ok(None);
                }
                self.mapped(event.window, true)?
            }
            Event::UnmapNotify(event) => WindowNotice::Unmapped(event.window),
            Event::DestroyNotify(event) => {
                self.windows.remove(&event.window);
                WindowNotice::Destroyed(event.window)
            }
            Event::ConfigureRequest(event) => {
                use x11rb::protocol::xproto::ConfigWindow;
                let asked = |bit, value: u16| event.value_mask.contains(bit).then_some(i32::from(value));
                WindowNotice::Resize {
                    id: event.window,
                    width: asked(ConfigWindow::WIDTH, event.width),
                    height: asked(ConfigWindow::HEIGHT, event.height),
                }
            }
            Event::ConfigureNotify(event) => {
                let corner = (i32::from(event.x), i32::from(event.y));
                let size = (i32::from(event.width), i32::from(event.height));
                let geometry = Rectangle::new(corner.into(), size.into());
                WindowNotice::Moved { id: event.window, geometry }
            }
            Event::PropertyNotify(event) => match self.windows.get(&event.window) {
                Some(own) if self.tells_something(event.atom) => {
                    let info = Info::read(self.conn, &self.atoms, event.window, *own)?;
                    WindowNotice::Changed { id: event.window, info }
                }
                _ => return Ok(self.selection.more(self.conn, &event)?.map(Notice::Copied)),
            },
            Event::ClientMessage(event) => match self.message(&event) {
                Some(notice) => notice,
                None => return Ok(None),
            },
            event => return Ok(self.selection.read(self.conn, &event)?.map(Notice::Copied)),
        };
        Ok(Some(Notice::Window(notice)))
    }

    /// A window may have changed its mind about placing itself between its creation and now.
    fn knows(&mut self, id: Window, override_redirect: bool) -> bool {
        self.windows.get_mut(&id).map(|own| *own = override_redirect).is_some()
    }

    fn mapped(&self, id: Window, override_redirect: bool) -> Result<WindowNotice, ReplyError> {
        let place = self.conn.get_geometry(id)?.reply()?;
        let info = Info::read(self.conn, &self.atoms, id, override_redirect)?;
        let corner = (i32::from(place.x), i32::from(place.y));
        let size = (i32::from(place.width), i32::from(place.height));
        Ok(WindowNotice::Map { id, info, geometry: Rectangle::new(corner.into(), size.into()) })
    }

    fn tells_something(&self, atom: u32) -> bool {
        let standard =
            [AtomEnum::WM_NAME, AtomEnum::WM_NORMAL_HINTS, AtomEnum::WM_HINTS, AtomEnum::WM_TRANSIENT_FOR];
        atom == self.atoms._NET_WM_NAME
            || atom == self.atoms._NET_WM_WINDOW_TYPE
            || atom == self.atoms._XWAYLAND_RANDR_EMU_MONITOR_RECTS
            || standard.iter().any(|name| u32::from(*name) == atom)
    }

    fn message(&self, event: &ClientMessageEvent) -> Option<WindowNotice> {
        let id = event.window;
        if event.type_ == self.atoms.WL_SURFACE_ID && event.format == 32 {
            Some(WindowNotice::Surface { id, surface: event.data.as_data32()[0] })
        } else if event.type_ == self.atoms._NET_WM_STATE && event.format == 32 {
            /// `_NET_WM_STATE_REMOVE`; the others add.
            const REMOVE: u32 = 0;
            let [action, first, second, ..] = event.data.as_data32();
            let wanted =
                action != REMOVE && self.atoms.whole().iter().any(|state| [first, second].contains(state));
            wanted.then_some(WindowNotice::Fill(id))
        } else if event.type_ == self.atoms._NET_ACTIVE_WINDOW {
            Some(WindowNotice::Activate(id))
        } else {
            None
        }
    }
}
