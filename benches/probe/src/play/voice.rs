//! The mode that listens to the player.

use super::screen::Screen;
use super::{Flow, Play};
use crate::wayland::{Client, Happening};
use anyhow::{Context, Result};
use nearframe_probe::cells;
use nearframe_probe::mode::Mode;
use pulseaudio::RecordStream;
use pulseaudio::protocol::stream::{BufferAttr, StreamFlags};
use pulseaudio::protocol::{ChannelMap, DEFAULT_SOURCE, RecordStreamParams, SampleFormat, SampleSpec};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

const SAMPLE_RATE: u32 = 48_000;
/// What is shown is the loudest of this long.
const REMEMBERED_SAMPLES: usize = SAMPLE_RATE as usize;
/// How much may wait in the server: 20 ms of one channel.
const FRAGMENT_BYTES: u32 = SAMPLE_RATE / 50 * size_of::<f32>() as u32;
/// A number stands for a thousandth of full scale.
const FULL_SCALE: f32 = 1000.0;

/// The peak of each block of the last second: how many samples it had, and how loud it was.
#[derive(Debug, Default)]
struct Peaks {
    blocks: VecDeque<(usize, f32)>,
    samples: usize,
}

impl Peaks {
    fn hear(&mut self, block: &[u8]) {
        let samples = block.chunks_exact(size_of::<f32>());
        let count = samples.len();
        let loud = samples.filter_map(|sample| sample.try_into().ok().map(f32::from_le_bytes));
        self.blocks.push_back((count, loud.map(f32::abs).fold(0.0, f32::max)));
        self.samples += count;
        while let Some((count, _)) = self.blocks.front()
            && self.samples - count >= REMEMBERED_SAMPLES
        {
            self.samples -= count;
            self.blocks.pop_front();
        }
    }

    fn loudest(&self) -> u32 {
        (self.blocks.iter().map(|(_, peak)| *peak).fold(0.0, f32::max) * FULL_SCALE) as u32
    }
}

/// Shows the loudest of the last second, in thousandths of full scale.
pub(super) struct VoicePlay {
    screen: Screen,
    heard: Arc<Mutex<Peaks>>,
    /// Records as long as it is held.
    _stream: RecordStream,
}

impl VoicePlay {
    pub(super) fn begin(client: &mut Client) -> Result<Self> {
        let heard = Arc::<Mutex<Peaks>>::default();
        let stream = open_stream(Arc::clone(&heard))?;
        Ok(Self { screen: Screen::open(client, Mode::Voice)?, heard, _stream: stream })
    }
}

/// Records from what programs get that name no source.
fn open_stream(heard: Arc<Mutex<Peaks>>) -> Result<RecordStream> {
    let params = RecordStreamParams {
        sample_spec: SampleSpec { format: SampleFormat::Float32Le, channels: 1, sample_rate: SAMPLE_RATE },
        channel_map: ChannelMap::mono(),
        source_name: Some(DEFAULT_SOURCE.to_owned()),
        buffer_attr: BufferAttr { fragment_size: FRAGMENT_BYTES, ..BufferAttr::default() },
        flags: StreamFlags { adjust_latency: true, ..StreamFlags::default() },
        ..RecordStreamParams::default()
    };
    let hear = move |block: &[u8]| heard.lock().unwrap_or_else(PoisonError::into_inner).hear(block);
    let client = pulseaudio::Client::from_env(c"voice").context("connecting to the sound server")?;
    pollster::block_on(client.create_record_stream(params, hear)).context("opening the microphone")
}

impl Play for VoicePlay {
    fn on(&mut self, client: &mut Client, happening: Happening) -> Result<Flow> {
        match happening {
            Happening::Frame(_) => {
                let loudest = self.heard.lock().unwrap_or_else(PoisonError::into_inner).loudest();
                self.screen.show(client, 0, |canvas| cells::paint_number(canvas, 2, loudest))?;
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
    fn the_loudest_of_a_second_is_told_and_then_forgotten() {
        let block = |level: f32| -> Vec<u8> {
            [0.0, -level, level / 2.0].repeat(160).into_iter().flat_map(f32::to_le_bytes).collect()
        };
        let mut peaks = Peaks::default();
        peaks.hear(&block(0.25));
        assert_eq!(peaks.loudest(), 250);
        (0..99).for_each(|_| peaks.hear(&block(0.1)));
        assert_eq!(peaks.loudest(), 250);
        peaks.hear(&block(0.1));
        assert_eq!((peaks.loudest(), peaks.blocks.len()), (100, 100));
    }
}
