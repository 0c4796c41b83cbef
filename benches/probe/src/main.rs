//! `nearframe-probe MODE`: behaves like a game. What it shows: the crate's documentation.

#![forbid(unsafe_code)]

mod card;
mod clock;
mod keys;
mod play;
mod wayland;
mod x11;

use anyhow::{Result, bail};
use clap::Parser;
use nearframe_probe::mode::Mode;
use nearframe_probe::stamp;
use std::path::PathBuf;

/// Lowest picture in px: room for the stamp, the lamps and cells.
const MIN_HEIGHT: usize = 180;

/// Behaves like a game, well or badly, for tests and benches.
#[derive(Parser)]
struct Options {
    /// How to behave.
    #[arg(value_enum)]
    mode: Mode,
    /// Width in px where the compositor names none.
    #[arg(long, default_value_t = 1280)]
    width: usize,
    /// Height in px where the compositor names none.
    #[arg(long, default_value_t = 720)]
    height: usize,
    /// When to leave, in the mode `exit`.
    #[arg(long, default_value_t = 3)]
    seconds: u64,
    /// Show the testcard's moving picture, in the mode `stamp`.
    #[arg(long)]
    moving: bool,
    /// The gamepad's event node, in the modes `pad` and `x11`.
    #[arg(long, default_value = "/dev/input/event77")]
    device: PathBuf,
}

fn main() -> Result<()> {
    let options = Options::parse();
    if options.width < stamp::MIN_WIDTH || options.height < MIN_HEIGHT {
        bail!("a picture needs at least {} × {MIN_HEIGHT} px", stamp::MIN_WIDTH);
    }
    match options.mode {
        Mode::X11 => x11::run((options.width, options.height), &options.device),
        _ => play::run(&options),
    }
}
