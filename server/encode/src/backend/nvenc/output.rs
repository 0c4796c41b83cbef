//! The thread that waits for encoded frames.
//!
//! Locking a bitstream blocks until the hardware is done, and for ever when the driver hangs. On a thread of its
//! own it has a deadline: the session's next encoder takes over while this one is left alone.
#![expect(unsafe_code, reason = "the encoder's interface speaks C; every call is wrapped here")]

use super::session::Session;
use super::status::{LOCK_BUSY, failure};
use crate::video::{EncodeError, Slice, SliceSink};
use nvidia_video_codec_sdk::sys::nvEncodeAPI as nv;
use std::ffi::c_void;
use std::mem::MaybeUninit;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// A frame takes milliseconds; past this the driver hangs. Half of the second that a change of encoders may take.
const DONE_WITHIN: Duration = Duration::from_millis(500);
/// Slices come every few hundred microseconds.
const SLICES_ASKED_EVERY: Duration = Duration::from_micros(100);
/// `hwEncodeStatus` of a picture that is whole.
const WHOLE: u32 = 2;
const DOING: &str = "waiting for a frame";

/// An encoded frame.
pub(super) struct Encoded {
    pub(super) data: Vec<u8>,
    /// A number of `NV_ENC_PIC_TYPE`.
    pub(super) kind: u32,
    pub(super) timestamp: u64,
}

/// A buffer that the hardware writes into.
struct Bitstream {
    session: Arc<Session>,
    buffer: *mut c_void,
}

// SAFETY: used through calls of its session alone, which may come from any thread.
unsafe impl Send for Bitstream {}
// SAFETY: the handle is never changed.
unsafe impl Sync for Bitstream {}

impl Bitstream {
    fn create(session: &Arc<Session>) -> Result<Self, EncodeError> {
        let mut params = nv::NV_ENC_CREATE_BITSTREAM_BUFFER {
            version: nv::NV_ENC_CREATE_BITSTREAM_BUFFER_VER,
            ..Default::default()
        };
        // SAFETY: the session is started; the structure is whole and says its version.
        let code = unsafe { (session.functions().create_bitstream)(session.raw(), &raw mut params) };
        session.check("creating an output buffer", code)?;
        Ok(Self { session: Arc::clone(session), buffer: params.bitstreamBuffer })
    }
}

impl Drop for Bitstream {
    fn drop(&mut self) {
        // SAFETY: created in this session, unlocked, and no frame that writes it is under way.
        unsafe { (self.session.functions().destroy_bitstream)(self.session.raw(), self.buffer) };
    }
}

/// One frame to wait for.
struct Job {
    frame: u32,
    /// What it is predicted from; `None` for a keyframe, which is handed out whole.
    refers_to: Option<u32>,
    /// Macroblocks of the picture: as many slices it may have.
    blocks: usize,
    expected_bytes: usize,
}

type Sink = Arc<Mutex<Option<SliceSink>>>;

/// The thread and what it is asked and answers.
pub(super) struct Output {
    bitstream: Arc<Bitstream>,
    jobs: Option<Sender<Job>>,
    frames: Receiver<Result<Encoded, EncodeError>>,
    thread: Option<JoinHandle<()>>,
    sink: Sink,
    hangs: bool,
}

impl Output {
    pub(super) fn start(session: &Arc<Session>) -> Result<Self, EncodeError> {
        let bitstream = Arc::new(Bitstream::create(session)?);
        let ((jobs, asked), (answers, frames)) = (channel(), channel());
        let sink = Sink::default();
        let (own, own_sink) = (Arc::clone(&bitstream), Arc::clone(&sink));
        let thread = std::thread::Builder::new().name("nvenc output".into()).spawn(move || {
            for job in asked {
                if answers.send(wait(&own, &own_sink, &job)).is_err() {
                    return;
                }
            }
        });
        let thread = thread.map_err(|error| failure("starting a thread", error.to_string()))?;
        Ok(Self { bitstream, jobs: Some(jobs), frames, thread: Some(thread), sink, hangs: false })
    }

    /// The buffer for [`Session::submit`].
    pub(super) fn buffer(&self) -> *mut c_void {
        self.bitstream.buffer
    }

    /// Who gets slices as they come; nobody with `None`.
    pub(super) fn set_sink(&self, sink: Option<SliceSink>) {
        *self.sink.lock().unwrap_or_else(PoisonError::into_inner) = sink;
    }

