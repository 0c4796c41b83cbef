//! The program refuses what it cannot do, with a reason.

#![allow(clippy::unwrap_used, reason = "what a test cannot go on without has failed it")]

use std::process::{Command, Output};

fn probe(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_nearframe-probe"));
    command.args(args).env_clear().output().unwrap()
}

fn reason(output: &Output) -> String {
    assert!(!output.status.success());
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn without_a_compositor_or_an_x_server_it_says_so() {
    let wayland = reason(&probe(&["stamp"]));
    assert!(wayland.contains("connecting to the Wayland compositor"), "{wayland}");
    let x11 = reason(&probe(&["x11"]));
    assert!(x11.contains("connecting to the X11 server"), "{x11}");
}

#[test]
fn a_picture_without_room_for_the_stamp_is_refused() {
    for args in [["stamp", "--width", "259"], ["stamp", "--height", "179"]] {
        let reason = reason(&probe(&args));
        assert!(reason.contains("at least 260 × 180 px"), "{reason}");
    }
}

#[test]
fn an_unknown_mode_is_answered_with_those_there_are() {
    let reason = reason(&probe(&["dance"]));
    for mode in ["stamp", "dialog", "evil", "x11"] {
        assert!(reason.contains(mode), "{reason}");
    }
}
