//! What a title sees of the compositor, with a client of our own.

mod support;

use std::{
    io::Read,
    os::fd::AsFd,
    time::{Duration, Instant},
};

use nearframe_compositor::{Content, Cursor, Display, Event, Frame, Input, Rect, TouchPhase};
use support::{
    FPS, HEIGHT, Session, WIDTH,
    client::{Client, Window},
};
use wayland_client::protocol::{
    wl_data_device_manager::WlDataDeviceManager, wl_subcompositor::WlSubcompositor,
};
use wayland_protocols::wp::{
    cursor_shape::v1::client::{
        wp_cursor_shape_device_v1::Shape, wp_cursor_shape_manager_v1::WpCursorShapeManagerV1,
    },
    pointer_constraints::zv1::client::zwp_pointer_constraints_v1::{Lifetime, ZwpPointerConstraintsV1},
    relative_pointer::zv1::client::zwp_relative_pointer_manager_v1::ZwpRelativePointerManagerV1,
    text_input::zv3::client::zwp_text_input_manager_v3::ZwpTextInputManagerV3,
    viewporter::client::wp_viewporter::WpViewporter,
};

const SCREEN: (i32, i32) = (WIDTH as i32, HEIGHT as i32);
const RED: [u8; 4] = [0, 0, 255, 255];
const GREEN: [u8; 4] = [0, 255, 0, 255];
const BLUE: [u8; 4] = [255, 0, 0, 255];

/// A session with a client whose one window fills the picture.
fn playing() -> (Session, Client, Window) {
    let mut session = Session::start(Display::Wayland);
    let mut client = Client::connect(&session.wayland());
    let window = client.window(SCREEN, RED, None);
    assert_eq!(client.heard.size, SCREEN);
    session.frame(Vec::new());
    client.roundtrip();
    (session, client, window)
}

fn colour(layer: &nearframe_compositor::Layer) -> [u8; 3] {
    let Content::Shm(pixels) = &layer.content else { panic!("not copied") };
    std::array::from_fn(|c| pixels.data()[c])
}

fn targets(frame: &Frame) -> Vec<Rect<i32>> {
    frame.layers.iter().map(|layer| layer.target).collect()
}

#[test]
fn a_window_is_shown_and_nothing_changes_until_it_does() {
    let (mut session, client, window) = playing();
    let frame = session.frame(Vec::new());
    assert_eq!((frame.layers.len(), frame.changed), (1, false));
    assert_eq!(frame.layers[0].target, Rect::new(0, 0, SCREEN.0, SCREEN.1));
    client.draw(&window.surface, SCREEN, GREEN);
    client.connection.flush().unwrap();
    let frame = session.until("green", |_, frame| frame.changed);
    assert_eq!(colour(&frame.layers[0]), GREEN[..3]);
    assert!(!session.frame(Vec::new()).changed);
}

#[test]
fn a_title_that_draws_when_called_is_seen_in_the_same_frame() {
    let (mut session, client, window) = playing();
    let animation = client.animate(window, (64, 36));
    // Drawn one tick late, every frame would be nearly an interval old. Until the title's speed has been
    // learned they are, and a starved machine may break a row.
    let mut row = 0;
    session.until("ten frames in a row, each drawn within its own tick", |_, frame| {
        let same_tick = frame.changed && frame.timings.commit_age_us < 10_000;
        row = if same_tick { row + 1 } else { 0 };
        row == 10
    });
    animation.stop();
    session.until("the title has stopped", |_, _| animation.is_done());
}

#[test]
fn a_title_that_never_answers_does_not_block() {
    let (mut session, client, window) = playing();
    let animation = client.animate(window, (64, 36));
    for _ in 0..30 {
        session.tick(Vec::new());
    }
    animation.stop();
    session.until("the title has stopped", |_, _| animation.is_done());
    for _ in 0..4 {
        session.tick(Vec::new());
    }
    let began = Instant::now();
    for _ in 0..20 {
        let frame = session.frame(Vec::new());
        assert!(!frame.changed || frame.layers.is_empty());
    }
    assert!(began.elapsed() < 20 * Duration::from_secs(1) / FPS, "{:?}", began.elapsed());
}

