//! H.264 on the CPU through OpenH264 (constrained baseline).

mod library;
mod long_term;

use super::adjust::Adjustable;
use crate::h264::with_frame_num_gaps;
use crate::rate::{Kind, Plan, RateControl, Try, Verdict, Wanted};
use crate::video::{
    AccessUnit, Capabilities, Codec, EncodeError, FrameRequest, Invalidated, SliceSink, VideoEncoder,
    VideoSettings, no_slices,
};
use library::{Library, NAME, Parameters, Planes, failure};
use long_term::{LongTerm, Picture};
use nearframe_gpu::{CpuSurface, Layout, Surface};
use std::time::Instant;

/// The largest picture the library takes (its `MAX_WIDTH` and `MAX_HEIGHT` checks), either way round.
const MAX_SIDES: (u32, u32) = (3840, 2160);

/// One stream. About 23 MB at 720p.
pub struct OpenH264Encoder {
    settings: VideoSettings,
    capabilities: Capabilities,
    library: Library,
    /// As declared in the stream.
    level_idc: u32,
    long_term: LongTerm,
    rate: RateControl,
    /// Length of the frame before, so that the next one's buffer need not grow.
    last_len: usize,
}

impl OpenH264Encoder {
    /// Sizes are even, 16×16 to 3840×2160 either way round.
    pub fn open(settings: VideoSettings) -> Result<Self, EncodeError> {
        settings.check_codec(NAME, Codec::H264)?;
        settings.check(NAME, MAX_SIDES.0, MAX_SIDES.1)?;
        let level_idc = settings.level_idc();
        let library = Library::open(Parameters::new(&settings, level_idc))?;
        let capabilities = Capabilities {
            name: NAME,
            codec: Codec::H264,
            codecs: vec![Codec::H264],
            layout: Layout::I420,
            device: None,
            reference_invalidation: true,
            slices: false,
        };
        let rate = RateControl::new(settings.bitrate_bps, settings.fps, settings.pixels());
        let long_term = LongTerm::default();
        Ok(Self { settings, capabilities, library, level_idc, long_term, rate, last_len: 0 })
    }

    /// One attempt. `None`: it came out as something that must not be sent.
    fn attempt(
        &mut self,
        surface: &CpuSurface,
        request: FrameRequest,
        attempt: Try,
        data: &mut Vec<u8>,
    ) -> Result<Option<Picture>, EncodeError> {
        data.clear();
        match attempt.kind {
            Kind::Keyframe => self.library.force_keyframe()?,
            Kind::Predicted => {}
            Kind::Recovery { .. } => {
                let Some(recovery) = self.long_term.recovery() else { return Ok(None) };
                self.library.recover(recovery)?;
            }
        }
        self.library.set_qp(attempt.qp)?;
        let chroma = surface.chroma();
        let (cb, cr) = chroma.split_at(chroma.len() / 2);
        let at_ms = i64::try_from(request.at.as_millis()).unwrap_or(i64::MAX);
        if self.library.encode(Planes { luma: surface.luma(), cb, cr }, at_ms, data)? {
            *data = with_frame_num_gaps(data)
                .ok_or_else(|| failure("encoding", "its parameter set cannot be read".to_owned()))?;
        }
        Ok(self.long_term.read(request.frame, data))
    }

    /// Attempts until one may be sent. `None`: the frame is left out.
    fn encode_until_sent(
        &mut self,
        surface: &CpuSurface,
        request: FrameRequest,
        mut attempt: Try,
        data: &mut Vec<u8>,
    ) -> Result<Option<(Try, Picture)>, EncodeError> {
        loop {
            let Some(picture) = self.attempt(surface, request, attempt, data)? else {
                if attempt.kind == Kind::Keyframe {
                    return Err(failure("encoding", "a keyframe came out broken".to_owned()));
                }
                self.long_term.discarded();
                attempt.kind = Kind::Keyframe;
                continue;
            };
            if picture.refers_to.is_none() {
                attempt.kind = Kind::Keyframe;
            }
            let other_age = self.long_term.age_at(request.frame, self.rate.oldest_reference());
            match self.rate.judge(attempt, data.len(), other_age) {
                Verdict::Emit => return Ok(Some((attempt, picture))),
                Verdict::Again(coarser) => attempt = coarser,
                Verdict::Drop => {
                    self.long_term.discarded();
                    return Ok(None);
                }
            }
            self.long_term.discarded();
        }
    }
}

