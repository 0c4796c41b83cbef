//! The sandbox in bubblewrap's words.
//!
//! Every source that is not the system's own is given as an open file, so that what was checked is what is
//! mounted; every mount point is made on fresh, empty file systems before the title's files appear.

use std::ffi::OsStr;
use std::fs;
use std::io::{Seek, Write};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Component, Path, PathBuf};

use rustix::fs::{Mode, OFlags};

use crate::error::{SandboxError, Tried};
use crate::helper::{HELPER_FOLDER, Helper};
use crate::launch::{Access, Bind, HOME, INIT, Launch, PLAYER, RUNTIME, TITLE, UNPRIVILEGED};
use crate::stage::{self, Stage};

/// Where bubblewrap is looked for; the agent's PATH is not asked.
const PROGRAMS: [&str; 3] = ["/usr/bin/bwrap", "/usr/local/bin/bwrap", "/bin/bwrap"];
/// The runtime folder holds sockets; what a title adds there is small.
const RUNTIME_BYTES: u64 = 8 << 20;
/// What of `/etc` programs read to run at all, and nothing that says whose machine it is.
const ETC: [&str; 18] = [
    "X11/app-defaults",
    "alsa",
    "gtk-2.0",
    "gtk-3.0",
    "openal",
    "xdg",
    "ld.so.cache",
    "ld.so.conf",
    "ld.so.conf.d",
    "alternatives",
    "fonts",
    "localtime",
    "ssl/certs",
    "vulkan",
    "glvnd",
    "OpenCL",
    "drirc",
    "mime.types",
];
/// Java's own settings lie there, under its version.
const ETC_PREFIX: &str = "java-";
/// Where Debian keeps games; a game's settings for the whole machine lie in `/etc` under its name.
const GAMES: &str = "/usr/games/";
/// One id for all: programs that ask get an answer that tells nobody apart.
const MACHINE_ID: &str = "6e6561726672616d6500000000000000\n";
/// What GPU drivers read to find their device.
const GPU_SYS: [&str; 5] =
    ["/sys/dev/char", "/sys/devices/pci0000:00", "/sys/devices/system/cpu", "/sys/class/drm", "/sys/bus/pci"];

/// Arguments for bubblewrap, and the open files that they name.
pub(crate) struct Arguments {
    words: Vec<u8>,
    /// Whether a word held what ends a word: then the rest of it would pass for options.
    broken: bool,
    files: Vec<OwnedFd>,
    /// Which of the files are mounts that still need a place, and whether they are folders.
    mounts: Vec<(usize, bool)>,
    /// Groups that own the devices given, for a title that does not run as the agent's user.
    pub(crate) groups: Vec<u32>,
    as_root: bool,
}

/// Bubblewrap's program.
pub(crate) fn program() -> Result<PathBuf, SandboxError> {
    PROGRAMS.iter().map(PathBuf::from).find(|path| path.is_file()).ok_or(SandboxError::NoBubblewrap)
}

impl Arguments {
    /// The whole sandbox for `launch`; `title_dir` is its checked folder.
    pub(crate) fn new(launch: &Launch, title_dir: &Path, as_root: bool) -> Result<Self, SandboxError> {
        let mut arguments = Self::empty(as_root);
        arguments.isolate();
        arguments.system()?;
        arguments.settings_of(launch);
        arguments.mount_points(launch);
        arguments.session(launch)?;
        if launch.gpu {
            arguments.gpu()?;
        }
        // From here on nothing is created any more: the title's own files come last.
        arguments.bind("--ro-bind-fd", title_dir, TITLE)?;
        arguments.bind("--bind-fd", &launch.home, HOME)?;
        arguments.words(["--remount-ro", "/dev", "--remount-ro", "/"]);
        arguments.words(["--chdir", TITLE]);
        Ok(arguments)
    }

