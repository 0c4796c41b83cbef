//! The modes for mouse, cursor and touch.

use super::screen::Screen;
use super::{Flow, Play};
use crate::wayland::{Client, Happening};
use anyhow::Result;
use nearframe_probe::canvas::{Canvas, Rect};
use nearframe_probe::cells;
use nearframe_probe::mode::Mode;

/// Steps of a px that relative motion is told in.
const MOTION_STEPS: f64 = 256.0;
/// Side of the cursor's picture in px.
const CURSOR_PX: usize = 32;
/// The cursor's hot spot in px.
const CURSOR_HOT: (i32, i32) = (4, 6);
/// Touches that are shown.
const FINGERS: usize = 6;
/// The row of the first touch.
const FIRST_FINGER_ROW: usize = 2;
/// In the row of a finger that is not down.
const NO_FINGER: u32 = u32::MAX;

/// Locks the pointer and adds up how it moves.
pub(super) struct LockPlay {
    screen: Screen,
    asked: bool,
    locked: bool,
    sum: (f64, f64),
}

impl LockPlay {
    pub(super) fn begin(client: &mut Client) -> Result<Self> {
        let screen = Screen::open(client, Mode::Lock)?;
        Ok(Self { screen, asked: false, locked: false, sum: (0.0, 0.0) })
    }
}

impl Play for LockPlay {
    fn on(&mut self, client: &mut Client, happening: Happening) -> Result<Flow> {
        match happening {
            Happening::Frame(_) => {
                let steps = |px: f64| (px * MOTION_STEPS).round() as i32 as u32;
                let (x, y) = (steps(self.sum.0), steps(self.sum.1));
                self.screen.show(client, u16::from(self.locked), |canvas| {
                    cells::paint_number(canvas, 2, x);
                    cells::paint_number(canvas, 3, y);
                })?;
                if !std::mem::replace(&mut self.asked, true) {
                    client.lock_pointer(self.screen.window)?;
                }
            }
            Happening::Locked(locked) => self.locked = locked,
            Happening::Motion { dx, dy } if self.locked => {
                self.sum = (self.sum.0 + dx, self.sum.1 + dy);
            }
            Happening::Closed(_) => return Ok(Flow::Leave),
            _ => {}
        }
        Ok(Flow::On)
    }
}

/// Which cursor is set.
#[derive(Clone, Copy)]
enum Cursor {
    Picture,
    Named,
    Hidden,
}

/// Goes through the kinds of cursors.
pub(super) struct CursorPlay {
    screen: Screen,
    cursor: Cursor,
}

impl CursorPlay {
    pub(super) fn begin(client: &mut Client) -> Result<Self> {
        Ok(Self { screen: Screen::open(client, Mode::Cursor)?, cursor: Cursor::Picture })
    }

    fn set(&self, client: &mut Client) -> Result<()> {
        match self.cursor {
            Cursor::Picture => client.set_cursor_picture(&cursor_picture(), CURSOR_HOT),
            Cursor::Named => client.set_cursor_crosshair(),
            Cursor::Hidden => client.hide_cursor(),
        }
    }
}

/// The left half opaque magenta, the right half green at half strength (alpha premultiplied).
fn cursor_picture() -> Canvas {
    let mut canvas = Canvas::new(CURSOR_PX, CURSOR_PX);
    let half = Rect { x: 0, y: 0, w: CURSOR_PX / 2, h: CURSOR_PX };
    canvas.fill(half, [255, 0, 255, 255]);
    canvas.fill(Rect { x: CURSOR_PX / 2, ..half }, [0, 128, 0, 128]);
    canvas
}

impl Play for CursorPlay {
    fn on(&mut self, client: &mut Client, happening: Happening) -> Result<Flow> {
        match happening {
            Happening::Frame(_) => self.screen.show(client, self.cursor as u16, |_| ())?,
            Happening::Entered => self.set(client)?,
            Happening::Key { down: true, .. } => {
                self.cursor = match self.cursor {
                    Cursor::Picture => Cursor::Named,
                    Cursor::Named => Cursor::Hidden,
                    Cursor::Hidden => Cursor::Picture,
                };
                self.set(client)?;
            }
            Happening::Closed(_) => return Ok(Flow::Leave),
            _ => {}
        }
        Ok(Flow::On)
    }
}

/// Shows fingers.
pub(super) struct TouchPlay {
    screen: Screen,
    fingers: [Option<(f64, f64)>; FINGERS],
}

impl TouchPlay {
    pub(super) fn begin(client: &mut Client) -> Result<Self> {
        Ok(Self { screen: Screen::open(client, Mode::Touch)?, fingers: [None; FINGERS] })
    }

    fn set(&mut self, id: i32, at: Option<(f64, f64)>) {
        let slot = usize::try_from(id).ok().and_then(|id| self.fingers.get_mut(id));
        if let Some(slot) = slot {
            *slot = at;
        }
    }
}

impl Play for TouchPlay {
    fn on(&mut self, client: &mut Client, happening: Happening) -> Result<Flow> {
        match happening {
            Happening::Frame(_) => {
                let fingers = self.fingers;
                let down = fingers.iter().flatten().count() as u16;
                self.screen.show(client, down, |canvas| {
                    for (i, finger) in fingers.iter().enumerate() {
                        let packed = finger.map_or(NO_FINGER, |(x, y)| {
                            u32::from(x.round() as u16) | u32::from(y.round() as u16) << 16
                        });
                        cells::paint_number(canvas, FIRST_FINGER_ROW + i, packed);
                    }
                })?;
            }
            Happening::Touch { id, x, y, .. } => self.set(id, Some((x, y))),
            Happening::TouchEnd { id } => self.set(id, None),
            Happening::TouchCancel => self.fingers = [None; FINGERS],
            Happening::Closed(_) => return Ok(Flow::Leave),
            _ => {}
        }
        Ok(Flow::On)
    }
}
