//! The mode that beeps and flashes.

use super::screen::Screen;
use super::{Flow, Play, say};
use crate::clock::now_us;
use crate::wayland::{Client, Happening};
use anyhow::{Context, Result};
use nearframe_probe::cells::{self, Colour};
use nearframe_probe::mode::Mode;
use pulseaudio::protocol::stream::{BufferAttr, StreamFlags};
use pulseaudio::protocol::{ChannelMap, DEFAULT_SINK, PlaybackStreamParams, SampleFormat, SampleSpec};
use pulseaudio::{AsPlaybackSource, PlaybackStream};
use std::f32::consts::TAU;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

const SAMPLE_RATE: u32 = 48_000;
const STEREO_FRAME_BYTES: u32 = 8;
/// How much may wait in the server, unless the environment says.
const LATENCY_MS: u32 = 50;
const BEEP: Duration = Duration::from_millis(100);
const BEEP_SAMPLES: u32 = SAMPLE_RATE / 10;
const BEEP_HZ: f32 = 1000.0;
/// Ramp at both ends against clicks: 1 ms.
const RAMP_SAMPLES: f32 = 48.0;
const LEVEL: f32 = 0.5;
/// Notes of begun beeps that may wait to be printed.
const MAX_NOTES: usize = 64;
const REOPEN_AFTER: Duration = Duration::from_millis(100);
/// The rows that flash.
const FLASH_ROWS: std::ops::Range<usize> = 6..cells::ROWS;

/// When a beep began.
struct Note {
    /// CLOCK_MONOTONIC when its first sample was given to the sound server, µs.
    given_us: u64,
    /// What may lie before it in the server's buffer then, µs.
    queued_us: u64,
}

/// Makes the samples.
struct Beeper {
    pressed: Arc<AtomicU32>,
    begun: u32,
    /// Samples since the beep began; none when it is silent.
    at: Option<u32>,
    notes: SyncSender<Note>,
}

impl Beeper {
    /// Fills a stereo buffer.
    fn fill(&mut self, out: &mut [f32], queued: Duration) {
        let pressed = self.pressed.load(Ordering::Acquire);
        if pressed != self.begun {
            self.begun = pressed;
            self.at = Some(0);
            let note = Note { given_us: now_us(), queued_us: queued.as_micros() as u64 };
            // Nobody reads the notes any more only when the program leaves.
            let _ = self.notes.try_send(note);
        }
        for pair in out.chunks_mut(2) {
            pair.fill(self.at.map_or(0.0, sample));
            self.at = self.at.map(|at| at + 1).filter(|at| *at < BEEP_SAMPLES);
        }
    }
}

fn sample(at: u32) -> f32 {
    let from_end = at.min(BEEP_SAMPLES - at) as f32;
    (at as f32 * BEEP_HZ / SAMPLE_RATE as f32 * TAU).sin() * LEVEL * (from_end / RAMP_SAMPLES).min(1.0)
}

/// Beeps and flashes on each press.
pub(super) struct BeepPlay {
    screen: Screen,
    pressed: Arc<AtomicU32>,
    notes: Receiver<Note>,
    flash_until: Option<Instant>,
}

impl BeepPlay {
    pub(super) fn begin(client: &mut Client) -> Result<Self> {
        let pressed = Arc::new(AtomicU32::new(0));
        let (sender, notes) = sync_channel(MAX_NOTES);
        let beeper = Beeper { pressed: pressed.clone(), begun: 0, at: None, notes: sender };
        play_for_ever(Arc::new(Mutex::new(beeper)))?;
        Ok(Self { screen: Screen::open(client, Mode::Beep)?, pressed, notes, flash_until: None })
    }
}

/// Plays until the program leaves. This client's wait is interrupted when the program goes on after it was frozen, which
/// it takes for its end; PulseAudio's own library waits again.
fn play_for_ever(beeper: Arc<Mutex<Beeper>>) -> Result<()> {
    let mut stream = open_stream(Arc::clone(&beeper))?;
    thread::spawn(move || {
        loop {
            if let Err(error) = pollster::block_on(stream.play_all()) {
                eprintln!("the sound server: {error}");
            }
            stream = loop {
                match open_stream(Arc::clone(&beeper)) {
                    Ok(stream) => break stream,
                    Err(error) => eprintln!("the sound server: {error:#}"),
                }
                thread::sleep(REOPEN_AFTER);
            };
        }
    });
    Ok(())
}

