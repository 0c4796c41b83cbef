//! Draws and converts on the frame clock. Input is applied at the last moment before drawing.

use super::curtain::Sheet;
use super::frames::Frames;
use super::recovery::{self, GpuGone, Losses, Parts};
use super::{
    EncoderInfo, PipelineConfig, PipelineEvent, PipelineInfo, RawFrame, Shared, audio_thread, curtain,
    encode_thread,
};
use crate::worker::now_us;
use anyhow::{Context, Result};
use nearframe_encode::{
    Capabilities, Codec, EncoderChain, HdrMetadata, VideoEncoder, VideoOptions, VideoSettings,
};
use nearframe_gpu::{AdapterKind, Gpu, GpuError};
use nearframe_protocol::title::HighDynamicRange;
use nearframe_stream::Quality;
use nearframe_title::{FrameTick, TitleFailure, TitleSource, TitleStatus};
use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// A program without a player is drawn this long, to reach its menu; then it is frozen.
const WARM_UP_TIME: Duration = Duration::from_secs(10);

/// Frames that follow a change and refine it.
const SHARPENED_BY: u32 = 4;
/// How often a picture that stands still is sent.
const REPEATS_PER_S: u32 = 4;

/// Everything the loop needs.
struct Stage {
    title: Box<dyn TitleSource>,
    /// What the frames are for.
    encoder: Capabilities,
    frames: Frames,
    /// What they show.
    quality: Quality,
    losses: Losses,
    sheet: Sheet,
}

impl Stage {
    /// Takes over what is to be encoded from now on.
    fn follow(&mut self, wanted: Quality) -> Result<()> {
        if wanted.fps != self.quality.fps {
            self.title.set_frame_rate(wanted.fps);
        }
        let Quality { width, height, .. } = wanted;
        if (width, height) != (self.quality.width, self.quality.height) {
            self.frames.resize(width, height).context("preparing another size of picture")?;
        }
        self.quality = wanted;
        Ok(())
    }

    fn gpu_is_lost(&self) -> bool {
        self.frames.gpu().is_some_and(|gpu| gpu.is_lost())
    }

    fn replace_gpu(&mut self, config: &PipelineConfig) -> Result<(), GpuGone> {
        let Self { title, encoder, frames, quality, losses, .. } = self;
        let parts = Parts { title: title.as_mut(), frames, encoder, quality: *quality };
        recovery::replace(parts, &config.open_gpu, losses)
    }
}

/// Opens the title, starts the other threads, and draws until stopped.
pub(super) fn run(shared: &Arc<Shared>, config: &PipelineConfig) {
    if let Err(error) = open_and_draw(shared, config) {
        let text = format!("{error:#}");
        let failed =
            if is_the_gpu_s(&error) { PipelineEvent::GpuGone(text) } else { PipelineEvent::Failed(text) };
        let _ = config.events.send(failed);
    }
}

/// Whether another machine may do what failed here.
fn is_the_gpu_s(error: &anyhow::Error) -> bool {
    let full = matches!(error.downcast_ref(), Some(GpuError::OutOfMemory { .. } | GpuError::Full(_)));
    full || error.is::<GpuGone>()
}

fn open_and_draw(shared: &Arc<Shared>, config: &PipelineConfig) -> Result<()> {
    let (mut stage, encoder, info) = open(config)?;
    let sound = stage.title.audio();
    if let Some(sink) = stage.title.microphone() {
        config.voice.listen(sink);
    }
    let events = config.events.clone();
    std::thread::scope(|scope| -> Result<()> {
        std::thread::Builder::new()
            .name("encode".into())
            .spawn_scoped(scope, || encode_thread::run(shared, encoder, &events))?;
        std::thread::Builder::new()
            .name("audio".into())
            .spawn_scoped(scope, || audio_thread::run(shared, sound))?;
        let _ = config.events.send(PipelineEvent::Opened(info));
        let drawn = draw_frames(shared, config, &mut stage);
        // The others end with this one, whatever ended it.
        shared.stop.store(true, Ordering::Release);
        shared.woken.notify_all();
        shared.mailbox.close();
        drawn
    })
}

