//! One worker process and the socket to it.

use super::places::Place;
use super::{Config, Event};
use crate::frames;
use anyhow::{Context, Result, bail};
use nearframe_protocol::VersionOffer;
use nearframe_protocol::worker::{FromWorker, ToWorker};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::UnixStream;
use tokio::process::{Child, Command};
use tokio::sync::mpsc;

/// Allocations of this size are the C library's own mappings; by itself it moves the limit up to 32 MiB.
const LARGE_BYTES: &str = "524288";

/// Commands that may wait for a worker.
const TO_WORKER_CAPACITY: usize = 128;
/// A new process must say hello within this.
const START_TIME: Duration = Duration::from_secs(20);

/// Which worker; never reused while the agent runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct WorkerId(pub(crate) u64);

/// What a worker does to the agent.
pub(crate) enum WorkerEvent {
    /// It is up, said hello, and waits for `start`.
    Ready(WorkerProcess),
    /// It could not be started.
    StartFailed(String),
    /// It said something.
    Said(WorkerId, FromWorker),
    /// Its socket closed: it exited or crashed.
    Gone(WorkerId),
}

/// A running worker. Dropping it kills the process.
pub(crate) struct WorkerProcess {
    pub(crate) id: WorkerId,
    commands: mpsc::Sender<ToWorker>,
    child: Child,
    /// Removed after the process: fields are dropped in order.
    pub(crate) place: Place,
}

impl WorkerProcess {
    /// Starts a process in the background; `Ready` or `StartFailed` follows.
    pub(crate) fn spawn(id: WorkerId, config: &Arc<Config>, place: Place, events: mpsc::Sender<Event>) {
        let config = Arc::clone(config);
        tokio::spawn(async move {
            let started = tokio::time::timeout(START_TIME, start(id, &config, place, events.clone())).await;
            let event = match started {
                Ok(Ok(worker)) => WorkerEvent::Ready(worker),
                Ok(Err(error)) => WorkerEvent::StartFailed(format!("{error:#}")),
                Err(_) => WorkerEvent::StartFailed("the worker did not start in time".to_owned()),
            };
            let _ = events.send(Event::Worker(event)).await;
        });
    }

    /// Sends a command; `false` when the worker is gone or does not listen any more.
    pub(crate) fn send(&self, command: ToWorker) -> bool {
        self.commands.try_send(command).is_ok()
    }

    /// Ends the process now and waits for it, so that nothing of it stays behind.
    pub(crate) async fn kill(mut self) {
        let _ = self.child.kill().await;
    }

    /// Waits a moment for a process that has said goodbye, then makes sure.
    pub(crate) async fn reap(mut self) {
        if tokio::time::timeout(Duration::from_secs(2), self.child.wait()).await.is_err() {
            let _ = self.child.kill().await;
        }
    }
}

/// The worker's end of the socket is its standard input: no name in the file system or elsewhere through
/// which anyone else could connect, and nothing to clean up.
async fn start(
    id: WorkerId,
    config: &Config,
    place: Place,
    events: mpsc::Sender<Event>,
) -> Result<WorkerProcess> {
    let (ours, theirs) = StdUnixStream::pair().context("making a socket pair")?;
    ours.set_nonblocking(true)?;
    let child = Command::new(&config.worker_exe)
        .arg("worker")
        // Mesa's device-select layer only complains here; adapters are chosen by kind in `gpu`.
        .env("NODEVICE_SELECT", "1")
        // What an encoder of another size leaves goes back to the system, instead of being kept for later.
        .env("MALLOC_MMAP_THRESHOLD_", LARGE_BYTES)
        .envs(nearframe_title::process_env(&place.dir))
        .envs(config.worker_log.as_ref().map(|filter| ("NEARFRAME_LOG", filter)))
        .envs(crate::encoders::to_environment(&config.video))
        // Drivers look for sockets of a desktop there, and complain when there is none.
        .env("XDG_RUNTIME_DIR", &place.dir)
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .stdout(Stdio::null())
        // Ctrl+C in a terminal is for the agent, which lets players know before it ends its workers.
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("starting {}", config.worker_exe.display()))?;
    let stream = UnixStream::from_std(ours)?;
    let (mut reader, mut writer) = stream.into_split();
    let Some(FromWorker::Hello { versions, .. }) = frames::read(&mut reader).await? else {
        bail!("the worker did not say hello");
    };
    VersionOffer::current().agree(&versions)?;
    frames::write(&mut writer, &ToWorker::Hello { versions: VersionOffer::current() }).await?;

    let (commands, mut outbox) = mpsc::channel(TO_WORKER_CAPACITY);
    tokio::spawn(async move {
        while let Some(command) = outbox.recv().await {
            if frames::write(&mut writer, &command).await.is_err() {
                break;
            }
        }
    });
    tokio::spawn(async move {
        while let Ok(Some(said)) = frames::read(&mut reader).await {
            if events.send(Event::Worker(WorkerEvent::Said(id, said))).await.is_err() {
                return;
            }
        }
        let _ = events.send(Event::Worker(WorkerEvent::Gone(id))).await;
    });
    Ok(WorkerProcess { id, commands, child, place })
}
