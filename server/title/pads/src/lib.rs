//! Virtual gamepads for one title: up to four Xbox 360 pads with rumble, by uinput or by a preload shim.
//!
//! Both backends show the title the same device, as the kernel's `xpad` driver describes it
//! (`report.rs`): name `Microsoft X-Box 360 pad`, 045e:028e, eleven buttons, two sticks, two
//! triggers, a hat, and the force feedback of `ff-memless`.
//!
//! - **uinput**: kernel devices. All four exist from the start, because a sandbox that runs cannot be
//!   given another node; only these nodes are bound into it. The process needs write access to
//!   `/dev/uinput` and read and write access to the nodes that appear. Not yet run on real hardware.
//! - **shim**: no kernel device. [`Pads::binds`] puts Unix sockets at `/dev/input/event77…80` and
//!   `js0…3`, and the preloaded library makes them answer as evdev and joystick devices. Pad 0 is there
//!   from the start, since many games look once; the others are plugged in on first use and
//!   announced by inotify.
//!
//! A pad that the player loses stays plugged in and becomes neutral: wireless pads sleep, and games
//! answer an unplugged pad with a dialog or forget who held it.
//!
//! What finds the shim's pads: SDL 2 and 3 (2.0.14 and later also what is plugged in later; before that
//! SDL learns of it from udev only), GLFW, Wine by way of SDL, Godot 4 from the release that knows
//! containers, and whatever lists `/dev/input` or opens `event*` and `js*` by name. What does not:
//! programs that ask libudev alone, for there is no udev in a sandbox (Godot 3, older Godot 4, engines
//! with a udev reader of their own); 32-bit programs (the loader says so and starts them without pads);
//! statically linked ones and those of another C library than the host's, which cannot load the shim. Two
//! programs that grab a pad (`EVIOCGRAB`) both get its events.
//!
//! This crate does not decide who plays with which pad, and it does not read the player's packets.
//!
//! **Invariant:** a pad can be reached only through the directories that [`Pads::binds`] names; nothing
//! of it lies in a shared place, and dropping [`Pads`] removes all of it.

mod error;
mod motor;
mod report;
mod shim;
mod uinput;

pub use error::PadsError;

use nearframe_protocol::input::{MAX_PADS, PadState};
use report::Report;
use std::path::PathBuf;

/// Which backend to use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Preference {
    /// uinput where `/dev/uinput` opens, else the shim.
    #[default]
    Auto,
    /// Kernel devices or an error.
    Uinput,
    /// The preload shim.
    Shim,
}

/// What [`Pads::start`] needs.
#[derive(Clone, Debug)]
pub struct Settings {
    /// A directory of this session alone. A folder `pads` is made in it, and removed on drop.
    pub dir: PathBuf,
    /// Which backend.
    pub preference: Preference,
}

/// How strongly a pad shakes from now on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rumble {
    /// Which pad.
    pub pad: u8,
    /// The heavy, low-frequency motor, 0..=65535.
    pub strong: u16,
    /// The light, high-frequency motor, 0..=65535.
    pub weak: u16,
    /// For how long, at most 5,000 (what a browser takes); a longer effect is said again in time.
    /// 0 when both motors stop.
    pub duration_ms: u32,
}

/// The gamepads of one title. Dropping it unplugs them and removes every file and thread.
#[derive(Debug)]
pub struct Pads {
    backend: Backend,
    /// What each pad showed last; `None` until its first use.
    shown: [Option<Report>; MAX_PADS],
}

#[derive(Debug)]
enum Backend {
    Uinput(uinput::Uinput),
    Shim(shim::Shim),
}

impl Pads {
    /// Plugs in the first pad.
    pub fn start(settings: Settings) -> Result<Self, PadsError> {
        let Settings { dir, preference } = settings;
        let backend = match preference {
            Preference::Shim => Backend::Shim(shim::Shim::start(&dir)?),
            Preference::Uinput => Backend::Uinput(uinput::Uinput::start()?),
            Preference::Auto => match uinput::Uinput::start() {
                Ok(uinput) => Backend::Uinput(uinput),
                Err(error) => {
                    tracing::debug!(%error, "gamepads use the preload shim");
                    Backend::Shim(shim::Shim::start(&dir)?)
                }
            },
        };
        Ok(Self { backend, shown: [None; MAX_PADS] })
    }

    /// `uinput` or `shim`.
    pub fn backend(&self) -> &'static str {
        match &self.backend {
            Backend::Uinput(_) => "uinput",
            Backend::Shim(_) => "shim",
        }
    }

    /// What the sandbox mounts before the title starts: path on the host, path inside, and whether it is a
    /// device node. What is not a device is bound read-only.
    pub fn binds(&self) -> Vec<(PathBuf, PathBuf, bool)> {
        match &self.backend {
            Backend::Uinput(uinput) => uinput.binds(),
            Backend::Shim(shim) => shim.binds(),
        }
    }

    /// Environment variables of the title.
    ///
    /// SDL asks udev first, which is not in a sandbox: 2.0.14 and later then read `/dev/input` and watch
    /// it; older ones open what `SDL_JOYSTICK_DEVICE` names.
    pub fn env(&self) -> Vec<(String, String)> {
        let nodes = match &self.backend {
            Backend::Uinput(uinput) => uinput.nodes(),
            Backend::Shim(_) => shim::event_nodes(),
        };
        let nodes: Vec<_> = nodes.iter().map(|node| node.to_string_lossy()).collect();
        vec![
            ("SDL_JOYSTICK_DISABLE_UDEV".to_owned(), "1".to_owned()),
            ("SDL_JOYSTICK_DEVICE".to_owned(), nodes.join(":")),
        ]
    }

    /// The library to name in `LD_PRELOAD`, by its path inside the sandbox; it is among the binds.
    pub fn preload(&self) -> Option<PathBuf> {
        match &self.backend {
            Backend::Uinput(_) => None,
            Backend::Shim(_) => Some(shim::preload()),
        }
    }

    /// Shows the title this state. Never blocks; a state like the last one costs nothing; the first state
    /// of a pad plugs it in. Pads beyond the fourth do not exist and are ignored.
    pub fn apply(&mut self, pad: u8, state: &PadState) {
        self.show(pad, Report::from_state(state));
    }

    /// The player's pad is gone: the title's stays, with nothing pressed.
    pub fn gone(&mut self, pad: u8) {
        if self.shown.get(usize::from(pad)).is_some_and(Option::is_some) {
            self.show(pad, Report::default());
        }
    }

    /// Lets go of everything on every pad (blur, loss, another player).
    pub fn release_all(&mut self) {
        (0..MAX_PADS as u8).for_each(|pad| self.gone(pad));
    }

    /// The next change of a pad's motors, if there is one. Each pad has one place: a change that was not
    /// taken is replaced by the next.
    pub fn take_rumble(&mut self) -> Option<Rumble> {
        match &mut self.backend {
            Backend::Uinput(uinput) => uinput.take_rumble(),
            Backend::Shim(shim) => shim.take_rumble(),
        }
    }

    fn show(&mut self, pad: u8, report: Report) {
        let Some(shown) = self.shown.get_mut(usize::from(pad)) else { return };
        if *shown == Some(report) {
            return;
        }
        let before = shown.replace(report).unwrap_or_default();
        match &mut self.backend {
            Backend::Uinput(uinput) => uinput.show(pad, &before, &report),
            Backend::Shim(shim) => shim.show(pad, report),
        }
    }
}
