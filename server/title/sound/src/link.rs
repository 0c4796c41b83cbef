//! The streams between this process and the server, through cpal.

use crate::server::{MONITOR, VOICE_SINK};
use crate::watch::Shared;
use crate::{CAPTURE_CHANNELS, SAMPLE_RATE, SoundError};
use cpal::traits::{DeviceTrait, HostTrait, StreamTrait};
use cpal::{BufferSize, Device, HostId, Stream, StreamConfig};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, PoisonError};
use std::thread;
use std::time::Duration;
use tracing::warn;

/// What the server works in: 10 ms, as the encoder does.
const BLOCK: BufferSize = BufferSize::Fixed(480);
/// What the player's voice is written in: 20 ms. cpal lets the server hold two of them, and with less the
/// voice breaks up on a busy machine.
const VOICE_BLOCK: BufferSize = BufferSize::Fixed(960);
/// How soon after a player's first word his voice has a stream.
const VOICE_CHECK_TIME: Duration = Duration::from_millis(100);
/// After its server was killed, a thread that still waits for it is given up after this.
const END_TIME: Duration = Duration::from_secs(2);

/// What a link says.
#[derive(Debug)]
pub(crate) enum LinkEvent {
    /// Sound flows.
    Up,
    /// No sound flows, or no more.
    Failed(String),
}

/// Streams to one server, held by a thread of their own: cpal waits for the server without a limit, and
/// only the server's end frees it. Kill the server before dropping this.
#[derive(Debug)]
pub(crate) struct Link {
    events: Receiver<LinkEvent>,
    /// Dropping it lets the thread end.
    _hold: Sender<()>,
}

impl Link {
    pub(crate) fn open(shared: Arc<Shared>) -> Result<Self, SoundError> {
        let (said, events) = mpsc::channel();
        let (hold, held) = mpsc::channel::<()>();
        thread::Builder::new()
            .name("sound-link".to_owned())
            .spawn(move || {
                if let Err(error) = run(&shared, &said, &held) {
                    let _ = said.send(LinkEvent::Failed(error));
                }
            })
            .map_err(SoundError::Thread)?;
        Ok(Self { events, _hold: hold })
    }

    /// What it says next, if it says anything in time.
    pub(crate) fn event(&self, timeout: Duration) -> Option<LinkEvent> {
        match self.events.recv_timeout(timeout) {
            Ok(event) => Some(event),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => Some(LinkEvent::Failed("its thread ended".to_owned())),
        }
    }

    /// Waits until the streams are gone, so that the next ones are alone.
    pub(crate) fn close(self) {
        let Self { events, _hold: hold } = self;
        drop(hold);
        loop {
            match events.recv_timeout(END_TIME) {
                Ok(_) => {}
                Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => {
                    return warn!("a thread of the sound server's streams does not end");
                }
            }
        }
    }
}

/// Holds the streams until the other end of `held`, on which nothing is ever sent, is dropped.
fn run(shared: &Arc<Shared>, said: &Sender<LinkEvent>, held: &Receiver<()>) -> Result<(), String> {
    let host = cpal::host_from_id(HostId::PulseAudio).map_err(|error| error.to_string())?;
    let devices: Vec<Device> = host.devices().map_err(|error| error.to_string())?.collect();
    let monitor = named(&devices, MONITOR)?;
    let (heard, _pace) = (listen(&monitor, shared, said)?, pace(&monitor, said)?);
    heard.play().map_err(|error| error.to_string())?;
    let _ = said.send(LinkEvent::Up);
    let mut voice = None;
    while matches!(held.recv_timeout(VOICE_CHECK_TIME), Err(RecvTimeoutError::Timeout)) {
        match (shared.someone_speaks(), &voice) {
            (true, None) => voice = Some(speak(&named(&devices, VOICE_SINK)?, shared, said)?),
            (false, Some(_)) => voice = None,
            _ => {}
        }
    }
    Ok(())
}

fn named(devices: &[Device], name: &str) -> Result<Device, String> {
    devices
        .iter()
        .find(|device| device.id().is_ok_and(|id| id.id() == name))
        .cloned()
        .ok_or_else(|| format!("it has no device {name:?}"))
}

fn listen(device: &Device, shared: &Arc<Shared>, said: &Sender<LinkEvent>) -> Result<Stream, String> {
    let shared = Arc::clone(shared);
    device
        .build_input_stream(
            config(CAPTURE_CHANNELS as u16, BufferSize::Default),
            move |samples: &[f32], _| {
                shared.heard.lock().unwrap_or_else(PoisonError::into_inner).push(samples);
                shared.note_progress();
            },
            report(said),
            None,
        )
        .map_err(|error| error.to_string())
}

/// Makes the server work in small blocks, whatever the title's streams ask for, and hears nothing: it is
/// never played, and the server minds its wish all the same. cpal gives a stream of fixed blocks room for
/// one of them in the server, so that on a busy machine sound is lost; the stream that listens has the
/// server's own, large room, but no say in the blocks.
fn pace(device: &Device, said: &Sender<LinkEvent>) -> Result<Stream, String> {
    device
        .build_input_stream(config(1, BLOCK), |_: &[f32], _| {}, report(said), None)
        .map_err(|error| error.to_string())
}

/// Plays the player's voice. Such a stream makes the server wake up every half millisecond, since cpal
/// leaves its sink no time of its own: there is one only while somebody speaks.
fn speak(device: &Device, shared: &Arc<Shared>, said: &Sender<LinkEvent>) -> Result<Stream, String> {
    let shared = Arc::clone(shared);
    let stream = device
        .build_output_stream(
            config(1, VOICE_BLOCK),
            move |samples: &mut [f32], _| match &shared.voice {
                Some(voice) => voice.lock().unwrap_or_else(PoisonError::into_inner).fill(samples),
                None => samples.fill(0.0),
            },
            report(said),
            None,
        )
        .map_err(|error| error.to_string())?;
    stream.play().map_err(|error| error.to_string())?;
    Ok(stream)
}

fn config(channels: u16, buffer_size: BufferSize) -> StreamConfig {
    StreamConfig { channels, sample_rate: SAMPLE_RATE, buffer_size }
}

fn report(said: &Sender<LinkEvent>) -> impl FnMut(cpal::Error) + Send + 'static {
    let said = said.clone();
    move |error| {
        let _ = said.send(LinkEvent::Failed(error.to_string()));
    }
}