#[test]
fn dialogs_and_menus_stand_over_the_window_and_focus_returns() {
    let (mut session, mut client, window) = playing();
    let dialog = client.window((400, 200), GREEN, Some(&window));
    let frame = session.frame(Vec::new());
    assert_eq!(targets(&frame), [Rect::new(0, 0, SCREEN.0, SCREEN.1), Rect::new(440, 260, 400, 200)]);
    client.roundtrip();
    assert_eq!(client.heard.focus.as_ref(), Some(&dialog.surface));

    client.popup(&dialog, (50, 60), (100, 80), BLUE);
    let frame = session.frame(Vec::new());
    assert_eq!(targets(&frame)[2], Rect::new(490, 320, 100, 80));
    assert_eq!(frame.layers.iter().map(colour).collect::<Vec<_>>(), [&RED[..3], &GREEN[..3], &BLUE[..3]]);

    // A menu at the edge slides back into the picture.
    client.popup(&dialog, (390, 190), (700, 400), BLUE);
    let frame = session.frame(Vec::new());
    assert_eq!(targets(&frame)[3], Rect::new(580, 320, 700, 400));

    dialog.toplevel.destroy();
    dialog.xdg.destroy();
    dialog.surface.destroy();
    client.roundtrip();
    session.until("the dialog is gone", |_, frame| frame.layers.len() == 1);
    client.roundtrip();
    assert_eq!(client.heard.focus.as_ref(), Some(&window.surface));
}

#[test]
fn a_subsurface_moves_with_its_parent_and_viewports_crop_and_scale() {
    let (mut session, mut client, window) = playing();
    let subcompositor: WlSubcompositor = client.bind();
    let surface = client.compositor.create_surface(&client.handle, ());
    let subsurface = subcompositor.get_subsurface(&surface, &window.surface, &client.handle, ());
    subsurface.set_position(10, 20);
    let viewporter: WpViewporter = client.bind();
    let viewport = viewporter.get_viewport(&surface, &client.handle, ());
    viewport.set_source(8.0, 4.0, 16.0, 8.0);
    viewport.set_destination(160, 80);
    client.draw(&surface, (64, 32), GREEN);
    client.roundtrip();
    assert_eq!(session.frame(Vec::new()).layers.len(), 1, "a synchronised subsurface waits for its parent");
    window.surface.commit();
    client.roundtrip();
    let frame = session.frame(Vec::new());
    assert_eq!(targets(&frame)[1], Rect::new(10, 20, 160, 80));
    assert_eq!(frame.layers[1].source, Rect::new(8.0, 4.0, 16.0, 8.0));
    session.frame(vec![Input::Position { x: 20.0, y: 30.0 }]);
    client.roundtrip();
    assert_eq!(client.heard.positions.last(), Some(&(10.0, 10.0)), "the pointer is over the subsurface");
}

#[test]
fn a_launcher_opens_the_game_and_comes_back_when_it_ends() {
    let (mut session, mut launcher, first) = playing();
    let mut game = Client::connect(&session.wayland());
    let window = game.window(SCREEN, GREEN, None);
    let frame = session.frame(Vec::new());
    assert_eq!(frame.layers.iter().map(colour).collect::<Vec<_>>(), [&GREEN[..3]]);
    launcher.roundtrip();
    game.roundtrip();
    assert_eq!((launcher.heard.focus.clone(), game.heard.focus.clone()), (None, Some(window.surface)));
    drop(game);
    let frame = session.until("the launcher is back", |_, frame| frame.changed);
    assert_eq!(colour(&frame.layers[0]), RED[..3]);
    launcher.roundtrip();
    assert_eq!(launcher.heard.focus, Some(first.surface));
    assert!(!session.told.contains(&Event::AllWindowsClosed));
}

