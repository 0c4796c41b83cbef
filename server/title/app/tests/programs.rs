//! Real programs from Debian, as titles.

mod support;

use nearframe_compositor::{Display, Event};
use support::Session;

const KEY_ESC: u16 = 1;

const DOOM: [&str; 6] =
    ["-iwad", "/usr/share/games/doom/freedoom1.wad", "-window", "-geometry", "1280x720", "-nosound"];

/// Doom melts its title picture in, so a picture that has stayed for a while is a settled one.
fn settled(session: &mut Session, what: &str, before: Option<&[u8]>) -> Vec<u8> {
    let mut last = Vec::new();
    let mut same = 0;
    session.until(what, |session, frame| {
        if frame.layers.is_empty() {
            return false;
        }
        let (_, _, picture) = session.picture(frame);
        let colours = picture.chunks_exact(4).filter(|pixel| pixel[..3] != picture[..3]).count();
        same = if picture == last { same + 1 } else { 0 };
        last = picture;
        same >= 3 && colours > 10_000 && before.is_none_or(|before| before != last)
    });
    last
}

fn doom_is_played(session: &mut Session) {
    let title = settled(session, "Doom's title picture", None);
    session.strike(KEY_ESC);
    let menu = settled(session, "Doom's menu", Some(&title));
    let changed = title.chunks_exact(4).zip(menu.chunks_exact(4)).filter(|(a, b)| a != b).count();
    assert!(changed > 1_000, "the menu covers a part of the picture, {changed} pixels");
    assert!(session.told.contains(&Event::FirstWindow));
}

#[test]
fn doom_shows_its_title_on_wayland_and_a_key_opens_its_menu() {
    let mut session = Session::start(Display::Wayland);
    session.spawn_wayland("/usr/games/chocolate-doom", &DOOM);
    doom_is_played(&mut session);
    session.end_programs();
    session.until_told("all windows closed", |event| *event == Event::AllWindowsClosed);
}

#[test]
fn doom_is_played_through_xwayland_which_ends_with_it() {
    let mut session = Session::start(Display::X11);
    session.spawn_x11("/usr/games/chocolate-doom", &DOOM);
    doom_is_played(&mut session);
    session.end_programs();
    session.until_told("all windows closed", |event| *event == Event::AllWindowsClosed);
    // The next client starts Xwayland again.
    session.spawn_x11("/usr/bin/glxgears", &[]);
    animated(&mut session, "gears after Doom");
}

/// The picture keeps changing.
fn animated(session: &mut Session, what: &str) {
    let mut last = Vec::new();
    let mut changes = 0;
    session.until(what, |session, frame| {
        if frame.layers.is_empty() {
            return false;
        }
        let (_, _, picture) = session.picture(frame);
        changes += usize::from(!last.is_empty() && picture != last);
        last = picture;
        changes > 5
    });
}

#[test]
fn gl_and_vulkan_programs_are_shown_on_wayland() {
    for (program, args) in
        [("/usr/bin/es2gears_wayland", &[][..]), ("/usr/bin/vkcube-wayland", &["--c", "1000000"][..])]
    {
        let mut session = Session::start(Display::Wayland);
        session.spawn_wayland(program, args);
        animated(&mut session, program);
    }
}

#[test]
fn gl_and_vulkan_programs_are_shown_on_x11() {
    for (program, args) in [("/usr/bin/glxgears", &[][..]), ("/usr/bin/vkcube", &["--c", "1000000"][..])] {
        let mut session = Session::start(Display::Auto);
        session.spawn_x11(program, args);
        animated(&mut session, program);
    }
}