fn open(config: &PipelineConfig) -> Result<(Stage, EncoderChain, PipelineInfo)> {
    let gpu: RefCell<Option<Arc<Gpu>>> = RefCell::new(None);
    let open_gpu = || {
        let opened = (config.open_gpu)().map_err(|error| TitleFailure(error.to_string()))?;
        let handles = (opened.device().clone(), opened.queue().clone());
        *gpu.borrow_mut() = Some(opened);
        Ok(handles)
    };
    let mut around = config.around.clone();
    if nearframe_title::may_use_gpu(&config.manifest) && has_hardware() {
        around.gpu = Some((config.open_gpu)().context("opening the GPU for the program")?);
        *gpu.borrow_mut() = around.gpu.clone();
    }
    let title =
        nearframe_title::open(&config.manifest, &config.title_dir, config.seed, Some(&around), &open_gpu)?;
    let run = &config.manifest.run;
    let settings = VideoSettings {
        codec: Codec::H264,
        width: run.width,
        height: run.height,
        fps: run.fps,
        bitrate_bps: config.start_bps,
    };
    let gpu = gpu.into_inner();
    let near = gpu.as_ref().and_then(|gpu| gpu.exports().ok());
    let light = |hdr: HighDynamicRange| {
        let HighDynamicRange { peak_nits, average_nits } = hdr;
        HdrMetadata { peak_nits, average_nits }
    };
    let video = VideoOptions { near, hdr: run.hdr.map(light), ..config.video.clone() };
    let mut encoder = EncoderChain::open(settings, video)?;
    for passed_over in encoder.take_changes() {
        tracing::info!(encoder = %passed_over.from, why = %passed_over.why, "not used");
    }
    let adapter =
        gpu.as_ref().map_or_else(|| "none (drawn by the CPU)".to_owned(), |gpu| gpu.facts().to_string());
    let (whole, takes) = (super::whole(&config.manifest), encoder.capabilities().clone());
    let frames =
        Frames::new(gpu, &takes, whole.width, whole.height).context("preparing colour conversion")?;
    let info =
        PipelineInfo { whole, encoder: EncoderInfo::of(&takes), adapter, conversion: frames.conversion() };
    let stage = Stage {
        title,
        encoder: takes,
        frames,
        quality: whole,
        losses: Losses::default(),
        sheet: Sheet::default(),
    };
    Ok((stage, encoder, info))
}

/// A GPU in silicon: programs that draw by software give their pictures in memory of their own.
fn has_hardware() -> bool {
    nearframe_gpu::adapters().first().is_some_and(|adapter| adapter.kind != AdapterKind::Software)
}

fn draw_frames(shared: &Shared, config: &PipelineConfig, stage: &mut Stage) -> Result<()> {
    let mut frame = 0;
    let mut repeats = Repeats::default();
    let mut warming = stage.title.warms_up().then(|| Instant::now() + WARM_UP_TIME);
    let mut was_active = true;
    while !shared.stopped() {
        let active = shared.is_active();
        if active {
            warming = None;
        }
        let goes_on = active || warming.is_some_and(|until| Instant::now() < until);
        if goes_on != was_active {
            stage.title.set_paused(!goes_on);
            was_active = goes_on;
        }
        if !goes_on {
            if shared.wait_active() {
                continue;
            }
            break;
        }
        sleep_until(next_tick(shared));
        let seen = active.then_some(&mut repeats);
        match draw_frame(shared, config, stage, frame, seen) {
            Ok(TitleStatus::Running) => {}
            Ok(TitleStatus::Exited) => {
                let _ = config.events.send(PipelineEvent::Exited);
                break;
            }
            // Whatever failed, it failed because of that.
            Err(_) if stage.gpu_is_lost() => {
                stage.replace_gpu(config)?;
                shared.keyframe.store(true, Ordering::Release);
            }
            Err(error) => return Err(error),
        }
        frame = frame.wrapping_add(1);
    }
    stage.title.stop();
    Ok(())
}

