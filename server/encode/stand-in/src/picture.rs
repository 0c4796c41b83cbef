//! NVENC: pictures in, frames out.
#![expect(unsafe_code, reason = "stands in for a C library")]

use crate::engine::Coded;
use crate::faults::HANG;
use crate::nvenc::{Answer, on};
use crate::params::Settings;
use crate::state::{State, with};
use nv::NVENCSTATUS as Status;
use nvidia_video_codec_sdk::sys::nvEncodeAPI as nv;
use std::ffi::c_void;
use std::time::{Duration, Instant};

/// Waits of a stream that are not fulfilled by then are reported.
const STREAM_PATIENCE: Duration = Duration::from_millis(400);
/// `hwEncodeStatus` of a part, and of the whole.
const PART: u32 = 1;
const WHOLE: u32 = 2;

/// An output buffer.
#[derive(Default)]
pub(crate) struct Bitstream {
    frame: Option<Frame>,
    locked: bool,
}

/// An encoded picture that waits in its output buffer.
struct Frame {
    coded: Coded,
    timestamp: u64,
    input: usize,
    /// Ends of its slices.
    ends: Vec<usize>,
    sub_frame: bool,
    /// How often it was asked for without waiting: each time one more slice is there.
    asked: usize,
    /// When it began, and how long it takes; zero: as long as it is asked for.
    began: Instant,
    takes: Duration,
    until: Option<Instant>,
    /// All of it was locked at least once.
    seen: bool,
}

impl Frame {
    /// Slices that are there when it is asked for now.
    fn ready(&mut self, wait: bool) -> usize {
        let all = self.ends.len();
        if wait || !self.sub_frame && self.takes.is_zero() {
            return all;
        }
        self.asked += 1;
        if self.takes.is_zero() {
            return (self.asked - 1).min(all);
        }
        let share = self.began.elapsed().as_secs_f64() / self.takes.as_secs_f64();
        let there = ((share * all as f64) as usize).min(all);
        if self.sub_frame || there == all { there } else { 0 }
    }
}

impl Bitstream {
    pub(crate) fn is_idle(&self) -> bool {
        !self.locked && self.frame.is_none()
    }

    /// Whether a picture that reads `input` has not been fetched yet.
    pub(crate) fn reads(&self, input: usize) -> bool {
        self.frame.as_ref().is_some_and(|frame| frame.input == input && !frame.seen)
    }
}

pub(crate) unsafe extern "C" fn encode(encoder: *mut c_void, params: *mut nv::NV_ENC_PIC_PARAMS) -> Status {
    // SAFETY: the caller's whole structure.
    let params = unsafe { &*params };
    on(encoder, "nvEncEncodePicture", |state, handle| encode_picture(state, handle, params))
}

fn encode_picture(state: &mut State, handle: usize, params: &nv::NV_ENC_PIC_PARAMS) -> Answer {
    let settings = state.started(handle, "nvEncEncodePicture")?;
    if params.version != nv::NV_ENC_PIC_PARAMS_VER {
        return Err(state.wrong("NV_ENC_PIC_PARAMS of a wrong version", Status::NV_ENC_ERR_INVALID_VERSION));
    }
    let session = state.session(handle);
    if session.flushed {
        return Err(state.wrong("a picture after the end of its stream", Status::NV_ENC_ERR_INVALID_CALL));
    }
    if params.encodePicFlags & nv::NV_ENC_PIC_FLAGS::NV_ENC_PIC_FLAG_EOS as u32 != 0 {
        session.flushed = true;
        return Ok(());
    }
    session.fed = true;
    let zero = params.reserved1 == [0; 6] && params.reserved3.iter().all(|&word| word == 0);
    let size = (params.inputWidth, params.inputHeight) == (settings.width, settings.height);
    if !zero || !size || params.pictureStruct != nv::NV_ENC_PIC_STRUCT::NV_ENC_PIC_STRUCT_FRAME {
        return Err(
            state.wrong("a picture of another size, or with wrong fields", Status::NV_ENC_ERR_INVALID_PARAM)
        );
    }
    let output = params.outputBitstream as usize;
    if !session.bitstreams.get(&output).is_some_and(Bitstream::is_idle) {
        return Err(state.wrong("an output buffer that is none, or in use", Status::NV_ENC_ERR_INVALID_PARAM));
    }
    let number = state.pictures;
    state.pictures += 1;
    if state.is_lost() {
        return Err(Status::NV_ENC_ERR_DEVICE_NOT_EXIST);
    }
    if state.faults.fail_at == Some(number) {
        return Err(Status::NV_ENC_ERR_GENERIC);
    }
    let hangs = state.faults.hang_at == Some(number);
    let (luma, chroma) = samples(state, handle, params, &settings)?;
    let forced = params.encodePicFlags & nv::NV_ENC_PIC_FLAGS::NV_ENC_PIC_FLAG_FORCEIDR as u32 != 0;
    let engine = state.session(handle).engine.as_mut().expect("a started session has one");
    let coded = engine.encode(&luma, &chroma, params.inputTimeStamp, forced);
    let coded = coded.map_err(|what| state.wrong(what, Status::NV_ENC_ERR_GENERIC))?;
    let frame = Frame {
        ends: ends(&coded.data, settings.slices as usize),
        coded,
        timestamp: params.inputTimeStamp,
        input: params.inputBuffer as usize,
        sub_frame: settings.sub_frame,
        asked: 0,
        began: Instant::now(),
        takes: Duration::from_micros(state.faults.picture_us),
        until: hangs.then(|| Instant::now() + HANG),
        seen: false,
    };
    state.session(handle).bitstreams.insert(output, Bitstream { frame: Some(frame), locked: false });
    Ok(())
}