impl std::fmt::Debug for OpenH264Encoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OpenH264Encoder").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Adjustable for OpenH264Encoder {
    const NAME: &'static str = NAME;

    fn settings(&mut self) -> &mut VideoSettings {
        &mut self.settings
    }

    fn check(&self, settings: &VideoSettings) -> Result<(), EncodeError> {
        settings.check(NAME, MAX_SIDES.0, MAX_SIDES.1)
    }

    fn goes_on(&self, settings: &VideoSettings) -> Result<bool, EncodeError> {
        Ok(settings.level_idc() <= self.level_idc)
    }

    fn restart(&mut self, settings: VideoSettings) -> Result<(), EncodeError> {
        self.level_idc = settings.level_idc();
        self.library.restart(Parameters::new(&settings, self.level_idc))?;
        self.rate.restart(settings.pixels() as f64 / self.settings.pixels() as f64);
        self.settings = settings;
        Ok(())
    }
}

impl VideoEncoder for OpenH264Encoder {
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn encode(
        &mut self,
        surface: &Surface,
        request: FrameRequest,
    ) -> Result<Option<AccessUnit>, EncodeError> {
        let start = Instant::now();
        let surface = self.settings.check_cpu(Layout::I420, surface)?;
        let kind = match self.long_term.recovery_age(request.frame) {
            _ if request.keyframe => Kind::Keyframe,
            Some(age) => Kind::Recovery { age },
            None => Kind::Predicted,
        };
        let wanted = Wanted { at: request.at, kind, budget_bytes: request.budget_bytes };
        let Plan::Encode(attempt) = self.rate.plan(wanted) else { return Ok(None) };
        let mut data = Vec::with_capacity(self.last_len.max(attempt.budget_bytes) * 5 / 4);
        let Some((attempt, picture)) = self.encode_until_sent(surface, request, attempt, &mut data)? else {
            return Ok(None);
        };
        self.long_term.sent(request.frame, picture);
        self.last_len = data.len();
        Ok(Some(AccessUnit {
            frame: request.frame,
            keyframe: picture.refers_to.is_none(),
            refers_to: picture.refers_to,
            over_budget: request.budget_bytes.is_some() && attempt.is_over_budget(data.len()),
            encode_time: start.elapsed(),
            data,
        }))
    }

    fn set_bitrate(&mut self, bitrate_bps: u32) -> Result<(), EncodeError> {
        self.adjust_bitrate(bitrate_bps)?;
        self.rate.set_bitrate(bitrate_bps);
        Ok(())
    }

    fn set_frame_rate(&mut self, fps: u32) -> Result<(), EncodeError> {
        self.adjust_frame_rate(fps)?;
        self.rate.set_frame_rate(fps);
        Ok(())
    }

    fn set_size(&mut self, width: u32, height: u32) -> Result<(), EncodeError> {
        self.adjust_size(width, height)
    }

    fn acknowledge(&mut self, frame: u32) -> Result<(), EncodeError> {
        match self.long_term.acknowledge(frame) {
            Some(feedback) => self.library.confirm(feedback),
            None => Ok(()),
        }
    }

    fn invalidate(&mut self, newest_good: u32) -> Result<Invalidated, EncodeError> {
        self.acknowledge(newest_good)?;
        let invalidated = self.long_term.invalidate(newest_good, self.rate.oldest_reference());
        if invalidated == Invalidated::KeyframeNeeded {
            self.rate.owe_keyframe();
        }
        Ok(invalidated)
    }

    fn stream_slices(&mut self, _sink: Option<SliceSink>) -> Result<(), EncodeError> {
        Err(no_slices(NAME))
    }
}
