//! A node behind a NAT: what it is seen as from outside, and letting pages in.
//!
//! The outside address is asked of STUN servers (RFC 8489) from the very sockets that answer, again and again, so that
//! the NAT keeps it. A page is let in by a few packets to its outside address, which ask for nothing: what stands
//! before the node then takes the page's checks for answers.
//!
//! **Architecture invariant:** packets go out only to addresses that the matchmaker named with a ticket that holds, a
//! few to each and a bounded number in a second.

use super::answer::indication;
use super::{Shared, lock};
use crate::agent::Event;
use rtc::stun::fingerprint::FINGERPRINT;
use rtc::stun::message::{BINDING_REQUEST, BINDING_SUCCESS, Getter, Message, TransactionId};
use rtc::stun::xoraddr::XorMappedAddress;
use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::net::lookup_host;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tracing::{debug, info};

/// NATs forget a mapping of UDP after 30 s at the earliest that is common.
const ASK_AGAIN: Duration = Duration::from_secs(20);
/// Servers that are asked.
const MOST_SERVERS: usize = 4;
/// Requests whose answer is awaited.
const MOST_ASKED: usize = 64;
/// Packets to one page, this far apart: one may be lost, and a page begins when it likes.
const PACKETS: u32 = 3;
const APART: Duration = Duration::from_millis(60);
/// Pages that are let in within a second.
const PAGES_PER_SECOND: usize = 64;
/// Nothing of a player's listens below this port; what does must not be written to.
const LEAST_PORT: u16 = 1024;

/// What servers answered.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// Transactions whose answer is awaited, with the server and the socket that asked.
    asked: VecDeque<(TransactionId, SocketAddr, SocketAddr)>,
    /// By the socket that asked.
    outside: BTreeMap<SocketAddr, SocketAddr>,
    changed: bool,
}

impl Seen {
    /// Outside addresses, each once.
    pub(super) fn addresses(&self) -> Vec<SocketAddr> {
        let mut addresses: Vec<_> = lock(&self.0).outside.values().copied().collect();
        addresses.sort_unstable();
        addresses.dedup();
        addresses
    }

    fn ask(&self, server: SocketAddr, socket: SocketAddr) -> Option<Vec<u8>> {
        let id = TransactionId::new();
        let mut request = Message::new();
        request.build(&[Box::new(BINDING_REQUEST), Box::new(id), Box::new(FINGERPRINT)]).ok()?;
        let mut state = lock(&self.0);
        if state.asked.len() >= MOST_ASKED {
            state.asked.pop_front();
        }
        state.asked.push_back((id, server, socket));
        Some(request.raw)
    }

    /// Takes in the answer to a request of ours; false for anything else.
    pub(super) fn take(&self, datagram: &[u8], from: SocketAddr) -> bool {
        let mut state = lock(&self.0);
        if state.asked.is_empty() {
            return false;
        }
        let mut answer = Message::new();
        if answer.unmarshal_binary(datagram).is_err() || answer.typ != BINDING_SUCCESS {
            return false;
        }
        let is_it = |(id, server, _): &(TransactionId, SocketAddr, SocketAddr)| {
            *id == answer.transaction_id && *server == from
        };
        let Some(at) = state.asked.iter().position(is_it) else { return false };
        let Some((_, _, socket)) = state.asked.remove(at) else { return false };
        let mut mapped = XorMappedAddress::default();
        if mapped.get_from(&answer).is_ok() {
            let outside = SocketAddr::new(mapped.ip, mapped.port);
            state.changed |= state.outside.insert(socket, outside) != Some(outside);
        }
        true
    }

    fn has_changed(&self) -> bool {
        std::mem::take(&mut lock(&self.0).changed)
    }
}

/// Keeps the outside address known, and lets pages in.
pub(super) struct Outside {
    shared: Arc<Shared>,
    seen: Seen,
    events: mpsc::Sender<Event>,
    asking: Option<JoinHandle<()>>,
    /// When pages were let in lately.
    let_in: VecDeque<Instant>,
}

impl Outside {
    pub(super) fn new(shared: Arc<Shared>, seen: Seen, events: mpsc::Sender<Event>) -> Self {
        Self { shared, seen, events, asking: None, let_in: VecDeque::new() }
    }

    pub(super) fn ask(&mut self, urls: Vec<String>) {
        if let Some(asking) = self.asking.take() {
            asking.abort();
        }
        if !urls.is_empty() {
            let (shared, seen, events) = (Arc::clone(&self.shared), self.seen.clone(), self.events.clone());
            self.asking = Some(tokio::spawn(keep_asking(shared, seen, urls, events)));
        }
    }