/// Plays as programs do that use PulseAudio's own library: the environment says how much of their sound
/// may wait in the server, and a quarter of that is asked for at once.
fn open_stream(beeper: Arc<Mutex<Beeper>>) -> Result<PlaybackStream> {
    let latency_ms =
        std::env::var("PULSE_LATENCY_MSEC").ok().and_then(|ms| ms.parse().ok()).unwrap_or(LATENCY_MS);
    let latency_bytes = SAMPLE_RATE / 1000 * STEREO_FRAME_BYTES * latency_ms;
    let params = PlaybackStreamParams {
        sample_spec: SampleSpec { format: SampleFormat::Float32Le, channels: 2, sample_rate: SAMPLE_RATE },
        channel_map: ChannelMap::stereo(),
        sink_name: Some(DEFAULT_SINK.to_owned()),
        buffer_attr: BufferAttr { target_length: latency_bytes, ..BufferAttr::default() },
        flags: StreamFlags { adjust_latency: true, ..StreamFlags::default() },
        ..PlaybackStreamParams::default()
    };
    let mut samples = Vec::new();
    let queued = Duration::from_millis(latency_ms.into());
    let fill = move |out: &mut [u8]| {
        samples.resize(out.len() / size_of::<f32>(), 0.0);
        let mut beeper = beeper.lock().unwrap_or_else(PoisonError::into_inner);
        beeper.fill(&mut samples, queued);
        for (to, sample) in out.chunks_exact_mut(size_of::<f32>()).zip(&samples) {
            to.copy_from_slice(&sample.to_le_bytes());
        }
        out.len()
    };
    let client = pulseaudio::Client::from_env(c"beep").context("connecting to the sound server")?;
    pollster::block_on(client.create_playback_stream(params, fill.as_playback_source()))
        .context("opening a sound stream")
}

impl Play for BeepPlay {
    fn on(&mut self, client: &mut Client, happening: Happening) -> Result<Flow> {
        match happening {
            Happening::Frame(_) => {
                for Note { given_us, queued_us } in self.notes.try_iter() {
                    say(&format!("beep given_us={given_us} played_us={}", given_us + queued_us))?;
                }
                let lit = self.flash_until.is_some_and(|until| Instant::now() < until);
                let beeps = self.pressed.load(Ordering::Relaxed);
                self.screen.show(client, 0, |canvas| {
                    cells::paint_number(canvas, 2, beeps);
                    let colour = if lit { Colour::White } else { Colour::Black };
                    cells::paint_rows(canvas, FLASH_ROWS, colour);
                })?;
            }
            Happening::Key { down: true, .. } => {
                self.pressed.fetch_add(1, Ordering::Release);
                self.flash_until = Some(Instant::now() + BEEP);
            }
            Happening::Closed(_) => return Ok(Flow::Leave),
            _ => {}
        }
        Ok(Flow::On)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_press_beeps_for_100_ms_and_tells_when_it_began() {
        let (sender, notes) = sync_channel(MAX_NOTES);
        let pressed = Arc::new(AtomicU32::new(0));
        let mut beeper = Beeper { pressed: pressed.clone(), begun: 0, at: None, notes: sender };
        let mut heard = |periods: usize| {
            let mut out = vec![1.0; 480 * periods];
            beeper.fill(&mut out, Duration::from_millis(7));
            out
        };
        assert!(heard(1).iter().all(|sample| *sample == 0.0));
        pressed.fetch_add(1, Ordering::Release);
        let beep = heard(30);
        let crossings = beep.chunks(2).map(|pair| pair[0] > 0.0).collect::<Vec<_>>();
        let rises = crossings.windows(2).filter(|pair| !pair[0] && pair[1]).count();
        assert_eq!(rises, 100, "1 kHz for 100 ms");
        assert!(beep[BEEP_SAMPLES as usize * 2..].iter().all(|sample| *sample == 0.0));
        assert!(beep.chunks(2).all(|pair| pair[0] == pair[1]));
        assert_eq!(notes.try_iter().map(|note| note.queued_us).collect::<Vec<_>>(), [7000]);
    }
}
