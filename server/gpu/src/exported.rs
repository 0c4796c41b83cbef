//! Converted frames in GPU memory, described for whoever imports them. Plain facts: nothing here calls a driver.
//!
//! A ring in GPU memory owns a few **slots**. Each is exported once, as an opaque file descriptor of its memory
//! and one of its timeline semaphore, and imported once by the encoder, which remembers imports by [`SlotId`].
//! A [`GpuSurface`] is the right to read one slot for one frame.
//!
//! **Order.** The ring submits the commands that write a slot and have them signal [`GpuSurface::ready`] on the
//! slot's timeline. The reader waits for that value on the GPU, reads, and has [`GpuSurface::done`] signalled.
//! It keeps the surface until nothing of it reads the slot any more: a slot that came home is free, whether
//! `done` was signalled or not (a frame that is left out, or an encoder that failed, signals nothing). The ring
//! only has to choose each `ready` above every `done` that it handed out for that slot before.

use crate::surface::Layout;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

/// Which physical device memory lies on, the same in Vulkan (`VkPhysicalDeviceIDProperties::deviceUUID`) and
/// CUDA (`cuDeviceGetUuid`). Opaque file descriptors can be imported on the same device only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DeviceUuid(pub [u8; 16]);

/// A slot of a ring in GPU memory; no other slot of this process ever has the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SlotId(u64);

impl SlotId {
    /// An id that no slot has yet.
    pub fn unused() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

/// Where one plane lies in a slot's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlaneLayout {
    /// Bytes from the start of the allocation.
    pub offset_bytes: u64,
    /// Bytes from one row to the next.
    pub stride_bytes: u32,
}

/// Memory of one slot as it was exported. The file descriptors stay here: an importer that takes ownership of
/// what it is given (CUDA does) is given a duplicate.
#[derive(Debug)]
pub struct ExportedSlot {
    /// What importers remember it by.
    pub id: SlotId,
    /// The device it lies on.
    pub device: DeviceUuid,
    /// `VK_EXTERNAL_MEMORY_HANDLE_TYPE_OPAQUE_FD` of its memory, which holds one buffer from offset 0 on.
    pub memory: OwnedFd,
    /// Size of the allocation: `VkMemoryRequirements::size` of its buffer, not what the samples take.
    pub allocation_bytes: u64,
    /// The memory was allocated for its buffer alone (`VkMemoryDedicatedAllocateInfo`).
    pub dedicated: bool,
    /// How the samples lie.
    pub layout: Layout,
    /// Width in pixels, even.
    pub width: u32,
    /// Height in pixels, even.
    pub height: u32,
    /// Y and CbCr (NV12, P010), or Y, Cb and Cr (4:4:4). For NVENC all have the stride of the first (chroma of
    /// 4:2:0 is as wide in bytes as luma), and each begins where the one before ends: `stride × height` bytes
    /// after it.
    pub planes: Vec<PlaneLayout>,
    /// `VK_EXTERNAL_SEMAPHORE_HANDLE_TYPE_OPAQUE_FD` of the slot's own timeline semaphore. `None`: the driver
    /// exports none, and surfaces are whole already when they are handed over.
    pub timeline: Option<OwnedFd>,
}

impl ExportedSlot {
    /// Stride of the planes and bytes from the first sample to the end of the last row, if they follow each other
    /// without a gap in the way that NVENC takes them; else `None`.
    pub fn contiguous(&self) -> Option<(u32, u64)> {
        let stride = self.planes.first()?.stride_bytes;
        let rows = u64::from(self.height);
        let planes: &[u64] = match self.layout {
            Layout::Nv12 | Layout::P010 => &[2, 1],
            Layout::Yuv444 => &[2, 2, 2],
            Layout::I420 => return None,
        };
        let mut end = self.planes[0].offset_bytes;
        let follows = planes.len() == self.planes.len()
            && self.planes.iter().zip(planes).all(|(plane, half_rows)| {
                let fits = (plane.offset_bytes, plane.stride_bytes) == (end, stride);
                end += u64::from(stride) * rows * half_rows / 2;
                fits
            });
        let wide_enough = self.layout.row_bytes(self.width) <= stride as usize;
        (follows && wide_enough && end <= self.allocation_bytes)
            .then(|| (stride, end - self.planes[0].offset_bytes))
    }
}

