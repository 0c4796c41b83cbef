//! `nearframe title`: what a studio needs before its title is offered; and the first process in a sandbox.

use crate::command::TitleCommand;
use crate::say;
use anyhow::{Result, bail};
use nearframe_protocol::title::TitleKind;
use nearframe_server::title::catalogue::{LoadedTitle, load_dir};
use nearframe_server::title::sandbox;
use std::ffi::OsString;
use std::path::Path;

/// The argument with which a sandbox starts this program as its first process.
const INIT: &str = "title-init";

/// The arguments for the sandbox's first process, when this is one.
pub(crate) fn init_arguments() -> Option<Vec<OsString>> {
    let mut arguments = std::env::args_os().skip(1);
    (arguments.next()? == INIT).then(|| arguments.collect())
}

/// Locks the last doors and becomes the title.
pub(crate) fn init(arguments: Vec<OsString>) -> Result<()> {
    match sandbox::init(arguments.into_iter())? {}
}

/// Runs a `title` command.
pub(crate) fn run(command: TitleCommand) -> Result<()> {
    match command {
        TitleCommand::Check { dir } => check(&dir),
    }
}

fn check(dir: &Path) -> Result<()> {
    let (titles, errors) = load_dir(dir);
    titles.iter().for_each(|title| say::line(&row(title)));
    for error in &errors {
        say::line(&format!("wrong  {error}"));
    }
    match (titles.len(), errors.len()) {
        (0, 0) => bail!("{} holds no title: a title is a folder with a title.toml", dir.display()),
        (_, 0) => Ok(()),
        (_, 1) => bail!("one title cannot be offered"),
        (_, wrong) => bail!("{wrong} titles cannot be offered"),
    }
}

fn row(title: &LoadedTitle) -> String {
    let entry = &title.entry;
    let kind = match entry.kind {
        TitleKind::Builtin => "built in",
        TitleKind::Scene => "scene",
        TitleKind::App => "program",
    };
    format!(
        "ok     {} {}: {}, {kind}, {} × {} at {} fps, {}",
        entry.id, entry.version, entry.name, entry.width, entry.height, entry.fps, entry.hash
    )
}
