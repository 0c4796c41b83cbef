//! H.264 on the CPU through OpenH264 (constrained baseline).

mod library;

use crate::rate::{Plan, RateControl, Try, Verdict};
use crate::video::{
    AccessUnit, Capabilities, Codec, EncodeError, FrameRequest, Invalidation, VideoEncoder, VideoSettings,
    check_bitrate,
};
use library::{Library, NAME, Parameters, Planes};
use nearframe_gpu::{Layout, Surface};
use std::time::Instant;

/// The largest picture the library takes (its `MAX_WIDTH` and `MAX_HEIGHT` checks), either way round.
const MAX_SIDES: (u32, u32) = (3840, 2160);

/// One stream. About 20 MB at 720p.
pub struct OpenH264Encoder {
    settings: VideoSettings,
    capabilities: Capabilities,
    library: Library,
    rate: RateControl,
    /// Length of the frame before, so that the next one's buffer need not grow.
    last_len: usize,
}

impl OpenH264Encoder {
    /// Sizes are even, 16×16 to 3840×2160 either way round.
    pub fn open(settings: VideoSettings) -> Result<Self, EncodeError> {
        settings.check(NAME, MAX_SIDES.0, MAX_SIDES.1)?;
        let library = Library::open(Parameters {
            width: settings.width as i32,
            height: settings.height as i32,
            fps: settings.fps as f32,
            bitrate_bps: settings.bitrate_bps as i32,
            level_idc: settings.level_idc(),
        })?;
        let pixels = u64::from(settings.width) * u64::from(settings.height);
        let capabilities = Capabilities {
            name: NAME,
            codec: Codec::H264,
            layout: Layout::I420,
            reference_invalidation: false,
        };
        let rate = RateControl::new(settings.bitrate_bps, settings.fps, pixels);
        Ok(Self { settings, capabilities, library, rate, last_len: 0 })
    }

    fn attempt(
        &mut self,
        surface: &Surface,
        request: FrameRequest,
        attempt: Try,
        data: &mut Vec<u8>,
    ) -> Result<bool, EncodeError> {
        data.clear();
        if attempt.keyframe {
            self.library.force_keyframe()?;
        }
        self.library.set_qp(attempt.qp)?;
        let chroma = surface.chroma();
        let (cb, cr) = chroma.split_at(chroma.len() / 2);
        let at_ms = i64::try_from(request.at.as_millis()).unwrap_or(i64::MAX);
        self.library.encode(Planes { luma: surface.luma(), cb, cr }, at_ms, data)
    }
}

impl std::fmt::Debug for OpenH264Encoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OpenH264Encoder").field("settings", &self.settings).finish_non_exhaustive()
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
        self.settings.check_surface(Layout::I420, surface)?;
        let Plan::Encode(mut attempt) = self.rate.plan(request.at, request.keyframe) else {
            return Ok(None);
        };
        let mut data = Vec::with_capacity(self.last_len.max(attempt.budget_bytes) * 5 / 4);
        loop {
            attempt.keyframe |= self.attempt(surface, request, attempt, &mut data)?;
            match self.rate.judge(attempt, data.len()) {
                Verdict::Emit => break,
                Verdict::Again(coarser) => attempt = coarser,
                Verdict::Drop => return Ok(None),
            }
        }
        self.last_len = data.len();
        let (frame, keyframe) = (request.frame, attempt.keyframe);
        Ok(Some(AccessUnit { frame, data, keyframe, encode_time: start.elapsed() }))
    }

    fn set_bitrate(&mut self, bitrate_bps: u32) -> Result<(), EncodeError> {
        check_bitrate(NAME, bitrate_bps)?;
        self.rate.set_bitrate(bitrate_bps);
        Ok(())
    }

    fn invalidate(&mut self, _frame: u32) -> Result<Invalidation, EncodeError> {
        Ok(Invalidation::KeyframeNeeded)
    }
}
