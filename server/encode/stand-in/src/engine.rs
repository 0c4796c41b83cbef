//! What turns pictures into bytes.
//!
//! H.264 goes through OpenH264, with the stream's parameter set rewritten as the settings say. OpenH264 can go back
//! to long-term references only, so a picture after an invalidation refers to one a few frames older than NVENC would
//! choose; as with NVENC it is one that was not invalidated, or the picture is intra. AV1 goes through libaom in
//! the same way, HEVC through libx265, which goes back to nothing but the picture before: after an invalidation it makes an
//! intra picture.

use crate::aom::Av1;
use crate::params::{Codec, Settings};
use crate::x265::{Hevc, Origin};
use nearframe_encode::h264::{Colour, NalKind, Sps, nals, push_nal};
use nearframe_encode::{FrameRequest, Invalidated, OpenH264Encoder, VideoEncoder, VideoSettings};
use nearframe_gpu::{CpuSurface, Layout, SurfaceRing};
use std::collections::VecDeque;
use std::time::Duration;

/// Pictures until one may become a long-term reference: as late as reports of a player come.
const CONFIRMED_AFTER: usize = 4;
/// `NV_ENC_PIC_TYPE_P` and `NV_ENC_PIC_TYPE_IDR`.
pub(crate) const P: u32 = 0;
pub(crate) const IDR: u32 = 3;

/// A picture as it comes out.
pub(crate) struct Coded {
    pub(crate) data: Vec<u8>,
    pub(crate) kind: u32,
}

/// A picture that is kept for reference.
struct Kept {
    timestamp: u64,
    /// It may be used.
    valid: bool,
    /// OpenH264 was told that its receiver has it.
    confirmed: bool,
}

/// Who encodes.
enum Coder {
    H264(Box<OpenH264Encoder>),
    Av1(Av1),
    Hevc(Hevc),
}

impl Coder {
    fn open(settings: &Settings) -> Result<Self, String> {
        Ok(match settings.codec {
            Codec::H264 => Self::H264(Box::new(
                OpenH264Encoder::open(video(settings)).map_err(|error| error.to_string())?,
            )),
            Codec::Av1 => Self::Av1(Av1::open(settings)?),
            Codec::Hevc => Self::Hevc(Hevc::open(settings)?),
        })
    }
}

/// One session's.
pub(crate) struct Engine {
    settings: Settings,
    coder: Coder,
    /// Oldest first.
    kept: VecDeque<Kept>,
    /// A picture was confirmed that is invalid now: OpenH264 would go back to it, unless it begins anew.
    misled: bool,
    began: bool,
}

impl Engine {
    pub(crate) fn start(settings: &Settings) -> Result<Self, String> {
        let coder = Coder::open(settings)?;
        Ok(Self { settings: settings.clone(), coder, kept: VecDeque::new(), misled: false, began: false })
    }

    /// Takes over other settings; `anew`: the next picture is a keyframe.
    pub(crate) fn change(&mut self, settings: &Settings, anew: bool) -> Result<(), String> {
        let same_size = (settings.width, settings.height) == (self.settings.width, self.settings.height);
        match &mut self.coder {
            Coder::H264(encoder) => encoder
                .set_size(settings.width, settings.height)
                .and_then(|()| encoder.set_frame_rate(settings.fps))
                .map_err(|error| error.to_string())?,
            Coder::Av1(encoder) if same_size => encoder.change(settings)?,
            Coder::Hevc(encoder) if same_size && !anew => encoder.change(settings)?,
            Coder::Av1(_) | Coder::Hevc(_) => self.coder = Coder::open(settings)?,
        }
        self.settings = settings.clone();
        if anew {
            self.kept.clear();
            self.misled = false;
            self.began = false;
        }
        Ok(())
    }

    /// Whether the picture is kept, and may be used no more from now on; nor what came after it.
    pub(crate) fn invalidate(&mut self, timestamp: u64) -> bool {
        let Some(at) = self.kept.iter().position(|kept| kept.timestamp == timestamp) else { return false };
        // Without other references each picture is made from the one before.
        for kept in self.kept.iter_mut().skip(at) {
            kept.valid = false;
            self.misled |= kept.confirmed;
        }
        true
    }

