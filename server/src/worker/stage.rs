//! A title that runs, with or without a session that plays it.

use super::input_port::InputPort;
use super::pipeline::{Pipeline, PipelineConfig, PipelineEvent};
use super::transport::webrtc::START_BPS;
use super::voice::VoicePort;
use anyhow::{Context, Result};
use nearframe_protocol::title::TitleManifest;
use nearframe_protocol::worker::{Prepare, Start};
use nearframe_title::Surroundings;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::mpsc;

/// A title with its threads and ports.
pub(crate) struct Stage {
    pub(crate) title_dir: PathBuf,
    pub(crate) pipeline: Pipeline,
    pub(crate) input: Arc<InputPort>,
    pub(crate) voice: Arc<VoicePort>,
    pub(crate) events: mpsc::UnboundedReceiver<PipelineEvent>,
}

impl Stage {
    /// Starts the title of a folder; what it says comes out of `events`.
    pub(crate) fn open(wanted: &Prepare, start_bps: u32) -> Result<Self> {
        let (events_in, events) = mpsc::unbounded_channel();
        let input = Arc::new(InputPort::new(Instant::now()));
        let voice = Arc::new(VoicePort::default());
        let pipeline = Pipeline::start(PipelineConfig {
            title_dir: wanted.title_dir.clone(),
            manifest: manifest(wanted)?,
            seed: wanted.seed,
            around: Surroundings {
                dir: wanted.dir.clone(),
                home: wanted.home.clone(),
                launcher: std::env::current_exe().context("finding the program itself, to lock titles in")?,
                gpu: None,
            },
            open_gpu: Arc::new(nearframe_gpu::Gpu::open),
            start_bps: start_bps.min(START_BPS),
            video: crate::encoders::from_environment()?,
            input: Arc::clone(&input),
            voice: Arc::clone(&voice),
            events: events_in,
        })?;
        Ok(Self { title_dir: wanted.title_dir.clone(), pipeline, input, voice, events })
    }
}

/// What the title of a folder says of itself.
pub(crate) fn manifest(wanted: &Prepare) -> Result<TitleManifest> {
    let path = wanted.title_dir.join("title.toml");
    let text = std::fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    TitleManifest::parse(&text).with_context(|| path.display().to_string())
}

/// The part of a start that the title needs.
pub(crate) fn wanted(start: &Start) -> Prepare {
    Prepare {
        title_dir: start.title_dir.clone(),
        dir: start.dir.clone(),
        home: start.home.clone(),
        seed: start.seed,
    }
}
