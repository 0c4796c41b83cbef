//! One encoder after the other: when the one in use fails, the next takes over within the same stream.
//!
//! A failure costs a keyframe, not the session. The next encoder begins with the settings and the bitrate of the
//! moment; frames that the one before took with it are not encoded again.

use super::{VideoBackend, VideoOptions, open_backend};
use crate::hevc::with_hdr;
use crate::video::{
    AccessUnit, Capabilities, Codec, EncodeError, FrameRequest, Invalidated, SliceSink, VideoEncoder,
    VideoSettings,
};
use nearframe_gpu::{CpuSurface, Layout, Surface, SurfaceRing};
use std::time::{Duration, Instant};

/// One encoder gave way to another, or could not be opened to begin with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncoderChange {
    /// The one that cannot be used.
    pub from: VideoBackend,
    /// Why, in its own words.
    pub why: String,
    /// How long the stream stood for it; nothing when it was passed over at the beginning.
    pub took: Duration,
}

/// The encoders of one stream.
pub struct EncoderChain {
    options: VideoOptions,
    settings: VideoSettings,
    backend: VideoBackend,
    encoder: Box<dyn VideoEncoder>,
    /// What may still be tried, best first.
    next: Vec<VideoBackend>,
    changes: Vec<EncoderChange>,
    /// Holds pictures in another layout than the one they came in, until the converter follows.
    turned: Option<SurfaceRing>,
    ordered_failure: Option<String>,
}

impl EncoderChain {
    /// Opens the first encoder that can be used here.
    pub fn open(settings: VideoSettings, options: VideoOptions) -> Result<Self, EncodeError> {
        let mut next = options.preference.order();
        let (backend, encoder, passed_over) = open_next(&mut next, settings, &options)?;
        let settings = VideoSettings { codec: encoder.capabilities().codec, ..settings };
        let mut chain = Self {
            options,
            settings,
            backend,
            encoder,
            next,
            changes: Vec::new(),
            turned: None,
            ordered_failure: None,
        };
        chain.note(passed_over, Duration::ZERO);
        Ok(chain)
    }

    /// Goes over to another codec with the encoder in use, whose next picture is a keyframe. After a refusal all is as
    /// before. Where the hardware has no room for one more session, the one in use ends first.
    pub fn set_codec(&mut self, codec: Codec) -> Result<(), EncodeError> {
        if codec == self.settings.codec {
            return Ok(());
        }
        let settings = VideoSettings { codec, ..self.settings };
        let can = self.encoder.capabilities().clone();
        let mut opened = open_backend(self.backend, settings, &self.options);
        let ended = matches!(opened, Err(EncodeError::Unavailable { .. }));
        if ended {
            self.encoder = Box::new(Ended(can.clone()));
            opened = open_backend(self.backend, settings, &self.options);
        }
        match opened {
            Ok(encoder) => (self.encoder, self.settings) = (encoder, settings),
            Err(why) => {
                if ended {
                    // Where it does not come back, the next picture comes from the encoder after it.
                    self.encoder = open_backend(self.backend, self.settings, &self.options)
                        .unwrap_or_else(|_| Box::new(Ended(can)));
                }
                return Err(why);
            }
        }
        Ok(())
    }

    /// A fault hook: the encoder in use is taken for failed, and the next picture comes from the one after it.
    pub fn fail(&mut self, why: &str) {
        self.ordered_failure = Some(why.to_owned());
    }

    /// Which encoder is in use.
    pub fn backend(&self) -> VideoBackend {
        self.backend
    }

    /// What changed since this was asked last, oldest first. Whoever converts has to look at
    /// [`VideoEncoder::capabilities`] again.
    pub fn take_changes(&mut self) -> Vec<EncoderChange> {
        std::mem::take(&mut self.changes)
    }

    fn note(&mut self, passed_over: Vec<(VideoBackend, String)>, took: Duration) {
        let change = |(from, why)| EncoderChange { from, why, took };
        self.changes.extend(passed_over.into_iter().map(change));
    }

