//! The player's voice on its way to the title's microphone.

use nearframe_encode::{AudioDecoder, OpusDecoder};
use nearframe_protocol::PeerId;
use nearframe_title::VoiceSink;
use std::sync::Mutex;

/// After a gap of more packets than this the voice goes on without filling it.
const MAX_CONCEALED: u16 = 5;

/// Where voices arrive. One peer is heard at a time, and only while its player wants to be.
#[derive(Default)]
pub(crate) struct VoicePort(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    sink: Option<Box<dyn VoiceSink>>,
    speaker: Option<Speaker>,
}

struct Speaker {
    peer: PeerId,
    decoder: OpusDecoder,
    /// RTP sequence number that comes next.
    next: Option<u16>,
}

impl VoicePort {
    /// The title listens from now on.
    pub(crate) fn listen(&self, sink: Box<dyn VoiceSink>) {
        self.with(|inner| inner.sink = Some(sink));
    }

    /// Who is heard from now on; what others send is dropped undecoded.
    pub(crate) fn choose(&self, peer: Option<PeerId>) {
        self.with(|inner| {
            if inner.speaker.as_ref().map(|speaker| speaker.peer) != peer {
                inner.speaker = peer
                    .and_then(|peer| Some(Speaker { peer, decoder: OpusDecoder::new().ok()?, next: None }));
            }
        });
    }

    /// A packet came. Late and repeated ones are dropped, lost ones are concealed.
    pub(crate) fn receive(&self, peer: PeerId, sequence: u16, payload: &[u8]) {
        self.with(|inner| {
            let (Some(sink), Some(speaker)) = (&mut inner.sink, &mut inner.speaker) else { return };
            if speaker.peer != peer || payload.is_empty() {
                return;
            }
            let gap = sequence.wrapping_sub(speaker.next.unwrap_or(sequence));
            if gap > u16::MAX / 2 {
                return;
            }
            speaker.next = Some(sequence.wrapping_add(1));
            let concealed = if gap <= MAX_CONCEALED { gap } else { 0 };
            for packet in std::iter::repeat_n(&[][..], usize::from(concealed)).chain([payload]) {
                // A packet that is no Opus is a page's mistake: nothing is heard of it.
                if let Ok(samples) = speaker.decoder.decode(packet) {
                    sink.push(samples);
                }
            }
        });
    }

    fn with(&self, act: impl FnOnce(&mut Inner)) {
        if let Ok(mut inner) = self.0.lock() {
            act(&mut inner);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nearframe_encode::{AUDIO_CHANNELS, AUDIO_FRAME_SAMPLES, AudioEncoder, OpusEncoder};
    use std::sync::Arc;

    struct Ear(Arc<Mutex<usize>>);
    impl VoiceSink for Ear {
        fn push(&mut self, samples: &[f32]) {
            *self.0.lock().unwrap() += samples.len();
        }
    }

    #[test]
    fn only_the_chosen_peer_is_heard_once_and_in_order() {
        let mut encoder = OpusEncoder::new().unwrap();
        let packet = encoder.encode(&[0.3; AUDIO_FRAME_SAMPLES * AUDIO_CHANNELS]).unwrap().unwrap().to_vec();
        let (port, heard) = (VoicePort::default(), Arc::new(Mutex::new(0)));
        let (one, other) = (PeerId::from_bytes([1; 16]), PeerId::from_bytes([2; 16]));
        port.listen(Box::new(Ear(Arc::clone(&heard))));
        let frames = || *heard.lock().unwrap() / AUDIO_FRAME_SAMPLES;
        port.receive(one, 65_534, &packet);
        assert_eq!(frames(), 0, "nobody was chosen");
        port.choose(Some(one));
        for sequence in [65_534, 65_535, 65_535, 0, 65_534] {
            port.receive(one, sequence, &packet);
        }
        port.receive(other, 1, &packet);
        assert_eq!(frames(), 3, "repeated, late and foreign packets are dropped");
        port.receive(one, 3, &packet);
        assert_eq!(frames(), 6, "two lost packets are concealed");
        port.choose(None);
        port.receive(one, 4, &packet);
        assert_eq!(frames(), 6);
    }
}
