//! What an X11 title sees, with a client of our own through Xwayland.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod support;

use std::{
    os::unix::net::UnixStream,
    time::{Duration, Instant},
};

use nearframe_compositor::{Display, Event, Input, Rect};
use smithay::reexports::x11rb::{
    self, CURRENT_TIME, NONE,
    connection::Connection,
    properties::WmSizeHints,
    protocol::{
        Event as XEvent,
        xproto::{
            AtomEnum, ConnectionExt as _, CreateWindowAux, EventMask, GrabMode, PropMode, Window, WindowClass,
        },
    },
    rust_connection::{DefaultStream, RustConnection},
    wrapper::ConnectionExt as _,
};
use support::{HEIGHT, PATIENCE, Session, WIDTH};

/// An X11 client, connected as libraries are.
struct Client {
    conn: RustConnection,
    root: Window,
    heard: Vec<XEvent>,
}

impl Client {
    /// Xwayland starts now, which takes frames of the session.
    fn connect(session: &mut Session) -> Self {
        let socket = session.compositor.sockets().x11.clone().unwrap();
        let thread = std::thread::spawn(move || {
            let stream = DefaultStream::from_unix_stream(UnixStream::connect(socket).unwrap()).unwrap().0;
            RustConnection::connect_to_stream(stream, 0).unwrap()
        });
        session.until("Xwayland lets the client in", |_, _| thread.is_finished());
        let conn = thread.join().unwrap();
        let root = conn.setup().roots[0].root;
        Self { conn, root, heard: Vec::new() }
    }

    /// A window of one colour. Without a background, Xwayland has nothing to show.
    fn window(
        &self,
        place: (i16, i16, u16, u16),
        colour: u32,
        menu: bool,
        fixed: bool,
        parent: Window,
    ) -> Window {
        let id = self.conn.generate_id().unwrap();
        let events = EventMask::KEY_PRESS
            | EventMask::KEY_RELEASE
            | EventMask::BUTTON_PRESS
            | EventMask::POINTER_MOTION
            | EventMask::STRUCTURE_NOTIFY
            | EventMask::FOCUS_CHANGE
            | EventMask::EXPOSURE;
        let aux = CreateWindowAux::new()
            .background_pixel(colour)
            .event_mask(events)
            .override_redirect(u32::from(menu));
        let (x, y, w, h) = place;
        self.conn.create_window(0, id, self.root, x, y, w, h, 0, WindowClass::INPUT_OUTPUT, 0, &aux).unwrap();
        if fixed {
            let size = Some((i32::from(w), i32::from(h)));
            let hints = WmSizeHints { min_size: size, max_size: size, ..WmSizeHints::new() };
            hints.set_normal_hints(&self.conn, id).unwrap();
        }
        if parent != NONE {
            let name = AtomEnum::WM_TRANSIENT_FOR;
            self.conn.change_property32(PropMode::REPLACE, id, name, AtomEnum::WINDOW, &[parent]).unwrap();
        }
        self.conn.map_window(id).unwrap();
        self.conn.flush().unwrap();
        id
    }

    fn hear(&mut self) {
        while let Some(event) = self.conn.poll_for_event().unwrap() {
            self.heard.push(event);
        }
    }

    fn atom(&self, name: &str) -> u32 {
        self.conn.intern_atom(false, name.as_bytes()).unwrap().reply().unwrap().atom
    }
}

fn targets(frame: &nearframe_compositor::Frame) -> Vec<Rect<i32>> {
    frame.layers.iter().map(|layer| layer.target).collect()
}

#[test]
fn windows_dialogs_and_menus_find_their_places_and_keys_their_window() {
    let mut session = Session::start(Display::X11);
    let mut client = Client::connect(&mut session);
    let whole = Rect::new(0, 0, WIDTH as i32, HEIGHT as i32);
    let main = client.window((30, 40, 300, 200), 0xff0000, false, false, NONE);
    session.until("the window fills the picture", |_, frame| targets(frame) == [whole]);
    session.until("the keyboard comes to it", |session, _| {
        session.frame(vec![Input::Key { evdev: 30, down: true }, Input::Key { evdev: 30, down: false }]);
        client.hear();
        client.heard.iter().any(|event| matches!(event, XEvent::KeyRelease(key) if key.detail == 38))
    });

    let dialog = client.window((0, 0, 400, 200), 0x00ff00, false, false, main);
    let centred = Rect::new(440, 260, 400, 200);
    session.until("the dialog is centred", |_, frame| targets(frame) == [whole, centred]);
    client.window((100, 50, 80, 60), 0x0000ff, true, false, NONE);
    let menu = Rect::new(100, 50, 80, 60);
    session.until("the menu is where it says", |_, frame| targets(frame) == [whole, centred, menu]);
    session.until("a click reaches the menu's place", |session, _| {
        session
            .frame(vec![Input::Position { x: 110.0, y: 60.0 }, Input::Button { evdev: 0x110, down: true }]);
        session.frame(vec![Input::ReleaseAll]);
        client.hear();
        client.heard.iter().any(
            |event| matches!(event, XEvent::ButtonPress(press) if (press.event_x, press.event_y) == (10, 10)),
        )
    });
    client.conn.destroy_window(dialog).unwrap();
    client.conn.flush().unwrap();
    session.until("the dialog is gone", |_, frame| targets(frame) == [whole, menu]);
}

