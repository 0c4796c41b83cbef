//! The title's buffers: copied out of shared memory, or leased as they are on the GPU. This is the one
//! place where the compositor reads memory that a client may change or take away at any time.

use std::{ptr, sync::Arc};

use smithay::{
    backend::allocator::{Buffer, Format, Fourcc, Modifier, dmabuf::Dmabuf},
    reexports::wayland_server::{
        DisplayHandle,
        protocol::{wl_buffer::WlBuffer, wl_output::Transform, wl_shm},
    },
    wayland::{
        dmabuf::{
            DmabufFeedbackBuilder, DmabufGlobal, DmabufHandler, DmabufState, ImportNotifier, get_dmabuf,
        },
        shm::{BufferAccessError, BufferData, ShmHandler, ShmState, with_buffer_contents},
        single_pixel_buffer::get_single_pixel_buffer,
    },
};

use super::State;
use crate::{CompositorError, Content, DmabufLease, DmabufSupport, Pixels, limits, pixels::Pool};

/// What a surface shows, with its size after the buffer's transform.
#[derive(Clone, Debug)]
pub(crate) struct Picture {
    pub(crate) content: Content,
    pub(crate) width: i32,
    pub(crate) height: i32,
    /// The format has no alpha.
    pub(crate) opaque: bool,
}

/// Why a buffer cannot be shown; the client is ended with this message.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ImportError {
    #[error("a buffer is larger than {0} pixels in one direction", limits::BUFFER_EDGE)]
    TooLarge,
    #[error("a buffer reaches beyond its pool")]
    OutOfPool,
    /// smithay has ended the client already.
    #[error("a pool's file is shorter than the pool")]
    Truncated,
    #[error("the title's pictures take too much memory")]
    OutOfMemory,
    #[error("a buffer is of an unknown kind")]
    Unknown,
}

/// Takes over what the buffer holds. A copied buffer is released at once, a leased one with its lease.
pub(crate) fn import(pool: &Pool, buffer: &WlBuffer, transform: Transform) -> Result<Picture, ImportError> {
    if let Ok(dmabuf) = get_dmabuf(buffer) {
        let opaque = matches!(dmabuf.format().code, Fourcc::Xrgb8888 | Fourcc::Xbgr8888);
        let lease = DmabufLease::new(dmabuf.clone(), buffer.clone());
        let (width, height) = (lease.width() as i32, lease.height() as i32);
        return Ok(Picture { content: Content::Dmabuf(Arc::new(lease)), width, height, opaque });
    }
    let (pixels, opaque) = if let Ok(single) = get_single_pixel_buffer(buffer) {
        let [r, g, b, a] = single.rgba8888();
        let mut pixels = pool.take(1, 1).ok_or(ImportError::OutOfMemory)?;
        pixels.data_mut().copy_from_slice(&[b, g, r, a]);
        (pixels, !single.has_alpha())
    } else {
        with_buffer_contents(buffer, |start, len, data| copy(pool, start, len, data)).map_err(|error| {
            match error {
                BufferAccessError::BadMap => ImportError::Truncated,
                _ => ImportError::Unknown,
            }
        })??
    };
    buffer.release();
    let pixels = upright(pool, pixels, transform)?;
    let (width, height) = (pixels.width() as i32, pixels.height() as i32);
    Ok(Picture { content: Content::Shm(Arc::new(pixels)), width, height, opaque })
}

/// Copies the rows of a buffer within a pool of `len` bytes.
#[allow(unsafe_code)]
fn copy(pool: &Pool, start: *const u8, len: usize, data: BufferData) -> Result<(Pixels, bool), ImportError> {
    if !(1..=limits::BUFFER_EDGE).contains(&data.width) || !(1..=limits::BUFFER_EDGE).contains(&data.height) {
        return Err(ImportError::TooLarge);
    }
    let opaque = match data.format {
        wl_shm::Format::Argb8888 => false,
        wl_shm::Format::Xrgb8888 => true,
        _ => return Err(ImportError::Unknown),
    };
    let (width, height) = (data.width as usize, data.height as usize);
    let offset = usize::try_from(data.offset).map_err(|_| ImportError::OutOfPool)?;
    let stride = usize::try_from(data.stride).map_err(|_| ImportError::OutOfPool)?;
    let row = width * 4;
    let end = stride
        .checked_mul(height - 1)
        .and_then(|last| last.checked_add(offset))
        .and_then(|last| last.checked_add(row));
    if stride < row || end.is_none_or(|end| end > len) {
        return Err(ImportError::OutOfPool);
    }
    let mut pixels = pool.take(data.width as u32, data.height as u32).ok_or(ImportError::OutOfMemory)?;
    let target = pixels.data_mut().as_mut_ptr();
    let (rows, bytes) = if stride == row { (1, row * height) } else { (height, row) };
    for y in 0..rows {
        // SAFETY: the source range lies within the pool's mapping (`end <= len`, checked above) and stays
        // mapped while the caller holds the pool; a truncated file raises SIGBUS, which smithay answers
        // with zero pages. Concurrent writes by the client only change which bytes are copied: no
        // reference to them is made. The target has `row * height` bytes and is ours alone.
        unsafe {
            ptr::copy_nonoverlapping(start.add(offset + y * stride), target.add(y * row), bytes);
        }
    }
    Ok((pixels, opaque))
}

