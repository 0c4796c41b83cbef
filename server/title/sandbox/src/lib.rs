//! Locks one title in: bubblewrap, Landlock, seccomp and limits, from outside in.
//!
//! A title is taken to be hostile. [`Sandbox::launch`] gives it a file system of its own (the system's
//! programs and its own folder to read, a home to write), no network, no capability, no other process to
//! see, and an end to everything it can use up. Deliberately not: the compositor, sound, pads or saves;
//! what of them a title may reach comes in as [`Bind`]s.
//!
//! The agent starts bubblewrap, bubblewrap starts the launcher given in [`Launch`] inside, and the
//! launcher, by way of [`init`], locks the last doors and becomes the title.
//!
//! **Architecture invariant:** when a [`Sandbox`] is dropped, or its agent dies, no process, mount or
//! control group of it is left.

#![allow(unsafe_code)] // System calls between fork and exec, and those without a safe wrapper.

mod bundle;
mod bwrap;
mod error;
mod format;
mod groups;
mod helper;
mod home;
mod init;
mod launch;
mod layers;
mod leftovers;
mod output;
mod paths;
mod processes;
mod sandbox;
mod seccomp;
mod spawn;
mod stage;
mod watch;

pub use bundle::check_bundle;
pub use error::SandboxError;
pub use format::unrunnable;
pub use helper::{HELPER_FOLDER, Helper, HelperProcess, helper_user};
pub use init::init;
pub use launch::{Access, Bind, Launch, Limits};
pub use layers::{Held, LayerState, layers};
pub use sandbox::{Exit, Sandbox, Usage};

/// Removes what agents that were killed have left on this machine. Every launch does so too.
pub fn sweep() {
    leftovers::end();
    // Making groups removes those that nobody owns any more.
    drop(groups::Groups::new(&Limits::default()));
}
