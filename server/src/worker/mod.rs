//! A session worker: one process, one title, its encoders and its players' connections.
//!
//! It is started by the agent with a socket as its standard input, waits warm until it is told which session to be,
//! and exits when that session ends, when the agent goes away, or when it is told to.
//!
//! **Architecture invariant:** a worker holds no key, writes no file outside its title's home, and talks to
//! nobody but its agent and its players.

mod input_port;
mod meter;
mod pipeline;
mod save_keeper;
mod session;
mod stage;
mod transport;
mod voice;

use crate::frames;
use anyhow::{Context, Result, bail};
use nearframe_protocol::VersionOffer;
use nearframe_protocol::worker::{FromWorker, ToWorker};
pub(crate) use pipeline::Frames;
use session::Session;
use stage::Stage;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream as StdUnixStream;
use tokio::net::UnixStream;
use tokio::sync::mpsc;

/// Messages to the agent that may wait for the socket.
const TO_AGENT_CAPACITY: usize = 256;

/// Runs a worker until its session ends.
pub fn run() -> Result<()> {
    // The kernel ends this process with the agent, also when the agent is killed.
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))
        .context("asking the kernel to end this process with its agent")?;
    // A thread that panics ends the whole worker: the agent sees it and the session ends with a reason.
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        report(panic);
        std::process::abort();
    }));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(serve())
}

async fn serve() -> Result<()> {
    let socket = std::io::stdin().as_fd().try_clone_to_owned().context("taking the agent's socket")?;
    let socket = StdUnixStream::from(socket);
    socket.set_nonblocking(true)?;
    let stream =
        UnixStream::from_std(socket).context("this command is for the node agent, not for people")?;
    let (mut reader, mut writer) = stream.into_split();
    let hello = FromWorker::Hello { versions: VersionOffer::current(), pid: std::process::id() };
    frames::write(&mut writer, &hello).await?;
    match frames::read(&mut reader).await? {
        Some(ToWorker::Hello { versions }) => VersionOffer::current().agree(&versions)?,
        _ => bail!("the agent did not say hello"),
    };

    let (to_agent, mut outbox) = mpsc::channel::<FromWorker>(TO_AGENT_CAPACITY);
    let writing = tokio::spawn(async move {
        while let Some(message) = outbox.recv().await {
            if frames::write(&mut writer, &message).await.is_err() {
                break;
            }
        }
    });
    let mut prepared = None;
    let start = loop {
        match frames::read(&mut reader).await? {
            Some(ToWorker::Start(start)) => break start,
            Some(ToWorker::Prepare(wanted)) => prepared = Some(Stage::open(&wanted, u32::MAX)?),
            Some(ToWorker::Stop { .. }) | None => return Ok(()),
            Some(_) => {}
        }
    };
    let (commands_in, commands) = mpsc::channel(TO_AGENT_CAPACITY);
    tokio::spawn(async move {
        while let Ok(Some(command)) = frames::read::<ToWorker>(&mut reader).await {
            if commands_in.send(command).await.is_err() {
                break;
            }
        }
    });
    Session::run(*start, prepared, commands, to_agent).await;
    writing.await.context("saying goodbye to the agent")
}

/// The node's monotonic clock in µs: what frames, inputs and pongs are stamped with.
pub(crate) fn now_us() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    now.tv_sec as u64 * 1_000_000 + now.tv_nsec as u64 / 1000
}