#[test]
fn a_smaller_window_is_fitted_and_the_pointer_follows() {
    let mut session = Session::start(Display::Wayland);
    let mut client = Client::connect(&session.wayland());
    client.window((640, 480), RED, None);
    let frame = session.frame(Vec::new());
    assert_eq!(targets(&frame), [Rect::new(160, 0, 960, 720)]);
    session.frame(vec![Input::Position { x: 160.0 + 480.0, y: 360.0 }]);
    client.roundtrip();
    assert_eq!(client.heard.positions.last(), Some(&(320.0, 240.0)));
}

#[test]
fn keys_buttons_and_fingers_arrive_and_nothing_stays_pressed() {
    let (mut session, mut client, _window) = playing();
    let finger = |phase| Input::Touch { id: 3, phase, x: 10.0, y: 20.0 };
    session.frame(vec![
        Input::Key { evdev: 17, down: true },
        Input::Key { evdev: 17, down: true },
        Input::Key { evdev: 42, down: true },
        Input::Position { x: 100.0, y: 100.0 },
        Input::Button { evdev: 0x110, down: true },
        finger(TouchPhase::Down),
        finger(TouchPhase::Move),
    ]);
    client.roundtrip();
    assert_eq!(client.heard.keys, [(17, true), (42, true)]);
    assert_eq!(client.heard.buttons, [(0x110, true)]);
    assert_eq!(client.heard.touches[0], (3, "down"));
    session.frame(vec![Input::ReleaseAll, Input::ReleaseAll]);
    client.roundtrip();
    assert_eq!(client.heard.keys[2..], [(17, false), (42, false)]);
    assert_eq!(client.heard.buttons[1..], [(0x110, false)]);
    assert_eq!(client.heard.touches.last(), Some(&(-1, "cancel")));
    session.frame(vec![Input::Key { evdev: 17, down: false }, Input::Button { evdev: 0x110, down: false }]);
    client.roundtrip();
    assert_eq!((client.heard.keys.len(), client.heard.buttons.len()), (4, 2));
}

#[test]
fn the_wheel_turns_by_fractions() {
    let (mut session, mut client, _window) = playing();
    session.frame(vec![Input::Wheel { dx: 0, dy: 30 }, Input::Wheel { dx: -120, dy: 0 }]);
    client.roundtrip();
    assert_eq!(client.heard.wheel, [30, -120]);
}

#[test]
fn a_locked_pointer_gets_relative_motion_only() {
    let (mut session, mut client, window) = playing();
    session.frame(vec![Input::Position { x: 300.0, y: 300.0 }]);
    let relative: ZwpRelativePointerManagerV1 = client.bind();
    relative.get_relative_pointer(&client.pointer, &client.handle, ());
    let constraints: ZwpPointerConstraintsV1 = client.bind();
    let lock = constraints.lock_pointer(
        &window.surface,
        &client.pointer,
        None,
        Lifetime::Persistent,
        &client.handle,
        (),
    );
    client.roundtrip();
    session.until_told("locked", |event| *event == Event::PointerLocked(true));
    client.roundtrip();
    assert!(client.heard.locked);
    let before = client.heard.positions.len();
    session.frame(vec![Input::Motion { dx: 5.5, dy: -3.0 }]);
    client.roundtrip();
    assert_eq!(client.heard.relative.last(), Some(&(5.5, -3.0)));
    assert_eq!(client.heard.positions.len(), before);
    lock.destroy();
    client.roundtrip();
    session.until_told("unlocked", |event| *event == Event::PointerLocked(false));
    session.frame(vec![Input::Motion { dx: 1.0, dy: 1.0 }]);
    client.roundtrip();
    assert_eq!(client.heard.positions.last(), Some(&(301.0, 301.0)));
}

#[test]
fn a_confined_pointer_stays_in_its_region() {
    let (mut session, mut client, window) = playing();
    session.frame(vec![Input::Position { x: 150.0, y: 150.0 }]);
    let constraints: ZwpPointerConstraintsV1 = client.bind();
    let region = client.compositor.create_region(&client.handle, ());
    region.add(100, 100, 100, 100);
    constraints.confine_pointer(
        &window.surface,
        &client.pointer,
        Some(&region),
        Lifetime::Persistent,
        &client.handle,
        (),
    );
    client.roundtrip();
    session.frame(Vec::new());
    session.frame(vec![Input::Motion { dx: 500.0, dy: 20.0 }]);
    client.roundtrip();
    assert_eq!(client.heard.positions.last(), Some(&(150.0, 170.0)));
    assert!(!session.told.contains(&Event::PointerLocked(true)));
}

