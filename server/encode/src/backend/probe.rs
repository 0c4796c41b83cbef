//! An encoder without a picture, for tests and benches of what carries its frames.

use crate::h264::{BitReader, BitWriter, NalKind, Sps, nals, push_nal};
use crate::rate::{Plan, RateControl, Try, Verdict};
use crate::video::{
    AccessUnit, Capabilities, Codec, EncodeError, FrameRequest, Invalidation, VideoEncoder, VideoSettings,
    check_bitrate,
};
use nearframe_gpu::{Layout, Surface};
use std::time::Instant;

const NAME: &str = "Probe";
const MAX_SIDE: u32 = 4096;
/// As large as the slices of a real encoder, so that packets look alike.
const SLICE_BYTES: usize = 1_150;
/// Bytes of a slice besides filler, at most: start code, header byte, header fields, frame number.
const SLICE_OVERHEAD: usize = 24;
const REFRESH: u8 = 0x65;
const PREDICTED: u8 = 0x41;
const SPS: u8 = 0x67;
const PPS: u8 = 0x68;

/// Emits H.264 byte streams of exactly the budgeted size: true parameter sets and slice headers, then the
/// frame number and filler instead of macroblocks. The same calls give the same bytes.
#[derive(Debug)]
pub struct ProbeEncoder {
    settings: VideoSettings,
    capabilities: Capabilities,
    sps: Sps,
    rate: RateControl,
    frame_num: u32,
    idr_pic_id: u32,
}

impl ProbeEncoder {
    /// Sizes are even, 16×16 to 4096×4096.
    pub fn open(settings: VideoSettings) -> Result<Self, EncodeError> {
        settings.check(NAME, MAX_SIDE, MAX_SIDE)?;
        let pixels = u64::from(settings.width) * u64::from(settings.height);
        Ok(Self {
            settings,
            capabilities: Capabilities {
                name: NAME,
                codec: Codec::H264,
                layout: Layout::I420,
                reference_invalidation: false,
            },
            sps: Sps::constrained_baseline(settings.width, settings.height, settings.level_idc()),
            rate: RateControl::new(settings.bitrate_bps, settings.fps, pixels),
            frame_num: 0,
            idr_pic_id: 0,
        })
    }

    fn write(&mut self, frame: u32, attempt: Try) -> Vec<u8> {
        let mut data = Vec::with_capacity(attempt.budget_bytes + SLICE_OVERHEAD);
        if attempt.keyframe {
            self.frame_num = 0;
            self.idr_pic_id ^= 1;
            push_nal(&mut data, SPS, &self.sps.write());
            push_nal(&mut data, PPS, &picture_parameters());
        }
        let mut macroblock = 0;
        let macroblocks = self.settings.width.div_ceil(16) * self.settings.height.div_ceil(16);
        loop {
            let left = attempt.budget_bytes.saturating_sub(data.len());
            let last = left <= SLICE_BYTES + SLICE_OVERHEAD || macroblock + 1 == macroblocks;
            let length = if last { left } else { SLICE_BYTES };
            self.push_slice(&mut data, frame, macroblock, attempt.keyframe, length);
            if last {
                break;
            }
            macroblock += 1;
        }
        self.frame_num = (self.frame_num + 1) % (1 << self.sps.frame_num_bits);
        data
    }

    fn push_slice(&self, data: &mut Vec<u8>, frame: u32, macroblock: u32, keyframe: bool, length: usize) {
        let mut bits = BitWriter::default();
        bits.unsigned(macroblock);
        bits.unsigned(if keyframe { 7 } else { 5 });
        bits.unsigned(0);
        bits.bits(self.frame_num, self.sps.frame_num_bits);
        if keyframe {
            bits.unsigned(self.idr_pic_id);
        }
        // Seven bits and a one at a time: no start code can arise, so sizes stay exact.
        for shift in [28, 21, 14, 7, 0] {
            bits.bits(frame >> shift & 127, 7);
            bits.bit(true);
        }
        let start = data.len();
        push_nal(data, if keyframe { REFRESH } else { PREDICTED }, &bits.finish());
        let filler = length.saturating_sub(data.len() - start);
        data.extend((0..filler).map(|at| 0x80 | (frame as usize + at) as u8));
    }
}

/// Id 0, set 0, CAVLC, one slice group, one reference (7.3.2.2).
fn picture_parameters() -> Vec<u8> {
    let mut bits = BitWriter::default();
    bits.unsigned(0);
    bits.unsigned(0);
    bits.bits(0, 2);
    [0, 0, 0].iter().for_each(|&v| bits.unsigned(v));
    bits.bits(0, 3);
    [0, 0, 0].iter().for_each(|&v| bits.signed(v));
    bits.bits(0, 3);
    bits.finish()
}

/// The frame number in an access unit of [`ProbeEncoder`], or `None` for other bytes.
pub fn probe_frame(access_unit: &[u8]) -> Option<u32> {
    let slice = nals(access_unit).find(|nal| matches!(nal.kind(), NalKind::Slice | NalKind::IdrSlice))?;
    let payload = slice.payload(SLICE_OVERHEAD);
    let mut bits = BitReader::new(&payload);
    for _ in 0..3 {
        bits.unsigned()?;
    }
    bits.bits(Sps::constrained_baseline(16, 16, 30).frame_num_bits)?;
    if slice.kind() == NalKind::IdrSlice {
        bits.unsigned()?;
    }
    (0..5).try_fold(0u32, |frame, _| {
        let seven = bits.bits(7)?;
        bits.bit()?.then_some(frame << 7 | seven)
    })
}

impl VideoEncoder for ProbeEncoder {
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
        loop {
            let data = self.write(request.frame, attempt);
            match self.rate.judge(attempt, data.len()) {
                Verdict::Emit => {
                    let (frame, keyframe) = (request.frame, attempt.keyframe);
                    return Ok(Some(AccessUnit { frame, data, keyframe, encode_time: start.elapsed() }));
                }
                Verdict::Again(coarser) => attempt = coarser,
                Verdict::Drop => return Ok(None),
            }
        }
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