/// Luma and chroma without padding, from an input buffer or from mapped memory.
fn samples(
    state: &mut State,
    handle: usize,
    params: &nv::NV_ENC_PIC_PARAMS,
    settings: &Settings,
) -> Result<(Vec<u8>, Vec<u8>), Status> {
    let session = state.session(handle);
    let input = params.inputBuffer as usize;
    let (size, format, pitch, bytes) = match (session.inputs.get(&input), session.mapped.get(&input)) {
        (Some(input), _) if !input.locked => {
            (input.size, input.format, input.pitch, Some(input.samples.clone()))
        }
        (None, Some(registered)) => {
            let resource = &session.registered[registered];
            let (size, format, pitch) = (resource.size, resource.format, resource.pitch);
            let (address, stream) = (resource.address, session.stream);
            wait_for(state, stream)?;
            let length = u64::from(pitch) * u64::from(size.1) * 3 / 2;
            (size, format, pitch, state.device_bytes(address, length))
        }
        _ => {
            return Err(state
                .wrong("a picture from a buffer that is none, or locked", Status::NV_ENC_ERR_INVALID_PARAM));
        }
    };
    let fits =
        size == (settings.width, settings.height) && format == params.bufferFmt && pitch == params.inputPitch;
    let Some(bytes) = bytes.filter(|_| fits) else {
        return Err(state.wrong(
            "a picture of another size, format or pitch than its buffer",
            Status::NV_ENC_ERR_INVALID_PARAM,
        ));
    };
    let row = settings.width as usize * if settings.ten_bit { 2 } else { 1 };
    let mut rows = bytes.chunks_exact(pitch as usize).map(|padded| &padded[..row]);
    let luma = rows.by_ref().take(size.1 as usize).flatten().copied().collect();
    Ok((luma, rows.flatten().copied().collect()))
}

/// The work of a stream comes in order. Without a stream nothing is waited for, and the picture may be half drawn.
fn wait_for(state: &mut State, stream: Option<usize>) -> Answer {
    let Some(stream) = stream else { return Ok(()) };
    let began = Instant::now();
    while !state.reached(stream) {
        if began.elapsed() > STREAM_PATIENCE {
            return Err(
                state.wrong("a picture is waited for that nobody finishes", Status::NV_ENC_ERR_GENERIC)
            );
        }
        std::thread::sleep(Duration::from_micros(100));
    }
    Ok(())
}

/// Where the parts of a picture end: `count` groups of whole NAL units, about alike.
fn ends(data: &[u8], count: usize) -> Vec<usize> {
    let starts: Vec<_> =
        (1..data.len().saturating_sub(3)).filter(|&at| data[at..].starts_with(&[0, 0, 0, 1])).collect();
    let mut ends: Vec<_> = (1..count)
        .filter_map(|part| starts.iter().copied().find(|&start| start >= data.len() * part / count))
        .collect();
    ends.push(data.len());
    ends.dedup();
    ends
}

