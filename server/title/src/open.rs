//! Starting a title.

use crate::meteor::Meteor;
use crate::program::{Program, Surroundings};
use crate::scene::SceneTitle;
use crate::source::{TitleFailure, TitleSource};
use crate::testcard::Testcard;
use nearframe_protocol::title::{Run, TitleKind, TitleManifest};
use std::path::Path;

/// Makes a source of the picture that is asked for, from a seed.
type Constructor = fn(&Run, u64, GpuSource<'_>) -> Result<Box<dyn TitleSource>, TitleFailure>;
/// Gives the session's wgpu device and queue.
type GpuSource<'a> = &'a dyn Fn() -> Result<(wgpu::Device, wgpu::Queue), TitleFailure>;

const BUILTINS: &[(&str, Constructor)] = &[
    ("meteor", |run, seed, gpu| {
        if run.hdr.is_some() {
            let why =
                "run.hdr: meteor draws in standard range; of the built-in titles testcard draws in HDR10";
            return Err(TitleFailure(why.to_owned()));
        }
        let (device, queue) = gpu()?;
        Ok(Box::new(Meteor::new(device, queue, run.width, run.height, seed)))
    }),
    ("testcard", |run, seed, _| Ok(Box::new(Testcard::new(run.width, run.height, seed, run.hdr)?))),
];

/// What `[run] builtin` may name.
pub fn builtin_names() -> impl Iterator<Item = &'static str> {
    BUILTINS.iter().map(|(name, _)| *name)
}

/// Starts the title of `manifest`, whose files lie in `dir`. `seed` decides everything random in it;
/// `around` is where a program lives, where programs can.
///
/// `gpu` is called at most once, and only by titles that draw with a GPU.
///
/// # Errors
/// An unknown built-in, a scene that cannot be loaded, or a failure of `gpu`; the text says which and why.
pub fn open(
    manifest: &TitleManifest,
    dir: &Path,
    seed: u64,
    around: Option<&Surroundings>,
    gpu: &dyn Fn() -> Result<(wgpu::Device, wgpu::Queue), TitleFailure>,
) -> Result<Box<dyn TitleSource>, TitleFailure> {
    let run = &manifest.run;
    match run.kind {
        TitleKind::Builtin => {
            let wanted = run.builtin.as_deref().unwrap_or_default();
            let Some((_, construct)) = BUILTINS.iter().find(|(name, _)| *name == wanted) else {
                let known: Vec<_> = builtin_names().collect();
                return Err(TitleFailure(format!(
                    "run.builtin = {wanted:?} is unknown; known are {}",
                    known.join(", ")
                )));
            };
            construct(run, seed, gpu)
        }
        TitleKind::Scene => {
            let file = run.scene.as_deref().unwrap_or_default();
            let (device, queue) = gpu()?;
            Ok(Box::new(SceneTitle::load(device, queue, run.width, run.height, dir, file)?))
        }
        TitleKind::App => {
            let around = around.ok_or_else(|| TitleFailure("programs are not run here".to_owned()))?;
            Ok(Box::new(Program::start(manifest, dir, around)?))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn no_gpu() -> Result<(wgpu::Device, wgpu::Queue), TitleFailure> {
        Err(TitleFailure("no GPU here".into()))
    }

    fn manifest(run: &str) -> TitleManifest {
        TitleManifest::parse(&format!("id = \"a\"\nname = \"A\"\nversion = \"1\"\n[run]\n{run}")).unwrap()
    }

    #[test]
    fn the_testcard_needs_no_gpu() {
        let card = manifest("kind = \"builtin\"\nbuiltin = \"testcard\"");
        assert_eq!(open(&card, Path::new("."), 1, None, &no_gpu).unwrap().size(), (1280, 720));
    }

    #[test]
    fn an_unknown_builtin_is_refused_naming_the_known_ones() {
        let wrong = manifest("kind = \"builtin\"\nbuiltin = \"pong\"");
        let error = open(&wrong, Path::new("."), 1, None, &no_gpu).err().unwrap().to_string();
        assert!(error.contains("pong") && error.contains("meteor"), "{error}");
    }

    #[test]
    fn a_title_that_draws_no_hdr_refuses_to() {
        let game = manifest("kind = \"builtin\"\nbuiltin = \"meteor\"\nhdr = {}");
        let error = open(&game, Path::new("."), 1, None, &no_gpu).err().unwrap().to_string();
        assert!(error.contains("run.hdr") && error.contains("testcard"), "{error}");
    }

    #[test]
    fn a_missing_gpu_is_passed_on() {
        let game = manifest("kind = \"builtin\"\nbuiltin = \"meteor\"");
        let error = open(&game, Path::new("."), 1, None, &no_gpu).err().unwrap().to_string();
        assert!(error.contains("no GPU here"), "{error}");
    }
}
