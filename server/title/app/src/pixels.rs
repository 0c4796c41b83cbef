//! Copied pictures and the pool that their memory comes from.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};

use crate::limits::PICTURE_BYTES;

/// Buffers kept for reuse: a title's picture, the one before it, and a few menus.
const KEPT: usize = 6;

/// A picture in CPU memory: BGRA8 with premultiplied alpha, `stride` bytes a row.
/// The alpha bytes of a layer that is `opaque` have no meaning.
#[derive(Debug)]
pub struct Pixels {
    width: u32,
    height: u32,
    data: Vec<u8>,
    home: Arc<Home>,
}

impl Pixels {
    /// Width in pixels.
    pub fn width(&self) -> u32 {
        self.width
    }
    /// Height in pixels.
    pub fn height(&self) -> u32 {
        self.height
    }
    /// Bytes from one row to the next.
    pub fn stride(&self) -> usize {
        self.width as usize * 4
    }
    /// `height * stride` bytes.
    pub fn data(&self) -> &[u8] {
        &self.data
    }
    pub(crate) fn data_mut(&mut self) -> &mut [u8] {
        &mut self.data
    }

    /// A picture outside of any pool.
    #[cfg(test)]
    pub(crate) fn for_tests(width: u32, height: u32, data: Vec<u8>) -> Arc<Self> {
        assert_eq!(data.len(), width as usize * height as usize * 4);
        Arc::new(Self { width, height, data, home: Arc::default() })
    }
}

impl Drop for Pixels {
    fn drop(&mut self) {
        self.home.live_bytes.fetch_sub(self.data.len(), Ordering::Relaxed);
        if let Ok(mut free) = self.home.free.lock()
            && free.len() < KEPT
        {
            free.push(std::mem::take(&mut self.data));
        }
    }
}

#[derive(Debug, Default)]
struct Home {
    free: Mutex<Vec<Vec<u8>>>,
    live_bytes: AtomicUsize,
}

/// Where pictures take their memory from, bounded by [`PICTURE_BYTES`].
#[derive(Debug, Default)]
pub(crate) struct Pool {
    home: Arc<Home>,
}

impl Pool {
    /// A picture with unspecified content, or none when the title already has too many.
    pub(crate) fn take(&self, width: u32, height: u32) -> Option<Pixels> {
        let bytes = (width as usize).checked_mul(height as usize)?.checked_mul(4)?;
        let live = self.home.live_bytes.fetch_add(bytes, Ordering::Relaxed);
        if live + bytes > PICTURE_BYTES {
            self.home.live_bytes.fetch_sub(bytes, Ordering::Relaxed);
            return None;
        }
        let mut data = self.reuse(bytes).unwrap_or_default();
        data.resize(bytes, 0);
        Some(Pixels { width, height, data, home: Arc::clone(&self.home) })
    }

    /// A kept buffer of this very size; when none fits and the shelf is full, one makes room.
    fn reuse(&self, bytes: usize) -> Option<Vec<u8>> {
        let mut free = self.home.free.lock().ok()?;
        if let Some(index) = free.iter().position(|data| data.len() == bytes) {
            return Some(free.swap_remove(index));
        }
        if free.len() == KEPT {
            free.remove(0);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_comes_home_and_is_bounded() {
        let pool = Pool::default();
        let first = pool.take(64, 64).unwrap();
        let address = first.data().as_ptr();
        drop(first);
        assert_eq!(pool.take(64, 64).unwrap().data().as_ptr(), address);
        let many: Vec<_> = std::iter::from_fn(|| pool.take(8192, 2048)).take(100).collect();
        assert_eq!(many.len(), PICTURE_BYTES / (8192 * 2048 * 4));
        drop(many);
        assert!(pool.take(8192, 2048).is_some());
    }
}
