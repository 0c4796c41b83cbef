//! Pads as kernel devices, through `/dev/uinput`.
//!
//! Kernel devices are not namespaced: other programs of this user on the host can read them. Other titles
//! cannot, because only a session's own nodes are bound into its sandbox.

use crate::Rumble;
use crate::error::PadsError;
use crate::motor::{Effect, Effects, MAX_EFFECTS, Motor};
use crate::report::{AXES, EV_FF, ID, KEYS, NAME, Report};
use evdev::uinput::VirtualDevice;
use evdev::{
    AbsInfo, AbsoluteAxisCode, AttributeSet, BusType, EventSummary, FFEffectCode, FFEffectData, FFEffectKind,
    InputEvent, InputId, KeyCode, UInputCode, UinputAbsSetup,
};
use nearframe_protocol::input::MAX_PADS;
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec};
use rustix::fd::OwnedFd;
use rustix::fs::OFlags;
use rustix::io::Errno;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long udev may take to let this user open a new node.
const NODE_PATIENCE: Duration = Duration::from_secs(2);

#[derive(Debug)]
struct Shared {
    devices: Vec<Mutex<VirtualDevice>>,
    rumble: Mutex<[Option<Rumble>; MAX_PADS]>,
    /// Readable when the thread has to stop.
    stop: OwnedFd,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Four kernel devices and the thread that answers their force feedback.
#[derive(Debug)]
pub(crate) struct Uinput {
    nodes: Vec<PathBuf>,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Uinput {
    pub(crate) fn start() -> Result<Self, PadsError> {
        let (mut devices, mut nodes) = (Vec::new(), Vec::new());
        for _ in 0..MAX_PADS {
            let mut device = create().map_err(PadsError::Uinput)?;
            nodes.push(node(&mut device)?);
            devices.push(Mutex::new(device));
        }
        let serve = |errno: Errno| PadsError::Serve(errno.into());
        let stop = rustix::event::eventfd(0, EventfdFlags::CLOEXEC).map_err(serve)?;
        let shared = Arc::new(Shared { devices, rumble: Mutex::default(), stop });
        let service = Feedback::new(Arc::clone(&shared)).map_err(PadsError::Serve)?;
        let thread = std::thread::Builder::new().name("pads".to_owned());
        let thread = thread.spawn(move || service.run()).map_err(PadsError::Serve)?;
        Ok(Self { nodes, shared, thread: Some(thread) })
    }

    pub(crate) fn nodes(&self) -> Vec<PathBuf> {
        self.nodes.clone()
    }

    pub(crate) fn binds(&self) -> Vec<(PathBuf, PathBuf, bool)> {
        self.nodes.iter().map(|node| (node.clone(), node.clone(), true)).collect()
    }

    /// Sends what differs; the kernel adds `SYN_REPORT`, and tells slow readers that they lost events.
    pub(crate) fn show(&self, pad: u8, before: &Report, report: &Report) {
        let events: Vec<_> = report
            .changes_since(before)
            .map(|change| {
                let (kind, code, value) = change.event();
                InputEvent::new(kind, code, value)
            })
            .collect();
        if events.is_empty() {
            return;
        }
        if let Err(error) = locked(&self.shared.devices[usize::from(pad)]).emit(&events) {
            tracing::warn!(pad, %error, "the kernel takes no gamepad events");
        }
    }

    pub(crate) fn take_rumble(&self) -> Option<Rumble> {
        locked(&self.shared.rumble).iter_mut().find_map(Option::take)
    }
}

impl Drop for Uinput {
    fn drop(&mut self) {
        // The counter starts at zero, so there is room.
        let _ = rustix::io::write(&self.shared.stop, &1u64.to_ne_bytes());
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the thread that served gamepads had panicked");
        }
    }
}

fn create() -> io::Result<VirtualDevice> {
    let keys: AttributeSet<KeyCode> = KEYS.iter().map(|&(code, _)| KeyCode(code)).collect();
    let mut feedback = AttributeSet::new();
    for effect in [
        FFEffectCode::FF_RUMBLE,
        FFEffectCode::FF_PERIODIC,
        FFEffectCode::FF_SQUARE,
        FFEffectCode::FF_TRIANGLE,
        FFEffectCode::FF_SINE,
        FFEffectCode::FF_GAIN,
    ] {
        feedback.insert(effect);
    }
    let [_, vendor, product, version] = ID;
    let mut builder = VirtualDevice::builder()?
        .name(NAME)
        .input_id(InputId::new(BusType::BUS_USB, vendor, product, version))
        .with_keys(&keys)?
        .with_ff(&feedback)?
        .with_ff_effects_max(MAX_EFFECTS as u32);
    for axis in AXES {
        let info = AbsInfo::new(0, axis.min, axis.max, axis.fuzz, axis.flat, 0);
        builder = builder.with_absolute_axis(&UinputAbsSetup::new(AbsoluteAxisCode(axis.code), info))?;
    }
    let device = builder.build()?;
    rustix::fs::fcntl_setfl(&device, OFlags::NONBLOCK)?;
    Ok(device)
}

/// The device's event node, once this user may use it.
fn node(device: &mut VirtualDevice) -> Result<PathBuf, PadsError> {
    let event =
        |path: &Path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("event"));
    let deadline = Instant::now() + NODE_PATIENCE;
    loop {
        let nodes = device.enumerate_dev_nodes_blocking().map_err(PadsError::Uinput)?;
        let node = nodes.filter_map(Result::ok).find(|path| event(path)).ok_or(PadsError::NoNode);
        let opened = node.and_then(|path| {
            let file = File::options().read(true).write(true).open(&path);
            file.map_err(|source| PadsError::File { path: path.clone(), source }).map(|_| path)
        });
        match opened {
            Err(_) if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(10)),
            opened => return opened,
        }
    }
}

