//! The node's reflector: lets pages measure how far this node is, before they have a session.
//!
//! One UDP socket for each address that media may use. It answers connectivity checks of whoever holds a ticket of
//! the matchmaker (`answer`), keeps a count of answers by source and nothing else (`limits`), and, where something
//! stands before the node, opens the way for pages that the matchmaker names (`outside`). Deliberately without
//! sessions, keys and media.

mod answer;
mod limits;
mod outside;

use super::Event;
use answer::{Answerer, MAX_DATAGRAM_BYTES};
use anyhow::{Context, Result};
use limits::Limits;
use nearframe_protocol::measure::{
    MOST_ADDRESSES, Reflector as Described, ReflectorSecret, TICKET_S, Ticket,
};
use nearframe_protocol::network::MediaNetwork;
use outside::Outside;
use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tracing::{debug, info, warn};

/// The table of sources is looked at this often, so that it forgets also while nobody asks.
const FORGET_TICK: Duration = Duration::from_secs(1);

/// What the matchmaker's clock showed, by this machine's monotonic one. Tickets expire by it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TheirClock {
    now_ms: u64,
    at: Instant,
}

impl TheirClock {
    pub(crate) fn showed(now_ms: u64) -> Self {
        Self { now_ms, at: Instant::now() }
    }

    fn now_s(self, now: Instant) -> u64 {
        let since_ms = now.duration_since(self.at).as_millis() as u64;
        (self.now_ms + since_ms) / 1000
    }
}

/// A running reflector. Dropping it closes its sockets.
pub(crate) struct Reflector {
    secret: ReflectorSecret,
    /// Where it is reached as far as the configuration tells.
    addresses: Vec<SocketAddr>,
    shared: Arc<Shared>,
    outside: Outside,
    _tasks: JoinSet<()>,
}