    pub(super) fn let_in(&mut self, page: SocketAddr, now: Instant) {
        while self.let_in.front().is_some_and(|at| now.duration_since(*at) >= Duration::from_secs(1)) {
            self.let_in.pop_front();
        }
        if self.let_in.len() >= PAGES_PER_SECOND || !is_somebody(page) {
            return debug!(%page, "is not let in: too many at once, or no address of a page");
        }
        self.let_in.push_back(now);
        let shared = Arc::clone(&self.shared);
        tokio::spawn(async move {
            for _ in 0..PACKETS {
                let Some(packet) = indication() else { return };
                for socket in &shared.sockets {
                    let reaches = socket.local_addr().is_ok_and(|own| {
                        own.is_ipv4() == page.is_ipv4() && own.ip().is_loopback() == page.ip().is_loopback()
                    });
                    if reaches {
                        // One that is lost is repeated.
                        let _ = socket.send_to(&packet, page).await;
                    }
                }
                tokio::time::sleep(APART).await;
            }
        });
    }
}

impl Drop for Outside {
    fn drop(&mut self) {
        if let Some(asking) = self.asking.take() {
            asking.abort();
        }
    }
}

/// Whether a page may have this address: one machine, on a port that players have.
fn is_somebody(page: SocketAddr) -> bool {
    let ip = page.ip().to_canonical();
    let one = match ip {
        IpAddr::V4(v4) => !v4.is_broadcast() && !v4.is_link_local(),
        IpAddr::V6(_) => true,
    };
    one && !ip.is_unspecified() && !ip.is_multicast() && page.port() >= LEAST_PORT
}

async fn keep_asking(shared: Arc<Shared>, seen: Seen, urls: Vec<String>, events: mpsc::Sender<Event>) {
    loop {
        for url in urls.iter().take(MOST_SERVERS) {
            let Some(host) = host_of(url) else { continue };
            match lookup_host(&host).await {
                Ok(found) => ask_from_all(&shared, &seen, &found.collect::<Vec<_>>()).await,
                Err(error) => debug!(host, "a STUN server has no address: {error}"),
            }
        }
        // Answers take a round trip; a slow one is told with the next.
        tokio::time::sleep(Duration::from_secs(1)).await;
        if seen.has_changed() {
            info!(outside = ?seen.addresses(), "the outside address is known");
            if events.send(Event::Outside).await.is_err() {
                return;
            }
        }
        tokio::time::sleep(ASK_AGAIN).await;
    }
}

async fn ask_from_all(shared: &Shared, seen: &Seen, servers: &[SocketAddr]) {
    for socket in &shared.sockets {
        let Ok(own) = socket.local_addr() else { continue };
        let server = servers.iter().find(|server| server.is_ipv4() == own.is_ipv4());
        if let Some(server) = server
            && let Some(request) = seen.ask(*server, own)
            && let Err(error) = socket.send_to(&request, server).await
        {
            debug!(%server, "a STUN server cannot be asked: {error}");
        }
    }
}

/// `host:port` of `stun:host[:port]`.
fn host_of(url: &str) -> Option<String> {
    let host = url.strip_prefix("stun:")?;
    let host = host.split('?').next()?;
    let has_port = host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    Some(if has_port { host.to_owned() } else { format!("{host}:3478") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_of_pages_are_written_to() {
        for (address, allowed) in [
            ("203.0.113.7:50000", true),
            ("[2001:db8::7]:50000", true),
            ("203.0.113.7:53", false),
            ("255.255.255.255:50000", false),
            ("224.0.0.1:50000", false),
            ("0.0.0.0:50000", false),
            ("169.254.1.1:50000", false),
        ] {
            assert_eq!(is_somebody(address.parse().unwrap()), allowed, "{address}");
        }
    }

    #[test]
    fn a_servers_address_is_read_with_and_without_a_port() {
        assert_eq!(host_of("stun:stun.example.org").as_deref(), Some("stun.example.org:3478"));
        assert_eq!(host_of("stun:192.0.2.1:19302").as_deref(), Some("192.0.2.1:19302"));
        assert_eq!(host_of("turn:x"), None);
    }

    #[test]
    fn only_the_server_that_was_asked_says_what_the_outside_is() {
        let seen = Seen::default();
        let address = |text: &str| text.parse::<SocketAddr>().unwrap();
        let (server, own) = (address("192.0.2.1:3478"), address("10.0.0.2:40000"));
        let request = seen.ask(server, own).unwrap();
        let mut asked = Message::new();
        asked.unmarshal_binary(&request).unwrap();
        let mut answer = Message::new();
        let mapped = XorMappedAddress { ip: address("203.0.113.7:1").ip(), port: 61_000 };
        answer.build(&[Box::new(BINDING_SUCCESS), Box::new(asked.transaction_id), Box::new(mapped)]).unwrap();
        assert!(!seen.take(&answer.raw, address("192.0.2.66:3478")), "somebody else's word");
        assert!(seen.take(&answer.raw, server));
        assert!(!seen.take(&answer.raw, server), "said twice");
        assert_eq!(seen.addresses(), [address("203.0.113.7:61000")]);
        assert!(seen.has_changed() && !seen.has_changed());
    }
}
