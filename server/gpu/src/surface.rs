//! Converted frames in CPU memory and the ring they come from.

use std::sync::{Arc, Mutex};

/// How the samples of a surface lie in memory. Both are 8-bit 4:2:0, BT.709, limited range
/// (Y 16–235, C 16–240), chroma sited between its four luma samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// Plane Y, then plane of interleaved Cb Cr: what hardware encoders take.
    Nv12,
    /// Planes Y, Cb, Cr: what OpenH264 takes.
    I420,
}

/// One converted frame: `width × height` (both even), rows without padding.
#[derive(Debug)]
pub struct Surface {
    layout: Layout,
    width: u32,
    height: u32,
    data: Vec<u8>,
    home: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Surface {
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
    /// `width * height` luma samples.
    pub fn luma(&self) -> &[u8] {
        &self.data[..self.luma_len()]
    }
    /// `width * height / 2` chroma samples: interleaved (NV12), or all Cb, then all Cr (I420).
    pub fn chroma(&self) -> &[u8] {
        &self.data[self.luma_len()..]
    }
    /// Luma and chroma, to be overwritten.
    pub fn planes_mut(&mut self) -> (&mut [u8], &mut [u8]) {
        let luma = self.luma_len();
        self.data.split_at_mut(luma)
    }
    fn luma_len(&self) -> usize {
        self.width as usize * self.height as usize
    }
}

impl Drop for Surface {
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
        let bytes = width as usize * height as usize * 3 / 2;
        // Not zero, so that the system gives all of the memory now and not in the middle of a game.
        let free = (0..Self::LEN).map(|_| vec![VIDEO_BLACK; bytes]).collect();
        Self { layout, width, height, free: Arc::new(Mutex::new(free)) }
    }

    /// A free surface with unspecified content, or none while all are in use.
    pub fn take(&self) -> Option<Surface> {
        let data = self.free.lock().ok()?.pop()?;
        Some(Surface {
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
}
