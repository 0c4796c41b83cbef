//! The thread between the two ends.

use super::log::{DirectionStats, Logged, MOST_LOGGED, RelayStats};
use super::{Direction, EmulatorError, ip};
use crate::histogram::Histogram;
use crate::link::{Link, LinkStats};
use crate::spec::{LinkSpec, SpecError};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::num::NonZeroU64;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// The last of each wait, a twentieth of it within these bounds, is spent awake: a sleeping thread is woken late, the
/// later the deeper the processor sleeps.
const AWAKE: [Duration; 2] = [Duration::from_micros(40), Duration::from_micros(250)];
const AWAKE_SHARE: u32 = 20;
/// How soon the thread notices that it is to end.
const LONGEST_SLEEP: Duration = Duration::from_millis(50);
/// Packets read from one end before the other has its turn.
const BATCH: usize = 64;
/// Larger than any packet of the devices.
const BUFFER: usize = 65_536;
/// Before all programs that are not real-time ones themselves, and behind the kernel's own threads.
const REALTIME_PRIORITY: libc::c_int = 10;

/// A running relay; dropping it ends it.
#[derive(Debug)]
pub(super) struct Relay {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    started: Instant,
    stop: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    ways: [Way; 2],
    relay: RelayStats,
    /// Of the latest restart, on the links' clock.
    origin: Duration,
}

/// One direction.
#[derive(Debug)]
struct Way {
    link: Link<Vec<u8>>,
    /// What it had done at the latest restart.
    before: LinkStats,
    queue_delay: Histogram,
    log: Vec<Logged>,
}

impl Relay {
    /// Links in the order of [`Direction`].
    pub(super) fn start(
        links: [Link<Vec<u8>>; 2],
        server: File,
        client: File,
    ) -> Result<Self, EmulatorError> {
        let ways = links.map(|link| Way {
            link,
            before: LinkStats::default(),
            queue_delay: Histogram::default(),
            log: Vec::new(),
        });
        let state = State { ways, relay: RelayStats::default(), origin: Duration::ZERO };
        let stop = AtomicBool::new(false);
        let shared = Arc::new(Shared { started: Instant::now(), stop, state: Mutex::new(state) });
        let theirs = shared.clone();
        let thread = thread::Builder::new().name("link-relay".to_owned()).spawn(move || {
            theirs.lock().relay.realtime = hurry();
            theirs.run(&server, &client);
        });
        Ok(Self { shared, thread: Some(thread.map_err(EmulatorError::Thread)?) })
    }

    /// Specifications in the order of [`Direction`].
    pub(super) fn restart(&self, specs: [LinkSpec; 2]) -> Result<(), SpecError> {
        specs.iter().try_for_each(LinkSpec::check)?;
        let mut state = self.shared.lock();
        let now = self.shared.started.elapsed();
        state.origin = now;
        state.relay = RelayStats { realtime: state.relay.realtime, ..RelayStats::default() };
        for (way, spec) in state.ways.iter_mut().zip(specs) {
            way.link.restart(now, spec)?;
            way.before = way.link.stats();
            way.queue_delay = Histogram::default();
            way.log = Vec::new();
        }
        Ok(())
    }

    pub(super) fn elapsed(&self) -> Duration {
        self.shared.started.elapsed().saturating_sub(self.shared.lock().origin)
    }

    pub(super) fn stats(&self) -> RelayStats {
        self.shared.lock().relay.clone()
    }

    pub(super) fn take_stats(&self, direction: Direction) -> DirectionStats {
        let mut state = self.shared.lock();
        let way = &mut state.ways[direction as usize];
        let log = std::mem::take(&mut way.log);
        let link = since(way.link.stats(), way.before);
        DirectionStats { link, queue_delay: way.queue_delay.clone(), log }
    }

