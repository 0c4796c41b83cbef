//! The library's runtime and its UDP sockets, with somebody listening.

use super::Tap;
use nearframe_wire::Outbox;
use std::future::Future;
use std::io::{self, IoSliceMut};
use std::net::{SocketAddr, UdpSocket};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tracing::debug;
use webrtc::runtime::{
    AsyncInterval, AsyncTcpListener, AsyncTcpStream, AsyncUdpSocket, JoinHandle, RecvMeta, Runtime, Transmit,
    UdpSockRef, UdpSocketState,
};

type Later<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A second handle on one of the library's sockets.
pub(super) struct Port {
    socket: UdpSocket,
    state: UdpSocketState,
    /// Empty between two calls; kept for its memory.
    outbox: Mutex<Outbox>,
}

impl Port {
    fn new(socket: UdpSocket) -> io::Result<Self> {
        let state = UdpSocketState::new(UdpSockRef::from(&socket))?;
        let outbox = Mutex::new(Outbox::new(state.max_gso_segments()));
        Ok(Self { socket, state, outbox })
    }

    /// Sends what `fill` puts into the outbox. The socket never blocks: what it does not take is lost, like
    /// what a full queue in the network drops, and repaired like that.
    pub(super) fn send(&self, destination: SocketAddr, fill: impl FnOnce(&mut Outbox)) {
        let Ok(mut outbox) = self.outbox.lock() else { return };
        fill(&mut outbox);
        if let Err(error) = outbox.send(&self.socket, &self.state, destination) {
            debug!("packets are lost at the socket: {error}");
        }
    }
}

impl std::fmt::Debug for Port {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Port").field("socket", &self.socket).finish_non_exhaustive()
    }
}

/// One of the library's sockets. Closed with it is the second handle, so that its port is free again.
#[derive(Debug)]
struct TappedSocket {
    inner: Arc<dyn AsyncUdpSocket>,
    port: Arc<Port>,
    tap: Arc<Tap>,
}

impl AsyncUdpSocket for TappedSocket {
    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.local_addr()
    }
    fn poll_send(&self, cx: &mut Context<'_>, transmit: &Transmit<'_>) -> Poll<io::Result<usize>> {
        if let Some(&first_byte) = transmit.contents.first() {
            self.tap.note(&self.port, transmit.destination, first_byte);
        }
        self.inner.poll_send(cx, transmit)
    }
    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        self.inner.poll_recv(cx, bufs, meta)
    }
    fn max_gso_segments(&self) -> usize {
        self.inner.max_gso_segments()
    }
    fn max_gro_segments(&self) -> usize {
        self.inner.max_gro_segments()
    }
}

/// Passes everything on, and hands out sockets that tell where the library sends.
#[derive(Debug)]
pub(super) struct TappedRuntime {
    inner: Arc<dyn Runtime>,
    tap: Arc<Tap>,
}

impl TappedRuntime {
    pub(super) fn new(inner: Arc<dyn Runtime>, tap: Arc<Tap>) -> Self {
        Self { inner, tap }
    }
}

impl Runtime for TappedRuntime {
    fn wrap_udp_socket(&self, socket: UdpSocket) -> io::Result<Arc<dyn AsyncUdpSocket>> {
        let port = Arc::new(Port::new(socket.try_clone()?)?);
        let inner = self.inner.wrap_udp_socket(socket)?;
        Ok(Arc::new(TappedSocket { inner, port, tap: Arc::clone(&self.tap) }))
    }
    fn spawn(&self, future: Later<'static, ()>) -> Box<dyn JoinHandle> {
        self.inner.spawn(future)
    }
    fn spawn_reactor(&self, pool_size: usize, future: Later<'static, ()>) -> Box<dyn JoinHandle> {
        self.inner.spawn_reactor(pool_size, future)
    }
    fn wrap_tcp_listener(&self, listener: std::net::TcpListener) -> io::Result<Arc<dyn AsyncTcpListener>> {
        self.inner.wrap_tcp_listener(listener)
    }
    fn connect_tcp<'a>(&'a self, remote: SocketAddr) -> Later<'a, io::Result<Arc<dyn AsyncTcpStream>>> {
        self.inner.connect_tcp(remote)
    }
    fn resolve_host<'a>(&'a self, host: &'a str) -> Later<'a, io::Result<Vec<SocketAddr>>> {
        self.inner.resolve_host(host)
    }
    fn now(&self) -> Instant {
        self.inner.now()
    }
    fn sleep(&self, duration: Duration) -> Later<'static, ()> {
        self.inner.sleep(duration)
    }
    fn interval(&self, period: Duration) -> Box<dyn AsyncInterval> {
        self.inner.interval(period)
    }
    fn block_on(&self, future: Pin<Box<dyn Future<Output = ()> + '_>>) {
        self.inner.block_on(future);
    }
    fn yield_now(&self) -> Later<'static, ()> {
        self.inner.yield_now()
    }
    fn name(&self) -> &'static str {
        self.inner.name()
    }
}
