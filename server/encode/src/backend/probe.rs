//! An encoder without a picture, for tests and benches of what carries its frames.

use super::adjust::Adjustable;
use crate::h264::{BitReader, BitWriter, NalKind, Sps, nals, push_nal};
use crate::rate::{Kind, Plan, RateControl, Try, Verdict, Wanted};
use crate::references::References;
use crate::video::{
    AccessUnit, Capabilities, Codec, EncodeError, FrameRequest, Invalidated, SliceSink, VideoEncoder,
    VideoSettings, no_slices,
};
use nearframe_gpu::{Layout, Surface};
use std::time::Instant;

const NAME: &str = "Probe";
const MAX_SIDE: u32 = 4096;
/// As large as the slices of a real encoder, so that packets look alike.
const SLICE_BYTES: usize = 1_150;
/// Bytes of a slice besides filler, at most: start code, header byte, header fields, frame number.
const SLICE_OVERHEAD: usize = 28;
/// Pictures kept for reference, as many as H.264 allows.
const REFERENCES: u32 = 16;
/// The oldest of them, with a frame or two to spare for those that are left out after a promise.
const MAX_DISTANCE: u32 = 14;
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
    references: References,
    /// The next frame must refer to nothing after this one.
    good_until: Option<u32>,
}

impl ProbeEncoder {
    /// Sizes are even, 16×16 to 4096×4096.
    pub fn open(settings: VideoSettings) -> Result<Self, EncodeError> {
        settings.check_codec(NAME, Codec::H264)?;
        settings.check(NAME, MAX_SIDE, MAX_SIDE)?;
        Ok(Self {
            settings,
            capabilities: Capabilities {
                name: NAME,
                codec: Codec::H264,
                codecs: vec![Codec::H264],
                layout: Layout::I420,
                device: None,
                reference_invalidation: true,
                slices: false,
            },
            sps: parameter_set(&settings),
            rate: RateControl::new(settings.bitrate_bps, settings.fps, settings.pixels()),
            frame_num: 0,
            idr_pic_id: 0,
            references: References::default(),
            good_until: None,
        })
    }

    fn write(&self, frame: u32, attempt: Try, header: Header) -> Vec<u8> {
        let mut data = Vec::with_capacity(attempt.budget_bytes + SLICE_OVERHEAD);
        if header.refers_to.is_none() {
            push_nal(&mut data, SPS, &self.sps.write());
            push_nal(&mut data, PPS, &picture_parameters());
        }
        let mut macroblock = 0;
        let macroblocks = self.settings.width.div_ceil(16) * self.settings.height.div_ceil(16);
        loop {
            let left = attempt.budget_bytes.saturating_sub(data.len());
            let last = left <= SLICE_BYTES + SLICE_OVERHEAD || macroblock + 1 == macroblocks;
            let length = if last { left } else { SLICE_BYTES };
            self.push_slice(&mut data, frame, macroblock, header, length);
            if last {
                break;
            }
            macroblock += 1;
        }
        data
    }

    fn push_slice(&self, data: &mut Vec<u8>, frame: u32, macroblock: u32, header: Header, length: usize) {
        let mut bits = BitWriter::default();
        bits.unsigned(macroblock);
        bits.unsigned(if header.refers_to.is_some() { 5 } else { 7 });
        bits.unsigned(0);
        bits.bits(header.frame_num, self.sps.frame_num_bits);
        match header.refers_to {
            None => {
                bits.unsigned(self.idr_pic_id);
                bits.bits(0, 2);
            }
            Some(distance) => {
                bits.bit(false);
                bits.bit(distance > 1);
                if distance > 1 {
                    [0, distance - 1, 3].iter().for_each(|&v| bits.unsigned(v));
                }
                bits.bit(false);
            }
        }
        // Seven bits and a one at a time: no start code can arise, so sizes stay exact.
        for shift in [28, 21, 14, 7, 0] {
            bits.bits(frame >> shift & 127, 7);
            bits.bit(true);
        }
        let start = data.len();
        push_nal(data, if header.refers_to.is_some() { PREDICTED } else { REFRESH }, &bits.finish());
        let filler = length.saturating_sub(data.len() - start);
        data.extend((0..filler).map(|at| 0x80 | (frame as usize + at) as u8));
    }

    /// The frame that `frame` is predicted from.
    fn reference(&self, frame: u32, keyframe: bool) -> Option<u32> {
        if keyframe {
            return None;
        }
        let newest = self.references.newest()?;
        let Some(limit) = self.good_until else { return Some(newest) };
        self.references.newest_received(limit).filter(|&good| frame.saturating_sub(good) <= MAX_DISTANCE)
    }

    fn sent(&mut self, frame: u32, header: Header, refers_to: Option<u32>) {
        self.idr_pic_id ^= u32::from(refers_to.is_none());
        self.frame_num = header.frame_num;
        self.references.sent(frame, header.frame_num, refers_to);
        self.good_until = None;
    }

