//! Titles that only benches play: the probe, and Doom at its own rate.

use anyhow::{Context, Result};
use std::fs;
use std::path::Path;
use tempfile::TempDir;

/// The probe with the testcard's picture.
pub(crate) const STAMP: &str = "bench-stamp";
/// The probe that beeps; its notes lie in [`BEEP_NOTES`] of its home.
pub(crate) const BEEP: &str = "bench-beep";
/// Doom at 35 frames a second, in a level without monsters, so that it goes on for ever.
pub(crate) const DOOM: &str = "bench-doom";
/// When the probe began each beep.
pub(crate) const BEEP_NOTES: &str = "notes";
/// Frames a second of [`DOOM`]: the engine's own.
pub(crate) const DOOM_FPS: u32 = 35;

const PROBE: &str = "nearframe-probe";

/// A folder of titles for `--titles`. Dropping it removes it.
pub(crate) struct Titles(TempDir);

impl Titles {
    /// Writes titles that start `probe`.
    pub(crate) fn with_probe(probe: &Path) -> Result<Self> {
        let titles = Self(tempfile::tempdir().context("making a folder for titles")?);
        titles.add(STAMP, &format!("[\"{PROBE}\", \"stamp\", \"--moving\"]"), 60, Some(probe))?;
        let beep = format!("exec /title/{PROBE} beep > \\\"$HOME/{BEEP_NOTES}\\\"");
        titles.add(BEEP, &format!("[\"/bin/sh\", \"-c\", \"{beep}\"]"), 60, Some(probe))?;
        Ok(titles)
    }

    /// Writes Doom.
    pub(crate) fn with_doom() -> Result<Self> {
        let titles = Self(tempfile::tempdir().context("making a folder for titles")?);
        let command = concat!(
            r#"["/usr/games/chocolate-doom", "-iwad", "/usr/share/games/doom/freedoom1.wad", "#,
            r#""-nogui", "-fullscreen", "-nomonsters", "-skill", "1", "-warp", "1", "1"]"#
        );
        titles.add(DOOM, command, DOOM_FPS, None)?;
        Ok(titles)
    }

    /// Where they lie.
    pub(crate) fn dir(&self) -> &Path {
        self.0.path()
    }

    fn add(&self, id: &str, command: &str, fps: u32, program: Option<&Path>) -> Result<()> {
        let dir = self.0.path().join(id);
        fs::create_dir(&dir)?;
        let manifest = format!(
            "id = \"{id}\"\nname = \"{id}\"\nversion = \"1\"\n\n[run]\nkind = \"app\"\ncommand = {command}\n\
             display = \"wayland\"\nwidth = 1280\nheight = 720\nfps = {fps}\n\n\
             [policy]\ntrust = \"reviewed\"\n"
        );
        fs::write(dir.join("title.toml"), manifest)?;
        if let Some(program) = program {
            fs::copy(program, dir.join(PROBE)).with_context(|| format!("copying {}", program.display()))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nearframe_title::catalogue;

    #[test]
    fn every_title_can_be_offered() {
        let (found, errors) = catalogue::load_dir(Titles::with_doom().unwrap().dir());
        assert!(errors.is_empty(), "{errors:?}");
        assert_eq!(found[0].manifest.run.fps, DOOM_FPS);
        let titles = Titles::with_probe(&std::env::current_exe().unwrap()).unwrap();
        let (found, errors) = catalogue::load_dir(titles.dir());
        assert!(errors.is_empty(), "{errors:?}");
        let ids: Vec<_> = found.iter().map(|title| title.manifest.id.to_string()).collect();
        assert_eq!(ids, [BEEP, STAMP]);
    }
}
