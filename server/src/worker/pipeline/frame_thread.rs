//! Draws and converts on the frame clock. Input is applied at the last moment before drawing.

use super::{PipelineConfig, PipelineEvent, PipelineInfo, RawFrame, Shared, audio_thread, encode_thread};
use crate::worker::now_us;
use anyhow::{Context, Result};
use nearframe_encode::{VideoEncoder, VideoPreference, VideoSettings};
use nearframe_gpu::{Converter, Gpu};
use nearframe_title::{FrameTick, TitleFailure, TitleSource, TitleStatus};
use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// Everything the loop needs.
struct Stage {
    title: Box<dyn TitleSource>,
    converter: Converter,
}

/// Opens the title, starts the other threads, and draws until stopped.
pub(super) fn run(shared: &Arc<Shared>, config: &PipelineConfig) {
    if let Err(error) = open_and_draw(shared, config) {
        let _ = config.events.send(PipelineEvent::Failed(format!("{error:#}")));
    }
}

fn open_and_draw(shared: &Arc<Shared>, config: &PipelineConfig) -> Result<()> {
    let (mut stage, encoder, info) = open(config)?;
    let sound = stage.title.audio();
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

fn open(config: &PipelineConfig) -> Result<(Stage, Box<dyn VideoEncoder>, PipelineInfo)> {
    let gpu: RefCell<Option<Arc<Gpu>>> = RefCell::new(None);
    let open_gpu = || {
        let opened = Gpu::open().map_err(|error| TitleFailure(error.to_string()))?;
        let handles = (opened.device().clone(), opened.queue().clone());
        *gpu.borrow_mut() = Some(opened);
        Ok(handles)
    };
    let title = nearframe_title::open(&config.manifest, &config.title_dir, config.seed, &open_gpu)?;
    let run = &config.manifest.run;
    let settings =
        VideoSettings { width: run.width, height: run.height, fps: run.fps, bitrate_bps: config.start_bps };
    let encoder = nearframe_encode::open_video(settings, VideoPreference::Best)?;
    let gpu = gpu.into_inner();
    let adapter =
        gpu.as_ref().map_or_else(|| "none (drawn by the CPU)".to_owned(), |gpu| gpu.facts().to_string());
    let converter = Converter::new(gpu, encoder.capabilities().layout, run.width, run.height)
        .context("preparing colour conversion")?;
    let info = PipelineInfo {
        width: run.width,
        height: run.height,
        encoder: encoder.capabilities().name.to_owned(),
        adapter,
        conversion: converter.conversion().to_string(),
    };
    Ok((Stage { title, converter }, encoder, info))
}

fn draw_frames(shared: &Shared, config: &PipelineConfig, stage: &mut Stage) -> Result<()> {
    let mut frame = 0;
    let mut events = Vec::new();
    let mut was_active = true;
    while !shared.stopped() {
        let active = shared.is_active();
        if active != was_active {
            stage.title.set_paused(!active);
            was_active = active;
        }
        if !active && !shared.wait_active() {
            break;
        }
        if !active {
            continue;
        }
        sleep_until(next_tick(shared));
        let now = Instant::now();
        if let Ok(mut clock) = shared.clock.lock() {
            clock.tick(now);
        }
        let serials = config.input.drain(now, &mut events);
        for (seat, event) in events.drain(..) {
            stage.title.apply(seat, &event);
        }
        let captured_us = now_us();
        let tick = FrameTick { frame, now_us: captured_us, input_serial: serials[0] };
        let picture = stage.title.draw(tick)?;
        let drawn_us = now_us();
        // Without a free surface the encoder is behind by two frames: this one is left out.
        if let Some(surface) = stage.converter.convert(&picture)? {
            let converted_us = now_us();
            shared.mailbox.put(RawFrame { surface, frame, captured_us, drawn_us, converted_us, serials });
        }
        frame = frame.wrapping_add(1);
        while let Some(rumble) = stage.title.take_rumble() {
            let _ = config.events.send(PipelineEvent::Rumble(rumble));
        }
        if stage.title.status() == TitleStatus::Exited {
            let _ = config.events.send(PipelineEvent::Exited);
            return Ok(());
        }
    }
    Ok(())
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