#[test]
fn a_window_of_fixed_size_is_fitted() {
    let mut session = Session::start(Display::Auto);
    let client = Client::connect(&mut session);
    client.window((0, 0, 640, 480), 0xff0000, false, true, NONE);
    session.until("fitted", |_, frame| targets(frame) == [Rect::new(160, 0, 960, 720)]);
}

#[test]
fn a_game_that_grabs_the_pointer_without_a_cursor_gets_it_locked() {
    let mut session = Session::start(Display::X11);
    let mut client = Client::connect(&mut session);
    let window = client.window((0, 0, 300, 200), 0xff0000, false, false, NONE);
    session.until("the window is there", |_, frame| !frame.layers.is_empty());
    // An empty cursor, a grab, and a pointer that is put back to the middle again and again: that is how
    // X11 games look around.
    let bitmap = client.conn.generate_id().unwrap();
    client.conn.create_pixmap(1, bitmap, client.root, 8, 8).unwrap();
    let cursor = client.conn.generate_id().unwrap();
    client.conn.create_cursor(cursor, bitmap, bitmap, 0, 0, 0, 0, 0, 0, 0, 0).unwrap();
    let attributes = x11rb::protocol::xproto::ChangeWindowAttributesAux::new().cursor(cursor);
    client.conn.change_window_attributes(window, &attributes).unwrap();
    session.frame(vec![Input::Position { x: 640.0, y: 360.0 }]);
    let mask = EventMask::POINTER_MOTION;
    session.until("the pointer is locked", |session, _| {
        let grab = client.conn.grab_pointer(
            true,
            window,
            mask,
            GrabMode::ASYNC,
            GrabMode::ASYNC,
            window,
            cursor,
            CURRENT_TIME,
        );
        drop(grab.unwrap());
        client.conn.warp_pointer(NONE, window, 0, 0, 0, 0, 640, 360).unwrap();
        client.conn.flush().unwrap();
        session.frame(vec![Input::Motion { dx: 1.0, dy: 0.0 }]);
        client.hear();
        session.told.contains(&Event::PointerLocked(true))
    });
    client.heard.clear();
    session.until("motion", |session, _| {
        session.frame(vec![Input::Motion { dx: 7.0, dy: 0.0 }]);
        client.hear();
        client.heard.iter().any(|event| matches!(event, XEvent::MotionNotify(_)))
    });
}

#[test]
fn text_is_copied_between_the_page_and_x11() {
    let mut session = Session::start(Display::X11);
    let mut client = Client::connect(&mut session);
    let window = client.window((0, 0, 300, 200), 0xff0000, false, false, NONE);
    session.until("the window is there", |_, frame| !frame.layers.is_empty());
    let (clipboard, utf8) = (client.atom("CLIPBOARD"), client.atom("UTF8_STRING"));

    client.conn.set_selection_owner(window, clipboard, CURRENT_TIME).unwrap();
    client.conn.flush().unwrap();
    session.until("the text is told", |session, _| {
        client.hear();
        for event in std::mem::take(&mut client.heard) {
            if let XEvent::SelectionRequest(request) = event {
                let (to, at) = (request.requestor, request.property);
                client.conn.change_property8(PropMode::REPLACE, to, at, utf8, "aus X11".as_bytes()).unwrap();
                let answer = x11rb::protocol::xproto::SelectionNotifyEvent {
                    response_type: x11rb::protocol::xproto::SELECTION_NOTIFY_EVENT,
                    sequence: 0,
                    time: request.time,
                    requestor: to,
                    selection: request.selection,
                    target: request.target,
                    property: at,
                };
                client.conn.send_event(false, to, EventMask::NO_EVENT, answer).unwrap();
                client.conn.flush().unwrap();
            }
        }
        session.told.contains(&Event::Clipboard("aus X11".into()))
    });

    session.compositor.set_clipboard("von der Seite".into());
    let target = client.atom("MINE");
    let deadline = Instant::now() + PATIENCE;
    loop {
        assert!(Instant::now() < deadline, "the page's text never came");
        session.tick(Vec::new());
        client.conn.convert_selection(window, clipboard, utf8, target, CURRENT_TIME).unwrap();
        client.conn.flush().unwrap();
        std::thread::sleep(Duration::from_millis(5));
        let reply = client.conn.get_property(false, window, target, utf8, 0, 100).unwrap().reply().unwrap();
        if reply.value == "von der Seite".as_bytes() {
            break;
        }
    }
}

#[test]
fn xwayland_ends_with_its_session() {
    let mut session = Session::start(Display::X11);
    let client = Client::connect(&mut session);
    client.window((0, 0, 300, 200), 0xff0000, false, false, NONE);
    session.until("the window is there", |_, frame| !frame.layers.is_empty());
    drop(session);
    while client.conn.wait_for_event().is_ok() {}
}
