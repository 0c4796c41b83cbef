//! The thread that serves one session's nodes. What connects is the title, which may be hostile: the
//! number of connections, what they send and how fast are bounded, and nothing waits for them.

use super::wire::{self, Message};
use super::{Kind, Shared, locked};
use crate::error::PadsError;
use crate::motor::{Effects, Motor};
use crate::report::{Change, EV_SYN, Report, SYN_DROPPED};
use nearframe_protocol::input::MAX_PADS;
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketAddrUnix, SocketFlags, SocketType, sockopt};
use rustix::time::{ClockId, clock_gettime};
use std::fs::{self, File, Permissions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A title opens a node for each look at it and each library of its own; nobody needs more at once.
const MAX_CONNECTIONS: usize = 32;
/// Unsent events of one reader, in bytes of kernel memory; about 100 events, evdev keeps 64 or more.
const SEND_BUFFER: usize = 64 * 1024;
/// Datagrams a second from one connection. Games that rumble every frame send a few hundred.
const MAX_DATAGRAMS_PER_SECOND: u32 = 2000;
/// Datagrams read from one connection before the others have their turn.
const MAX_DATAGRAMS_A_TURN: u32 = 32;
/// `FF_GAIN`; smaller codes are effect ids.
const FF_GAIN: u16 = 0x60;

/// A node's listening socket.
#[derive(Debug)]
struct Node {
    pad: usize,
    kind: Kind,
    socket: OwnedFd,
}

/// A file that the title opened.
#[derive(Debug)]
struct Connection {
    pad: usize,
    kind: Kind,
    socket: OwnedFd,
    monotonic: bool,
    /// It was too slow: what it reads next is the whole state.
    behind: bool,
    closed: bool,
    effects: Effects,
    second: Instant,
    datagrams: u32,
}

/// Everything the thread owns.
#[derive(Debug)]
pub(crate) struct Service {
    folder: PathBuf,
    staging: File,
    state: File,
    shared: Arc<Shared>,
    nodes: Vec<Node>,
    /// Which pads have been plugged in, or tried to.
    plugged: [bool; MAX_PADS],
    connections: Vec<Connection>,
    reports: [Report; MAX_PADS],
    motors: [Motor; MAX_PADS],
}

impl Service {
    pub(super) fn new(folder: &Path, shared: Arc<Shared>) -> Result<Self, PadsError> {
        let failed = |path: PathBuf| move |source| PadsError::File { path, source };
        let path = folder.join("staging");
        let staging = File::open(&path).map_err(failed(path))?;
        let path = folder.join("run").join(super::STATE);
        let state = File::options().write(true).open(&path).map_err(failed(path))?;
        Ok(Self {
            folder: folder.to_owned(),
            staging,
            state,
            shared,
            nodes: Vec::new(),
            plugged: [false; MAX_PADS],
            connections: Vec::new(),
            reports: Default::default(),
            motors: Default::default(),
        })
    }

    /// Makes a pad's nodes appear.
    pub(super) fn plug(&mut self, pad: usize) -> io::Result<()> {
        self.plugged[pad] = true;
        for kind in [Kind::Joystick, Kind::Event] {
            let name = kind.node(pad);
            let staged = self.folder.join("staging").join(format!("nearframe-pad-{name}"));
            // By way of the open folder: a socket's address has room for 107 bytes, a path may be longer.
            let fd = self.staging.as_raw_fd();
            let address = SocketAddrUnix::new(format!("/proc/self/fd/{fd}/nearframe-pad-{name}"))?;
            let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
            let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
            rustix::net::bind(&socket, &address)?;
            rustix::net::listen(&socket, MAX_CONNECTIONS as i32)?;
            let node = self.folder.join("input").join(&name);
            fs::hard_link(&staged, &node)?;
            // As udev does: programs that could not open the node yet look again at IN_ATTRIB.
            fs::set_permissions(&node, Permissions::from_mode(0o666))?;
            self.nodes.push(Node { pad, kind, socket });
        }
        Ok(())
    }

    /// Serves until told to stop.
    pub(super) fn run(&mut self) {
        loop {
            let ready = match self.wait() {
                Ok(ready) => ready,
                Err(Errno::INTR) => continue,
                Err(errno) => {
                    tracing::error!(%errno, "gamepads stop: waiting for the title failed");
                    return;
                }
            };
            let mut counter = [0; 8];
            let _ = rustix::io::read(&self.shared.wake, &mut counter);
            let (reports, stop) = {
                let mut work = locked(&self.shared.work);
                (std::mem::take(&mut work.reports), work.stop)
            };
            if stop {
                return;
            }
            for (pad, report) in reports {
                self.show(pad, report);
            }
            self.serve(&ready);
            self.connections.retain(|connection| !connection.closed);
            self.shake();
        }
    }

    /// Waits for work, the title, or a motor; says which of nodes and connections, in order, are ready.
    fn wait(&self) -> Result<Vec<PollFlags>, Errno> {
        let nodes = self.nodes.iter().map(|node| (&node.socket, PollFlags::IN));
        let connections = self.connections.iter().map(|connection| {
            let out = if connection.behind { PollFlags::OUT } else { PollFlags::empty() };
            (&connection.socket, PollFlags::IN | out)
        });
        let mut fds: Vec<_> = [(&self.shared.wake, PollFlags::IN)]
            .into_iter()
            .chain(nodes)
            .chain(connections)
            .map(|(fd, flags)| PollFd::new(fd, flags))
            .collect();
        let next = self.motors.iter().filter_map(Motor::next).min();
        let timeout = next.map(|next| {
            let wait = next.saturating_duration_since(Instant::now());
            Timespec { tv_sec: wait.as_secs() as i64, tv_nsec: wait.subsec_nanos().into() }
        });
        rustix::event::poll(&mut fds, timeout.as_ref())?;
        Ok(fds[1..].iter().map(PollFd::revents).collect())
    }

    fn serve(&mut self, ready: &[PollFlags]) {
        // `show` may have plugged a pad in; its nodes were not waited for, and come next time.
        let polled_connections = self.connections.len();
        let polled_nodes = ready.len() - polled_connections;
        let now = Instant::now();
        for (connection, ready) in self.connections.iter_mut().zip(&ready[polled_nodes..]) {
            if ready.intersects(PollFlags::IN | PollFlags::HUP | PollFlags::ERR) {
                connection.read(now, ready.contains(PollFlags::HUP));
            }
            if ready.contains(PollFlags::OUT) && connection.behind {
                connection.catch_up(&self.reports[connection.pad]);
            }
        }
        for node in (0..polled_nodes).filter(|&i| ready[i].contains(PollFlags::IN)) {
            self.accept(node);
        }
    }

    fn accept(&mut self, node: usize) {
        let Node { pad, kind, ref socket } = self.nodes[node];
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let Ok(socket) = rustix::net::accept_with(socket, flags) else { return };
        if self.connections.len() >= MAX_CONNECTIONS {
            return;
        }
        let mut connection = Connection {
            pad,
            kind,
            socket,
            monotonic: false,
            behind: false,
            closed: false,
            effects: Effects::default(),
            second: Instant::now(),
            datagrams: 0,
        };
        let served = sockopt::set_socket_send_buffer_size(&connection.socket, SEND_BUFFER).is_ok()
            && connection.send(&wire::SERVED);
        if kind == Kind::Joystick {
            connection.init(&self.reports[pad]);
        }
        if served {
            self.connections.push(connection);
        }
    }

    fn show(&mut self, pad: usize, report: Report) {
        // Tried once: what failed would fail, and be logged, for every event.
        if !self.plugged[pad]
            && let Err(error) = self.plug(pad)
        {
            tracing::warn!(pad, %error, "cannot plug in a gamepad");
        }
        let before = std::mem::replace(&mut self.reports[pad], report);
        let place = (pad * wire::PAD_STATE_LEN) as u64;
        if let Err(error) = self.state.write_all_at(&wire::state(&report), place) {
            tracing::warn!(pad, %error, "programs that ask for a gamepad's state see an old one");
        }
        let changes: Vec<_> = report.changes_since(&before).collect();
        let polled = self.connections.iter_mut().filter(|connection| connection.pad == pad);
        for connection in polled.filter(|connection| !changes.is_empty() && !connection.behind) {
            connection.events(&changes, false);
        }
    }

    /// Tells what the title wants each pad's motors to do.
    fn shake(&mut self) {
        let now = Instant::now();
        for (pad, motor) in self.motors.iter_mut().enumerate() {
            let held = self.connections.iter_mut().filter(|connection| connection.pad == pad);
            let effects = held.map(|connection| &mut connection.effects);
            if let Some(rumble) = motor.update(now, pad as u8, effects) {
                locked(&self.shared.rumble)[pad] = Some(rumble);
            }
        }
    }
}

impl Connection {
    /// Sends without waiting; false when there is no room, and then the reader is behind.
    fn send(&mut self, datagram: &[u8]) -> bool {
        match rustix::net::send(&self.socket, datagram, SendFlags::NOSIGNAL | SendFlags::DONTWAIT) {
            Ok(_) => true,
            Err(Errno::AGAIN | Errno::NOBUFS | Errno::INTR) => {
                self.behind = true;
                false
            }
            Err(_) => {
                self.closed = true;
                false
            }
        }
    }

    /// One packet of events, ended by `SYN_REPORT`.
    fn events(&mut self, changes: &[Change], init: bool) {
        let time = clock_gettime(if self.monotonic { ClockId::Monotonic } else { ClockId::Realtime });
        if self.kind == Kind::Joystick {
            let time_ms = (time.tv_sec * 1000 + time.tv_nsec / 1_000_000) as u32;
            let _ = changes.iter().all(|&change| self.send(&wire::js_event(time_ms, change, init)));
            return;
        }
        let time = (time.tv_sec, time.tv_nsec / 1000);
        let report = (EV_SYN, 0, 0);
        let lost = init.then_some([(EV_SYN, SYN_DROPPED, 0), report]);
        let events = changes.iter().map(|change| change.event());
        let mut packet = lost.into_iter().flatten().chain(events).chain([report]);
        let _ = packet.all(|event| self.send(&wire::input_event(time, event)));
    }

    /// Where everything stands, for a new joystick reader.
    fn init(&mut self, report: &Report) {
        self.events(&report.everything().collect::<Vec<_>>(), true);
    }

    /// The reader lost events: `SYN_DROPPED` says so to those who know it, and the whole state follows
    /// for those who do not.
    fn catch_up(&mut self, report: &Report) {
        self.behind = false;
        self.init(report);
    }

    fn read(&mut self, now: Instant, hung_up: bool) {
        if now.saturating_duration_since(self.second) >= Duration::from_secs(1) {
            (self.second, self.datagrams) = (now, 0);
        }
        let mut buffer = [0; wire::MAX_DATAGRAM];
        for _ in 0..MAX_DATAGRAMS_A_TURN {
            let len = match rustix::net::recv(&self.socket, &mut buffer, RecvFlags::DONTWAIT) {
                Ok((len, _)) => len,
                Err(Errno::AGAIN | Errno::INTR) => return,
                Err(_) => return self.closed = true,
            };
            self.datagrams += 1;
            if self.datagrams > MAX_DATAGRAMS_PER_SECOND {
                tracing::warn!(pad = self.pad, "a title floods its gamepad; its file is closed");
                return self.closed = true;
            }
            // The end of the connection, or an empty write, as some libraries make.
            if len == 0 {
                return self.closed = hung_up;
            }
            self.take(now, &buffer[..len]);
        }
    }

    fn take(&mut self, now: Instant, datagram: &[u8]) {
        if self.kind == Kind::Joystick {
            return;
        }
        match Message::parse(datagram) {
            Some(Message::Upload(id, effect)) => self.effects.upload(now, id, effect),
            Some(Message::Erase(id)) => self.effects.erase(id),
            Some(Message::Monotonic(monotonic)) => self.monotonic = monotonic,
            None => {
                for (code, value) in wire::commands(datagram) {
                    match code {
                        FF_GAIN => self.effects.set_gain(value),
                        id => self.effects.play(now, id, value),
                    }
                }
            }
        }
    }
}
