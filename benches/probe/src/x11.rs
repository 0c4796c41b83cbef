//! The mode `x11`: the same card as an X11 program.
//!
//! Pictures go by PutImage, only rows that changed, and the next turn is what the Present extension
//! announces, as a game's swap would.

use crate::card::Card;
use crate::clock::now_us;
use crate::play::pad::Pad;
use anyhow::{Context, Result};
use nearframe_probe::canvas::{Canvas, runs};
use std::path::Path;
use x11rb::connection::{Connection, RequestConnection};
use x11rb::protocol::Event;
use x11rb::protocol::present::{ConnectionExt as _, EventMask as PresentMask};
use x11rb::protocol::xkb::{self, ConnectionExt as _, PerClientFlag};
use x11rb::protocol::xproto::{
    AtomEnum, ConnectionExt as _, CreateGCAux, CreateWindowAux, EventMask, ImageFormat, PropMode, WindowClass,
};
use x11rb::rust_connection::RustConnection;
use x11rb::wrapper::ConnectionExt as _;

/// Between an X11 keycode and an evdev code.
const KEYCODE_OFFSET: u32 = 8;
/// Bytes of a PutImage request before its pixels, generously.
const REQUEST_HEADER: usize = 64;
/// evdev's `BTN_LEFT`, `BTN_MIDDLE` and `BTN_RIGHT` for the first three X11 buttons.
const BUTTONS: [u32; 3] = [0x110, 0x112, 0x111];
/// The wheel is buttons 4 to 7.
const WHEEL: std::ops::RangeInclusive<u8> = 4..=7;
/// X11's buttons 8 and 9 are `BTN_SIDE` and `BTN_EXTRA`.
const SIDE_BUTTONS: (u8, u32) = (8, 0x113);

/// Draws the card until the server ends the connection.
pub(crate) fn run(size: (usize, usize), device: &Path) -> Result<()> {
    let (connection, screen) = x11rb::connect(None).context("connecting to the X11 server")?;
    let mut window = Window::open(connection, screen, size)?;
    window.pad = Pad::open(device).inspect_err(|error| eprintln!("no gamepad: {error}")).ok();
    window.play()
}

struct Window {
    connection: RustConnection,
    window: u32,
    gc: u32,
    depth: u8,
    canvas: Canvas,
    card: Card,
    pad: Option<Pad>,
    /// Keys that are down, by keycode.
    held: [bool; 256],
    inputs: u32,
    turns: u32,
}

/// Has the server repeat a held key as presses only, which are then told from true ones.
fn without_false_releases(connection: &RustConnection) -> Result<()> {
    let supported = connection.xkb_use_extension(1, 0)?.reply().context("the X11 server has no XKB")?;
    anyhow::ensure!(supported.supported, "the X11 server's XKB is too old");
    let flag = PerClientFlag::DETECTABLE_AUTO_REPEAT;
    let device = u16::from(xkb::ID::USE_CORE_KBD);
    let none = xkb::BoolCtrl::default();
    connection.xkb_per_client_flags(device, flag, flag, none, none, none)?.reply()?;
    Ok(())
}

impl Window {
    /// A full-screen window of this size, mapped.
    fn open(connection: RustConnection, screen: usize, (width, height): (usize, usize)) -> Result<Self> {
        let (window, gc) = (connection.generate_id()?, connection.generate_id()?);
        let root = connection.setup().roots.get(screen).context("the X11 server has no screen")?.clone();
        let events = EventMask::KEY_PRESS
            | EventMask::KEY_RELEASE
            | EventMask::BUTTON_PRESS
            | EventMask::BUTTON_RELEASE
            | EventMask::POINTER_MOTION
            | EventMask::FOCUS_CHANGE
            | EventMask::STRUCTURE_NOTIFY
            | EventMask::EXPOSURE;
        connection.create_window(
            root.root_depth,
            window,
            root.root,
            0,
            0,
            u16::try_from(width).context("the picture is too wide")?,
            u16::try_from(height).context("the picture is too high")?,
            0,
            WindowClass::INPUT_OUTPUT,
            root.root_visual,
            &CreateWindowAux::new().event_mask(events),
        )?;
        connection.create_gc(gc, window, &CreateGCAux::new().graphics_exposures(0))?;
        connection.change_property8(
            PropMode::REPLACE,
            window,
            AtomEnum::WM_NAME,
            AtomEnum::STRING,
            b"Probe",
        )?;
        let atom = |name: &[u8]| Ok::<_, anyhow::Error>(connection.intern_atom(false, name)?.reply()?.atom);
        let (state, full_screen) = (atom(b"_NET_WM_STATE")?, atom(b"_NET_WM_STATE_FULLSCREEN")?);
        connection.change_property32(PropMode::REPLACE, window, state, AtomEnum::ATOM, &[full_screen])?;
        connection.present_query_version(1, 2)?.reply().context("the X11 server has no Present extension")?;
        connection.present_select_input(connection.generate_id()?, window, PresentMask::COMPLETE_NOTIFY)?;
        without_false_releases(&connection)?;
        connection.map_window(window)?;
        connection.flush()?;
        let canvas = Canvas::new(width, height);
        Ok(Self {
            connection,
            window,
            gc,
            depth: root.root_depth,
            canvas,
            card: Card::new(false),
            pad: None,
            held: [false; 256],
            inputs: 0,
            turns: 0,
        })
    }