    /// Opens the next encoder in place of the one that failed since `called`. The error is the last one's where none
    /// is left.
    fn give_way(&mut self, failed: EncodeError, called: Instant) -> Result<(), EncodeError> {
        if !matches!(failed, EncodeError::Backend { .. } | EncodeError::Unavailable { .. })
            || self.next.is_empty()
        {
            return Err(failed);
        }
        let from = self.backend;
        let (backend, encoder, passed_over) = open_next(&mut self.next, self.settings, &self.options)?;
        self.settings.codec = encoder.capabilities().codec;
        (self.backend, self.encoder) = (backend, encoder);
        self.note(vec![(from, failed.to_string())], called.elapsed());
        self.note(passed_over, Duration::ZERO);
        Ok(())
    }

    /// Does `act` with the encoder in use, and once more with the next where that fails.
    fn with_encoder<T>(
        &mut self,
        mut act: impl FnMut(&mut dyn VideoEncoder) -> Result<T, EncodeError>,
    ) -> Result<T, EncodeError> {
        loop {
            let called = Instant::now();
            match act(self.encoder.as_mut()) {
                Err(error) => self.give_way(error, called)?,
                done => return done,
            }
        }
    }

    /// The surface as the encoder in use takes it. `None`: it lies where only another encoder can read it.
    fn turn(&mut self, surface: &Surface) -> Option<Surface> {
        let wanted = self.encoder.capabilities().layout;
        let from = surface.as_cpu()?;
        let size = (from.width(), from.height());
        let ring = self.turned.take().filter(|ring| ring.fits(wanted, size.0, size.1));
        let ring = ring.unwrap_or_else(|| SurfaceRing::new(wanted, size.0, size.1));
        let mut to = ring.take();
        self.turned = Some(ring);
        turn(from, to.as_mut()?)?;
        to.map(Surface::from)
    }

    /// Every keyframe in HDR10 says how bright the title is.
    fn with_metadata(&self, unit: AccessUnit) -> AccessUnit {
        let wide = unit.keyframe && self.encoder.capabilities().codec == Codec::Hevc10;
        match self.options.hdr.filter(|_| wide) {
            Some(hdr) => AccessUnit { data: with_hdr(&unit.data, hdr), ..unit },
            None => unit,
        }
    }

    /// Whether the encoder in use reads this surface as it is.
    fn takes(&self, surface: &Surface) -> bool {
        let can = self.encoder.capabilities();
        let layout = surface.layout() == can.layout;
        layout
            && match surface {
                Surface::Cpu(_) => true,
                Surface::Gpu(on_gpu) => can.device == Some(on_gpu.slot().device),
            }
    }
}

type Opened = (VideoBackend, Box<dyn VideoEncoder>, Vec<(VideoBackend, String)>);

/// Opens the first of `next` that can be used, and leaves what comes after it.
fn open_next(
    next: &mut Vec<VideoBackend>,
    settings: VideoSettings,
    options: &VideoOptions,
) -> Result<Opened, EncodeError> {
    let mut passed_over = Vec::new();
    loop {
        let backend = next.remove(0);
        match open_for(backend, settings, options) {
            Ok(encoder) => return Ok((backend, encoder, passed_over)),
            Err(error) if next.is_empty() => return Err(error),
            Err(error) => passed_over.push((backend, error.to_string())),
        }
    }
}

/// Opens a backend for the codec, or for H.264, which every receiver takes, where it does not do that one.
fn open_for(
    backend: VideoBackend,
    settings: VideoSettings,
    options: &VideoOptions,
) -> Result<Box<dyn VideoEncoder>, EncodeError> {
    match open_backend(backend, settings, options) {
        Err(EncodeError::Unsupported { .. }) if settings.codec != Codec::H264 => {
            open_backend(backend, VideoSettings { codec: Codec::H264, ..settings }, options)
        }
        result => result,
    }
}

/// In the place of an encoder that has ended and whose successor is not there yet.
struct Ended(Capabilities);

impl Ended {
    fn gone<T>(&self) -> Result<T, EncodeError> {
        let why = "its session has ended and no other could be opened".to_owned();
        Err(EncodeError::Unavailable { encoder: self.0.name, why })
    }
}

