//! The modes: each takes what happens and draws.

mod beep;
mod evil;
pub(crate) mod pad;
mod pointer;
mod save;
mod screen;
mod stamp;
mod text;
mod trouble;
mod typing;
mod voice;
mod windows;

use crate::Options;
use crate::wayland::{Client, Happening, Link};
use anyhow::{Context, Result};
use nearframe_probe::mode::Mode;
use std::io::Write;
use std::time::{Duration, Instant};

/// Whether the program goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flow {
    /// It does.
    On,
    /// It ends with success.
    Leave,
}

/// A way to behave.
trait Play {
    /// Something happened.
    fn on(&mut self, client: &mut Client, happening: Happening) -> Result<Flow>;

    /// When [`Play::wake`] is due; never, for most.
    fn wake_at(&self) -> Option<Instant> {
        None
    }

    /// The time came.
    fn wake(&mut self, _: &mut Client) -> Result<Flow> {
        Ok(Flow::On)
    }
}

/// Behaves as the options say until it leaves or the compositor ends the connection.
pub(crate) fn run(options: &Options) -> Result<()> {
    let mut link = Link::connect((options.width, options.height))?;
    let mut play = begin(options, &mut link.client)?;
    loop {
        link.wait(play.wake_at())?;
        while let Some(happening) = link.client.next() {
            if play.on(&mut link.client, happening)? == Flow::Leave {
                return Ok(());
            }
        }
        let due = play.wake_at().is_some_and(|at| at <= Instant::now());
        if due && play.wake(&mut link.client)? == Flow::Leave {
            return Ok(());
        }
    }
}

fn begin(options: &Options, client: &mut Client) -> Result<Box<dyn Play>> {
    Ok(match options.mode {
        Mode::Stamp | Mode::X11 => Box::new(stamp::StampPlay::begin(client, options.moving)?),
        Mode::Dialog => Box::new(windows::DialogPlay::begin(client)?),
        Mode::Launcher => Box::new(windows::LauncherPlay::begin(client)?),
        Mode::Lock => Box::new(pointer::LockPlay::begin(client)?),
        Mode::Cursor => Box::new(pointer::CursorPlay::begin(client)?),
        Mode::Touch => Box::new(pointer::TouchPlay::begin(client)?),
        Mode::Type => Box::new(typing::TypePlay::begin(client)?),
        Mode::Text => Box::new(text::TextPlay::begin(client)?),
        Mode::Pad => Box::new(pad::PadPlay::begin(client, options.device.clone())?),
        Mode::Beep => Box::new(beep::BeepPlay::begin(client)?),
        Mode::Save => Box::new(save::SavePlay::begin(client)?),
        Mode::Voice => Box::new(voice::VoicePlay::begin(client)?),
        Mode::Evil => Box::new(evil::EvilPlay::begin(client)?),
        mode
        @ (Mode::Crash | Mode::Hang | Mode::Eat | Mode::Slow | Mode::Flood | Mode::Exit | Mode::Spin) => {
            let length = Duration::from_secs(options.seconds);
            Box::new(trouble::TroublePlay::begin(client, mode, length)?)
        }
    })
}

/// Says a line to whoever started the program.
fn say(line: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}").and_then(|()| out.flush()).context("writing to stdout")
}
