//! The preload shim, as programs in a sandbox see it: the `evdev` crate, plain C, and SDL 2.

#![allow(clippy::unwrap_used, reason = "what a test cannot go on without has failed it")]
#![allow(clippy::print_stdout, reason = "what runs as the title talks to its test")]
#![allow(unreachable_pub, reason = "modules of one test binary")]

mod sandbox;

use evdev::{
    AbsoluteAxisCode, Device, EventType, FFEffectCode, FFEffectData, FFEffectKind, FFReplay, FFTrigger,
    KeyCode,
};
use nearframe_pads::{Pads, Preference, Rumble, Settings};
use nearframe_protocol::input::PadState;
use sandbox::{PATIENCE, Session};
use std::fs;
use std::time::{Duration, Instant};

const ROLE: &str = "PADS_TEST_ROLE";

fn pressed(buttons: u32) -> PadState {
    PadState { buttons, ..PadState::default() }
}

/// Runs a role below in a process of its own, in the sandbox.
fn evdev_title(session: &Session, role: &str) -> sandbox::Title {
    let program = std::env::current_exe().unwrap();
    session.run(&program, &["--exact", "a_title_that_uses_the_evdev_crate", "--nocapture"], &[(ROLE, role)])
}

/// Not a test by itself: the others run it as the title.
#[test]
fn a_title_that_uses_the_evdev_crate() {
    match std::env::var(ROLE).as_deref() {
        Ok("describe") => describe(),
        Ok("read") => read(),
        Ok("rumble") => rumble(),
        _ => {}
    }
}

fn describe() {
    let device = Device::open("/dev/input/event77").unwrap();
    println!("\nname {}", device.name().unwrap());
    let id = device.input_id();
    println!("id {:04x}:{:04x}", id.vendor(), id.product());
    println!("keys {}", device.supported_keys().unwrap().iter().count());
    println!("axes {}", device.supported_absolute_axes().unwrap().iter().count());
    println!("feedback {}", device.supported_ff().unwrap().contains(FFEffectCode::FF_RUMBLE));
    println!("effects {}", device.max_ff_effects());
    let abs = device.get_abs_state().unwrap();
    let trigger = abs[usize::from(AbsoluteAxisCode::ABS_RZ.0)];
    println!("trigger {} {}", trigger.maximum, trigger.value);
    let stick = abs[usize::from(AbsoluteAxisCode::ABS_X.0)];
    println!("stick {} {} {}", stick.minimum, stick.maximum, stick.value);
    println!("down {:?}", device.get_key_state().unwrap().iter().collect::<Vec<_>>());
}

fn read() {
    let mut device = Device::open("/dev/input/event77").unwrap();
    println!("\nready");
    loop {
        for event in device.fetch_events().unwrap() {
            println!("{} {} {}", event.event_type().0, event.code(), event.value());
        }
    }
}

fn rumble() {
    let mut device = Device::open("/dev/input/event77").unwrap();
    let mut effect = device
        .upload_ff_effect(FFEffectData {
            direction: 0,
            trigger: FFTrigger::default(),
            replay: FFReplay { length: 700, delay: 0 },
            kind: FFEffectKind::Rumble { strong_magnitude: 50_000, weak_magnitude: 9 },
        })
        .unwrap();
    effect.play(2).unwrap();
    println!("\nplaying");
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).unwrap();
    effect.stop().unwrap();
    println!("stopped");
    std::io::stdin().read_line(&mut line).unwrap();
}

#[test]
fn a_title_that_opens_a_pad_late_learns_what_is_held_now() {
    let mut session = Session::start();
    let state = PadState { buttons: 1 << 3, axes: [20_000, 0, 0, 0], triggers: [0, 0xffff] };
    session.pads.apply(0, &state);
    let reader = evdev_title(&session, "read");
    reader.until("ready");
    // The service answered an open after the state was applied, so the state is written.
    let title = evdev_title(&session, "describe");
    title.until("name Microsoft X-Box 360 pad");
    let rest = ["id 045e:028e", "keys 11", "axes 8", "feedback true", "effects 16", "trigger 255 255"];
    for line in rest {
        assert_eq!(title.line(), line);
    }
    assert_eq!(title.line(), "stick -32768 32767 20000");
    assert_eq!(title.line(), format!("down {:?}", vec![KeyCode::BTN_WEST]));
}

