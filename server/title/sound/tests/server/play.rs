//! Programs that a title could be: they play, record, give orders.

use cpal::traits::{DeviceTrait, HostTrait, StreamTrait};
use cpal::{BufferSize, HostId, StreamConfig};
use nearframe_sound::{Capture, Sound};
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

pub(crate) fn sine(hertz: f64, n: usize) -> f32 {
    (std::f64::consts::TAU * hertz * n as f64 / 48_000.0).sin() as f32
}

/// A program with only what a title is given.
fn program(name: &str, sound: &Sound, cookie: &Path) -> Command {
    let mut command = Command::new(name);
    command.env_clear().env("PATH", "/usr/bin:/bin").env("HOME", "/nonexistent");
    command.envs(Sound::env(sound.socket(), cookie));
    command
}

fn start(command: &mut Command) -> Child {
    command.spawn().expect("pacat and pactl are of the package pulseaudio-utils, which tests need")
}

pub(crate) fn control(sound: &Sound, cookie: &Path, order: &[&str]) -> Output {
    program("pactl", sound, cookie).args(order).output().expect("pactl is of the package pulseaudio-utils")
}

/// A tone for each ear.
pub(crate) struct Tone {
    pub(crate) left: f64,
    pub(crate) right: f64,
    pub(crate) level: f32,
}

/// `pacat` and the thread that feeds it. Dropping it ends both.
pub(crate) struct Player {
    child: Child,
    feeder: Option<JoinHandle<()>>,
}

impl Tone {
    pub(crate) fn play(self, sound: &Sound) -> Player {
        let mut child = start(
            program("pacat", sound, sound.cookie())
                .args(["--playback", "--raw", "--format=float32le", "--rate=48000", "--channels=2"])
                .stdin(Stdio::piped()),
        );
        let mut input = child.stdin.take().unwrap();
        let feeder = std::thread::spawn(move || {
            for block in 0.. {
                let bytes: Vec<u8> = (block * 480..(block + 1) * 480)
                    .flat_map(|n| [sine(self.left, n) * self.level, sine(self.right, n) * self.level])
                    .flat_map(f32::to_le_bytes)
                    .collect();
                if input.write_all(&bytes).is_err() {
                    return;
                }
            }
        });
        Player { child, feeder: Some(feeder) }
    }
}

impl Drop for Player {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(feeder) = self.feeder.take() {
            let _ = feeder.join();
        }
    }
}

/// `pacat` that records from whatever is the default.
pub(crate) struct Recorder {
    child: Child,
    heard: Arc<Mutex<Vec<u8>>>,
    reader: JoinHandle<()>,
}

impl Recorder {
    pub(crate) fn start(sound: &Sound) -> Self {
        let mut child = start(
            program("pacat", sound, sound.cookie())
                .args(["--record", "--raw", "--format=float32le", "--rate=48000", "--channels=1"])
                .stdout(Stdio::piped()),
        );
        let mut output = child.stdout.take().unwrap();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let into = Arc::clone(&heard);
        let reader = std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(count @ 1..) = output.read(&mut bytes) {
                into.lock().unwrap().extend_from_slice(&bytes[..count]);
            }
        });
        Self { child, heard, reader }
    }

    pub(crate) fn samples(&self) -> usize {
        self.heard.lock().unwrap().len() / 4
    }

    pub(crate) fn stop(mut self) -> Vec<f32> {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.reader.join().unwrap();
        let bytes = self.heard.lock().unwrap();
        bytes.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect()
    }
}

pub(crate) fn stereo_tone(frames: &[f32]) -> (Vec<f32>, Vec<f32>) {
    frames.chunks_exact(2).map(|frame| (frame[0], frame[1])).unzip()
}

/// The amplitude at one frequency: the median over tenths of a second, of which a busy machine may spoil
/// one. Frequencies of whole periods in a tenth do not show in each other.
pub(crate) fn loudness(samples: &[f32], hertz: f64) -> f32 {
    let mut tenths: Vec<f32> = samples.chunks_exact(4_800).map(|tenth| goertzel(tenth, hertz)).collect();
    tenths.sort_by(f32::total_cmp);
    tenths[tenths.len() / 2]
}

fn goertzel(samples: &[f32], hertz: f64) -> f32 {
    let turn = std::f64::consts::TAU * hertz / 48_000.0;
    let (mut last, mut before) = (0.0, 0.0);
    for sample in samples {
        (last, before) = (f64::from(*sample) + 2.0 * turn.cos() * last - before, last);
    }
    let power = last * last + before * before - 2.0 * turn.cos() * last * before;
    (2.0 * power.max(0.0).sqrt() / samples.len() as f64) as f32
}

/// Milliseconds from handing a click to the sound server, as a title does with a buffer of 20 ms, to
/// having read it.
pub(crate) fn clicks(mut capture: Capture, count: usize) -> Vec<f64> {
    let host = cpal::host_from_id(HostId::PulseAudio).unwrap();
    let sink = host.default_output_device().unwrap();
    assert_eq!(sink.id().unwrap().id(), "nearframe", "what programs play to that name no sink");
    let armed = Arc::new(AtomicBool::new(false));
    let trigger = Arc::clone(&armed);
    let (written, clicked) = mpsc::channel();
    let stream = sink
        .build_output_stream(
            StreamConfig { channels: 2, sample_rate: 48_000, buffer_size: BufferSize::Fixed(480) },
            move |samples: &mut [f32], _| {
                samples.fill(0.0);
                if trigger.swap(false, Ordering::Relaxed) {
                    samples[..16].fill(0.9);
                    let _ = written.send(Instant::now());
                }
            },
            |error| eprintln!("{error}"),
            None,
        )
        .unwrap();
    stream.play().unwrap();
    let mut delays = Vec::new();
    let mut next = Instant::now();
    let end = Instant::now() + Duration::from_secs(60);
    let mut block = [0.0f32; 960];
    // Blocks until the next click, or, since one, until it counts as lost. Not in step with the server's.
    let (mut pause, mut waits) = (20, 0);
    while delays.len() < count {
        assert!(Instant::now() < end, "{} clicks of {count} came", delays.len());
        std::thread::sleep(next.saturating_duration_since(Instant::now()));
        next += Duration::from_millis(10);
        capture.fill(&mut block);
        if block.iter().any(|sample| *sample > 0.5) {
            delays.extend(clicked.try_iter().last().map(|at: Instant| at.elapsed().as_secs_f64() * 1e3));
            (pause, waits) = (10 + delays.len() % 7, 0);
        } else if pause > 0 {
            pause -= 1;
        } else if waits == 0 {
            while clicked.try_recv().is_ok() {}
            armed.store(true, Ordering::Relaxed);
            waits = 50;
        } else {
            waits -= 1;
        }
    }
    delays
}