/// Undoes the transform that the client has drawn with. Clients for a screen that is not rotated have no
/// reason to use one, so the slow way is good enough.
fn upright(pool: &Pool, pixels: Pixels, transform: Transform) -> Result<Pixels, ImportError> {
    let (width, height) = (pixels.width() as usize, pixels.height() as usize);
    let turned =
        matches!(transform, Transform::_90 | Transform::_270 | Transform::Flipped90 | Transform::Flipped270);
    let (w, h) = if turned { (height, width) } else { (width, height) };
    let from = move |x: usize, y: usize| match transform {
        Transform::_90 => (width - 1 - y, x),
        Transform::_180 => (width - 1 - x, height - 1 - y),
        Transform::_270 => (y, height - 1 - x),
        Transform::Flipped => (width - 1 - x, y),
        Transform::Flipped90 => (y, x),
        Transform::Flipped180 => (x, height - 1 - y),
        Transform::Flipped270 => (width - 1 - y, height - 1 - x),
        _ => (x, y),
    };
    if transform == Transform::Normal {
        return Ok(pixels);
    }
    let mut out = pool.take(w as u32, h as u32).ok_or(ImportError::OutOfMemory)?;
    for (index, target) in out.data_mut().chunks_exact_mut(4).enumerate() {
        let (x, y) = from(index % w, index / w);
        let source = (y * width + x) * 4;
        target.copy_from_slice(&pixels.data()[source..source + 4]);
    }
    Ok(out)
}

/// Announces the GPU formats that the session can import.
pub(crate) fn offer_dmabuf(
    display: &DisplayHandle,
    state: &mut DmabufState,
    support: &DmabufSupport,
) -> Result<(), CompositorError> {
    let formats = support.formats.iter().filter_map(|format| {
        Some(Format {
            code: Fourcc::try_from(format.fourcc).ok()?,
            modifier: Modifier::from(format.modifier),
        })
    });
    let feedback = DmabufFeedbackBuilder::new(support.main_device, formats)
        .build()
        .map_err(|error| CompositorError::Setup(format!("linux-dmabuf: {error}")))?;
    state.create_global_with_default_feedback::<State>(display, &feedback);
    Ok(())
}

impl ShmHandler for State {
    fn shm_state(&self) -> &ShmState {
        &self.globals.shm
    }
}

impl DmabufHandler for State {
    fn dmabuf_state(&mut self) -> &mut DmabufState {
        &mut self.globals.dmabuf
    }

    fn dmabuf_imported(&mut self, _: &DmabufGlobal, dmabuf: Dmabuf, notifier: ImportNotifier) {
        let edge = limits::BUFFER_EDGE as u32;
        if dmabuf.width() > edge || dmabuf.height() > edge {
            notifier.failed();
        } else if let Err(error) = notifier.successful::<Self>() {
            tracing::debug!(%error, "a client left while its buffer was imported");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_transform_is_undone() {
        let pool = Pool::default();
        // 2 × 1: A B. What the client has drawn is what the viewer sees, transformed.
        let cases = [
            (Transform::_90, 1, "BA"),
            (Transform::_180, 2, "BA"),
            (Transform::_270, 1, "AB"),
            (Transform::Flipped, 2, "BA"),
            (Transform::Flipped90, 1, "AB"),
            (Transform::Flipped180, 2, "AB"),
            (Transform::Flipped270, 1, "BA"),
        ];
        for (transform, width, want) in cases {
            let mut pixels = pool.take(2, 1).unwrap();
            pixels.data_mut().copy_from_slice(b"AAAABBBB");
            let out = upright(&pool, pixels, transform).unwrap();
            let seen: String = out.data().chunks(4).map(|pixel| char::from(pixel[0])).collect();
            assert_eq!((out.width(), seen.as_str()), (width, want), "{transform:?}");
        }
    }
}
