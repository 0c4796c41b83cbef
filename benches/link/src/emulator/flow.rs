//! A competing TCP connection.

use super::SERVER_ADDRESS;
use super::error::EmulatorError;
use super::namespace::Namespace;
use rustix::net::sockopt::set_socket_linger;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// How soon a flow notices that it is to begin or to end.
const PATIENCE: Duration = Duration::from_millis(20);
/// A path that carries nothing for so long has no competing flow.
const CONNECT_TIME: Duration = Duration::from_secs(5);
const CHUNK: usize = 64 * 1024;

/// It sends as much as TCP lets it, with the congestion control that the kernel uses by default. Dropping it ends it.
#[derive(Debug)]
pub struct BulkFlow {
    stop: Arc<AtomicBool>,
    received: Arc<AtomicU64>,
    threads: Vec<JoinHandle<io::Result<()>>>,
}

impl BulkFlow {
    pub(super) fn start(
        server: &Namespace,
        client: &Namespace,
        wait: Duration,
        end: Duration,
    ) -> Result<Self, EmulatorError> {
        let listener = server.run(|| TcpListener::bind((SERVER_ADDRESS, 0)))?.map_err(EmulatorError::Flow)?;
        let address = listener.local_addr().map_err(EmulatorError::Flow)?;
        listener.set_nonblocking(true).map_err(EmulatorError::Flow)?;
        let (stop, received) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let mut flow = Self { stop: stop.clone(), received: received.clone(), threads: Vec::new() };
        let now = Instant::now();
        let time = Time { from: now + wait, until: now + end, stop };
        let sending = time.clone();
        flow.threads.push(server.spawn("bulk-send", move || send(&listener, &sending))?);
        flow.threads.push(client.spawn("bulk-receive", move || {
            if !time.wait_for_begin() {
                return Ok(());
            }
            receive(TcpStream::connect_timeout(&address, CONNECT_TIME)?, &time, &received)
        })?);
        Ok(flow)
    }

    /// Bytes that the client has read so far.
    pub fn received_bytes(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }
}

impl Drop for BulkFlow {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            // A connection that broke has ended, which is what is wanted here.
            drop(thread.join());
        }
    }
}

/// When a flow is to run.
#[derive(Clone, Debug)]
struct Time {
    from: Instant,
    until: Instant,
    stop: Arc<AtomicBool>,
}

impl Time {
    fn is_over(&self) -> bool {
        self.stop.load(Ordering::Relaxed) || Instant::now() >= self.until
    }

    /// False when it was over before.
    fn wait_for_begin(&self) -> bool {
        while !self.is_over() {
            if Instant::now() >= self.from {
                return true;
            }
            thread::sleep(PATIENCE.min(self.from - Instant::now()));
        }
        false
    }
}

fn send(listener: &TcpListener, time: &Time) -> io::Result<()> {
    let mut stream = loop {
        match listener.accept() {
            Ok((stream, _)) => break stream,
            Err(error) if error.kind() == ErrorKind::WouldBlock && !time.is_over() => thread::sleep(PATIENCE),
            Err(error) => return Err(error),
        }
    };
    stream.set_nonblocking(false)?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let chunk = vec![0; CHUNK];
    while !time.is_over() {
        patiently(stream.write(&chunk))?;
    }
    // What the kernel still holds is not to be sent after the end: closing resets the connection.
    Ok(set_socket_linger(&stream, Some(Duration::ZERO))?)
}

fn receive(mut stream: TcpStream, time: &Time, received: &AtomicU64) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut chunk = vec![0; CHUNK];
    while !time.is_over() {
        match patiently(stream.read(&mut chunk))? {
            Some(0) => return Ok(()),
            Some(length) => received.fetch_add(length as u64, Ordering::Relaxed),
            None => continue,
        };
    }
    Ok(())
}

/// Nothing within the time is no failure.
fn patiently(done: io::Result<usize>) -> io::Result<Option<usize>> {
    use ErrorKind::{Interrupted, TimedOut, WouldBlock};
    match done {
        Err(error) if matches!(error.kind(), WouldBlock | TimedOut | Interrupted) => Ok(None),
        done => done.map(Some),
    }
}