    /// Takes back what [`Self::set_sink`] gave.
    pub(super) fn take_sink(&self) -> Option<SliceSink> {
        self.sink.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// The driver did not answer: nothing of this session may be called any more.
    pub(super) fn hangs(&self) -> bool {
        self.hangs
    }

    /// The frame that was submitted with [`Self::buffer`].
    pub(super) fn take(
        &mut self,
        frame: u32,
        refers_to: Option<u32>,
        blocks: usize,
        expected_bytes: usize,
    ) -> Result<Encoded, EncodeError> {
        let gone = || failure(DOING, "its thread ended".to_owned());
        let jobs = self.jobs.as_ref().ok_or_else(gone)?;
        jobs.send(Job { frame, refers_to, blocks, expected_bytes }).map_err(|_| gone())?;
        match self.frames.recv_timeout(DONE_WITHIN) {
            Ok(encoded) => encoded,
            Err(RecvTimeoutError::Timeout) => {
                self.hangs = true;
                Err(failure(
                    DOING,
                    format!("the driver has not finished it within {DONE_WITHIN:?}; check the kernel's log"),
                ))
            }
            Err(RecvTimeoutError::Disconnected) => Err(gone()),
        }
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take().filter(|_| !self.hangs) {
            // A thread that panicked has already been reported by the panic hook.
            let _ = thread.join();
        }
    }
}

fn wait(bitstream: &Bitstream, sink: &Sink, job: &Job) -> Result<Encoded, EncodeError> {
    let mut sink = sink.lock().unwrap_or_else(PoisonError::into_inner);
    match sink.as_mut().filter(|_| job.refers_to.is_some()) {
        None => {
            let mut data = Vec::with_capacity(job.expected_bytes);
            let locked = Locked::lock(bitstream, true, &mut [])?;
            data.extend_from_slice(locked.bytes());
            Ok(Encoded { data, kind: locked.kind(), timestamp: locked.timestamp() })
        }
        Some(sink) => wait_for_slices(bitstream, sink, job),
    }
}

/// Hands out what is there, again and again, until the picture is whole.
fn wait_for_slices(bitstream: &Bitstream, sink: &mut SliceSink, job: &Job) -> Result<Encoded, EncodeError> {
    let began = Instant::now();
    let mut offsets = vec![0; job.blocks];
    let mut data = Vec::with_capacity(job.expected_bytes);
    while began.elapsed() < DONE_WITHIN {
        match Locked::lock(bitstream, false, &mut offsets) {
            Err(Busy::NotYet) => {}
            Err(Busy::Failed(error)) => return Err(error),
            Ok(locked) => {
                let (bytes, whole) = (locked.bytes(), locked.is_whole());
                let fresh = bytes.get(data.len()..).unwrap_or_default();
                if !fresh.is_empty() || whole {
                    let Job { frame, refers_to, .. } = *job;
                    sink(Slice { frame, refers_to, data: fresh, last: whole });
                }
                data.extend_from_slice(fresh);
                if whole {
                    return Ok(Encoded { data, kind: locked.kind(), timestamp: locked.timestamp() });
                }
            }
        }
        std::thread::sleep(SLICES_ASKED_EVERY);
    }
    Err(failure(DOING, format!("its slices were not whole within {DONE_WITHIN:?}")))
}

/// Why nothing could be locked.
enum Busy {
    NotYet,
    Failed(EncodeError),
}

impl From<Busy> for EncodeError {
    fn from(busy: Busy) -> Self {
        match busy {
            Busy::NotYet => {
                failure(DOING, "the driver said that it is not finished, though it was waited for".to_owned())
            }
            Busy::Failed(error) => error,
        }
    }
}

/// A locked bitstream; unlocked when dropped.
struct Locked<'a> {
    bitstream: &'a Bitstream,
    params: Box<MaybeUninit<nv::NV_ENC_LOCK_BITSTREAM>>,
}

impl<'a> Locked<'a> {
    /// `wait`: until the picture is whole; else what is there, with `offsets` for its slices.
    fn lock(bitstream: &'a Bitstream, wait: bool, offsets: &mut [u32]) -> Result<Self, Busy> {
        let mut params = Box::new(MaybeUninit::<nv::NV_ENC_LOCK_BITSTREAM>::zeroed());
        let pointer = params.as_mut_ptr();
        let session = &bitstream.session;
        // SAFETY: zeros are valid for all fields but the picture's structure, whose enum has no zero and is written
        // before a reference is formed. The session is started, the buffer its own and unlocked, and the offsets
        // are as many as the picture has macroblocks, or null, which asks for none.
        let code = unsafe {
            (&raw mut (*pointer).pictureStruct).write(nv::NV_ENC_PIC_STRUCT::NV_ENC_PIC_STRUCT_FRAME);
            (*pointer).version = nv::NV_ENC_LOCK_BITSTREAM_VER;
            (*pointer).set_doNotWait(u32::from(!wait));
            (*pointer).outputBitstream = bitstream.buffer;
            if !offsets.is_empty() {
                (*pointer).sliceOffsets = offsets.as_mut_ptr();
            }
            (session.functions().lock_bitstream)(session.raw(), pointer)
        };
        if code == LOCK_BUSY && !wait {
            return Err(Busy::NotYet);
        }
        session.check(DOING, code).map_err(Busy::Failed)?;
        Ok(Self { bitstream, params })
    }

    fn bytes(&self) -> &[u8] {
        let params = self.params.as_ptr();
        // SAFETY: the driver filled the structure; while locked, so many bytes lie at the pointer.
        unsafe {
            let (start, length) = ((*params).bitstreamBufferPtr.cast::<u8>(), (*params).bitstreamSizeInBytes);
            if start.is_null() { &[] } else { std::slice::from_raw_parts(start, length as usize) }
        }
    }

    /// As a number: newer drivers know kinds that the enum does not.
    fn kind(&self) -> u32 {
        // SAFETY: in bounds; every number is a valid u32.
        unsafe { (&raw const (*self.params.as_ptr()).pictureType).cast::<u32>().read() }
    }

    fn timestamp(&self) -> u64 {
        // SAFETY: in bounds of a structure without uninitialised bytes.
        unsafe { (*self.params.as_ptr()).outputTimeStamp }
    }

    fn is_whole(&self) -> bool {
        // SAFETY: in bounds of a structure without uninitialised bytes.
        unsafe { (*self.params.as_ptr()).hwEncodeStatus == WHOLE }
    }
}

impl Drop for Locked<'_> {
    fn drop(&mut self) {
        let session = &self.bitstream.session;
        // SAFETY: locked once, by `lock`. What fails here shows at the next frame.
        unsafe { (session.functions().unlock_bitstream)(session.raw(), self.bitstream.buffer) };
    }
}