#[test]
fn only_changes_are_sent_with_one_syn_each_to_every_reader() {
    let mut session = Session::start();
    let readers = [evdev_title(&session, "read"), evdev_title(&session, "read")];
    for reader in &readers {
        reader.until("ready");
    }
    session.pads.apply(0, &pressed(1));
    session.pads.apply(0, &pressed(1));
    session.pads.apply(0, &PadState { buttons: 1 | 1 << 14, axes: [-5, 0, 0, 0], triggers: [0; 2] });
    session.pads.apply(9, &pressed(1));
    session.pads.release_all();
    session.pads.release_all();
    session.pads.apply(0, &pressed(1 << 16));
    let (key, abs) = (EventType::KEY.0, EventType::ABSOLUTE.0);
    for reader in &readers {
        let wanted = [
            format!("{key} 304 1"),
            "0 0 0".to_owned(),
            format!("{abs} 0 -5"),
            format!("{abs} 16 -1"),
            "0 0 0".to_owned(),
            format!("{key} 304 0"),
            format!("{abs} 0 0"),
            format!("{abs} 16 0"),
            "0 0 0".to_owned(),
            format!("{key} 316 1"),
            "0 0 0".to_owned(),
        ];
        for line in wanted {
            assert_eq!(reader.line(), line);
        }
    }
}

#[test]
fn rumble_comes_back_with_its_length_and_stops_when_told() {
    let mut session = Session::start();
    let mut title = evdev_title(&session, "rumble");
    title.until("playing");
    let rumble = session.rumble();
    assert_eq!((rumble.pad, rumble.strong, rumble.weak), (0, 50_000, 9));
    assert!(rumble.duration_ms > 0 && rumble.duration_ms <= 1400, "{rumble:?}");
    title.go_on();
    title.until("stopped");
    assert_eq!(session.rumble(), Rumble { pad: 0, strong: 0, weak: 0, duration_ms: 0 });
}

#[test]
fn effects_behave_as_the_kernels_and_end_when_their_file_is_closed() {
    let mut session = Session::start();
    let mut title = session.title("effects");
    title.until("playing");
    let rumble = session.rumble();
    assert_eq!((rumble.strong, rumble.weak), (0x8000, 0x8000));
    title.go_on();
    title.until("closed");
    assert_eq!(session.rumble().strong, 0);
}

#[test]
fn nodes_are_devices_under_every_way_to_open_copy_and_look_at_them() {
    let session = Session::start();
    session.title("files").until("ok");
}

#[test]
fn the_old_joystick_interface_tells_where_things_stand_and_what_changes() {
    let mut session = Session::start();
    session.pads.apply(0, &pressed(1 << 1));
    let title = session.title("joystick");
    for button in 0..11 {
        assert_eq!(title.line(), format!("init-button {button} {}", i32::from(button == 1)));
    }
    for axis in 0..8 {
        let rest = if axis == 2 || axis == 5 { -32767 } else { 0 };
        assert_eq!(title.line(), format!("init-axis {axis} {rest}"));
    }
    session.pads.apply(0, &PadState { buttons: 1 << 11, axes: [0, 0, 0, -32767], triggers: [0xffff, 0] });
    for line in ["button 1 0", "button 10 1", "axis 2 32767", "axis 4 -32767"] {
        assert_eq!(title.line(), line);
    }
}

#[test]
fn a_reader_that_was_too_slow_is_told_and_ends_with_the_right_state() {
    let mut session = Session::start();
    let mut title = session.title("overload");
    title.until("ready");
    let probe = evdev_title(&session, "read");
    probe.until("ready");
    for x in 1..=5000 {
        session.pads.apply(0, &PadState { axes: [x, 0, 0, 0], ..PadState::default() });
        if x % 100 == 0 {
            // Another reader, which is not slow, shows that the service has come this far.
            probe.until(&format!("3 0 {x}"));
        }
    }
    session.pads.apply(0, &PadState { buttons: 1 << 3, axes: [-77, 0, 0, 0], triggers: [0; 2] });
    probe.until("3 0 -77");
    title.go_on();
    assert_eq!(title.line(), "dropped 1 x -77 y-button 1");
}

