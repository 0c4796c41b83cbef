//! The three data channels of a peer: input (0), facts (1), control (2).
//!
//! All are negotiated: ids are fixed on both sides, because channels opened in-band by the browser lose
//! their reliability settings in `rtc` 0.21.

use super::{FactsReply, doorbell, on_facts, on_input};
use crate::worker::input_port::InputPort;
use crate::worker::transport::{PeerEvent, PeerEventKind};
use anyhow::{Context, Result};
use bytes::BytesMut;
use nearframe_protocol::control::MAX_CONTROL_BYTES;
use nearframe_protocol::{PeerId, Seat};
use rtc::data_channel::RTCDataChannelInit;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tracing::debug;
use webrtc::data_channel::{DataChannel, DataChannelEvent};
use webrtc::media_stream::track_local::TrackLocal;
use webrtc::media_stream::track_local::static_rtp::TrackLocalStaticRTP;
use webrtc::peer_connection::PeerConnection;

/// Messages that may wait for the data channels: two seconds of facts at 60 fps.
const OUTBOX: usize = 128;

/// A channel that is not open after two seconds of tries belongs to a page that is gone.
const CONTROL_ATTEMPTS: u32 = 100;
const CONTROL_PAUSE: Duration = Duration::from_millis(20);

/// Something to be sent by the peer's outbox task.
pub(super) enum Outgoing {
    Facts(Vec<u8>),
    Doorbell { ssrc: u32, payload_type: u8 },
}

/// Where a peer's messages go in.
pub(super) struct Outboxes {
    pub(super) quick: mpsc::Sender<Outgoing>,
    pub(super) control: mpsc::Sender<String>,
}

/// The channels of one peer.
pub(super) struct Channels {
    input: Arc<dyn DataChannel>,
    facts: Arc<dyn DataChannel>,
    control: Arc<dyn DataChannel>,
}

impl Channels {
    pub(super) async fn open(connection: &dyn PeerConnection) -> Result<Self> {
        let lossy = |id| RTCDataChannelInit {
            ordered: false,
            max_retransmits: Some(0),
            negotiated: Some(id),
            ..Default::default()
        };
        let reliable = RTCDataChannelInit { ordered: true, negotiated: Some(2), ..Default::default() };
        let what = "opening the data channels";
        Ok(Self {
            input: connection.create_data_channel("input", Some(lossy(0))).await.context(what)?,
            facts: connection.create_data_channel("facts", Some(lossy(1))).await.context(what)?,
            control: connection.create_data_channel("control", Some(reliable)).await.context(what)?,
        })
    }

    /// Starts the tasks that serve the channels; they end with the connection.
    pub(super) fn serve(
        self,
        peer: PeerId,
        seat: Seat,
        port: Arc<InputPort>,
        events: mpsc::UnboundedSender<PeerEvent>,
        video: Arc<TrackLocalStaticRTP>,
    ) -> Outboxes {
        let (quick, outbox) = mpsc::channel(OUTBOX);
        let (control, letters) = mpsc::channel(OUTBOX);
        tokio::spawn(read_input(self.input, seat, port));
        tokio::spawn(read_facts(Arc::clone(&self.facts), peer, events.clone()));
        tokio::spawn(read_control(Arc::clone(&self.control), peer, events));
        tokio::spawn(send(outbox, self.facts, video));
        tokio::spawn(send_control(letters, self.control));
        Outboxes { quick, control }
    }
}

async fn read_input(channel: Arc<dyn DataChannel>, seat: Seat, port: Arc<InputPort>) {
    while let Some(event) = channel.poll().await {
        if let DataChannelEvent::OnMessage(message) = event {
            on_input(&port, seat, &message.data);
        }
    }
}

async fn read_facts(channel: Arc<dyn DataChannel>, peer: PeerId, events: mpsc::UnboundedSender<PeerEvent>) {
    while let Some(event) = channel.poll().await {
        let DataChannelEvent::OnMessage(message) = event else { continue };
        match on_facts(&message.data) {
            Some(FactsReply::Send(bytes)) => {
                let _ = channel.send(BytesMut::from(&bytes[..])).await;
            }
            Some(FactsReply::Shown { rtp_timestamp, wait_us, decode }) => {
                let kind = PeerEventKind::Shown { rtp_timestamp, wait_us, decode };
                let _ = events.send(PeerEvent { peer, kind });
            }
            None => debug!("a message on the facts channel is not understood"),
        }
    }
}

async fn read_control(channel: Arc<dyn DataChannel>, peer: PeerId, events: mpsc::UnboundedSender<PeerEvent>) {
    while let Some(event) = channel.poll().await {
        let kind = match event {
            DataChannelEvent::OnMessage(message) if message.data.len() <= MAX_CONTROL_BYTES => {
                match String::from_utf8(message.data.to_vec()) {
                    Ok(text) => PeerEventKind::Control(text),
                    Err(_) => continue,
                }
            }
            _ => continue,
        };
        let _ = events.send(PeerEvent { peer, kind });
    }
}

async fn send(
    mut outbox: mpsc::Receiver<Outgoing>,
    facts: Arc<dyn DataChannel>,
    video: Arc<TrackLocalStaticRTP>,
) {
    while let Some(outgoing) = outbox.recv().await {
        // Before the channels are open there is nobody to tell, and afterwards neither.
        match outgoing {
            Outgoing::Facts(bytes) => {
                let _ = facts.send(BytesMut::from(&bytes[..])).await;
            }
            Outgoing::Doorbell { ssrc, payload_type } => {
                let _ = video.write_rtp(doorbell(ssrc, payload_type)).await;
            }
        }
    }
}

/// Sends what must not be lost. The page's greeting can come before our end of the channel counts as open, so
/// that a refused message is tried again.
async fn send_control(mut letters: mpsc::Receiver<String>, control: Arc<dyn DataChannel>) {
    while let Some(text) = letters.recv().await {
        for attempt in 1..=CONTROL_ATTEMPTS {
            match control.send_text(&text).await {
                Ok(()) => break,
                Err(error) => debug!(attempt, "a control message could not be sent: {error}"),
            }
            tokio::time::sleep(CONTROL_PAUSE).await;
        }
    }
}
