//! A slot of a ring in GPU memory, as far as an encoder sees it.

use nearframe_gpu::{DeviceUuid, ExportedSlot, FreeSlots, GpuSurface, Layout, PlaneLayout, SlotId, Surface};
use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

/// A ring of one slot in memory that stands in for a GPU's.
pub(crate) struct Exported {
    slot: Arc<ExportedSlot>,
    samples: File,
    timeline: Option<File>,
    pub(crate) free: FreeSlots,
    pub(crate) value: u64,
}

const STRIDE: u32 = 512;

impl Exported {
    pub(crate) fn new(device: DeviceUuid, (width, height): (u32, u32), with_timeline: bool) -> Self {
        let bytes = u64::from(STRIDE) * u64::from(height) * 3 / 2;
        let memory = |bytes: u64| {
            let fd = rustix::fs::memfd_create("slot", rustix::fs::MemfdFlags::CLOEXEC)
                .expect("memory of this test");
            let file = File::from(fd);
            file.set_len(bytes).expect("memory of this test");
            file
        };
        let (samples, timeline) = (memory(bytes), with_timeline.then(|| memory(8)));
        let fd = |file: &File| OwnedFd::from(file.try_clone().expect("memory of this test"));
        let chroma = u64::from(STRIDE * height);
        let plane = |offset_bytes| PlaneLayout { offset_bytes, stride_bytes: STRIDE };
        let slot = ExportedSlot {
            id: SlotId::unused(),
            device,
            memory: fd(&samples),
            allocation_bytes: bytes,
            dedicated: true,
            layout: Layout::Nv12,
            width,
            height,
            planes: vec![plane(0), plane(chroma)],
            timeline: timeline.as_ref().map(fd),
        };
        let free = FreeSlots::default();
        Self { slot: Arc::new(slot), samples, timeline, free, value: 0 }
    }

    /// The right to read the slot, before anything is drawn there.
    pub(crate) fn take(&mut self) -> Surface {
        self.value += 2;
        GpuSurface::new(Arc::clone(&self.slot), self.value - 1, self.value, Arc::clone(&self.free)).into()
    }

    /// What another API would draw: the picture, then the timeline.
    pub(crate) fn draw(&self, picture: &Surface) {
        let picture = picture.as_cpu().expect("memory of this test");
        let width = self.slot.width as usize;
        let rows = picture.luma().chunks(width).chain(picture.chroma().chunks(width));
        for (at, row) in rows.enumerate() {
            self.samples.write_all_at(row, at as u64 * u64::from(STRIDE)).expect("memory of this test");
        }
        if let Some(timeline) = &self.timeline {
            timeline.write_all_at(&(self.value - 1).to_ne_bytes(), 0).expect("memory of this test");
        }
    }

    pub(crate) fn reached(&self) -> u64 {
        let mut value = [0; 8];
        self.timeline
            .as_ref()
            .expect("memory of this test")
            .read_exact_at(&mut value, 0)
            .expect("memory of this test");
        u64::from_ne_bytes(value)
    }
}
