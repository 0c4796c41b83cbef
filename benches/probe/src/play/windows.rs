//! The modes that open more than one window.

use super::screen::Screen;
use super::{Flow, Play};
use crate::keys::ENTER;
use crate::wayland::{Client, Happening, Manners, Place, WindowId};
use anyhow::Result;
use nearframe_probe::canvas::Rect;
use nearframe_probe::cells::{self, Colour};
use nearframe_probe::mode::Mode;

/// Cells that the dialog takes.
const DIALOG_CELLS: (usize, usize) = (4, 3);
/// The cell where the pop-up begins, and how many it takes in each direction.
const POP_UP: (usize, usize) = (12, 6);
const POP_UP_CELLS: usize = 2;
/// Size of a launcher's window in px.
const LAUNCHER: (usize, usize) = (640, 360);

/// Fills a small window; it never changes.
fn fill(client: &mut Client, id: WindowId, colour: Colour) -> Result<()> {
    if let Some(canvas) = client.canvas(id) {
        let all = Rect { x: 0, y: 0, w: canvas.width(), h: canvas.height() };
        canvas.fill(all, colour.pixel());
    }
    client.show_unasked(id, Manners::Polite)
}

/// How far the dialog's story is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Starting,
    Dialog(WindowId),
    PopUp(WindowId),
    Dismissed,
    Closed,
}

impl Stage {
    fn phase(self) -> u16 {
        match self {
            Self::Starting | Self::Dialog(_) => 0,
            Self::PopUp(_) => 1,
            Self::Dismissed => 2,
            Self::Closed => 3,
        }
    }
}

/// A dialog, then a pop-up menu.
pub(super) struct DialogPlay {
    screen: Screen,
    stage: Stage,
}

impl DialogPlay {
    pub(super) fn begin(client: &mut Client) -> Result<Self> {
        Ok(Self { screen: Screen::open(client, Mode::Dialog)?, stage: Stage::Starting })
    }

    /// The px of some cells of the game's window.
    fn cells(&self, client: &mut Client, (column, row): (usize, usize), (w, h): (usize, usize)) -> Rect {
        let (width, height) =
            client.canvas(self.screen.window).map_or((0, 0), |canvas| (canvas.width(), canvas.height()));
        let first = cells::rect(width, height, column, row);
        Rect { w: w * width / cells::COLUMNS, h: h * height / cells::ROWS, ..first }
    }

    fn open_dialog(&mut self, client: &mut Client) -> Result<()> {
        let Rect { w, h, .. } = self.cells(client, (0, 0), DIALOG_CELLS);
        let place = Place::Dialog { parent: self.screen.window, width: w, height: h };
        self.stage = Stage::Dialog(client.open(place)?);
        Ok(())
    }

    fn enter(&mut self, client: &mut Client) -> Result<()> {
        match self.stage {
            Stage::Dialog(dialog) => {
                client.close(dialog);
                let rect = self.cells(client, POP_UP, (POP_UP_CELLS, POP_UP_CELLS));
                self.stage = Stage::PopUp(client.open(Place::PopUp { parent: self.screen.window, rect })?);
            }
            Stage::PopUp(menu) => {
                client.close(menu);
                self.stage = Stage::Closed;
            }
            Stage::Starting | Stage::Dismissed | Stage::Closed => {}
        }
        Ok(())
    }
}

impl Play for DialogPlay {
    fn on(&mut self, client: &mut Client, happening: Happening) -> Result<Flow> {
        match (happening, self.stage) {
            (Happening::Frame(id), stage) if id == self.screen.window => {
                self.screen.show(client, stage.phase(), |_| ())?;
                if stage == Stage::Starting {
                    self.open_dialog(client)?;
                }
            }
            (Happening::Frame(id), Stage::Dialog(_)) => fill(client, id, Colour::Magenta)?,
            (Happening::Frame(id), _) => fill(client, id, Colour::Cyan)?,
            (Happening::Key { code: ENTER, down: true }, _) => self.enter(client)?,
            (Happening::Closed(id), _) if id == self.screen.window => return Ok(Flow::Leave),
            (Happening::Closed(id), Stage::Dialog(dialog)) if id == dialog => self.enter(client)?,
            (Happening::Closed(id), Stage::PopUp(menu)) if id == menu => {
                client.close(menu);
                self.stage = Stage::Dismissed;
            }
            _ => {}
        }
        Ok(Flow::On)
    }
}

/// A small window first, then the game's.
pub(super) enum LauncherPlay {
    /// The small window.
    Choosing(WindowId),
    /// The game.
    Playing(Screen),
}

impl LauncherPlay {
    pub(super) fn begin(client: &mut Client) -> Result<Self> {
        let (width, height) = LAUNCHER;
        Ok(Self::Choosing(client.open(Place::Fixed { width, height })?))
    }
}

impl Play for LauncherPlay {
    fn on(&mut self, client: &mut Client, happening: Happening) -> Result<Flow> {
        match (happening, &mut *self) {
            (Happening::Closed(_), _) => return Ok(Flow::Leave),
            (Happening::Frame(id), Self::Choosing(_)) => fill(client, id, Colour::Yellow)?,
            (Happening::Frame(_), Self::Playing(screen)) => screen.show(client, 0, |_| ())?,
            (
                Happening::Key { code: ENTER, down: true } | Happening::Button { down: true, .. },
                Self::Choosing(launcher),
            ) => {
                let launcher = *launcher;
                *self = Self::Playing(Screen::open(client, Mode::Launcher)?);
                client.close(launcher);
            }
            _ => {}
        }
        Ok(Flow::On)
    }
}