/// Which of the frames that repeat the one before are still sent.
#[derive(Default)]
struct Repeats(u32);

impl Repeats {
    /// A picture that stands still is sent until it is sharp, and then a few times a second, so that whoever lost
    /// it is not left with less.
    fn is_worth_sending(&mut self, changed: bool, fps: u32) -> bool {
        self.0 = if changed { 0 } else { self.0.saturating_add(1) };
        self.0 <= SHARPENED_BY || self.0.is_multiple_of((fps / REPEATS_PER_S).max(1))
    }
}

/// Draws one frame; it is converted only when somebody sees it.
fn draw_frame(
    shared: &Shared,
    config: &PipelineConfig,
    stage: &mut Stage,
    frame: u32,
    seen: Option<&mut Repeats>,
) -> Result<TitleStatus> {
    let now = Instant::now();
    if let Ok(mut clock) = shared.clock.lock() {
        clock.tick(now);
    }
    let quality = shared.quality();
    if quality != stage.quality {
        stage.follow(quality)?;
    }
    if let Some(encoder) = shared.take_encoder() {
        stage
            .frames
            .serve(&encoder, quality.width, quality.height)
            .context("preparing for another encoder")?;
        stage.encoder = encoder;
    }
    let wishes = shared.wishes.lock().map(|mut wishes| std::mem::take(&mut *wishes)).unwrap_or_default();
    wishes.into_iter().for_each(|wish| stage.title.tell(wish));
    let mut events = Vec::new();
    let serials = config.input.drain(now, &mut events);
    for (seat, event) in events {
        stage.sheet.note(seat, &event);
        stage.title.apply(seat, &event);
    }
    let captured_us = now_us();
    let drawn = stage.title.draw(FrameTick { frame, now_us: captured_us, input_serial: serials[0] })?;
    let drawn_us = now_us();
    let asked = shared.keyframe.load(Ordering::Acquire);
    let covered =
        if seen.is_some() { stage.sheet.covering(shared, quality, frame, serials[0]) } else { None };
    // Without a free surface the encoder is behind by two frames: this one is left out.
    if let Some(repeats) = seen
        && (repeats.is_worth_sending(drawn.changed || covered.is_some(), quality.fps) || asked)
        && let Some(surface) = stage.frames.convert(covered.as_ref().unwrap_or(&drawn.picture))?
    {
        let is_title = covered.is_none();
        let converted_us = now_us();
        let fps = quality.fps;
        let raw = RawFrame { surface, frame, captured_us, drawn_us, converted_us, serials, fps };
        if curtain::shown(shared, is_title) {
            let _ = config.events.send(PipelineEvent::Begins(raw.rtp_timestamp()));
        }
        shared.mailbox.put(raw);
    }
    while let Some(notice) = stage.title.take_notice() {
        let _ = config.events.send(PipelineEvent::Notice(notice));
    }
    Ok(stage.title.status())
}

fn next_tick(shared: &Shared) -> Instant {
    shared.clock.lock().map_or_else(|_| Instant::now(), |clock| clock.next_tick())
}

fn sleep_until(at: Instant) {
    let wait = at.saturating_duration_since(Instant::now());
    if wait > Duration::ZERO {
        std::thread::sleep(wait);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_gpu_is_no_fault_of_the_title() {
        let full = anyhow::Error::from(GpuError::OutOfMemory { bytes: 1 }).context("preparing");
        assert!(is_the_gpu_s(&full));
        let broken = anyhow::Error::from(GpuError::BadPicture("odd".to_owned())).context("drawing");
        assert!(!is_the_gpu_s(&broken));
    }

    #[test]
    fn a_picture_that_stands_still_is_sharpened_and_then_sent_now_and_then() {
        let mut repeats = Repeats::default();
        assert!((0..60).all(|_| repeats.is_worth_sending(true, 60)), "what changes is always sent");
        let sent = (0..60).filter(|_| repeats.is_worth_sending(false, 60)).count();
        assert_eq!(sent as u32, SHARPENED_BY + REPEATS_PER_S);
        assert!(repeats.is_worth_sending(true, 60));
    }
}