    fn play(mut self) -> Result<()> {
        loop {
            let event = self.connection.wait_for_event().context("the X11 server ended the connection")?;
            match event {
                Event::MapNotify(_) => self.turn()?,
                Event::PresentCompleteNotify(done) if done.serial == self.turns => self.turn()?,
                // The server lost what it showed: a new canvas is new all over.
                Event::Expose(_) => self.resize(self.canvas.width(), self.canvas.height()),
                Event::ConfigureNotify(now) => {
                    let (width, height) = (usize::from(now.width), usize::from(now.height));
                    if (width, height) != (self.canvas.width(), self.canvas.height()) {
                        self.resize(width, height);
                    }
                }
                Event::KeyPress(key) => self.key(key.detail, true),
                Event::KeyRelease(key) => self.key(key.detail, false),
                Event::ButtonPress(button) => self.button(button.detail, true),
                Event::ButtonRelease(button) => self.button(button.detail, false),
                Event::MotionNotify(_) => self.inputs += 1,
                Event::FocusOut(_) => {
                    self.held.fill(false);
                    self.card.release_keys();
                }
                Event::Error(error) => anyhow::bail!("the X11 server refused a request: {error:?}"),
                _ => {}
            }
        }
    }

    fn resize(&mut self, width: usize, height: usize) {
        self.canvas = Canvas::new(width, height);
        self.card.redraw();
    }

    fn key(&mut self, keycode: u8, down: bool) {
        if std::mem::replace(&mut self.held[usize::from(keycode)], down) == down {
            return;
        }
        self.inputs += 1;
        self.card.key(u32::from(keycode).saturating_sub(KEYCODE_OFFSET), down);
    }

    fn button(&mut self, button: u8, down: bool) {
        if WHEEL.contains(&button) {
            // A notch is a press and a release, and one event of the page.
            self.inputs += u32::from(down);
            return;
        }
        self.inputs += 1;
        let main = usize::from(button).checked_sub(1).and_then(|i| BUTTONS.get(i).copied());
        let side = || button.checked_sub(SIDE_BUTTONS.0).map(|i| SIDE_BUTTONS.1 + u32::from(i));
        if let Some(code) = main.or_else(side) {
            self.card.button(code, down);
        }
    }

    /// Draws a picture and asks for the next turn.
    fn turn(&mut self) -> Result<()> {
        if let Some(pad) = &mut self.pad {
            match pad.update() {
                Ok(()) => self.card.pad(pad.controls.buttons),
                Err(error) => {
                    eprintln!("the gamepad is gone: {error}");
                    self.pad = None;
                }
            }
        }
        self.card.draw(&mut self.canvas, now_us(), self.inputs);
        let stride = self.canvas.stride();
        let most = (self.connection.maximum_request_bytes().saturating_sub(REQUEST_HEADER) / stride).max(1);
        for (first, count) in runs(&self.canvas.take_touched()) {
            for y in (first..first + count).step_by(most) {
                self.put(y, most.min(first + count - y))?;
            }
        }
        self.turns = self.turns.wrapping_add(1);
        self.connection.present_notify_msc(self.window, self.turns, 0, 1, 0)?;
        self.connection.flush()?;
        Ok(())
    }

    fn put(&self, y: usize, rows: usize) -> Result<()> {
        self.connection.put_image(
            ImageFormat::Z_PIXMAP,
            self.window,
            self.gc,
            self.canvas.width() as u16,
            rows as u16,
            0,
            y as i16,
            0,
            self.depth,
            self.canvas.rows(y, rows),
        )?;
        Ok(())
    }
}
