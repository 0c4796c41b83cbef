//! The ring of exported slots.

use super::memory::allocate;
use super::planes::Planes;
use super::timeline::Timeline;
use crate::device::Gpu;
use crate::error::GpuError;
use crate::exported::{ExportedSlot, FreeSlots, GpuSurface, SlotId};
use crate::surface::Layout;
use std::sync::{Arc, PoisonError};

/// One being written, one waiting, one being encoded.
const SLOTS: usize = 3;
/// With fewer the converter would wait for the encoder at every frame.
const FEWEST_SLOTS: usize = 2;

/// One buffer of the ring.
#[derive(Debug)]
struct Slot {
    exported: Arc<ExportedSlot>,
    buffer: wgpu::Buffer,
    timeline: Timeline,
    /// The newest value that a reader may move the timeline to.
    done: u64,
}

/// A bounded ring of slots of one layout and size.
#[derive(Debug)]
pub(super) struct SlotRing {
    slots: Vec<Slot>,
    free: FreeSlots,
    planes: Planes,
}

impl SlotRing {
    /// As many slots as the GPU has memory for, three at most and two at least.
    pub(super) fn new(gpu: &Arc<Gpu>, layout: Layout, width: u32, height: u32) -> Result<Self, GpuError> {
        let planes = Planes::of(layout, width, height).ok_or_else(|| no_encoder_takes(layout))?;
        let device = gpu.exporter()?.device;
        let slots = as_many_as_fit(|| {
            let (buffer, memory) = allocate(gpu, planes.bytes)?;
            let (timeline, timeline_fd) = Timeline::new(Arc::clone(gpu))?;
            let exported = ExportedSlot {
                id: SlotId::unused(),
                device,
                memory: memory.fd,
                allocation_bytes: memory.allocation_bytes,
                dedicated: true,
                layout,
                width,
                height,
                planes: planes.planes.clone(),
                timeline: timeline_fd,
            };
            Ok(Slot { exported: Arc::new(exported), buffer, timeline, done: 0 })
        })?;
        if slots.len() < SLOTS {
            tracing::warn!(slots = slots.len(), "the GPU is short of memory: frames have fewer buffers");
        }
        let free = FreeSlots::default();
        let ids = slots.iter().map(|slot| slot.exported.id);
        free.lock().unwrap_or_else(PoisonError::into_inner).extend(ids);
        Ok(Self { slots, free, planes })
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    pub(super) fn planes(&self) -> &Planes {
        &self.planes
    }

    /// Index and buffer of a free slot, or none while all are in use. It is not free until a surface made by
    /// [`Self::write`] is dropped or it is [put back](Self::put_back).
    pub(super) fn take(&self) -> Option<usize> {
        // A list of free slots is whole after every single operation.
        let id = self.free.lock().unwrap_or_else(PoisonError::into_inner).pop()?;
        self.slots.iter().position(|slot| slot.exported.id == id)
    }

    /// Where the slot of a surface is in this ring.
    pub(super) fn index_of(&self, surface: &GpuSurface) -> Option<usize> {
        self.slots.iter().position(|slot| slot.exported.id == surface.slot().id)
    }

    pub(super) fn buffer(&self, index: usize) -> &wgpu::Buffer {
        &self.slots[index].buffer
    }

    /// A slot that was taken and not written.
    pub(super) fn put_back(&self, index: usize) {
        self.free.lock().unwrap_or_else(PoisonError::into_inner).push(self.slots[index].exported.id);
    }

    /// Submits the commands that write a slot that was taken. Where readers cannot wait for its timeline, blocks
    /// until it is whole.
    pub(super) fn write<const N: usize>(
        &mut self,
        index: usize,
        commands: [wgpu::CommandBuffer; N],
    ) -> Result<GpuSurface, GpuError> {
        let slot = &mut self.slots[index];
        let ready = slot.done + 1;
        slot.done = ready + 1;
        let exported = Arc::clone(&slot.exported);
        // Made first: whatever fails from here on, the slot comes home.
        let surface = GpuSurface::new(exported, ready, slot.done, Arc::clone(&self.free));
        slot.timeline.submit(commands, ready)?;
        if slot.exported.timeline.is_none() {
            slot.timeline.wait()?;
        }
        Ok(surface)
    }

    /// Blocks until every frame that was submitted is whole.
    pub(super) fn wait(&self) -> Result<(), GpuError> {
        self.slots.iter().try_for_each(|slot| slot.timeline.wait())
    }
}

/// The refusal of a layout.
pub(super) fn no_encoder_takes(layout: Layout) -> GpuError {
    GpuError::NoExport(format!("no hardware encoder takes {layout:?}"))
}

/// Allocates until the GPU has no more memory; fewer slots than needed are an error.
fn as_many_as_fit<T>(mut allocate: impl FnMut() -> Result<T, GpuError>) -> Result<Vec<T>, GpuError> {
    let mut slots = Vec::with_capacity(SLOTS);
    while slots.len() < SLOTS {
        match allocate() {
            Ok(slot) => slots.push(slot),
            Err(GpuError::OutOfMemory { .. }) if slots.len() >= FEWEST_SLOTS => break,
            Err(error) => return Err(error),
        }
    }
    Ok(slots)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gpu_short_of_memory_gives_fewer_slots_and_then_a_clear_refusal() {
        let with_room_for = |mut room: usize| {
            as_many_as_fit(|| {
                room = room.checked_sub(1).ok_or(GpuError::OutOfMemory { bytes: 7 })?;
                Ok(())
            })
        };
        assert_eq!(with_room_for(9).unwrap().len(), SLOTS);
        assert_eq!(with_room_for(2).unwrap().len(), 2);
        let refused = with_room_for(1).unwrap_err();
        assert!(matches!(refused, GpuError::OutOfMemory { bytes: 7 }));
        assert!(refused.to_string().contains("fewer sessions"), "{refused}");
    }

    #[test]
    fn any_other_failure_is_told_at_once() {
        let mut asked = 0;
        let lost = as_many_as_fit(|| {
            asked += 1;
            if asked < 3 { Ok(()) } else { Err(GpuError::Lost("gone".to_owned())) }
        });
        assert!(matches!(lost, Err(GpuError::Lost(_))));
    }
}