    pub(super) fn capacity_bytes(
        &self,
        direction: Direction,
        from: Duration,
        until: Duration,
    ) -> Option<u64> {
        let state = self.shared.lock();
        let (from, until) = (state.origin + from, state.origin + until);
        state.ways[direction as usize].link.capacity_bytes(from, until)
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // A panic of it was told on stderr.
            drop(thread.join());
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // A thread that panicked between two packets has left whole ones.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self, server: &File, client: &File) {
        let mut buffer = vec![0; BUFFER];
        while !self.stop.load(Ordering::Relaxed) {
            let mut state = self.lock();
            let more = self.take(&mut state, Direction::Down, server, &mut buffer)
                | self.take(&mut state, Direction::Up, client, &mut buffer);
            self.give(&mut state, Direction::Down, client);
            self.give(&mut state, Direction::Up, server);
            let due = state.ways.iter().filter_map(|way| way.link.poll_timeout()).min();
            drop(state);
            if !more {
                self.wait(due, server, client);
            }
        }
    }

    /// Reads what has come; whether there may be more.
    fn take(&self, state: &mut State, direction: Direction, from: &File, buffer: &mut [u8]) -> bool {
        let origin = state.origin;
        let way = &mut state.ways[direction as usize];
        for _ in 0..BATCH {
            // A device that is gone, or has nothing, is silent.
            let Ok(length) = (&*from).read(buffer) else { return false };
            let packet = &buffer[..length];
            // Of other protocols only the kernel's own chatter, such as IPv6 looking for routers.
            if !ip::is_ipv4(packet) {
                continue;
            }
            let (size, tcp) = (length as u32, ip::protocol(packet) == ip::TCP);
            let at = self.started.elapsed();
            let fate = way.link.push(at, size, ip::ecn(packet), packet.to_vec());
            let logged = Logged::new(at.saturating_sub(origin), size, tcp, fate);
            if logged.outcome != super::Outcome::QueueFull {
                way.queue_delay.record(logged.queued);
            }
            if way.log.len() < MOST_LOGGED {
                way.log.push(logged);
            }
        }
        true
    }

    /// Writes what is due.
    fn give(&self, state: &mut State, direction: Direction, to: &File) {
        loop {
            let now = self.started.elapsed();
            let Some(mut delivery) = state.ways[direction as usize].link.poll(now) else { return };
            if delivery.ecn == crate::Ecn::Ce {
                ip::mark(&mut delivery.packet);
            }
            let written = (&*to).write(&delivery.packet);
            state.relay.refused +=
                u64::from(written.is_err_and(|error| error.kind() != ErrorKind::Interrupted));
            state.relay.lateness.record(now - delivery.at);
        }
    }

    /// Until something comes or the next packet is nearly due.
    fn wait(&self, due: Option<Duration>, server: &File, client: &File) {
        let left = due.map_or(LONGEST_SLEEP, |due| due.saturating_sub(self.started.elapsed()));
        let awake = (left / AWAKE_SHARE).clamp(AWAKE[0], AWAKE[1]);
        let Some(asleep) = left.checked_sub(awake) else { return };
        let asleep = asleep.min(LONGEST_SLEEP);
        let timeout = Timespec { tv_sec: 0, tv_nsec: i64::from(asleep.subsec_nanos()) };
        let mut files = [PollFd::new(server, PollFlags::IN), PollFd::new(client, PollFlags::IN)];
        // Interrupted or not, the next round looks at everything.
        let _ = poll(&mut files, Some(&timeout));
    }
}

/// Exact wake-ups, and before all others where that is allowed; whether it is.
fn hurry() -> bool {
    // Without it, wake-ups are 50 µs later.
    let _ = rustix::thread::set_current_timer_slack(NonZeroU64::new(1));
    let parameters = libc::sched_param { sched_priority: REALTIME_PRIORITY };
    // SAFETY: 0 is the calling thread, and the parameters outlive the call.
    unsafe { libc::sched_setscheduler(0, libc::SCHED_FIFO, &raw const parameters) == 0 }
}

fn since(now: LinkStats, before: LinkStats) -> LinkStats {
    LinkStats {
        sent: now.sent - before.sent,
        delivered: now.delivered - before.delivered,
        delivered_bytes: now.delivered_bytes - before.delivered_bytes,
        queue_full: now.queue_full - before.queue_full,
        lost: now.lost - before.lost,
        marked: now.marked - before.marked,
    }
}
