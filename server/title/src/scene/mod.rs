//! A glTF 2.0 scene with metallic-roughness materials, one sun, and a camera that orbits and flies.

mod camera;
mod load;
mod materials;
mod model;
mod render;
mod sound;

use crate::clock::StepClock;
use crate::source::{AudioSource, Drawn, FrameTick, TitleFailure, TitleNotice, TitleSource, TitleStatus};
use camera::Camera;
use nearframe_gpu::{Gpu, Picture};
use nearframe_protocol::Seat;
use nearframe_protocol::input::InputEvent;
use render::Renderer;
use sound::Ambience;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A scene being shown.
pub(crate) struct SceneTitle {
    renderer: Renderer,
    camera: Camera,
    clock: StepClock,
    /// The folder and the file in it, to be read again for another GPU.
    files: (PathBuf, String),
    /// Shared with the sound.
    paused: Arc<AtomicBool>,
}

impl SceneTitle {
    /// Loads the scene `file` below `dir`.
    ///
    /// # Errors
    /// What is wrong with the file, or what in it goes beyond the limits of [`load`].
    pub(crate) fn load(
        device: wgpu::Device,
        queue: wgpu::Queue,
        width: u32,
        height: u32,
        dir: &Path,
        file: &str,
    ) -> Result<Self, TitleFailure> {
        let model = read(dir, file)?;
        let renderer = Renderer::new(device, queue, width, height, &model);
        let camera = Camera::new(model.low, model.high, renderer.aspect());
        let files = (dir.to_owned(), file.to_owned());
        Ok(Self { renderer, camera, clock: StepClock::default(), files, paused: Arc::default() })
    }
}

fn read(dir: &Path, file: &str) -> Result<model::Model, TitleFailure> {
    load::load(dir, file).map_err(|error| TitleFailure(format!("{file}: {error}")))
}

impl TitleSource for SceneTitle {
    fn size(&self) -> (u32, u32) {
        self.renderer.size()
    }

    fn apply(&mut self, seat: Seat, event: &InputEvent) {
        if seat.is_player() {
            self.camera.apply(event);
        }
    }

    fn draw(&mut self, tick: FrameTick) -> Result<Drawn<'_>, TitleFailure> {
        for _ in 0..self.clock.steps(tick) {
            self.camera.advance();
        }
        Ok(Picture::Gpu(self.renderer.draw(&self.camera)).into())
    }

    fn status(&self) -> TitleStatus {
        TitleStatus::Running
    }

    fn take_notice(&mut self) -> Option<TitleNotice> {
        None
    }

    fn audio(&mut self) -> Box<dyn AudioSource> {
        Box::new(Ambience::new(Arc::clone(&self.paused)))
    }

    fn replace_gpu(&mut self, gpu: &Arc<Gpu>) -> Result<(), TitleFailure> {
        let model = read(&self.files.0, &self.files.1)?;
        let (width, height) = self.renderer.size();
        self.renderer = Renderer::new(gpu.device().clone(), gpu.queue().clone(), width, height, &model);
        Ok(())
    }

    fn set_paused(&mut self, paused: bool) {
        self.paused.store(paused, Ordering::Relaxed);
        self.clock.set_paused(paused);
    }
}
