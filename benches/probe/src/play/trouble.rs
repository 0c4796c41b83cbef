//! The modes that behave badly, or that merely leave.

use super::screen::Screen;
use super::{Flow, Play};
use crate::wayland::{Client, Happening, Manners};
use anyhow::Result;
use nearframe_probe::cells;
use nearframe_probe::mode::Mode;
use std::time::{Duration, Instant};

const CRASH_AFTER: Duration = Duration::from_secs(1);
const HANG_AFTER: Duration = Duration::from_secs(2);
const EAT_EVERY: Duration = Duration::from_millis(50);
const EAT_MIB: usize = 64;
const SLOW_EVERY: Duration = Duration::from_millis(200);

/// A game with one bad habit.
pub(super) struct TroublePlay {
    screen: Screen,
    mode: Mode,
    next: Option<Instant>,
    /// Never read: that it is held is the point.
    held: Vec<Vec<u8>>,
}

impl TroublePlay {
    pub(super) fn begin(client: &mut Client, mode: Mode, length: Duration) -> Result<Self> {
        let now = Instant::now();
        let next = match mode {
            Mode::Crash => Some(now + CRASH_AFTER),
            Mode::Hang => Some(now + HANG_AFTER),
            Mode::Exit => Some(now + length),
            Mode::Eat | Mode::Slow | Mode::Flood => Some(now),
            _ => None,
        };
        if mode == Mode::Spin {
            let processors = std::thread::available_parallelism()?.get();
            for _ in 0..processors {
                std::thread::spawn(|| {
                    loop {
                        std::hint::spin_loop();
                    }
                });
            }
        }
        Ok(Self { screen: Screen::open(client, mode)?, mode, next, held: Vec::new() })
    }

    /// Whether pictures follow the compositor's turns.
    fn waits_its_turn(&self) -> bool {
        !matches!(self.mode, Mode::Slow | Mode::Flood)
    }
}

impl Play for TroublePlay {
    fn on(&mut self, client: &mut Client, happening: Happening) -> Result<Flow> {
        match happening {
            Happening::Frame(_) if self.waits_its_turn() => {
                let (mode, held) = (self.mode, self.held.len() * EAT_MIB);
                self.screen.show(client, 0, |canvas| {
                    if mode == Mode::Eat {
                        cells::paint_number(canvas, 2, held as u32);
                    }
                })?;
            }
            Happening::Closed(_) => return Ok(Flow::Leave),
            _ => {}
        }
        Ok(Flow::On)
    }

    fn wake_at(&self) -> Option<Instant> {
        self.next
    }

    fn wake(&mut self, client: &mut Client) -> Result<Flow> {
        match self.mode {
            Mode::Crash => std::process::abort(),
            Mode::Hang => loop {
                std::thread::park();
            },
            Mode::Exit => return Ok(Flow::Leave),
            Mode::Eat => {
                // Not zero, so that every page is written and not only promised.
                self.held.push(vec![1; EAT_MIB << 20]);
                self.next = Some(Instant::now() + EAT_EVERY);
            }
            Mode::Slow => {
                self.screen.show_unasked(client, Manners::Polite)?;
                self.next = Some(Instant::now() + SLOW_EVERY);
            }
            _ => self.screen.show_unasked(client, Manners::Rude)?,
        }
        Ok(Flow::On)
    }
}
