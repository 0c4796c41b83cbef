//! The mode that keeps something below its home.

use super::screen::Screen;
use super::{Flow, Play};
use crate::wayland::{Client, Happening};
use anyhow::{Context, Result};
use nearframe_probe::cells;
use nearframe_probe::mode::Mode;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Below the home; `saves` of a title's manifest names it.
const DIR: &str = ".local/share/nearframe-probe";

/// Counts key presses across sessions.
pub(super) struct SavePlay {
    screen: Screen,
    dir: PathBuf,
    count: u32,
    failed: bool,
}

impl SavePlay {
    pub(super) fn begin(client: &mut Client) -> Result<Self> {
        let home = std::env::var_os("HOME").context("HOME is not set, so nothing can be kept")?;
        let dir = Path::new(&home).join(DIR);
        let count = load(&dir).context("reading what was kept")?;
        Ok(Self { screen: Screen::open(client, Mode::Save)?, dir, count, failed: false })
    }
}

impl Play for SavePlay {
    fn on(&mut self, client: &mut Client, happening: Happening) -> Result<Flow> {
        match happening {
            Happening::Frame(_) => {
                let count = self.count;
                self.screen
                    .show(client, u16::from(self.failed), |canvas| cells::paint_number(canvas, 2, count))?;
            }
            Happening::Key { down: true, .. } => {
                self.count = self.count.wrapping_add(1);
                self.failed = store(&self.dir, self.count).is_err();
            }
            Happening::Closed(_) => return Ok(Flow::Leave),
            _ => {}
        }
        Ok(Flow::On)
    }
}

/// What was kept; 0 where nothing was.
fn load(dir: &Path) -> Result<u32> {
    match fs::read_to_string(dir.join("count")) {
        Ok(text) => text.trim().parse().with_context(|| format!("{text:.40?} is no count")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
        Err(error) => Err(error.into()),
    }
}

/// Keeps the count; the file is whole at any time.
fn store(dir: &Path, count: u32) -> io::Result<()> {
    fs::create_dir_all(dir)?;
    let new = dir.join("count.new");
    fs::write(&new, format!("{count}\n"))?;
    fs::rename(new, dir.join("count"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_is_kept_and_rubbish_is_refused() {
        let home = tempfile::tempdir().unwrap();
        let dir = home.path().join(DIR);
        assert_eq!(load(&dir).unwrap(), 0);
        store(&dir, 41).unwrap();
        store(&dir, 42).unwrap();
        assert_eq!(load(&dir).unwrap(), 42);
        assert_eq!(fs::read_dir(&dir).unwrap().count(), 1, "nothing is left beside it");
        fs::write(dir.join("count"), "many").unwrap();
        assert!(load(&dir).is_err());
    }
}
