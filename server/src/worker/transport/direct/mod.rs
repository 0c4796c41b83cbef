//! The direct way out: media that the thread which made it encrypts and hands to the socket itself.
//!
//! The WebRTC library's own way takes a wake-up of its driver for each frame and one system call, a dozen
//! allocations and two copies for each packet. Here a frame is one or two system calls. The library keeps
//! the connection: it finds the path, keeps it alive, agrees on keys, and sends everything else. A [`Tap`]
//! learns three things from the places where the library lets others in: the key and its salt from the
//! cipher ([`crypto`]), and socket and destination from what the library sends over the path that is
//! selected ([`runtime`]).
//!
//! Invariant: with the key of one connection, media are encrypted by one [`Sealer`] only, whichever way they
//! go. The way is open only while the library itself sends over a UDP path; over a relay or TCP media take
//! the library's.

mod crypto;
mod runtime;

use nearframe_stream::RtpPacket;
use nearframe_wire::Sealer;
use runtime::Port;
use std::net::SocketAddr;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};
use tracing::debug;
use webrtc::peer_connection::crypto::RTCCryptoProvider;
use webrtc::runtime::Runtime;

/// The library tells of every frame over the path; a path that it has been silent on for so long may no
/// longer be the one.
const ROUTE_LIFE: Duration = Duration::from_millis(250);

/// Where the library last sent something that only goes over the selected path.
#[derive(Debug)]
struct Route {
    /// The library owns its sockets and closes them to bind others.
    port: Weak<Port>,
    destination: SocketAddr,
    seen: Instant,
}

/// The key in use.
#[derive(Debug)]
struct Keyed {
    /// Which of the library's ciphers has it.
    cipher: u64,
    sealer: Sealer,
}

/// What is known of one connection.
#[derive(Debug, Default)]
pub(super) struct Tap {
    /// Ciphers made so far: a later one has a newer key.
    ciphers: AtomicU64,
    keyed: Mutex<Option<Keyed>>,
    route: Mutex<Option<Route>>,
}

impl Tap {
    /// The library's cryptography, listened to.
    pub(super) fn crypto(self: &Arc<Self>, inner: Arc<dyn RTCCryptoProvider>) -> Arc<dyn RTCCryptoProvider> {
        Arc::new(crypto::TappedCrypto::new(inner, Arc::clone(self)))
    }

    /// The library's sockets, listened to.
    pub(super) fn runtime(self: &Arc<Self>, inner: Arc<dyn Runtime>) -> Arc<dyn Runtime> {
        Arc::new(runtime::TappedRuntime::new(inner, Arc::clone(self)))
    }

    /// Sends what `next` gives, while it gives. False, and nothing is asked of `next`, where the way is not open.
    pub(super) fn send(&self, now: Instant, mut next: impl FnMut() -> Option<RtpPacket>) -> bool {
        let Some((port, destination)) = self.route(now) else { return false };
        let Ok(mut keyed) = self.keyed.lock() else { return false };
        let Some(Keyed { sealer, .. }) = keyed.as_mut() else { return false };
        port.send(destination, |outbox| {
            while let Some(packet) = next() {
                if let Err(error) = outbox.push(&packet, sealer) {
                    debug!("a packet is left out: {error}");
                }
            }
        });
        true
    }

    fn route(&self, now: Instant) -> Option<(Arc<Port>, SocketAddr)> {
        let route = self.route.lock().ok()?;
        let route = route.as_ref().filter(|route| now.saturating_duration_since(route.seen) < ROUTE_LIFE)?;
        Some((route.port.upgrade()?, route.destination))
    }