    /// The sandbox of a helper, whose `/tmp` may hold `tmp_bytes`. It is the first process inside, so that a signal
    /// from outside reaches it and no other.
    pub(crate) fn for_helper(helper: &Helper<'_>, tmp_bytes: u64) -> Result<Self, SandboxError> {
        let mut arguments = Self::empty(helper.user.is_some());
        arguments.isolate();
        arguments.words(["--as-pid-1", "--setenv", "PATH", "/usr/bin:/bin"]);
        for (name, value) in &helper.env {
            arguments.words(["--setenv"]);
            arguments.word(name);
            arguments.word(value);
        }
        arguments.system()?;
        for folder in ["/tmp", "/dev/shm"] {
            arguments.words(["--perms", "1777", "--size", &tmp_bytes.to_string(), "--tmpfs", folder]);
        }
        arguments.words(["--dir", "/run", "--dir", HELPER_FOLDER]);
        if helper.gpu {
            arguments.gpu()?;
        }
        if let Some(folder) = helper.folder {
            arguments.bind("--bind-fd", folder, HELPER_FOLDER)?;
        }
        arguments.words(["--remount-ro", "/dev", "--remount-ro", "/", "--chdir", HELPER_FOLDER]);
        Ok(arguments)
    }

    fn empty(as_root: bool) -> Self {
        Self {
            words: Vec::new(),
            broken: false,
            files: Vec::new(),
            mounts: Vec::new(),
            groups: Vec::new(),
            as_root,
        }
    }

    /// What must be put in place before bubblewrap runs.
    pub(crate) fn stage(&self) -> Stage {
        Stage::new(self.mounts.iter().map(|&(index, is_folder)| (&self.files[index], is_folder)))
    }

    /// The arguments as a file for `--args`, and all files that bubblewrap must inherit.
    pub(crate) fn into_files(mut self) -> Result<(OwnedFd, Vec<OwnedFd>), SandboxError> {
        if self.broken {
            return Err(SandboxError::Start("a path to be bound holds a zero byte".to_owned()));
        }
        let args = data(&std::mem::take(&mut self.words))?;
        Ok((args, self.files))
    }

    /// One option that takes an inherited file.
    pub(crate) fn option_fd(&mut self, option: &str, file: &OwnedFd) {
        self.words([option, &file.as_raw_fd().to_string()]);
    }