struct Shared {
    answerer: Mutex<Answerer>,
    clock: Mutex<Option<TheirClock>>,
    sockets: Vec<Arc<UdpSocket>>,
    outside: outside::Seen,
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Reflector {
    /// Opens the sockets. What it learns about its outside address comes as [`Event::Outside`].
    pub(crate) async fn open(network: &MediaNetwork, events: mpsc::Sender<Event>) -> Result<Self> {
        let mut secret = [0; 32];
        getrandom::fill(&mut secret).context("drawing the reflector's secret")?;
        let secret = ReflectorSecret::from_bytes(secret);
        let mut sockets = Vec::new();
        for &ip in network.bind.iter().take(MOST_ADDRESSES) {
            sockets.push(Arc::new(bind(ip, network.udp_ports).await?));
        }
        let addresses = advertised(network, &sockets);
        let crypto = rtc::crypto::default_provider().context("choosing a crypto provider")?;
        let outside = outside::Seen::default();
        let shared = Arc::new(Shared {
            answerer: Mutex::new(Answerer { secret, crypto, limits: Limits::new() }),
            clock: Mutex::new(None),
            sockets,
            outside: outside.clone(),
        });
        let mut tasks = JoinSet::new();
        for socket in &shared.sockets {
            tasks.spawn(serve(Arc::clone(&shared), Arc::clone(socket)));
        }
        tasks.spawn(forget(Arc::clone(&shared)));
        let outside = Outside::new(Arc::clone(&shared), outside, events);
        info!(?addresses, "pages may measure this node");
        Ok(Self { secret, addresses, shared, outside, _tasks: tasks })
    }

    /// How pages reach it, as the matchmaker is told.
    pub(crate) fn describe(&self) -> Described {
        let outside = self.shared.outside.addresses();
        let behind_nat = outside.iter().any(|address| !self.addresses.contains(address));
        let mut addresses = self.addresses.clone();
        addresses.extend(outside.into_iter().filter(|address| !self.addresses.contains(address)));
        addresses.truncate(MOST_ADDRESSES);
        Described { addresses, secret: self.secret, behind_nat }
    }

    /// The matchmaker said hello: tickets expire by its clock.
    pub(crate) fn follow(&self, clock: TheirClock) {
        *lock(&self.shared.clock) = Some(clock);
    }

    /// Asks these STUN servers for the outside address, now and as long as there are any.
    pub(crate) fn find_outside(&mut self, urls: Vec<String>) {
        self.outside.ask(urls);
    }

    /// Opens the way for a page with this address, as long as its ticket holds.
    pub(crate) fn let_in(&mut self, page: SocketAddr, ufrag: &str) {
        let now = Instant::now();
        let clock = *lock(&self.shared.clock);
        let ticket = clock.and_then(|clock| Ticket::read(&self.secret, ufrag, clock.now_s(now)));
        match ticket {
            Some(_) => self.outside.let_in(page, now),
            None => debug!("a check without a ticket that holds; tickets hold {TICKET_S} s"),
        }
    }
}

/// A socket on a free port: the last one of the range that is, so that sessions, which take the first, seldom try it.
async fn bind(ip: IpAddr, (first, last): (u16, u16)) -> Result<UdpSocket> {
    if first == 0 {
        return UdpSocket::bind((ip, 0)).await.with_context(|| format!("opening a UDP port on {ip}"));
    }
    for port in (first..=last).rev() {
        if let Ok(socket) = UdpSocket::bind((ip, port)).await {
            return Ok(socket);
        }
    }
    anyhow::bail!("no UDP port from {first} to {last} is free on {ip} for measuring; widen media_ports")
}

/// The bound addresses, or the advertised ones with the bound ports of their family.
fn advertised(network: &MediaNetwork, sockets: &[Arc<UdpSocket>]) -> Vec<SocketAddr> {
    let bound: Vec<SocketAddr> = sockets.iter().filter_map(|socket| socket.local_addr().ok()).collect();
    if network.advertise.is_empty() {
        return bound;
    }
    let of = |ip: &IpAddr| {
        let same = bound.iter().find(|address| address.is_ipv4() == ip.is_ipv4())?;
        Some(SocketAddr::new(*ip, same.port()))
    };
    let told: BTreeSet<SocketAddr> = network.advertise.iter().filter_map(of).collect();
    told.into_iter().take(MOST_ADDRESSES).collect()
}

async fn serve(shared: Arc<Shared>, socket: Arc<UdpSocket>) {
    let mut buffer = [0; MAX_DATAGRAM_BYTES + 1];
    loop {
        let (length, from) = match socket.recv_from(&mut buffer).await {
            Ok(received) => received,
            Err(error) => {
                // Such as an ICMP refusal of an answer; the socket goes on.
                debug!("the reflector's socket: {error}");
                tokio::time::sleep(Duration::from_millis(1)).await;
                continue;
            }
        };
        let datagram = &buffer[..length];
        if shared.outside.take(datagram, from) {
            continue;
        }
        let now = Instant::now();
        let clock = *lock(&shared.clock);
        let Some(now_s) = clock.map(|clock| clock.now_s(now)) else { continue };
        let answer = lock(&shared.answerer).answer(datagram, from, now, now_s);
        if let Some(answer) = answer
            && let Err(error) = socket.send_to(&answer, from).await
        {
            debug!("an answer could not be sent: {error}");
        }
    }
}

async fn forget(shared: Arc<Shared>) {
    let mut ticks = tokio::time::interval(FORGET_TICK);
    loop {
        ticks.tick().await;
        lock(&shared.answerer).limits.forget(Instant::now());
    }
}

/// Opens a reflector; a node that cannot be measured plays nevertheless.
pub(crate) async fn open(network: &MediaNetwork, events: mpsc::Sender<Event>) -> Option<Reflector> {
    match Reflector::open(network, events).await {
        Ok(reflector) => Some(reflector),
        Err(error) => {
            warn!("pages cannot measure this node: {error:#}");
            None
        }
    }
}

#[cfg(test)]
mod tests;