    /// The library sends a datagram.
    fn note(&self, port: &Arc<Port>, destination: SocketAddr, first_byte: u8) {
        // RFC 7983: DTLS, and SRTP with SRTCP. STUN tries every path; relays wrap what they carry.
        if !matches!(first_byte, 20..=63 | 128..=191) {
            return;
        }
        if let Ok(mut route) = self.route.lock() {
            *route = Some(Route { port: Arc::downgrade(port), destination, seen: Instant::now() });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use nearframe_stream::PacketKind;
    use rtc::srtp::context::Context;
    use rtc::srtp::protection_profile::ProtectionProfile;
    use std::net::UdpSocket;
    use webrtc::runtime::{AsyncUdpSocket, Transmit};

    const KEY: [u8; 16] = [7; 16];
    const SALT: [u8; 12] = [9; 12];

    fn packet(sequence: u16) -> RtpPacket {
        RtpPacket {
            payload_type: 96,
            marker: false,
            sequence,
            timestamp: 90,
            ssrc: 5,
            extensions: [(3, [0, 0, 0])].into_iter().collect(),
            payload: Bytes::from(vec![sequence as u8; 100]),
            kind: PacketKind::Video,
        }
    }

    fn plain(packet: &RtpPacket) -> Vec<u8> {
        let mut bytes = Vec::new();
        packet.write(&mut bytes);
        bytes
    }

    fn context(tap: Option<&Arc<Tap>>) -> Context {
        let provider = webrtc::peer_connection::crypto::default_provider().unwrap();
        let provider = tap.map_or(Arc::clone(&provider), |tap| tap.crypto(provider));
        let profile = ProtectionProfile::AeadAes128Gcm;
        Context::new(&KEY, &SALT, profile, None, None, provider.crypto()).unwrap()
    }

    async fn socket(tap: &Arc<Tap>) -> Arc<dyn AsyncUdpSocket> {
        let runtime = tap.runtime(webrtc::runtime::default_runtime().unwrap());
        runtime.wrap_udp_socket(UdpSocket::bind("127.0.0.1:0").unwrap()).unwrap()
    }

    async fn library_sends(socket: &Arc<dyn AsyncUdpSocket>, to: SocketAddr, contents: &[u8]) {
        let transmit = Transmit { destination: to, ecn: None, contents, segment_size: None, src_ip: None };
        std::future::poll_fn(|cx| socket.poll_send(cx, &transmit)).await.unwrap();
    }

    fn receive(there: &UdpSocket) -> Vec<u8> {
        let mut datagram = [0; 2000];
        let len = there.recv(&mut datagram).unwrap();
        datagram[..len].to_vec()
    }

    #[tokio::test]
    async fn what_takes_turns_on_both_ways_is_read_by_one_receiver_across_rollovers() {
        let tap = Arc::new(Tap::default());
        let (mut library, mut receiver) = (context(Some(&tap)), context(None));
        let there = UdpSocket::bind("127.0.0.1:0").unwrap();
        there.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let to = there.local_addr().unwrap();
        let socket = socket(&tap).await;
        assert!(!tap.send(Instant::now(), || panic!("the way is not open")));
        // 3 × 40 000 numbers, one in 100 of them sent: they start over while the other way is in use.
        for (round, sequence) in (0..120_000u32).step_by(100).enumerate() {
            let packet = packet(sequence as u16);
            if round % 300 < 150 {
                let protected = library.encrypt_rtp(&plain(&packet)).unwrap();
                library_sends(&socket, to, &protected).await;
            } else {
                library_sends(&socket, to, &[22, 254, 253]).await;
                receive(&there);
                let mut once = Some(packet.clone());
                assert!(tap.send(Instant::now(), || once.take()));
            }
            let opened = receiver.decrypt_rtp(&receive(&there)).unwrap();
            assert_eq!(opened, plain(&packet), "{sequence}");
        }
    }

    #[tokio::test]
    async fn the_way_is_open_only_where_and_while_the_library_uses_it() {
        let tap = Arc::new(Tap::default());
        let mut library = context(Some(&tap));
        library.encrypt_rtp(&plain(&packet(1))).unwrap();
        let there = UdpSocket::bind("127.0.0.1:0").unwrap();
        let to = there.local_addr().unwrap();
        let socket = socket(&tap).await;
        // A STUN request and a relay's channel data.
        library_sends(&socket, to, &[0, 1, 0, 0]).await;
        library_sends(&socket, to, &[0x40, 0, 0, 0]).await;
        assert!(!tap.send(Instant::now(), || None));
        library_sends(&socket, to, &[128, 200, 0, 0]).await;
        assert!(tap.send(Instant::now(), || None));
        assert!(!tap.send(Instant::now() + ROUTE_LIFE, || None), "the library has fallen silent");
        drop(socket);
        assert!(!tap.send(Instant::now(), || None), "the socket is closed");
    }

    #[tokio::test]
    async fn a_newer_key_takes_the_place_of_the_first_for_good() {
        let tap = Arc::new(Tap::default());
        let (mut first, mut second) = (context(Some(&tap)), context(Some(&tap)));
        first.encrypt_rtp(&plain(&packet(1))).unwrap();
        let cipher = || tap.keyed.lock().unwrap().as_ref().unwrap().cipher;
        let before = cipher();
        let protected = second.encrypt_rtp(&plain(&packet(2))).unwrap();
        assert!(cipher() > before);
        assert!(first.encrypt_rtp(&plain(&packet(3))).is_err());
        assert_eq!(context(None).decrypt_rtp(&protected).unwrap(), plain(&packet(2)));
    }
}