impl VideoEncoder for Ended {
    fn capabilities(&self) -> &Capabilities {
        &self.0
    }
    fn encode(&mut self, _: &Surface, _: FrameRequest) -> Result<Option<AccessUnit>, EncodeError> {
        self.gone()
    }
    fn set_bitrate(&mut self, _: u32) -> Result<(), EncodeError> {
        self.gone()
    }
    fn set_frame_rate(&mut self, _: u32) -> Result<(), EncodeError> {
        self.gone()
    }
    fn set_size(&mut self, _: u32, _: u32) -> Result<(), EncodeError> {
        self.gone()
    }
    fn acknowledge(&mut self, _: u32) -> Result<(), EncodeError> {
        self.gone()
    }
    fn invalidate(&mut self, _: u32) -> Result<Invalidated, EncodeError> {
        self.gone()
    }
    fn stream_slices(&mut self, _: Option<SliceSink>) -> Result<(), EncodeError> {
        self.gone()
    }
}

/// Between the two 8-bit layouts of 4:2:0: chroma interleaved, or one plane after the other. `None`: there is another
/// depth between them.
fn turn(from: &CpuSurface, to: &mut CpuSurface) -> Option<()> {
    let (layouts, samples) = ((from.layout(), to.layout()), from.chroma());
    let (luma, chroma) = to.planes_mut();
    let half = chroma.len() / 2;
    match layouts {
        (Layout::Nv12, Layout::I420) => {
            let (cb, cr) = chroma.split_at_mut(half);
            for ((pair, cb), cr) in samples.chunks_exact(2).zip(cb).zip(cr) {
                (*cb, *cr) = (pair[0], pair[1]);
            }
        }
        (Layout::I420, Layout::Nv12) => {
            let (cb, cr) = samples.split_at(half);
            for ((pair, cb), cr) in chroma.chunks_exact_mut(2).zip(cb).zip(cr) {
                (pair[0], pair[1]) = (*cb, *cr);
            }
        }
        _ => return None,
    }
    luma.copy_from_slice(from.luma());
    Some(())
}

impl std::fmt::Debug for EncoderChain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EncoderChain")
            .field("backend", &self.backend)
            .field("next", &self.next)
            .finish_non_exhaustive()
    }
}

impl VideoEncoder for EncoderChain {
    fn capabilities(&self) -> &Capabilities {
        self.encoder.capabilities()
    }

    /// `None` also where the surface lies in memory that only the encoder before could read; ask again with the
    /// next one, as a keyframe if this was to be one.
    fn encode(
        &mut self,
        surface: &Surface,
        request: FrameRequest,
    ) -> Result<Option<AccessUnit>, EncodeError> {
        if let Some(detail) = self.ordered_failure.take() {
            let encoder = self.encoder.capabilities().name;
            self.give_way(
                EncodeError::Backend { encoder, doing: "failing on purpose", detail },
                Instant::now(),
            )?;
        }
        loop {
            let called = Instant::now();
            let result = if self.takes(surface) {
                self.encoder.encode(surface, request)
            } else {
                self.settings.check_size(surface)?;
                let Some(turned) = self.turn(surface) else { return Ok(None) };
                self.encoder.encode(&turned, request)
            };
            match result {
                Err(error) => self.give_way(error, called)?,
                Ok(unit) => return Ok(unit.map(|unit| self.with_metadata(unit))),
            }
        }
    }

    fn set_bitrate(&mut self, bitrate_bps: u32) -> Result<(), EncodeError> {
        self.with_encoder(|encoder| encoder.set_bitrate(bitrate_bps))?;
        self.settings.bitrate_bps = bitrate_bps;
        Ok(())
    }

    fn set_frame_rate(&mut self, fps: u32) -> Result<(), EncodeError> {
        self.with_encoder(|encoder| encoder.set_frame_rate(fps))?;
        self.settings.fps = fps;
        Ok(())
    }

    fn set_size(&mut self, width: u32, height: u32) -> Result<(), EncodeError> {
        self.with_encoder(|encoder| encoder.set_size(width, height))?;
        (self.settings.width, self.settings.height) = (width, height);
        Ok(())
    }

    fn acknowledge(&mut self, frame: u32) -> Result<(), EncodeError> {
        self.with_encoder(|encoder| encoder.acknowledge(frame))
    }

    fn invalidate(&mut self, newest_good: u32) -> Result<Invalidated, EncodeError> {
        self.with_encoder(|encoder| encoder.invalidate(newest_good))
    }

    fn stream_slices(&mut self, sink: Option<SliceSink>) -> Result<(), EncodeError> {
        self.encoder.stream_slices(sink)
    }
}
