//! What it costs to send a packet: from an access unit through [`MediaSender`], encryption and the socket, by the
//! code that a session's encode thread runs, to a socket on loopback that somebody reads.
//!
//! The floor beside it does only what cannot be left out, to the same bytes: AES-128-GCM in place over every
//! packet, and handing them to the kernel in as few calls as it takes them (UDP GSO, up to 64 kB of packets of
//! one length). As a frame cannot wait for the next two to share their call, what the same costs with a call for each
//! frame is told as well; it has no part in the ratio. All count the sending thread's processor time, the kernel's included. They take turns, so that
//! what else the machine does meets both.

use super::packets::{self, FRAME_TIME};
use crate::quantile::median;
use crate::report::{Report, Spec, lower};
use anyhow::{Context, Result};
use aws_lc_rs::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use nearframe_protocol::VideoCodec;
use nearframe_stream::{MediaSender, VideoFrame};
use nearframe_wire::{Algorithm, Outbox, Sealer, TAG_LEN};
use quinn_udp::{Transmit, UdpSockRef, UdpSocketState};
use rustix::time::{ClockId, clock_gettime};
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// The encoder cuts a picture into one slice for each of its threads.
const SLICES: usize = 2;
/// A frame of 10 Mbit/s at 60 per second.
const FRAME_BYTES: usize = 20_800;
/// Frames of one turn: far more than a clock's step.
const FRAMES: u32 = 120;
/// Frames until the path is trusted with whole frames, and more.
const WARM_UP_FRAMES: u32 = 240;
const TURNS: usize = 25;
/// What the reader may leave for a moment.
const RECEIVE_BUFFER: usize = 4 << 20;
/// RTP's fixed header and three extensions; the rest of a packet is encrypted.
const HEADER_LEN: usize = 28;
/// What the kernel takes in one call.
const MAX_CALL_BYTES: usize = 65_000;

const COST: Spec = lower("send_ns_per_packet", "ns", None);
const FLOOR: Spec = lower("send_floor_ns_per_packet", "ns", None);
const FRAME_FLOOR: Spec = lower("send_frame_floor_ns_per_packet", "ns", None);
const RATIO: Spec = lower("send_cpu_ratio", "", Some(1.3));
const CALLS: Spec = lower("send_calls_per_frame", "", None);

/// Measures and adds the figures, or says why they are absent.
pub(super) fn run(report: &mut Report) {
    match measure() {
        Ok(found) => {
            report.add(COST, Some(found.cost_ns), "");
            report.add(FLOOR, Some(found.floor_ns), "");
            report.add(FRAME_FLOOR, Some(found.frame_floor_ns), "");
            report.add(RATIO, Some(found.cost_ns / found.floor_ns), "");
            report.add(CALLS, Some(found.calls_per_frame), "");
        }
        Err(error) => {
            let why = format!("{error:#}");
            [COST, FLOOR, FRAME_FLOOR, RATIO, CALLS].into_iter().for_each(|spec| report.skip(spec, &why));
        }
    }
}

struct Found {
    cost_ns: f64,
    floor_ns: f64,
    frame_floor_ns: f64,
    calls_per_frame: f64,
}

fn measure() -> Result<Found> {
    let reader = Reader::start()?;
    let mut ours = Ours::new(reader.address)?;
    ours.send(WARM_UP_FRAMES)?;
    let mut floor = Floor::new(reader.address, ours.packet_len(), usize::MAX)?;
    let mut frame_floor = Floor::new(reader.address, ours.packet_len(), ours.packets_per_frame())?;
    for floor in [&mut floor, &mut frame_floor] {
        floor.send(ours.packets_per_frame() * FRAMES as usize)?;
    }
    let (mut costs, mut floors, mut frame_floors, mut calls) = (Vec::new(), Vec::new(), Vec::new(), 0);
    for _ in 0..TURNS {
        let turn = ours.send(FRAMES)?;
        let per_packet = |cpu: Duration| cpu.as_secs_f64() * 1e9 / turn.packets as f64;
        costs.push(per_packet(turn.cpu));
        calls += turn.calls;
        floors.push(per_packet(floor.send(turn.packets)?));
        frame_floors.push(per_packet(frame_floor.send(turn.packets)?));
    }
    let middle = |samples: &[f64]| median(samples).context("nothing was measured");
    Ok(Found {
        cost_ns: middle(&costs)?,
        floor_ns: middle(&floors)?,
        frame_floor_ns: middle(&frame_floors)?,
        calls_per_frame: calls as f64 / f64::from(FRAMES) / TURNS as f64,
    })
}

fn thread_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

struct Turn {
    packets: usize,
    calls: usize,
    cpu: Duration,
}

/// The product's way.
struct Ours {
    socket: UdpSocket,
    state: UdpSocketState,
    destination: SocketAddr,
    sender: MediaSender,
    sealer: Sealer,
    outbox: Outbox,
    keyframe: Vec<u8>,
    delta: Vec<u8>,
    now: Instant,
    frame: u32,
    packets: usize,
    bytes: usize,
}

impl Ours {
    fn new(destination: SocketAddr) -> Result<Self> {
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        let state = UdpSocketState::new(UdpSockRef::from(&socket))?;
        let now = Instant::now();
        Ok(Self {
            sender: MediaSender::new(packets::config(true), now, 1),
            sealer: Sealer::new(Algorithm::Aes128Gcm, &[1; 16], [2; 12])?,
            outbox: Outbox::new(state.max_gso_segments()),
            keyframe: packets::access_unit(5, SLICES, FRAME_BYTES / SLICES),
            delta: packets::access_unit(1, SLICES, FRAME_BYTES / SLICES),
            socket,
            state,
            destination,
            now,
            frame: 0,
            packets: 0,
            bytes: 0,
        })
    }

