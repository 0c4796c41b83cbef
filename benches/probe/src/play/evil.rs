//! The mode that tries to get out.
//!
//! A handful of escapes that leave nothing behind where they work, so that an end-to-end test sees from the
//! picture that the sandbox stood around this very program. `server/title/sandbox` has the full suite.

use super::screen::Screen;
use super::{Flow, Play, say};
use crate::wayland::{Client, Happening};
use anyhow::Result;
use nearframe_probe::cells::{self, Colour};
use nearframe_probe::mode::Mode;
use std::fs::{self, File, OpenOptions};
use std::net::{TcpListener, UdpSocket};
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A documentation address (RFC 5737): choosing a route to it sends nothing.
const ELSEWHERE: &str = "192.0.2.1:9";
/// Sockets that are looked at in each folder.
const MAX_SOCKETS: usize = 64;

/// One way out; true if it is open.
struct Escape {
    name: &'static str,
    works: fn() -> bool,
}

/// In the order of their bits.
const ESCAPES: [Escape; 11] = [
    Escape { name: "read the machine's passwords", works: || File::open("/etc/shadow").is_ok() },
    Escape { name: "write into the system", works: || can_write(Path::new("/usr/bin/env")) },
    Escape { name: "add to the system", works: || can_create(Path::new("/usr")) },
    Escape { name: "open the machine's memory", works: || File::open("/dev/mem").is_ok() },
    Escape {
        name: "change the kernel's settings",
        works: || can_write(Path::new("/proc/sys/kernel/core_pattern")),
    },
    Escape { name: "find the node's processes", works: sees_node },
    Escape { name: "reach the network", works: reaches_network },
    Escape { name: "reach sockets of the system", works: reaches_sockets },
    Escape { name: "make a user namespace", works: || succeeds("unshare", &["--user", "true"]) },
    Escape { name: "follow a link out of its home", works: follows_link },
    Escape { name: "become another user", works: || succeeds("su", &["-c", "true"]) },
];

/// Tries once at the start and shows what came of it.
pub(super) struct EvilPlay {
    screen: Screen,
    tried: u32,
    worked: u32,
}

impl EvilPlay {
    pub(super) fn begin(client: &mut Client) -> Result<Self> {
        let (tried, worked) = attempt(&ESCAPES)?;
        Ok(Self { screen: Screen::open(client, Mode::Evil)?, tried, worked })
    }
}

/// Bits of what was tried and of what worked.
fn attempt(escapes: &[Escape]) -> Result<(u32, u32)> {
    let (mut tried, mut worked) = (0, 0);
    for (bit, Escape { name, works }) in escapes.iter().enumerate() {
        tried |= 1 << bit;
        if works() {
            worked |= 1 << bit;
            say(&format!("evil can {name}"))?;
        }
    }
    Ok((tried, worked))
}

impl Play for EvilPlay {
    fn on(&mut self, client: &mut Client, happening: Happening) -> Result<Flow> {
        match happening {
            Happening::Frame(_) => {
                let (tried, worked) = (self.tried, self.worked);
                self.screen.show(client, u16::from(worked != 0), |canvas| {
                    cells::paint_number(canvas, 2, tried);
                    cells::paint_number(canvas, 3, worked);
                    let colour = if worked == 0 { Colour::Green } else { Colour::Red };
                    cells::paint_rows(canvas, 6..cells::ROWS, colour);
                })?;
            }
            Happening::Closed(_) => return Ok(Flow::Leave),
            _ => {}
        }
        Ok(Flow::On)
    }
}

/// Whether an existing file opens for writing; nothing is written.
fn can_write(path: &Path) -> bool {
    OpenOptions::new().append(true).open(path).is_ok()
}

/// Whether a file can be made in a folder; it is removed at once.
fn can_create(dir: &Path) -> bool {
    let path = dir.join(format!(".nearframe-probe-{}", std::process::id()));
    OpenOptions::new().write(true).create_new(true).open(&path).is_ok_and(|_| fs::remove_file(&path).is_ok())
}

/// Whether a process other than this one and its like carries the node's name.
fn sees_node() -> bool {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| fs::read_to_string(entry.path().join("comm")).ok());
    names.into_iter().any(|name| name.trim_end() == "nearframe")
}

/// Whether there is a way to another machine, or a port can be opened that others could reach.
fn reaches_network() -> bool {
    let routed = UdpSocket::bind("0.0.0.0:0").is_ok_and(|socket| socket.connect(ELSEWHERE).is_ok());
    routed || TcpListener::bind("0.0.0.0:0").is_ok_and(|_| has_interface())
}

/// Whether there is any network interface but the loopback.
fn has_interface() -> bool {
    let table = fs::read_to_string("/proc/net/dev").unwrap_or_default();
    let names = table.lines().filter_map(|line| line.split_once(':')).map(|(name, _)| name.trim());
    names.into_iter().any(|name| name != "lo")
}

/// Whether a socket outside of the session's own folder answers.
fn reaches_sockets() -> bool {
    let own = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    let dirs = ["/run", "/run/dbus", "/run/systemd", "/run/user", "/var/run", "/tmp"].map(Path::new);
    let dirs = dirs.into_iter().filter(|dir| Some(*dir) != own.as_deref());
    let entries = dirs.flat_map(|dir| fs::read_dir(dir).into_iter().flatten().flatten().take(MAX_SOCKETS));
    let mut paths = entries.map(|entry| entry.path());
    paths.any(|path| UnixStream::connect(path).is_ok())
}

/// Whether a link below the home leads to what is not the title's.
fn follows_link() -> bool {
    let Some(home) = std::env::var_os("HOME") else { return false };
    let link = Path::new(&home).join(format!(".nearframe-probe-{}", std::process::id()));
    let read = symlink("/root/.ssh", &link).is_ok() && fs::read_dir(&link).is_ok();
    let read = read
        || fs::remove_file(&link).is_ok()
            && symlink("/etc/shadow", &link).is_ok()
            && File::open(&link).is_ok();
    // Where no link was made there is nothing to remove.
    let _ = fs::remove_file(&link);
    read
}

/// Whether a program ends with success, without a word.
fn succeeds(program: &str, args: &[&str]) -> bool {
    let mut command = Command::new(program);
    command.args(args).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_escape_has_a_bit_and_only_what_works_is_counted() {
        let escapes = [
            Escape { name: "fail", works: || false },
            Escape { name: "work", works: || true },
            Escape { name: "fail too", works: || false },
        ];
        assert_eq!(attempt(&escapes).unwrap(), (0b111, 0b010));
        assert!(ESCAPES.len() <= 32);
    }

    #[test]
    fn what_is_open_outside_of_a_sandbox_is_seen_as_open() {
        let dir = tempfile::tempdir().unwrap();
        assert!(can_create(dir.path()));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0, "nothing is left");
        let file = dir.path().join("file");
        assert!(!can_write(&file));
        fs::write(&file, "kept").unwrap();
        assert!(can_write(&file));
        assert_eq!(fs::read_to_string(&file).unwrap(), "kept");
        assert!(succeeds("true", &[]) && !succeeds("false", &[]) && !succeeds("/nowhere", &[]));
    }
}