/// The thread that answers uploads (the title's `EVIOCSFF` waits for it) and sums what plays.
struct Feedback {
    shared: Arc<Shared>,
    /// Copies of the devices' descriptors, to wait on without holding a device.
    fds: Vec<OwnedFd>,
    effects: [Effects; MAX_PADS],
    motors: [Motor; MAX_PADS],
}

impl Feedback {
    fn new(shared: Arc<Shared>) -> io::Result<Self> {
        let fds = shared.devices.iter().map(|device| rustix::io::fcntl_dupfd_cloexec(&*locked(device), 0));
        let fds = fds.collect::<Result<_, _>>()?;
        Ok(Self { shared, fds, effects: Default::default(), motors: Default::default() })
    }

    fn run(mut self) {
        loop {
            let mut fds: Vec<_> = self.fds.iter().map(|fd| PollFd::new(fd, PollFlags::IN)).collect();
            fds.push(PollFd::new(&self.shared.stop, PollFlags::IN));
            let next = self.motors.iter().filter_map(Motor::next).min();
            let timeout = next.map(|next| {
                let wait = next.saturating_duration_since(Instant::now());
                Timespec { tv_sec: wait.as_secs() as i64, tv_nsec: wait.subsec_nanos().into() }
            });
            match rustix::event::poll(&mut fds, timeout.as_ref()) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(errno) => return tracing::error!(%errno, "rumble stops: waiting for the title failed"),
            }
            let ready: Vec<_> = fds.iter().map(|fd| fd.revents().contains(PollFlags::IN)).collect();
            if ready[MAX_PADS] {
                return;
            }
            for pad in (0..MAX_PADS).filter(|&pad| ready[pad]) {
                match self.answer(pad) {
                    Err(error) if error.kind() != io::ErrorKind::WouldBlock => {
                        tracing::warn!(pad, %error, "a title's rumble could not be read");
                    }
                    _ => {}
                }
            }
            self.shake();
        }
    }

    fn answer(&mut self, pad: usize) -> io::Result<()> {
        let now = Instant::now();
        let mut device = locked(&self.shared.devices[pad]);
        let effects = &mut self.effects[pad];
        let events: Vec<_> = device.fetch_events()?.collect();
        for event in events {
            match event.destructure() {
                EventSummary::UInput(event, UInputCode::UI_FF_UPLOAD, _) => {
                    let mut upload = device.process_ff_upload(event)?;
                    match effect(&upload.effect()) {
                        Some(effect) => {
                            effects.upload(now, upload.effect_id() as u16, effect);
                            upload.set_retval(0);
                        }
                        None => upload.set_retval(-Errno::INVAL.raw_os_error()),
                    }
                }
                EventSummary::UInput(event, UInputCode::UI_FF_ERASE, _) => {
                    let mut erase = device.process_ff_erase(event)?;
                    effects.erase(erase.effect_id() as u16);
                    erase.set_retval(0);
                }
                _ if event.event_type().0 == EV_FF => match event.code() {
                    code if code == FFEffectCode::FF_GAIN.0 => effects.set_gain(event.value()),
                    id => effects.play(now, id, event.value()),
                },
                _ => {}
            }
        }
        Ok(())
    }

    fn shake(&mut self) {
        let now = Instant::now();
        for (pad, (motor, effects)) in self.motors.iter_mut().zip(&mut self.effects).enumerate() {
            if let Some(rumble) = motor.update(now, pad as u8, [effects].into_iter()) {
                locked(&self.shared.rumble)[pad] = Some(rumble);
            }
        }
    }
}

/// A rumble, or a periodic effect as `ff-memless` turns it into one.
fn effect(data: &FFEffectData) -> Option<Effect> {
    let (strong, weak) = match data.kind {
        FFEffectKind::Rumble { strong_magnitude, weak_magnitude } => (strong_magnitude, weak_magnitude),
        FFEffectKind::Periodic { magnitude, .. } => {
            let level = magnitude.unsigned_abs().min(0x7fff) * 2;
            (level, level)
        }
        _ => return None,
    };
    let ms = |ms: u16| Duration::from_millis(ms.into());
    Some(Effect { strong, weak, length: ms(data.replay.length), delay: ms(data.replay.delay) })
}