    fn words<'a>(&mut self, words: impl IntoIterator<Item = &'a str>) {
        for word in words {
            self.word(OsStr::new(word));
        }
    }

    fn word(&mut self, word: &OsStr) {
        self.broken |= word.as_bytes().contains(&0);
        self.words.extend_from_slice(word.as_bytes());
        self.words.push(0);
    }

    fn isolate(&mut self) {
        let player = PLAYER.to_string();
        self.words(["--unshare-all", "--unshare-user", "--disable-userns", "--cap-drop", "ALL"]);
        self.words(["--uid", &player, "--gid", &player, "--hostname", "nearframe"]);
        self.words(["--new-session", "--die-with-parent", "--clearenv"]);
    }

    fn system(&mut self) -> Result<(), SandboxError> {
        self.words(["--ro-bind", "/usr", "/usr"]);
        for folder in ["/bin", "/sbin", "/lib", "/lib32", "/lib64"] {
            match fs::read_link(folder) {
                Ok(target) => {
                    self.words(["--symlink"]);
                    self.word(target.as_os_str());
                    self.words([folder]);
                }
                Err(_) => self.words(["--ro-bind-try", folder, folder]),
            }
        }
        let java = fs::read_dir("/etc").into_iter().flatten().flatten();
        let java = java.filter_map(|entry| entry.file_name().into_string().ok());
        for name in ETC.map(str::to_owned).into_iter().chain(java.filter(|name| name.starts_with(ETC_PREFIX)))
        {
            let path = format!("/etc/{name}");
            self.words(["--ro-bind-try", &path, &path]);
        }
        self.text(&format!("player:x:{PLAYER}:{PLAYER}:player:{HOME}:/bin/sh\n"), "/etc/passwd")?;
        self.text(&format!("player:x:{PLAYER}:\n"), "/etc/group")?;
        self.text("passwd: files\ngroup: files\nhosts: files\n", "/etc/nsswitch.conf")?;
        self.text("127.0.0.1 localhost nearframe\n::1 localhost\n", "/etc/hosts")?;
        self.text("nearframe\n", "/etc/hostname")?;
        self.text(MACHINE_ID, "/etc/machine-id")?;
        self.words(["--ro-bind-try", "/var/cache/fontconfig", "/var/cache/fontconfig"]);
        self.words(["--symlink", "/tmp", "/var/tmp", "--symlink", "/run", "/var/run"]);
        self.words(["--proc", "/proc", "--dev", "/dev"]);
        Ok(())
    }

    /// What a game of the system reads of `/etc` under its own name.
    fn settings_of(&mut self, launch: &Launch) {
        let game = launch.command.first().and_then(|program| program.to_str()?.strip_prefix(GAMES));
        if let Some(name) =
            game.filter(|name| !name.is_empty() && !name.contains('/') && !name.starts_with('.'))
        {
            let folder = format!("/etc/{name}");
            if Path::new(&folder).is_dir() {
                self.words(["--ro-bind-try", &folder, &folder]);
            }
        }
    }

    fn mount_points(&mut self, launch: &Launch) {
        let size = launch.limits.tmp_bytes.to_string();
        for folder in ["/tmp", "/dev/shm"] {
            self.words(["--perms", "1777", "--size", &size, "--tmpfs", folder]);
        }
        self.words([
            "--dir",
            "/run/user",
            "--perms",
            "0700",
            "--size",
            &RUNTIME_BYTES.to_string(),
            "--tmpfs",
            RUNTIME,
        ]);
        self.words(["--dir", "/run/nearframe", "--dir", TITLE, "--dir", "/home", "--dir", HOME]);
    }

    fn session(&mut self, launch: &Launch) -> Result<(), SandboxError> {
        self.bind("--ro-bind-fd", &launch.launcher, INIT)?;
        for bind in &launch.binds {
            check_inside(bind)?;
            let option = match bind.access {
                Access::Device => {
                    self.device_groups(&bind.host)?;
                    self.words(["--dev-bind"]);
                    self.word(bind.host.as_os_str());
                    self.word(bind.inside.as_os_str());
                    continue;
                }
                Access::ReadOnly => "--ro-bind-fd",
                Access::ReadWrite => "--bind-fd",
            };
            self.hand_over_socket(&bind.host)?;
            self.bind(option, &bind.host, &bind.inside)?;
        }
        Ok(())
    }

    /// Render nodes only: what can also set the host's display stays outside.
    fn gpu(&mut self) -> Result<(), SandboxError> {
        let in_folder = |folder: &str, wanted: fn(&str) -> bool| {
            let entries = fs::read_dir(folder).into_iter().flatten().flatten();
            let names = entries.filter(|entry| entry.file_name().to_str().is_some_and(wanted));
            names.map(|entry| entry.path()).collect::<Vec<_>>()
        };
        let mut nodes = in_folder("/dev/dri", |name| name.starts_with("renderD"));
        nodes.extend(in_folder("/dev", |name| name.starts_with("nvidia") || name == "kfd" || name == "dxg"));
        for node in
            nodes.iter().filter(|node| fs::metadata(node).is_ok_and(|meta| meta.file_type().is_char_device()))
        {
            self.device_groups(node)?;
            self.words(["--dev-bind"]);
            self.word(node.as_os_str());
            self.word(node.as_os_str());
        }
        for path in GPU_SYS {
            self.words(["--ro-bind-try", path, path]);
        }
        Ok(())
    }

    /// Mounts `host` at `inside` by an open file.
    fn bind(&mut self, option: &str, host: &Path, inside: impl AsRef<Path>) -> Result<(), SandboxError> {
        let what = || format!("what is to be mounted as {}: {}", inside.as_ref().display(), host.display());
        let mut file = rustix::fs::open(host, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).tried(what())?;
        if self.as_root {
            let kind = rustix::fs::FileType::from_raw_mode(rustix::fs::fstat(&file).tried(what())?.st_mode);
            file = stage::detach(&file).tried(what())?;
            self.mounts.push((self.files.len(), kind.is_dir()));
        }
        self.option_fd(option, &file);
        self.word(inside.as_ref().as_os_str());
        self.files.push(file);
        Ok(())
    }

    /// A small file that the title can read and nobody can change.
    fn text(&mut self, text: &str, inside: &str) -> Result<(), SandboxError> {
        let file = data(text.as_bytes())?;
        self.words(["--perms", "0644"]);
        self.option_fd("--ro-bind-data", &file);
        self.words([inside]);
        self.files.push(file);
        Ok(())
    }

    /// Notes the group through which `node` is used, where others may not.
    fn device_groups(&mut self, node: &Path) -> Result<(), SandboxError> {
        let meta = fs::metadata(node).tried(format!("the device {}", node.display()))?;
        if !meta.file_type().is_char_device() {
            let why = "it is bound as a device and is none".to_owned();
            return Err(SandboxError::Bind { inside: node.to_owned(), why });
        }
        let by_group_only = meta.mode() & 0o060 == 0o060 && meta.mode() & 0o006 != 0o006;
        if self.as_root && by_group_only && meta.gid() != 0 && !self.groups.contains(&meta.gid()) {
            self.groups.push(meta.gid());
        }
        Ok(())
    }

    /// Connecting needs write access to the socket's file, which the agent's own user has.
    fn hand_over_socket(&self, host: &Path) -> Result<(), SandboxError> {
        let meta = fs::symlink_metadata(host).tried(format!("what is to be bound: {}", host.display()))?;
        if self.as_root && meta.file_type().is_socket() && meta.uid() != UNPRIVILEGED {
            std::os::unix::fs::lchown(host, Some(UNPRIVILEGED), None)
                .tried(format!("handing the socket {} to the title's user", host.display()))?;
        }
        Ok(())
    }
}

