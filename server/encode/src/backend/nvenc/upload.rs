//! Pictures in CPU memory, copied into an input buffer of the driver.
#![expect(unsafe_code, reason = "the encoder's interface speaks C; every call is wrapped here")]

use super::params::buffer_format;
use super::session::Session;
use super::status::failure;
use crate::video::{Codec, EncodeError};
use nearframe_gpu::CpuSurface;
use nvidia_video_codec_sdk::sys::nvEncodeAPI as nv;
use std::ffi::c_void;
use std::sync::Arc;

/// An input buffer for pictures of one size.
pub(super) struct UploadBuffer {
    session: Arc<Session>,
    buffer: *mut c_void,
    size: (u32, u32),
}

// SAFETY: the buffer is used through calls of its session alone, which may come from any thread.
unsafe impl Send for UploadBuffer {}

impl UploadBuffer {
    pub(super) fn create(
        session: &Arc<Session>,
        codec: Codec,
        size: (u32, u32),
    ) -> Result<Self, EncodeError> {
        let mut params = nv::NV_ENC_CREATE_INPUT_BUFFER {
            version: nv::NV_ENC_CREATE_INPUT_BUFFER_VER,
            width: size.0,
            height: size.1,
            bufferFmt: buffer_format(codec),
            ..Default::default()
        };
        // SAFETY: the session is started; the structure is whole and says its version.
        let code = unsafe { (session.functions().create_input)(session.raw(), &raw mut params) };
        session.check("creating an input buffer", code)?;
        if params.inputBuffer.is_null() {
            return Err(failure("creating an input buffer", "the driver gave none".to_owned()));
        }
        Ok(Self { session: Arc::clone(session), buffer: params.inputBuffer, size })
    }

    pub(super) fn size(&self) -> (u32, u32) {
        self.size
    }

    pub(super) fn raw(&self) -> *mut c_void {
        self.buffer
    }

    /// Copies a picture of the buffer's size and layout in. Bytes from one of its rows to the next.
    pub(super) fn write(&self, surface: &CpuSurface) -> Result<u32, EncodeError> {
        assert!(
            (surface.width(), surface.height()) == self.size,
            "surfaces are checked before they get here"
        );
        const DOING: &str = "copying a picture in";
        let functions = self.session.functions();
        let mut params = nv::NV_ENC_LOCK_INPUT_BUFFER {
            version: nv::NV_ENC_LOCK_INPUT_BUFFER_VER,
            inputBuffer: self.buffer,
            ..Default::default()
        };
        // SAFETY: the buffer was created in this session and is not locked.
        let code = unsafe { (functions.lock_input)(self.session.raw(), &raw mut params) };
        self.session.check(DOING, code)?;
        let (pitch, row) = (params.pitch as usize, surface.layout().row_bytes(surface.width()));
        let fits = !params.bufferDataPtr.is_null() && pitch >= row;
        if fits {
            let target = params.bufferDataPtr.cast::<u8>();
            let rows = surface.luma().chunks_exact(row).chain(surface.chroma().chunks_exact(row));
            for (number, samples) in rows.enumerate() {
                // SAFETY: a locked buffer holds `height` rows of luma and half as many of chroma behind them,
                // `pitch` bytes apart (programming guide, "Input buffers allocated through NVENCODE API"); a row
                // is no longer than the pitch, and the source is no memory of the driver.
                unsafe { target.add(number * pitch).copy_from_nonoverlapping(samples.as_ptr(), row) };
            }
        }
        // SAFETY: locked above.
        let code = unsafe { (functions.unlock_input)(self.session.raw(), self.buffer) };
        self.session.check(DOING, code)?;
        if fits {
            Ok(params.pitch)
        } else {
            Err(failure(DOING, format!("its rows hold {pitch} bytes of {row}")))
        }
    }
}

impl Drop for UploadBuffer {
    fn drop(&mut self) {
        // SAFETY: created in this session, unlocked, and no frame that reads it is under way.
        unsafe { (self.session.functions().destroy_input)(self.session.raw(), self.buffer) };
    }
}