    fn header(&self, refers_to: Option<u32>) -> Header {
        let modulus = 1 << self.sps.frame_num_bits;
        let Some(reference) = refers_to.and_then(|frame| self.references.frame_num_up_to(frame)) else {
            return Header { frame_num: 0, refers_to: None };
        };
        let frame_num = (self.frame_num + 1) % modulus;
        Header { frame_num, refers_to: Some((frame_num + modulus - reference) % modulus) }
    }
}

/// What all slices of a picture say.
#[derive(Clone, Copy)]
struct Header {
    frame_num: u32,
    /// How many pictures before this one.
    refers_to: Option<u32>,
}

fn parameter_set(settings: &VideoSettings) -> Sps {
    let sps = Sps::constrained_baseline(settings.width, settings.height, settings.level_idc());
    Sps { max_num_ref_frames: REFERENCES, frame_num_gaps: true, ..sps }
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
        bits.bits(2)?;
    } else {
        bits.bit()?;
        if bits.bit()? {
            for _ in 0..3 {
                bits.unsigned()?;
            }
        }
        bits.bit()?;
    }
    (0..5).try_fold(0u32, |frame, _| {
        let seven = bits.bits(7)?;
        bits.bit()?.then_some(frame << 7 | seven)
    })
}

impl Adjustable for ProbeEncoder {
    const NAME: &'static str = NAME;

    fn settings(&mut self) -> &mut VideoSettings {
        &mut self.settings
    }

    fn check(&self, settings: &VideoSettings) -> Result<(), EncodeError> {
        settings.check(NAME, MAX_SIDE, MAX_SIDE)
    }

    fn goes_on(&self, settings: &VideoSettings) -> Result<bool, EncodeError> {
        Ok(settings.level_idc() <= self.sps.level_idc)
    }

    fn restart(&mut self, settings: VideoSettings) -> Result<(), EncodeError> {
        self.sps = parameter_set(&settings);
        self.rate.restart(settings.pixels() as f64 / self.settings.pixels() as f64);
        self.settings = settings;
        Ok(())
    }
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
        self.settings.check_cpu(Layout::I420, surface)?;
        let refers_to = self.reference(request.frame, request.keyframe);
        let kind = match (refers_to, self.good_until) {
            (None, _) => Kind::Keyframe,
            (Some(_), None) => Kind::Predicted,
            (Some(good), Some(_)) => Kind::Recovery { age: request.frame.saturating_sub(good).max(1) },
        };
        let wanted = Wanted { at: request.at, kind, budget_bytes: request.budget_bytes };
        let Plan::Encode(mut attempt) = self.rate.plan(wanted) else { return Ok(None) };
        loop {
            let refers_to = refers_to.filter(|_| attempt.kind != Kind::Keyframe);
            let header = self.header(refers_to);
            let data = self.write(request.frame, attempt, header);
            // Nothing is predicted from a picture that was never there: every try may use the reference.
            match self.rate.judge(attempt, data.len(), refers_to.map(|_| 1)) {
                Verdict::Emit => {
                    self.sent(request.frame, header, refers_to);
                    return Ok(Some(AccessUnit {
                        frame: request.frame,
                        keyframe: refers_to.is_none(),
                        refers_to,
                        over_budget: request.budget_bytes.is_some() && attempt.is_over_budget(data.len()),
                        encode_time: start.elapsed(),
                        data,
                    }));
                }
                Verdict::Again(coarser) => attempt = coarser,
                Verdict::Drop => return Ok(None),
            }
        }
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
        self.references.acknowledge(frame);
        Ok(())
    }

    fn invalidate(&mut self, newest_good: u32) -> Result<Invalidated, EncodeError> {
        self.references.acknowledge(newest_good);
        self.references.lose_after(newest_good);
        let Some(newest) = self.references.newest() else { return Ok(Invalidated::KeyframeNeeded) };
        if newest <= newest_good && self.references.is_intact(newest) && self.good_until.is_none() {
            return Ok(Invalidated::Refers { frame: newest });
        }
        let limit = self.good_until.map_or(newest_good, |limit| limit.min(newest_good));
        let good = self.references.newest_received(limit);
        let oldest = self.rate.oldest_reference().min(MAX_DISTANCE);
        match good.filter(|good| newest.saturating_add(1).saturating_sub(*good) <= oldest) {
            Some(frame) => {
                self.good_until = Some(limit);
                Ok(Invalidated::Refers { frame })
            }
            None => {
                self.rate.owe_keyframe();
                Ok(Invalidated::KeyframeNeeded)
            }
        }
    }

    fn stream_slices(&mut self, _sink: Option<SliceSink>) -> Result<(), EncodeError> {
        Err(no_slices(NAME))
    }
}
