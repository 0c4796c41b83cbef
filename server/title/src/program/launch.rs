//! What a program is started with.

use super::Surroundings;
use nearframe_compositor::{
    Compositor, Display as Shown, DmabufFormat, DmabufSupport, KeyboardLayout, Settings,
};
use nearframe_pads::Pads;
use nearframe_protocol::title::{Display, TitleKind, TitleManifest, Trust};
use nearframe_sandbox::{Access, Bind, Launch, Limits};
use nearframe_sound::Sound;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Inside the sandbox: where the session's sockets appear.
const RUNTIME_DIR: &str = "/run/user/1000";
const WAYLAND_NAME: &str = "wayland-0";
const X11_SOCKET: &str = "/tmp/.X11-unix/X0";
const PULSE_SOCKET: &str = "/run/user/1000/pulse/native";
const PULSE_COOKIE: &str = "/run/user/1000/pulse/cookie";

/// Files a title may have open; games with thousands of assets need many.
const OPEN_FILES: u64 = 4096;
/// What its home may hold.
const HOME_BYTES: u64 = 2 << 30;
/// What `/tmp` and shared memory may hold.
const TMP_BYTES: u64 = 512 << 20;
/// Share of the processor under contention; the session's own threads have the default of 100.
const CPU_WEIGHT: u64 = 50;

pub(super) fn compositor(manifest: &TitleManifest, around: &Surroundings) -> Settings {
    let run = &manifest.run;
    Settings {
        dir: around.dir.clone(),
        width: run.width,
        height: run.height,
        fps: run.fps,
        display: match run.display {
            Display::Wayland => Shown::Wayland,
            Display::X11 => Shown::X11,
            Display::Auto => Shown::Auto,
        },
        layout: KeyboardLayout { layout: "us".to_owned(), variant: String::new() },
        dmabuf: around.gpu.as_ref().and_then(|gpu| gpu.dmabuf_support()).map(|support| DmabufSupport {
            main_device: support.main_device,
            formats: support
                .formats
                .iter()
                .map(|format| DmabufFormat { fourcc: format.fourcc, modifier: format.modifier })
                .collect(),
        }),
    }
}

pub(super) fn pads(around: &Surroundings) -> nearframe_pads::Settings {
    nearframe_pads::Settings { dir: around.dir.clone(), preference: nearframe_pads::Preference::Auto }
}

pub(super) fn sound(around: &Surroundings) -> nearframe_sound::Settings {
    nearframe_sound::Settings { dir: around.dir.clone(), microphone: true }
}

/// Whether a program may talk to the GPU's driver.
pub(super) fn may_use_gpu(manifest: &TitleManifest) -> bool {
    manifest.run.kind == TitleKind::App && manifest.requires.gpu && manifest.policy.trust == Trust::Reviewed
}

/// Everything the program sees of the world.
pub(super) fn sandbox(
    manifest: &TitleManifest,
    dir: &Path,
    around: &Surroundings,
    compositor: &Compositor,
    pads: &Pads,
    sound: Option<&Sound>,
) -> Launch {
    let requires = &manifest.requires;
    let mut binds = Vec::new();
    let mut env = vec![variable("XDG_SESSION_TYPE", "wayland"), variable("XDG_RUNTIME_DIR", RUNTIME_DIR)];
    windows(manifest.run.display, compositor, &mut binds, &mut env);
    for (host, inside, is_device) in pads.binds() {
        let access = if is_device { Access::Device } else { Access::ReadOnly };
        binds.push(Bind { host, inside, access });
    }
    env.extend(pads.env().into_iter().map(|(name, value)| variable(&name, &value)));
    if let Some(sound) = sound {
        binds.push(bind(sound.socket(), PULSE_SOCKET, Access::ReadWrite));
        binds.push(bind(sound.cookie(), PULSE_COOKIE, Access::ReadOnly));
        let told = Sound::env(Path::new(PULSE_SOCKET), Path::new(PULSE_COOKIE));
        env.extend(told.into_iter().map(|(name, value)| variable(&name, &value)));
    }
    // What the manifest says goes last and wins.
    env.extend(manifest.run.env.iter().map(|(name, value)| variable(name, value)));
    Launch {
        launcher: around.launcher.clone(),
        command: manifest.run.command.iter().map(OsString::from).collect(),
        title_dir: dir.to_owned(),
        home: around.home.clone(),
        binds,
        env,
        preload: pads.preload(),
        control_groups: true,
        limits: Limits {
            memory_bytes: u64::from(requires.memory_mib) << 20,
            processes: requires.processes.into(),
            open_files: OPEN_FILES,
            home_bytes: HOME_BYTES,
            tmp_bytes: TMP_BYTES,
            cpu_weight: CPU_WEIGHT,
        },
        gpu: may_use_gpu(manifest),
        dir: around.dir.clone(),
        name: manifest.id.to_string(),
    }
}

/// The sockets of the window systems that the title speaks, and what makes common toolkits choose them.
fn windows(
    display: Display,
    compositor: &Compositor,
    binds: &mut Vec<Bind>,
    env: &mut Vec<(OsString, OsString)>,
) {
    let sockets = compositor.sockets();
    if display != Display::X11 {
        let inside: PathBuf = [RUNTIME_DIR, WAYLAND_NAME].iter().collect();
        binds.push(Bind { host: sockets.wayland.clone(), inside, access: Access::ReadWrite });
        env.push(variable("WAYLAND_DISPLAY", WAYLAND_NAME));
    }
    if let Some(x11) = sockets.x11.as_ref().filter(|_| display != Display::Wayland) {
        binds.push(bind(x11, X11_SOCKET, Access::ReadWrite));
        env.push(variable("DISPLAY", ":0"));
        // Java would otherwise wait for frames that no window manager here draws.
        env.push(variable("_JAVA_AWT_WM_NONREPARENTING", "1"));
    }
    let driver = match display {
        Display::Wayland => "wayland",
        Display::X11 => "x11",
        Display::Auto => return,
    };
    for name in ["SDL_VIDEODRIVER", "SDL_VIDEO_DRIVER", "GDK_BACKEND"] {
        env.push(variable(name, driver));
    }
    env.push(variable("QT_QPA_PLATFORM", if driver == "x11" { "xcb" } else { driver }));
}

fn bind(host: &Path, inside: &str, access: Access) -> Bind {
    Bind { host: host.to_owned(), inside: inside.into(), access }
}

fn variable(name: &str, value: &str) -> (OsString, OsString) {
    (name.into(), value.into())
}