    fn send(&mut self, frames: u32) -> Result<Turn> {
        let mut turn = Turn { packets: 0, calls: 0, cpu: Duration::ZERO };
        let begin = thread_time();
        for _ in 0..frames {
            self.send_frame(&mut turn)?;
        }
        turn.cpu = thread_time().saturating_sub(begin);
        self.packets += turn.packets;
        Ok(turn)
    }

    fn send_frame(&mut self, turn: &mut Turn) -> Result<()> {
        let keyframe = self.frame == 0;
        let data = if keyframe { &self.keyframe } else { &self.delta };
        let rtp_timestamp = self.frame.wrapping_mul(1500);
        let frame = VideoFrame {
            frame: self.frame,
            rtp_timestamp,
            keyframe,
            codec: VideoCodec::H264,
            refers_to: None,
            data,
        };
        self.sender.push_video(self.now, frame);
        let mut at = self.now;
        let end = self.now + FRAME_TIME;
        loop {
            while let Some(packet) = self.sender.poll_packet(at) {
                self.outbox.push(&packet, &mut self.sealer)?;
                turn.packets += 1;
                self.bytes += packet.rtp_len() + TAG_LEN;
            }
            turn.calls += self.outbox.send(&self.socket, &self.state, self.destination)?;
            while self.sender.poll_event().is_some() {}
            match self.sender.poll_timeout() {
                Some(next) if next < end => {
                    at = next.max(at + Duration::from_micros(100));
                    self.sender.handle_timeout(at);
                }
                _ => break,
            }
        }
        self.frame = self.frame.wrapping_add(1);
        self.now = end;
        Ok(())
    }

    fn packets_per_frame(&self) -> usize {
        self.packets / self.frame.max(1) as usize
    }

    /// Mean length of a packet as it is sent.
    fn packet_len(&self) -> usize {
        self.bytes / self.packets.max(1)
    }
}

/// Nothing but the cipher and the calls.
struct Floor {
    socket: UdpSocket,
    state: UdpSocketState,
    destination: SocketAddr,
    key: LessSafeKey,
    packet_len: usize,
    buffer: Vec<u8>,
    number: u64,
}

impl Floor {
    /// With at most so many packets in a call.
    fn new(destination: SocketAddr, packet_len: usize, max_batch: usize) -> Result<Self> {
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        let state = UdpSocketState::new(UdpSockRef::from(&socket))?;
        let key = UnboundKey::new(&AES_128_GCM, &[1; 16]).ok().context("a key of AES-128-GCM")?;
        let key = LessSafeKey::new(key);
        let batch = state.max_gso_segments().min(MAX_CALL_BYTES / packet_len).min(max_batch).max(1);
        let buffer = vec![0x55; batch * packet_len];
        Ok(Self { socket, state, destination, key, packet_len, buffer, number: 0 })
    }

    /// The processor time of so many packets.
    fn send(&mut self, packets: usize) -> Result<Duration> {
        let begin = thread_time();
        let mut left = packets;
        while left > 0 {
            let count = left.min(self.buffer.len() / self.packet_len);
            let batch = &mut self.buffer[..count * self.packet_len];
            for packet in batch.chunks_exact_mut(self.packet_len) {
                self.number += 1;
                let mut nonce = [0; 12];
                nonce[4..].copy_from_slice(&self.number.to_be_bytes());
                let (header, body) = packet.split_at_mut(HEADER_LEN);
                let (payload, tag) = body.split_at_mut(self.packet_len - HEADER_LEN - TAG_LEN);
                let nonce = Nonce::assume_unique_for_key(nonce);
                let sealed = self.key.seal_in_place_separate_tag(nonce, Aad::from(header), payload);
                tag.copy_from_slice(sealed.ok().context("encrypting a packet")?.as_ref());
            }
            let transmit = Transmit {
                destination: self.destination,
                ecn: None,
                contents: batch,
                segment_size: (count > 1).then_some(self.packet_len),
                src_ip: None,
            };
            self.state.try_send(UdpSockRef::from(&self.socket), &transmit)?;
            left -= count;
        }
        Ok(thread_time().saturating_sub(begin))
    }
}

/// Reads packets one by one, as a browser does, until it is dropped.
struct Reader {
    address: SocketAddr,
    done: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Reader {
    fn start() -> Result<Self> {
        let socket = UdpSocket::bind("127.0.0.1:0").context("a socket on loopback")?;
        socket.set_read_timeout(Some(Duration::from_millis(100)))?;
        let address = socket.local_addr()?;
        let state = UdpSocketState::new(UdpSockRef::from(&socket))?;
        state.set_recv_buffer_size(UdpSockRef::from(&socket), RECEIVE_BUFFER)?;
        let done = Arc::new(AtomicBool::new(false));
        let until = Arc::clone(&done);
        let read = move || {
            let mut datagram = vec![0; 65_536];
            while !until.load(Ordering::Acquire) {
                // A time-out is when to look whether to go on.
                let _ = socket.recv(&mut datagram);
            }
        };
        Ok(Self { address, done, thread: Some(std::thread::spawn(read)) })
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.done.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_sent_whole_and_in_few_calls_once_the_path_is_trusted() {
        let reader = Reader::start().unwrap();
        let mut ours = Ours::new(reader.address).unwrap();
        ours.send(WARM_UP_FRAMES).unwrap();
        let turn = ours.send(60).unwrap();
        assert_eq!(turn.packets, 60 * FRAME_BYTES.div_ceil(1150).next_multiple_of(SLICES));
        assert_eq!(turn.calls, 60 * SLICES);
        let mut floor = Floor::new(reader.address, ours.packet_len(), usize::MAX).unwrap();
        assert!(floor.send(turn.packets).unwrap() > Duration::ZERO);
    }
}
