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
fn a_window_that_does_not_grow_with_the_screen_is_shown_at_its_own_size() {
    let fitted = Rect::new(64, 0, 1152, 720);
    // SDL 1.2 draws into a window within its window, which stays as it is.
    let mut session = Session::start(Display::X11);
    let client = Client::connect(&mut session);
    let frame = client.conn.generate_id().unwrap();
    let inside = client.conn.generate_id().unwrap();
    for (id, parent, colour) in [(frame, client.root, 0x00ff00), (inside, frame, 0xff0000)] {
        let aux = CreateWindowAux::new().background_pixel(colour);
        client
            .conn
            .create_window(0, id, parent, 10, 10, 640, 400, 0, WindowClass::INPUT_OUTPUT, 0, &aux)
            .unwrap();
        client.conn.map_subwindows(frame).unwrap();
    }
    client.conn.map_window(frame).unwrap();
    client.conn.flush().unwrap();
    session.until("the frame keeps its size", |_, frame| targets(frame) == [fitted]);

    // Others ask for their size again when they were given another.
    let mut session = Session::start(Display::X11);
    let client = Client::connect(&mut session);
    let window = client.window((10, 10, 640, 400), 0xff0000, false, false, NONE);
    let whole = Rect::new(0, 0, WIDTH as i32, HEIGHT as i32);
    session.until("the window fills the picture", |_, frame| targets(frame) == [whole]);
    let size = x11rb::protocol::xproto::ConfigureWindowAux::new().width(640).height(400);
    client.conn.configure_window(window, &size).unwrap();
    client.conn.flush().unwrap();
    session.until("the window has its size", |_, frame| targets(frame) == [fitted]);
    let (state, fullscreen) = (client.atom("_NET_WM_STATE"), client.atom("_NET_WM_STATE_FULLSCREEN"));
    let data = [1, fullscreen, 0, 1, 0];
    let wish = x11rb::protocol::xproto::ClientMessageEvent::new(32, window, state, data);
    client.conn.send_event(false, client.root, EventMask::SUBSTRUCTURE_REDIRECT, wish).unwrap();
    client.conn.flush().unwrap();
    session.until("the window fills the picture again", |_, frame| targets(frame) == [whole]);
}

/// As games of their time do before they open a window.
fn switch_mode(client: &Client, width: u16, height: u16) {
    use ::x11rb::protocol::randr::{ConnectionExt as _, Rotation};
    let screen = client.conn.randr_get_screen_resources_current(client.root).unwrap().reply().unwrap();
    let mode = screen.modes.iter().find(|mode| (mode.width, mode.height) == (width, height));
    let mode = mode.expect("Xwayland offers smaller modes").id;
    let (crtc, at) = (screen.crtcs[0], screen.config_timestamp);
    let asked = client.conn.randr_set_crtc_config(
        crtc,
        CURRENT_TIME,
        at,
        0,
        0,
        mode,
        Rotation::ROTATE0,
        &screen.outputs,
    );
    asked.unwrap().reply().unwrap();
}

#[test]
fn a_game_that_switches_the_screens_mode_keeps_its_shape_and_the_pointer_follows() {
    for places_itself in [false, true] {
        let mut session = Session::start(Display::X11);
        let mut client = Client::connect(&mut session);
        switch_mode(&client, 800, 600);
        client.window((0, 0, 800, 600), 0xff0000, places_itself, false, NONE);
        let fitted = Rect::new(160, 0, 960, 720);
        session.until("the screen of the mode is fitted", |_, frame| targets(frame) == [fitted]);
        session.until("the pointer is where the mode's screen has it", |session, _| {
            session.frame(vec![Input::Position { x: 880.0, y: 180.0 }]);
            session.frame(vec![Input::Position { x: 640.0, y: 540.0 }]);
            client.hear();
            let at = |x: i16, y: i16| {
                client.heard.iter().any(|event| {
                    matches!(event, XEvent::MotionNotify(motion)
                        if (motion.event_x - x).abs() <= 1 && (motion.event_y - y).abs() <= 1)
                })
            };
            at(600, 150) && at(400, 450)
        });
    }
}

#[test]
fn an_x11_client_has_the_players_keyboard() {
    let mut session = Session::start(Display::X11);
    let client = Client::connect(&mut session);
    client.window((0, 0, 300, 200), 0xff0000, false, false, NONE);
    session.until("the window is there", |_, frame| !frame.layers.is_empty());
    let layout = nearframe_compositor::KeyboardLayout { layout: "de".into(), variant: String::new() };
    session.compositor.set_layout(layout);
    // Right of L; right of P; right of 0: ö, ü, and the sharp s.
    session.until("the keys write German", |_, _| {
        [(47, 0xf6), (34, 0xfc), (20, 0xdf)].iter().all(|(key, symbol)| {
            let keys = client.conn.get_keyboard_mapping(*key, 1).unwrap().reply().unwrap();
            keys.keysyms.first() == Some(symbol)
        })
    });
}

/// What the kernel says of a process, by its number or as `self`.
fn status_of(pid: &str, name: &str) -> Option<String> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    Some(line.trim_start_matches(':').trim().to_owned())
}

#[test]
fn xwayland_is_locked_in() {
    let mut session = Session::start(Display::X11);
    let _client = Client::connect(&mut session);
    let own = std::process::id().to_string();
    let pids = std::fs::read_dir("/proc").unwrap().flatten();
    let server = pids
        .filter_map(|entry| entry.file_name().into_string().ok())
        .find(|pid| {
            // Between it and this process stands bubblewrap.
            let outer = status_of(pid, "PPid").unwrap_or_default();
            status_of(pid, "Name").as_deref() == Some("Xwayland")
                && status_of(&outer, "PPid") == Some(own.clone())
        })
        .expect("the server runs");
    let namespace = |pid: &str, what: &str| std::fs::read_link(format!("/proc/{pid}/ns/{what}")).unwrap();
    for what in ["net", "pid", "mnt", "ipc", "uts", "user"] {
        assert_ne!(namespace(&server, what), namespace("self", what), "{what}");
    }
    for (name, wanted) in [
        ("CapEff", "0000000000000000"),
        ("CapBnd", "0000000000000000"),
        ("NoNewPrivs", "1"),
        ("Seccomp", "2"),
    ] {
        assert_eq!(status_of(&server, name).as_deref(), Some(wanted), "{name}");
    }
    let mounts = std::fs::read_to_string(format!("/proc/{server}/mountinfo")).unwrap();
    let system = mounts.lines().find(|line| line.split(' ').nth(4) == Some("/usr")).unwrap();
    assert!(system.split(' ').nth(5).unwrap().starts_with("ro"), "{system}");
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