#[test]
fn a_title_that_floods_loses_its_file_and_can_hold_only_so_many() {
    let mut session = Session::start();
    let title = session.title("flood");
    title.until("closed");
    title.until("ok");
    let reader = evdev_title(&session, "read");
    reader.until("ready");
    session.pads.apply(0, &pressed(1));
    reader.until("1 304 1");
}

#[test]
fn sdl_maps_everything_rumbles_and_sees_a_second_pad_being_plugged_in() {
    let mut session = Session::start();
    let title = session.title("sdl");
    assert!(title.line().starts_with("added 0 "));
    session.pads.apply(0, &pressed(1));
    title.until("button 0 0 1");
    assert_eq!(title.line(), "rumble 0");
    let rumble = session.rumble();
    assert_eq!((rumble.pad, rumble.strong, rumble.weak), (0, 40_000, 20_000));
    // W3C index → SDL_GameControllerButton: B, X, Y, shoulders, back, start, sticks, hat, guide.
    let buttons = [(1, 1), (2, 2), (3, 3), (4, 9), (5, 10), (8, 4), (9, 6), (10, 7), (11, 8)];
    let hat_and_guide = [(12, 11), (13, 12), (14, 13), (15, 14), (16, 5)];
    for (index, button) in buttons.into_iter().chain(hat_and_guide) {
        session.pads.apply(0, &pressed(1 << index));
        title.until(&format!("button 0 {button} 1"));
    }
    for (axis, value) in [(0, 30_000), (1, -30_000), (2, 20_000), (3, 32_767)] {
        let mut state = PadState::default();
        state.axes[axis] = value;
        session.pads.apply(0, &state);
        title.until(&format!("axis 0 {axis} {value}"));
    }
    session.pads.apply(0, &PadState { triggers: [0xffff, 0], ..PadState::default() });
    title.until("axis 0 4 32767");
    session.pads.apply(1, &PadState::default());
    assert!(loop_until_added(&title), "the second pad appears while the title runs");
    session.pads.apply(1, &pressed(1));
    title.until("button 1 0 1");
    session.pads.gone(1);
    title.until("button 1 0 0");
}

fn loop_until_added(title: &sandbox::Title) -> bool {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        if title.line().starts_with("added 1 ") {
            return true;
        }
    }
    false
}

#[test]
fn two_sessions_have_pads_of_their_own() {
    let (mut one, mut two) = (Session::start(), Session::start());
    let (first, second) = (evdev_title(&one, "read"), evdev_title(&two, "read"));
    first.until("ready");
    second.until("ready");
    one.pads.apply(0, &pressed(1));
    two.pads.apply(0, &pressed(2));
    assert_eq!(first.line(), "1 304 1");
    assert_eq!(second.line(), "1 305 1");
    use std::os::unix::fs::PermissionsExt;
    let mode = fs::metadata(one.dir.path().join("pads")).unwrap().permissions().mode();
    assert_eq!(mode & 0o077, 0, "nobody else walks into the session's pads");
    let sockets = fs::read_to_string("/proc/net/unix").unwrap();
    assert!(!sockets.lines().any(|line| line.contains("@") && line.contains("nearframe-pad")));
}

#[test]
fn dropping_the_pads_leaves_no_file_and_ends_every_reader() {
    let session = Session::start();
    let mut title = session.title("joystick");
    title.line();
    let Session { pads, dir } = session;
    drop(pads);
    assert!(title.ended(), "its read came to an end");
    assert!(!dir.path().join("pads").exists());
    let settings = Settings { dir: dir.path().to_owned(), preference: Preference::Auto };
    assert!(["shim", "uinput"].contains(&Pads::start(settings).unwrap().backend()));
}

#[test]
#[ignore = "measures: apply → read"]
fn latency() {
    let mut session = Session::start();
    let title = session.title("latency");
    title.until("ready");
    let mut took: Vec<i64> = (0..2000)
        .map(|i| {
            let start = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
            session.pads.apply(0, &pressed(1 + i % 2));
            let read: i64 = title.line().parse().unwrap();
            std::thread::sleep(Duration::from_micros(500));
            read - (start.tv_sec * 1_000_000_000 + start.tv_nsec)
        })
        .collect();
    took.sort_unstable();
    println!("apply → read p50 {} µs, p99 {} µs", took[1000] / 1000, took[1980] / 1000);
}