#[test]
fn text_goes_to_the_text_field_and_is_typed_where_there_is_none() {
    let (mut session, mut client, _window) = playing();
    session.frame(vec![Input::Text("é".into())]);
    client.roundtrip();
    assert_eq!(client.heard.keys.len(), 2, "typed by a key of its own");
    assert!(client.heard.text.is_empty());

    let manager: ZwpTextInputManagerV3 = client.bind();
    let field = manager.get_text_input(&client.seat, &client.handle, ());
    client.roundtrip();
    assert!(client.heard.text_entered);
    field.enable();
    field.set_cursor_rectangle(10, 20, 2, 16);
    field.commit();
    client.roundtrip();
    session.until_told("a text field", |event| {
        *event == Event::TextInput { active: true, rect: Some(Rect::new(10, 20, 2, 16)) }
    });
    session.frame(vec![Input::Text("日本語".into())]);
    client.roundtrip();
    assert_eq!(client.heard.text, ["日本語"]);
    assert_eq!(client.heard.keys.len(), 2);
    field.disable();
    field.commit();
    client.roundtrip();
    session.until_told("no text field", |event| matches!(event, Event::TextInput { active: false, .. }));
}

#[test]
fn cursors_go_to_the_page_and_not_into_the_picture() {
    let (mut session, mut client, _window) = playing();
    session.frame(vec![Input::Position { x: 50.0, y: 50.0 }]);
    client.roundtrip();
    let serial = client.heard.entered;
    let shapes: WpCursorShapeManagerV1 = client.bind();
    let shape = shapes.get_pointer(&client.pointer, &client.handle, ());
    shape.set_shape(serial, Shape::Crosshair);
    client.roundtrip();
    session.until_told("crosshair", |event| *event == Event::Cursor(Cursor::Named("crosshair")));

    let surface = client.compositor.create_surface(&client.handle, ());
    client.pointer.set_cursor(serial, Some(&surface), 3, 4);
    client.draw(&surface, (16, 8), [0, 0, 128, 128]);
    client.roundtrip();
    let event =
        session.until_told("a picture", |event| matches!(event, Event::Cursor(Cursor::Picture { .. })));
    let Event::Cursor(Cursor::Picture { width, height, hot_x, hot_y, rgba }) = event else { unreachable!() };
    assert_eq!((width, height, hot_x, hot_y, &rgba[..4]), (16, 8, 3, 4, &[255, 0, 0, 128][..]));

    client.pointer.set_cursor(serial, None, 0, 0);
    client.roundtrip();
    session.until_told("hidden", |event| *event == Event::Cursor(Cursor::Hidden));
    assert_eq!(session.frame(Vec::new()).layers.len(), 1);
}