/// A bind may add to what the sandbox made empty, never replace what it is made of.
fn check_inside(bind: &Bind) -> Result<(), SandboxError> {
    let fault = |why: &str| SandboxError::Bind { inside: bind.inside.clone(), why: why.to_owned() };
    let mut parts = bind.inside.components();
    if parts.next() != Some(Component::RootDir) || !parts.all(|part| matches!(part, Component::Normal(_))) {
        return Err(fault("it is not an absolute path without `..`"));
    }
    if !["/run", "/tmp", "/dev", "/etc", "/sys"].iter().any(|root| bind.inside.starts_with(root))
        || bind.inside.components().count() < 3
    {
        return Err(fault("only what lies below /run, /tmp, /dev, /etc or /sys can be bound"));
    }
    if bind.inside.starts_with(INIT) {
        return Err(fault("it is the sandbox's own"));
    }
    if bind.inside.starts_with("/sys") && bind.access != Access::ReadOnly {
        return Err(fault("/sys is read-only"));
    }
    Ok(())
}

/// A file in memory that holds `bytes`, at its start.
pub(crate) fn data(bytes: &[u8]) -> Result<OwnedFd, SandboxError> {
    let what = "a file in memory for bubblewrap";
    let file = rustix::fs::memfd_create(c"nearframe", rustix::fs::MemfdFlags::CLOEXEC).tried(what)?;
    let mut file = fs::File::from(file);
    file.write_all(bytes).tried(what)?;
    file.rewind().tried(what)?;
    Ok(file.into())
}

/// The numbers of `files`.
pub(crate) fn numbers(files: &[OwnedFd]) -> Vec<RawFd> {
    files.iter().map(AsRawFd::as_raw_fd).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn binds_that_would_weaken_the_sandbox_are_refused() {
        let check = |inside: &str, access| {
            check_inside(&Bind { host: "/x".into(), inside: inside.into(), access })
                .map_err(|error| error.to_string())
        };
        for wrong in [
            "/usr/lib/x.so",
            "/title/x",
            "/home/player/x",
            "/proc/x",
            "/",
            "/run",
            "run/x",
            "/run/../usr/x",
            INIT,
        ] {
            assert!(check(wrong, Access::ReadOnly).is_err(), "{wrong}");
        }
        assert!(check("/sys/class/input", Access::ReadWrite).is_err());
        check("/sys/class/input", Access::ReadOnly).unwrap();
        check("/run/user/1000/wayland-0", Access::ReadWrite).unwrap();
        check("/dev/input/event7", Access::Device).unwrap();
    }
}
