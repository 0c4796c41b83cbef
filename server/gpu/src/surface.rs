//! Converted frames and the ring in CPU memory that they come from.

use crate::exported::GpuSurface;
use std::sync::{Arc, Mutex};

/// How the samples of a surface lie in memory: limited range (8 bit: Y 16–235, C 16–240), chroma of 4:2:0 sited between
/// its four luma samples. BT.709, and in P010 as the converter was told: BT.2020 with PQ for HDR10.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Layout {
    /// 8-bit 4:2:0. Plane Y, then plane of interleaved Cb Cr: what hardware encoders take.
    Nv12,
    /// 8-bit 4:2:0. Planes Y, Cb, Cr: what OpenH264 takes.
    I420,
    /// 10-bit 4:2:0. As [`Self::Nv12`], but each sample is the upper ten bits of a little-endian word.
    P010,
    /// 8-bit 4:4:4. Planes Y, Cb, Cr, all of the same size.
    Yuv444,
}

impl Layout {
    /// Bytes of one row of luma without padding.
    pub fn row_bytes(self, width: u32) -> usize {
        width as usize * if self == Self::P010 { 2 } else { 1 }
    }

    /// Bytes of luma and of all chroma together, without padding.
    pub fn plane_bytes(self, width: u32, height: u32) -> (usize, usize) {
        let luma = self.row_bytes(width) * height as usize;
        (luma, if self == Self::Yuv444 { 2 * luma } else { luma / 2 })
    }
}

/// One converted frame, wherever it lies. It is whole, and nobody writes to it while it lives; dropping it
/// gives its memory back to the ring that it came from.
#[derive(Debug)]
pub enum Surface {
    /// In memory of the CPU.
    Cpu(CpuSurface),
    /// In memory of the GPU, for an encoder that imports it.
    Gpu(GpuSurface),
}

impl Surface {
    /// How the samples lie.
    pub fn layout(&self) -> Layout {
        match self {
            Self::Cpu(surface) => surface.layout(),
            Self::Gpu(surface) => surface.slot().layout,
        }
    }
    /// Width in pixels.
    pub fn width(&self) -> u32 {
        match self {
            Self::Cpu(surface) => surface.width(),
            Self::Gpu(surface) => surface.slot().width,
        }
    }
    /// Height in pixels.
    pub fn height(&self) -> u32 {
        match self {
            Self::Cpu(surface) => surface.height(),
            Self::Gpu(surface) => surface.slot().height,
        }
    }
    /// The surface, if the CPU can read it.
    pub fn as_cpu(&self) -> Option<&CpuSurface> {
        match self {
            Self::Cpu(surface) => Some(surface),
            Self::Gpu(_) => None,
        }
    }
}

impl From<CpuSurface> for Surface {
    fn from(surface: CpuSurface) -> Self {
        Self::Cpu(surface)
    }
}

impl From<GpuSurface> for Surface {
    fn from(surface: GpuSurface) -> Self {
        Self::Gpu(surface)
    }
}

/// One converted frame in CPU memory: `width × height` (both even), rows without padding.
#[derive(Debug)]
pub struct CpuSurface {
    layout: Layout,
    width: u32,
    height: u32,
    data: Vec<u8>,
    home: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl CpuSurface {
    /// How the samples lie.
    pub fn layout(&self) -> Layout {
        self.layout
    }
    /// Width in pixels.
    pub fn width(&self) -> u32 {
        self.width
    }
    /// Height in pixels.
    pub fn height(&self) -> u32 {
        self.height
    }
    /// All luma samples.
    pub fn luma(&self) -> &[u8] {
        &self.data[..self.luma_len()]
    }
    /// All chroma samples: interleaved (NV12, P010), or all Cb, then all Cr (I420, 4:4:4).
    pub fn chroma(&self) -> &[u8] {
        &self.data[self.luma_len()..]
    }
    /// Luma and chroma, to be overwritten.
    pub fn planes_mut(&mut self) -> (&mut [u8], &mut [u8]) {
        let luma = self.luma_len();
        self.data.split_at_mut(luma)
    }
    fn luma_len(&self) -> usize {
        self.layout.plane_bytes(self.width, self.height).0
    }
}

impl Drop for CpuSurface {
    fn drop(&mut self) {
        if let Ok(mut free) = self.home.lock() {
            free.push(std::mem::take(&mut self.data));
        }
    }
}

/// Black, as far as Y goes.
const VIDEO_BLACK: u8 = 16;

/// A fixed number of surfaces of one size: one being written, one waiting, one being encoded.
#[derive(Debug)]
pub struct SurfaceRing {
    layout: Layout,
    width: u32,
    height: u32,
    free: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl SurfaceRing {
    /// Writer, mailbox and encoder hold one each.
    pub const LEN: usize = 3;

    /// A ring of [`Self::LEN`] surfaces; width and height must be even.
    pub fn new(layout: Layout, width: u32, height: u32) -> Self {
        assert!(width.is_multiple_of(2) && height.is_multiple_of(2), "4:2:0 needs even sizes");
        let (luma, chroma) = layout.plane_bytes(width, height);
        // Not zero, so that the system gives all of the memory now and not in the middle of a game.
        let free = (0..Self::LEN).map(|_| vec![VIDEO_BLACK; luma + chroma]).collect();
        Self { layout, width, height, free: Arc::new(Mutex::new(free)) }
    }

    /// Whether its surfaces are of this layout and size.
    pub fn fits(&self, layout: Layout, width: u32, height: u32) -> bool {
        (self.layout, self.width, self.height) == (layout, width, height)
    }

    /// A free surface with unspecified content, or none while all are in use.
    pub fn take(&self) -> Option<CpuSurface> {
        let data = self.free.lock().ok()?.pop()?;
        Some(CpuSurface {
            layout: self.layout,
            width: self.width,
            height: self.height,
            data,
            home: Arc::clone(&self.free),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ring_is_bounded_and_surfaces_come_home() {
        let ring = SurfaceRing::new(Layout::I420, 64, 64);
        let mut taken: Vec<_> = (0..SurfaceRing::LEN).map(|_| ring.take().unwrap()).collect();
        assert!(ring.take().is_none());
        taken.pop();
        let again = ring.take().unwrap();
        assert_eq!((again.luma().len(), again.chroma().len()), (64 * 64, 64 * 32));
    }

    #[test]
    fn planes_are_as_long_as_their_layout_says() {
        for (layout, luma, chroma) in [
            (Layout::Nv12, 64 * 32, 64 * 16),
            (Layout::P010, 2 * 64 * 32, 2 * 64 * 16),
            (Layout::Yuv444, 64 * 32, 2 * 64 * 32),
        ] {
            let mut surface = SurfaceRing::new(layout, 64, 32).take().unwrap();
            let (y, c) = surface.planes_mut();
            assert_eq!((y.len(), c.len()), (luma, chroma), "{layout:?}");
        }
    }
}
