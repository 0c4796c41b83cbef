//! A session around a compositor: its clock, its events, and programs that connect to it.

#![allow(dead_code, unreachable_pub, reason = "each test binary uses its own part")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

pub mod client;

use std::{
    os::unix::process::CommandExt,
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::mpsc::Receiver,
    time::{Duration, Instant},
};

use nearframe_compositor::{
    Compositor, Display, Event, Frame, FrameRequest, Input, KeyboardLayout, Settings, canvas::Canvas,
};
use rustix::time::{ClockId, clock_gettime};
use tempfile::TempDir;

pub const WIDTH: u32 = 1280;
pub const HEIGHT: u32 = 720;
pub const FPS: u32 = 60;
/// Nothing here takes longer on any machine that can play.
pub const PATIENCE: Duration = Duration::from_secs(20);

pub fn now_us() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec as u64 * 1_000_000 + now.tv_nsec as u64 / 1_000
}

/// A compositor that ticks when told.
pub struct Session {
    // Programs end before the compositor, and the folder goes last.
    programs: Vec<Child>,
    pub compositor: Compositor,
    pub events: Receiver<Event>,
    pub told: Vec<Event>,
    pub canvas: Canvas,
    pub dir: TempDir,
    next: Instant,
}

impl Session {
    pub fn start(display: Display) -> Self {
        let _ = tracing_subscriber::fmt()
            .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
            .with_test_writer()
            .try_init();
        let dir = tempfile::tempdir().unwrap();
        let (compositor, events) = Compositor::start(Settings {
            dir: dir.path().to_owned(),
            width: WIDTH,
            height: HEIGHT,
            fps: FPS,
            display,
            layout: KeyboardLayout::default(),
            dmabuf: None,
        })
        .unwrap();
        let canvas = Canvas::new(WIDTH, HEIGHT);
        let next = Instant::now();
        Self { programs: Vec::new(), compositor, events, told: Vec::new(), canvas, dir, next }
    }

    pub fn wayland(&self) -> PathBuf {
        self.compositor.sockets().wayland.clone()
    }

    /// A frame now, whatever the clock says.
    pub fn frame(&mut self, inputs: Vec<Input>) -> Frame {
        let frame = self.compositor.frame(FrameRequest { inputs, now_us: now_us() }).unwrap();
        self.told.extend(self.events.try_iter());
        frame
    }

    /// The next frame of the clock.
    pub fn tick(&mut self, inputs: Vec<Input>) -> Frame {
        self.next = (self.next + Duration::from_secs(1) / FPS).max(Instant::now());
        std::thread::sleep(self.next - Instant::now());
        self.frame(inputs)
    }

    /// Ticks until the frame is as wanted.
    #[track_caller]
    pub fn until(&mut self, what: &str, mut wanted: impl FnMut(&mut Self, &Frame) -> bool) -> Frame {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            let frame = self.tick(Vec::new());
            if wanted(self, &frame) {
                return frame;
            }
        }
        panic!("never came: {what}; told {:?}", self.told);
    }

    /// Ticks until an event was told, now or before.
    #[track_caller]
    pub fn until_told(&mut self, what: &str, wanted: impl Fn(&Event) -> bool) -> Event {
        let mut found = self.told.iter().position(&wanted);
        if found.is_none() {
            self.until(what, |session, _| {
                found = session.told.iter().position(&wanted);
                found.is_some()
            });
        }
        self.told.remove(found.unwrap())
    }

    /// Presses and releases a key over two ticks.
    pub fn strike(&mut self, evdev: u16) {
        self.tick(vec![Input::Key { evdev, down: true }]);
        self.tick(Vec::new());
        self.tick(vec![Input::Key { evdev, down: false }]);
    }

    /// The picture as one, without padding.
    pub fn picture(&mut self, frame: &Frame) -> (u32, u32, Vec<u8>) {
        let flat = self.canvas.flatten(frame).unwrap();
        let row = flat.width as usize * 4;
        let rows = flat.data.chunks(flat.stride).take(flat.height as usize);
        (flat.width, flat.height, rows.flat_map(|data| &data[..row]).copied().collect())
    }

    /// Starts a program as a title of this session, outside of any sandbox.
    #[track_caller]
    pub fn spawn(&mut self, program: &str, args: &[&str], env: &[(&str, &str)]) {
        let home = self.dir.path().join("home");
        std::fs::create_dir_all(&home).unwrap();
        let mut command = Command::new(program);
        command
            .args(args)
            .env_clear()
            .env("PATH", "/usr/bin:/bin:/usr/games")
            .env("HOME", &home)
            .env("XDG_RUNTIME_DIR", self.dir.path())
            .env("SDL_AUDIODRIVER", "dummy")
            .env("LIBGL_ALWAYS_SOFTWARE", "1")
            .envs(env.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .process_group(0);
        let child = command.spawn().unwrap_or_else(|error| {
            panic!("{program} does not start ({error}); scripts/packages.sh installs what the tests need")
        });
        self.programs.push(child);
    }

    pub fn spawn_wayland(&mut self, program: &str, args: &[&str]) {
        self.spawn(program, args, &[("WAYLAND_DISPLAY", "wayland-0"), ("SDL_VIDEODRIVER", "wayland")]);
    }

    /// X11 clients look for display `:0` at one fixed place, which a mount namespace of their own has our
    /// socket at, as the sandbox of a session does.
    pub fn spawn_x11(&mut self, program: &str, args: &[&str]) {
        let socket = self.compositor.sockets().x11.clone().unwrap();
        let (socket, dir) = (socket.to_str().unwrap(), self.dir.path().to_str().unwrap().to_owned());
        let mut line = vec!["--dev-bind", "/", "/", "--tmpfs", "/tmp", "--bind", &dir, &dir];
        line.extend(["--bind", socket, "/tmp/.X11-unix/X0", "--die-with-parent", program]);
        line.extend(args);
        self.spawn("/usr/bin/bwrap", &line, &[("DISPLAY", ":0"), ("SDL_VIDEODRIVER", "x11")]);
    }

    /// Ends what was started.
    pub fn end_programs(&mut self) {
        for mut child in self.programs.drain(..) {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.end_programs();
    }
}
