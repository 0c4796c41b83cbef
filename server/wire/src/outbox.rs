//! Packets that leave together.

use crate::seal::{SealError, Sealer, TAG_LEN};
use nearframe_stream::RtpPacket;
use quinn_udp::{Transmit, UdpSockRef, UdpSocketState};
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;

/// Largest sum of a run: the kernel takes one datagram's worth of payload in a call.
const MAX_RUN_BYTES: usize = 65_000;

/// Packets of one length, the last of them no longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Run {
    end: usize,
    segment: usize,
    packets: usize,
    /// A shorter packet has ended it.
    closed: bool,
}

/// Encrypted packets, side by side, until they are sent.
#[derive(Debug)]
pub struct Outbox {
    buffer: Vec<u8>,
    runs: Vec<Run>,
    max_segments: usize,
}

impl Outbox {
    /// For sockets that take `max_segments` packets in a call.
    pub fn new(max_segments: usize) -> Self {
        Self { buffer: Vec::new(), runs: Vec::new(), max_segments: max_segments.max(1) }
    }

    /// Encrypts a packet. One that is refused is left out.
    pub fn push(&mut self, packet: &RtpPacket, sealer: &mut Sealer) -> Result<(), SealError> {
        let start = self.buffer.len();
        let header_len = packet.write(&mut self.buffer);
        let (header, payload) = self.buffer[start..].split_at_mut(header_len);
        match sealer.seal(header, payload) {
            Ok(tag) => {
                self.buffer.extend_from_slice(&tag);
                self.note(start);
                Ok(())
            }
            Err(error) => {
                self.buffer.truncate(start);
                Err(error)
            }
        }
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// Sends all to `destination` and is empty afterwards, whatever came of it: what a socket does not take is
    /// lost like what the network loses. Returns how many calls it took, or the first error.
    pub fn send(
        &mut self,
        socket: &impl AsFd,
        state: &UdpSocketState,
        destination: SocketAddr,
    ) -> io::Result<usize> {
        let mut start = 0;
        let mut result = Ok(self.runs.len());
        for run in &self.runs {
            let contents = &self.buffer[start..run.end];
            let segment_size = (run.packets > 1).then_some(run.segment);
            let transmit = Transmit { destination, ecn: None, contents, segment_size, src_ip: None };
            let sent = state.try_send(UdpSockRef::from(socket), &transmit);
            result = result.and_then(|calls| sent.map(|()| calls));
            start = run.end;
        }
        self.runs.clear();
        self.buffer.clear();
        result
    }

    /// Adds the packet from `start` on to the last run, or begins one.
    fn note(&mut self, start: usize) {
        let (end, len) = (self.buffer.len(), self.buffer.len() - start);
        debug_assert!(len >= TAG_LEN, "a packet has a tag");
        if let Some(run) = self.runs.last_mut() {
            let fits = run.packets * run.segment + len <= MAX_RUN_BYTES && run.packets < self.max_segments;
            if !run.closed && len <= run.segment && fits {
                (run.end, run.packets, run.closed) = (end, run.packets + 1, len < run.segment);
                return;
            }
        }
        self.runs.push(Run { end, segment: len, packets: 1, closed: false });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seal::Algorithm;
    use nearframe_stream::PacketKind;
    use std::net::UdpSocket;
    use std::time::Duration;

    fn packet(sequence: u16, payload_len: usize) -> RtpPacket {
        RtpPacket {
            payload_type: 96,
            marker: false,
            sequence,
            timestamp: 0,
            ssrc: 1,
            extensions: [(2, [0, 0])].into_iter().collect(),
            payload: vec![sequence as u8; payload_len].into(),
            kind: PacketKind::Video,
        }
    }

    fn filled(lengths: &[usize], max_segments: usize) -> Outbox {
        let mut sealer = Sealer::new(Algorithm::Aes128Gcm, &[0; 16], [0; 12]).unwrap();
        let mut outbox = Outbox::new(max_segments);
        for (sequence, &len) in lengths.iter().enumerate() {
            outbox.push(&packet(sequence as u16, len), &mut sealer).unwrap();
        }
        outbox
    }

    fn runs(lengths: &[usize], max_segments: usize) -> Vec<usize> {
        filled(lengths, max_segments).runs.iter().map(|run| run.packets).collect()
    }

    #[test]
    fn packets_of_one_length_make_a_run_that_a_shorter_one_ends() {
        assert_eq!(runs(&[1000, 1000, 1000, 400], 64), [4]);
        assert_eq!(runs(&[1000, 400, 400], 64), [2, 1]);
        assert_eq!(runs(&[400, 1000, 1000], 64), [1, 2]);
        assert_eq!(runs(&[1000; 5], 2), [2, 2, 1]);
        assert_eq!(runs(&[1000; 3], 0), [1, 1, 1]);
        assert!(runs(&[1200; 60], 64).iter().all(|&packets| packets * 1236 <= MAX_RUN_BYTES));
    }

    #[test]
    fn every_packet_arrives_by_itself_and_in_order() {
        let (here, there) =
            (UdpSocket::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap());
        there.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let state = UdpSocketState::new(UdpSockRef::from(&here)).unwrap();
        let lengths = [1000, 1000, 1000, 300, 50, 900, 900];
        let mut outbox = filled(&lengths, state.max_gso_segments());
        outbox.send(&here, &state, there.local_addr().unwrap()).unwrap();
        assert!(outbox.is_empty());
        let mut datagram = [0; 2000];
        for (sequence, len) in lengths.into_iter().enumerate() {
            let got = there.recv(&mut datagram).unwrap();
            // Header, extension block, payload, tag.
            assert_eq!(got, 12 + 8 + len + TAG_LEN);
            assert_eq!(usize::from(datagram[3]), sequence);
        }
    }
}