    /// Encodes NV12 (or P010) samples without padding.
    pub(crate) fn encode(
        &mut self,
        luma: &[u8],
        chroma: &[u8],
        timestamp: u64,
        keyframe: bool,
    ) -> Result<Coded, String> {
        let newest = self.kept.iter().rev().find(|kept| kept.valid).map(|kept| kept.timestamp);
        let broken = self.kept.back().is_some_and(|kept| !kept.valid);
        let mut keyframe = keyframe || !self.began || newest.is_none() || self.misled;
        let budget = if self.settings.vbv_bits > 0 {
            self.settings.vbv_bits / 8
        } else {
            self.settings.bitrate_bps / self.settings.fps / 8
        };
        let coded = match &mut self.coder {
            Coder::H264(encoder) => {
                let told = |error: nearframe_encode::EncodeError| error.to_string();
                if let Some(old) = self.kept.iter_mut().rev().nth(CONFIRMED_AFTER - 1).filter(|old| old.valid)
                {
                    encoder.acknowledge(old.timestamp as u32).map_err(told)?;
                    old.confirmed = true;
                }
                if let (true, Some(good)) = (broken, newest) {
                    keyframe |= encoder.invalidate(good as u32).map_err(told)? == Invalidated::KeyframeNeeded;
                }
                let request = FrameRequest {
                    frame: timestamp as u32,
                    at: Duration::from_secs(timestamp) / self.settings.fps,
                    keyframe,
                    budget_bytes: Some(budget),
                };
                let surface = planar(&self.settings, luma, chroma)?;
                let unit = encoder.encode(&surface.into(), request).map_err(told)?;
                let unit = unit.ok_or("a picture with a budget is never left out")?;
                let kind = if unit.keyframe { IDR } else { P };
                Coded { data: rewrite(&unit.data, &self.settings)?, kind }
            }
            Coder::Av1(encoder) => {
                let surface = planar(&self.settings, luma, chroma)?;
                let (cb, cr) = surface.chroma().split_at(surface.chroma().len() / 2);
                let (data, is_keyframe) =
                    encoder.encode([surface.luma(), cb, cr], timestamp, keyframe, |picture| {
                        self.kept.iter().any(|kept| kept.valid && kept.timestamp == picture)
                    })?;
                Coded { data, kind: if is_keyframe { IDR } else { P } }
            }
            Coder::Hevc(encoder) => {
                let from = match (keyframe, broken) {
                    (true, _) => Origin::Keyframe,
                    (false, true) => Origin::Nothing,
                    (false, false) => Origin::Newest,
                };
                let (data, is_keyframe) = encoder.encode(luma, chroma, from)?;
                Coded { data, kind: if is_keyframe { IDR } else { P } }
            }
        };
        if coded.kind == IDR {
            self.kept.clear();
            self.misled = false;
        }
        self.began = true;
        if self.kept.len() >= self.settings.references.max(1) as usize {
            self.kept.pop_front();
        }
        self.kept.push_back(Kept { timestamp, valid: true, confirmed: false });
        Ok(coded)
    }
}

/// NV12 with its chroma in two planes.
fn planar(settings: &Settings, luma: &[u8], chroma: &[u8]) -> Result<CpuSurface, String> {
    let ring = SurfaceRing::new(Layout::I420, settings.width, settings.height);
    let mut surface = ring.take().ok_or("no memory for a picture")?;
    let (to_luma, to_chroma) = surface.planes_mut();
    to_luma.copy_from_slice(luma);
    let half = to_chroma.len() / 2;
    let (cb, cr) = to_chroma.split_at_mut(half);
    for ((pair, cb), cr) in chroma.chunks_exact(2).zip(cb).zip(cr) {
        (*cb, *cr) = (pair[0], pair[1]);
    }
    Ok(surface)
}

fn video(settings: &Settings) -> VideoSettings {
    VideoSettings {
        codec: nearframe_encode::Codec::H264,
        width: settings.width,
        height: settings.height,
        fps: settings.fps,
        bitrate_bps: settings.bitrate_bps,
    }
}

/// The stream with a parameter set as the settings say: baseline as NVENC writes it, without gaps.
fn rewrite(data: &[u8], settings: &Settings) -> Result<Vec<u8>, String> {
    let mut rewritten = Vec::with_capacity(data.len() + 16);
    for nal in nals(data) {
        if nal.kind() != NalKind::Sps {
            rewritten.extend_from_slice(&[0, 0, 0, 1]);
            rewritten.extend_from_slice(nal.bytes);
            continue;
        }
        let set = Sps::parse(&nal).ok_or("OpenH264's parameter set cannot be read")?;
        let colour = settings.colours.map(|(full_range, primaries, transfer, matrix)| Colour {
            full_range,
            primaries,
            transfer,
            matrix,
        });
        let set = Sps {
            constraints: 0,
            level_idc: settings.level,
            max_num_ref_frames: settings.references.max(set.max_num_ref_frames),
            frame_num_gaps: false,
            colour,
            max_reorder_frames: settings.restricts_reordering.then_some(0),
            ..set
        };
        push_nal(&mut rewritten, nal.bytes[0], &set.write());
    }
    Ok(rewritten)
}