pub(crate) unsafe extern "C" fn lock(encoder: *mut c_void, params: *mut nv::NV_ENC_LOCK_BITSTREAM) -> Status {
    // SAFETY: the caller's whole structure; fields are read and written without forming a reference to it.
    let (buffer, wait) = unsafe { ((*params).outputBitstream as usize, (*params).doNotWait() == 0) };
    let (hanging, done) = with(|state| {
        let session = state.sessions.get(&(encoder as usize))?;
        let frame = session.bitstreams.get(&buffer)?.frame.as_ref()?;
        Some((frame.until, frame.began + frame.takes))
    })
    .unzip();
    if let (true, Some(done)) = (wait, done) {
        std::thread::sleep(done.saturating_duration_since(Instant::now()));
    }
    let hanging = hanging.flatten();
    if let Some(until) = hanging {
        if !wait && Instant::now() < until {
            return Status::NV_ENC_ERR_LOCK_BUSY;
        }
        std::thread::sleep(until.saturating_duration_since(Instant::now()));
    }
    on(encoder, "nvEncLockBitstream", |state, handle| {
        // SAFETY: as above.
        if unsafe { (*params).version } != nv::NV_ENC_LOCK_BITSTREAM_VER {
            return Err(
                state.wrong("NV_ENC_LOCK_BITSTREAM of a wrong version", Status::NV_ENC_ERR_INVALID_VERSION)
            );
        }
        let Some(bitstream) = state.session(handle).bitstreams.get_mut(&buffer) else {
            return Err(
                state.wrong("an output buffer is locked that is none", Status::NV_ENC_ERR_INVALID_PARAM)
            );
        };
        if bitstream.locked {
            return Err(state.wrong("an output buffer is locked twice", Status::NV_ENC_ERR_INVALID_CALL));
        }
        let Some(frame) = bitstream.frame.as_mut() else {
            return Err(
                state.wrong("an output buffer is locked without a picture", Status::NV_ENC_ERR_INVALID_CALL)
            );
        };
        let slices = frame.ready(wait);
        if slices == 0 {
            return Err(Status::NV_ENC_ERR_LOCK_BUSY);
        }
        let whole = slices == frame.ends.len();
        frame.seen |= whole;
        bitstream.locked = true;
        // SAFETY: as above; offsets are as many as macroblocks, where they are asked for.
        unsafe {
            (*params).bitstreamBufferPtr = frame.coded.data.as_mut_ptr().cast();
            (*params).bitstreamSizeInBytes = frame.ends[slices - 1] as u32;
            (*params).outputTimeStamp = frame.timestamp;
            (*params).numSlices = slices as u32;
            (*params).hwEncodeStatus = if whole { WHOLE } else { PART };
            (*params).frameAvgQP = 30;
            (&raw mut (*params).pictureType).cast::<u32>().write(frame.coded.kind);
            if !(*params).sliceOffsets.is_null() {
                for (at, start) in
                    std::iter::once(0).chain(frame.ends.iter().copied()).take(slices).enumerate()
                {
                    (*params).sliceOffsets.add(at).write(start as u32);
                }
            }
        }
        Ok(())
    })
}

pub(crate) unsafe extern "C" fn unlock(encoder: *mut c_void, buffer: *mut c_void) -> Status {
    on(encoder, "nvEncUnlockBitstream", |state, handle| {
        match state.session(handle).bitstreams.get_mut(&(buffer as usize)) {
            Some(bitstream) if bitstream.locked => {
                bitstream.locked = false;
                bitstream.frame.take_if(|frame| frame.seen);
                Ok(())
            }
            _ => Err(state
                .wrong("an output buffer is unlocked that is not locked", Status::NV_ENC_ERR_INVALID_CALL)),
        }
    })
}

pub(crate) unsafe extern "C" fn invalidate(encoder: *mut c_void, timestamp: u64) -> Status {
    on(encoder, "nvEncInvalidateRefFrames", |state, handle| {
        state.started(handle, "nvEncInvalidateRefFrames")?;
        let engine = state.session(handle).engine.as_mut().expect("a started session has one");
        if engine.invalidate(timestamp) {
            return Ok(());
        }
        Err(state.wrong("a reference is invalidated that is not kept", Status::NV_ENC_ERR_INVALID_PARAM))
    })
}
