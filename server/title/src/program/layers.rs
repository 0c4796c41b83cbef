//! Windows that lie in GPU memory, composed on the GPU.
//!
//! Only frames that hold a dma-buf come here; all others are flattened by the CPU, which costs a tenth where the
//! GPU is a software one. Written against the Vulkan extensions for import; not yet run on GPU hardware.

use nearframe_compositor::{Content, DmabufLease, Frame, Layer, Pixels};
use nearframe_gpu::{
    CpuPicture, DmabufFormat, DmabufImage, DmabufPlane, Gpu, GpuContent, GpuError, GpuLayer, ImportedImage,
    LayerCompositor,
};
use std::sync::Arc;
use tracing::debug;

/// Composes frames on the session's device.
pub(super) struct OnGpu {
    gpu: Arc<Gpu>,
    compositor: LayerCompositor,
    versions: u64,
    /// Pixels of the last frame with the number under which they were uploaded.
    shown: Vec<(Arc<Pixels>, u64)>,
    /// Buffers of the last frame; they go back to the program once the next one is composed.
    imported: Vec<(Arc<DmabufLease>, ImportedImage)>,
    /// The last frame was not drawn in time and is to be tried again.
    pending: bool,
}

/// Whether a frame cannot be flattened by the CPU.
pub(super) fn needs_gpu(frame: &Frame) -> bool {
    frame.layers.iter().any(|layer| matches!(layer.content, Content::Dmabuf(_)))
}

impl OnGpu {
    pub(super) fn new(gpu: Arc<Gpu>, width: u32, height: u32) -> Result<Self, GpuError> {
        let compositor = LayerCompositor::new(Arc::clone(&gpu), width, height)?;
        // Nothing is drawn yet, so the first frame is composed whether the program has changed it or not.
        Ok(Self { gpu, compositor, versions: 0, shown: Vec::new(), imported: Vec::new(), pending: true })
    }

    /// The picture, and whether it is new. A program whose drawing is not finished is shown as it last was.
    pub(super) fn compose(&mut self, frame: &Frame) -> Result<(&wgpu::Texture, bool), GpuError> {
        if !frame.changed && !self.pending {
            return Ok((self.compositor.picture(), false));
        }
        self.take_in(frame)?;
        let layers: Vec<_> =
            frame.layers.iter().filter_map(|layer| placed(layer, &self.shown, &self.imported)).collect();
        self.pending = match self.compositor.compose(&layers) {
            Ok(_) => false,
            Err(GpuError::StillDrawing(_)) => true,
            Err(error) => return Err(error),
        };
        Ok((self.compositor.picture(), !self.pending))
    }

    /// Numbers new pixels and imports new buffers; what the frame no longer shows is let go.
    fn take_in(&mut self, frame: &Frame) -> Result<(), GpuError> {
        let (mut shown, mut imported) = (Vec::new(), Vec::new());
        for layer in &frame.layers {
            match &layer.content {
                Content::Shm(pixels) if !shown.iter().any(|(known, _)| Arc::ptr_eq(pixels, known)) => {
                    let known = self.shown.iter().find(|(known, _)| Arc::ptr_eq(pixels, known));
                    let id = known.map_or_else(|| self.versions + 1, |(_, id)| *id);
                    self.versions = self.versions.max(id);
                    shown.push((Arc::clone(pixels), id));
                }
                Content::Dmabuf(lease) if !imported.iter().any(|(known, _)| Arc::ptr_eq(lease, known)) => {
                    if let Some(at) = self.imported.iter().position(|(known, _)| Arc::ptr_eq(lease, known)) {
                        imported.push(self.imported.swap_remove(at));
                        continue;
                    }
                    match import(&self.gpu, lease) {
                        Ok(image) => imported.push((Arc::clone(lease), image)),
                        Err(GpuError::BadDmabuf(why)) => debug!(%why, "a window is left out"),
                        Err(error) => return Err(error),
                    }
                }
                Content::Shm(_) | Content::Dmabuf(_) => {}
            }
        }
        (self.shown, self.imported) = (shown, imported);
        Ok(())
    }
}

fn import(gpu: &Gpu, lease: &DmabufLease) -> Result<ImportedImage, GpuError> {
    let planes: Vec<_> = lease
        .planes()
        .map(|plane| DmabufPlane { fd: plane.fd, offset: plane.offset, stride: plane.stride })
        .collect();
    let format = DmabufFormat { fourcc: lease.fourcc(), modifier: lease.modifier() };
    gpu.import_dmabuf(&DmabufImage { width: lease.width(), height: lease.height(), format, planes: &planes })
}

fn placed<'a>(
    layer: &'a Layer,
    shown: &'a [(Arc<Pixels>, u64)],
    imported: &'a [(Arc<DmabufLease>, ImportedImage)],
) -> Option<GpuLayer<'a>> {
    let (from, to) = (layer.source, layer.target);
    let mut source = [from.x, from.y, from.width, from.height];
    let content = match &layer.content {
        Content::Shm(pixels) => {
            let (_, id) = shown.iter().find(|(known, _)| Arc::ptr_eq(pixels, known))?;
            let stride = u32::try_from(pixels.stride()).ok()?;
            let picture =
                CpuPicture { width: pixels.width(), height: pixels.height(), stride, data: pixels.data() };
            GpuContent::Pixels { id: *id, picture }
        }
        Content::Dmabuf(lease) => {
            if lease.y_inverted() {
                source = [from.x, f64::from(lease.height()) - from.y, from.width, -from.height];
            }
            GpuContent::Dmabuf(&imported.iter().find(|(known, _)| Arc::ptr_eq(lease, known))?.1)
        }
    };
    Some(GpuLayer { content, source, target: [to.x, to.y, to.width, to.height], opaque: layer.opaque })
}