/// Where slots come home to: the ring takes them out, surfaces that are dropped put them back.
pub type FreeSlots = Arc<Mutex<Vec<SlotId>>>;

/// The right to read one slot for one frame.
#[derive(Debug)]
pub struct GpuSurface {
    slot: Arc<ExportedSlot>,
    ready: u64,
    done: u64,
    home: FreeSlots,
}

impl GpuSurface {
    /// A surface whose slot was taken out of `home` and is written once its timeline reaches `ready`; whoever
    /// reads it moves the timeline on to `done`, which is above `ready`.
    pub fn new(slot: Arc<ExportedSlot>, ready: u64, done: u64, home: FreeSlots) -> Self {
        assert!(ready < done, "timelines only move on");
        Self { slot, ready, done, home }
    }

    /// The memory.
    pub fn slot(&self) -> &Arc<ExportedSlot> {
        &self.slot
    }

    /// Value of the slot's timeline from which on the frame is whole.
    pub fn ready(&self) -> u64 {
        self.ready
    }

    /// Value that the reader signals once it has read.
    pub fn done(&self) -> u64 {
        self.done
    }
}

impl Drop for GpuSurface {
    fn drop(&mut self) {
        if let Ok(mut free) = self.home.lock() {
            free.push(self.slot.id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;

    fn slot(layout: Layout, planes: &[(u64, u32)]) -> ExportedSlot {
        let nothing = || OwnedFd::from(File::open("/dev/null").unwrap());
        let plane = |&(offset_bytes, stride_bytes)| PlaneLayout { offset_bytes, stride_bytes };
        ExportedSlot {
            id: SlotId::unused(),
            device: DeviceUuid([0; 16]),
            memory: nothing(),
            allocation_bytes: 256 * 32 * 3,
            dedicated: true,
            layout,
            width: 64,
            height: 32,
            planes: planes.iter().map(plane).collect(),
            timeline: Some(nothing()),
        }
    }

    #[test]
    fn planes_without_a_gap_are_told_from_others() {
        let nv12 = slot(Layout::Nv12, &[(0, 256), (256 * 32, 256)]);
        assert_eq!(nv12.contiguous(), Some((256, 256 * 48)));
        let full = slot(Layout::Yuv444, &[(0, 64), (64 * 32, 64), (64 * 64, 64)]);
        assert_eq!(full.contiguous(), Some((64, 64 * 96)));
        for (layout, planes) in [
            (Layout::Nv12, &[(0, 256), (256 * 33, 256)][..]),
            (Layout::Nv12, &[(0, 256), (256 * 32, 128)]),
            (Layout::Nv12, &[(0, 256)]),
            (Layout::Nv12, &[]),
            (Layout::P010, &[(0, 64), (64 * 32, 64)]),
            (Layout::Nv12, &[(0, 1024), (1024 * 32, 1024)]),
            (Layout::I420, &[(0, 64), (64 * 32, 32), (64 * 40, 32)]),
        ] {
            assert_eq!(slot(layout, planes).contiguous(), None, "{layout:?} {planes:?}");
        }
    }

    #[test]
    fn a_slot_comes_home_when_its_surface_is_dropped() {
        let free = FreeSlots::default();
        let slot = Arc::new(slot(Layout::Nv12, &[(0, 64), (64 * 32, 64)]));
        let surface = GpuSurface::new(Arc::clone(&slot), 1, 2, Arc::clone(&free));
        assert_eq!((surface.ready(), surface.done(), free.lock().unwrap().len()), (1, 2, 0));
        drop(surface);
        assert_eq!(*free.lock().unwrap(), [slot.id]);
        assert_ne!(SlotId::unused(), slot.id);
    }
}
