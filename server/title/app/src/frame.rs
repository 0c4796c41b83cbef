//! What one tick of the frame clock brings to the compositor, and what it gets back.

use std::{os::fd::BorrowedFd, sync::Arc};

use smithay::{
    backend::allocator::{Buffer, dmabuf::Dmabuf},
    reexports::wayland_server::protocol::wl_buffer::WlBuffer,
};

use crate::{Input, Pixels};

/// One tick of the frame clock.
#[derive(Clone, Debug, Default)]
pub struct FrameRequest {
    /// What the player did since the tick before, in order.
    pub inputs: Vec<Input>,
    /// `CLOCK_MONOTONIC` in microseconds.
    pub now_us: u64,
}

/// What the title shows at this tick.
#[derive(Clone, Debug, Default)]
pub struct Frame {
    /// Back to front, over black.
    pub layers: Vec<Layer>,
    /// Whether anything differs from the frame before.
    pub changed: bool,
    /// Where the time went.
    pub timings: Timings,
}

/// Durations of one frame in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timings {
    /// From the frame callbacks until the title's answer, or until it was given up on.
    pub waited_us: u32,
    /// Copying what is new and laying it out.
    pub composed_us: u32,
    /// How old the newest content of the picture is.
    pub commit_age_us: u32,
}

/// One picture and its place.
#[derive(Clone, Debug)]
pub struct Layer {
    /// The picture.
    pub content: Content,
    /// Which part of it, in its own pixels.
    pub source: Rect<f64>,
    /// Where it goes, in pixels of the session's picture; it may reach beyond its edges.
    pub target: Rect<i32>,
    /// Nothing shines through; alpha is to be ignored.
    pub opaque: bool,
}

/// A rectangle: upper left corner and size.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Rect<T> {
    /// Left edge.
    pub x: T,
    /// Upper edge.
    pub y: T,
    /// Width.
    pub width: T,
    /// Height.
    pub height: T,
}

impl<T> Rect<T> {
    /// A rectangle from corner and size.
    pub fn new(x: T, y: T, width: T, height: T) -> Self {
        Self { x, y, width, height }
    }
}

/// Where a layer's pixels are.
#[derive(Clone, Debug)]
pub enum Content {
    /// Copied from shared memory.
    Shm(Arc<Pixels>),
    /// Still in the title's GPU buffer.
    Dmabuf(Arc<DmabufLease>),
}

/// A GPU buffer of the title, ours until dropped; then the title may draw into it again.
#[derive(Debug)]
pub struct DmabufLease {
    dmabuf: Dmabuf,
    buffer: WlBuffer,
}

/// One plane of a [`DmabufLease`].
#[derive(Debug)]
pub struct Plane<'a> {
    /// The memory.
    pub fd: BorrowedFd<'a>,
    /// Where the plane starts, in bytes.
    pub offset: u32,
    /// Bytes from one row to the next.
    pub stride: u32,
}

impl DmabufLease {
    pub(crate) fn new(dmabuf: Dmabuf, buffer: WlBuffer) -> Self {
        Self { dmabuf, buffer }
    }
    /// Width in pixels.
    pub fn width(&self) -> u32 {
        self.dmabuf.width()
    }
    /// Height in pixels.
    pub fn height(&self) -> u32 {
        self.dmabuf.height()
    }
    /// DRM fourcc code.
    pub fn fourcc(&self) -> u32 {
        self.dmabuf.format().code as u32
    }
    /// DRM format modifier.
    pub fn modifier(&self) -> u64 {
        self.dmabuf.format().modifier.into()
    }
    /// Whether the first row is the lowest.
    pub fn y_inverted(&self) -> bool {
        self.dmabuf.y_inverted()
    }
    /// The planes in order.
    pub fn planes(&self) -> impl Iterator<Item = Plane<'_>> {
        self.dmabuf
            .handles()
            .zip(self.dmabuf.offsets())
            .zip(self.dmabuf.strides())
            .map(|((fd, offset), stride)| Plane { fd, offset, stride })
    }
}

impl Drop for DmabufLease {
    fn drop(&mut self) {
        self.buffer.release();
    }
}