#[test]
fn text_is_copied_to_the_page_and_back() {
    let (mut session, mut client, _window) = playing();
    let manager: WlDataDeviceManager = client.bind();
    let device = manager.get_data_device(&client.seat, &client.handle, ());
    session.frame(vec![Input::Key { evdev: 30, down: true }, Input::Key { evdev: 30, down: false }]);
    client.roundtrip();

    client.heard.copied = "from the title".repeat(10_000);
    let source = manager.create_data_source(&client.handle, ());
    source.offer("text/plain;charset=utf-8".into());
    device.set_selection(Some(&source), 1);
    // The compositor asks for the text, the client writes it while the session goes on.
    let copied = client.heard.copied.clone();
    let writer = std::thread::spawn(move || {
        while client.heard.offer.is_none() {
            client.queue.blocking_dispatch(&mut client.heard).unwrap();
        }
        client.roundtrip();
        client.roundtrip();
        client
    });
    session.until_told("copied text", |event| *event == Event::Clipboard(copied.clone()));
    let mut client = writer.join().unwrap();

    session.compositor.set_clipboard("from the page".into());
    session.frame(Vec::new());
    client.roundtrip();
    let offer = client.heard.offer.clone().unwrap();
    let (mut ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
    offer.receive("text/plain;charset=utf-8".into(), theirs.as_fd());
    drop(theirs);
    client.roundtrip();
    let mut text = String::new();
    ours.read_to_string(&mut text).unwrap();
    assert_eq!(text, "from the page");
}

#[test]
fn only_the_last_commit_is_shown_and_every_buffer_comes_back() {
    let (mut session, mut client, window) = playing();
    for shade in 0..10 {
        client.draw(&window.surface, SCREEN, [shade, 0, 0, 255]);
    }
    client.roundtrip();
    let frame = session.until("the last", |_, frame| frame.changed);
    assert_eq!(colour(&frame.layers[0])[0], 9);
    client.roundtrip();
    assert_eq!(client.heard.released, 11);
}

#[test]
fn a_truncated_pool_ends_its_client_and_nothing_else() {
    let (mut session, client, window) = playing();
    let (pool, file) = client.pool(SCREEN.0 * SCREEN.1 * 4);
    let format = wayland_client::protocol::wl_shm::Format::Argb8888;
    let buffer = pool.create_buffer(0, SCREEN.0, SCREEN.1, SCREEN.0 * 4, format, &client.handle, ());
    window.surface.attach(Some(&buffer), 0, 0);
    window.surface.commit();
    rustix::fs::ftruncate(&file, 0).unwrap();
    client.connection.flush().unwrap();
    session.until("the client is ended", |_, frame| frame.layers.is_empty());
    let mut next = Client::connect(&session.wayland());
    next.window(SCREEN, GREEN, None);
    assert_eq!(colour(&session.frame(Vec::new()).layers[0]), GREEN[..3]);
}

#[test]
fn too_many_surfaces_or_connections_are_refused() {
    let (mut session, _client, _window) = playing();
    let mut greedy = Client::connect(&session.wayland());
    for _ in 0..300 {
        greedy.compositor.create_surface(&greedy.handle, ());
    }
    assert!(greedy.queue.roundtrip(&mut greedy.heard).is_err());
    let streams: Vec<_> =
        (0..80).map(|_| std::os::unix::net::UnixStream::connect(session.wayland()).unwrap()).collect();
    session.frame(Vec::new());
    let refused = |stream: &std::os::unix::net::UnixStream| {
        stream.set_nonblocking(true).unwrap();
        (&*stream).read(&mut [0]).is_ok_and(|read| read == 0)
    };
    session.until("some are refused", |_, _| streams.iter().filter(|stream| refused(stream)).count() >= 17);
    assert_eq!(session.frame(Vec::new()).layers.len(), 1, "the title goes on");
}

#[test]
fn the_session_may_change_its_size_and_layout() {
    let (mut session, mut client, window) = playing();
    let keymaps = client.heard.keymaps;
    session.compositor.resize(800, 600, 30);
    session
        .compositor
        .set_layout(nearframe_compositor::KeyboardLayout { layout: "de".into(), variant: String::new() });
    session.frame(Vec::new());
    client.roundtrip();
    assert_eq!(client.heard.size, (800, 600));
    assert_eq!(client.heard.keymaps, keymaps + 1);
    client.draw(&window.surface, (800, 600), GREEN);
    client.roundtrip();
    assert_eq!(targets(&session.frame(Vec::new())), [Rect::new(0, 0, 800, 600)]);
}

#[test]
fn the_sockets_are_gone_when_the_compositor_is() {
    let session = Session::start(Display::Auto);
    let sockets = session.compositor.sockets().clone();
    assert!(sockets.wayland.exists() && sockets.x11.as_ref().unwrap().exists());
    let Session { compositor, .. } = &session;
    assert!(compositor.sockets().x11.is_some());
    let dir = session.dir.path().to_owned();
    drop(session);
    assert!(!dir.exists() && !sockets.wayland.exists());
}
