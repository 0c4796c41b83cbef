//! GPU buffers that other programs have drawn, sampled where they lie: no copy between title and session.
//!
//! A title on the same GPU hands over dma-bufs. Which layouts the device reads is asked of the driver
//! once, when it is opened; an import is checked against that list and against the size of the memory
//! before the driver sees it. Drawing reads an import between an acquire from and a release to the
//! foreign queue family, so contents and compression stay whole for the title.
//!
//! The tests draw real imports where the driver exports and imports dma-bufs, and check the refusal where
//! it does not. That has been so with lavapipe of Mesa 25 behind a layer that adds linear modifiers, under
//! Vulkan's validation. **Not yet run on hardware**: tiled and compressed modifiers, waiting for another
//! program's drawing, and the number of the render node.
//!
//! **Architecture invariant:** nothing a title hands over is waited for on the GPU's queue. Whether it has
//! been drawn is polled with a bound, so a title that never finishes holds up no frame but its own.

mod formats;
mod handover;
mod import;

pub(crate) use formats::{Importer, extra_extensions};
pub(crate) use handover::{Handover, hand_over};
pub use import::ImportedImage;

use crate::device::Gpu;
use crate::error::GpuError;
use std::os::fd::BorrowedFd;

/// A pixel format with its layout in memory, as in `drm_fourcc.h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DmabufFormat {
    /// DRM fourcc code.
    pub fourcc: u32,
    /// DRM format modifier.
    pub modifier: u64,
}

/// What titles are told so that they draw into buffers that can be imported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DmabufSupport {
    /// `dev_t` of the render node of the session's GPU.
    pub main_device: u64,
    /// What can be imported.
    pub formats: Vec<DmabufFormat>,
}

/// Where one plane of an image lies.
#[derive(Clone, Copy, Debug)]
pub struct DmabufPlane<'a> {
    /// The memory; the same dma-buf for every plane of an image.
    pub fd: BorrowedFd<'a>,
    /// Where the plane starts, in bytes.
    pub offset: u32,
    /// Bytes from one row to the next.
    pub stride: u32,
}

/// An image in a dma-buf, as its program describes it. Nothing of it is believed.
#[derive(Clone, Copy, Debug)]
pub struct DmabufImage<'a> {
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// Format and layout.
    pub format: DmabufFormat,
    /// As many as the modifier has.
    pub planes: &'a [DmabufPlane<'a>],
}

impl Gpu {
    /// What can be imported and on which device titles are to draw it. `None` where the driver imports no
    /// dma-bufs (`VK_EXT_external_memory_dma_buf`, `VK_EXT_image_drm_format_modifier`,
    /// `VK_EXT_queue_family_foreign`) or names no render node (`VK_EXT_physical_device_drm`): titles then
    /// hand over pixels.
    pub fn dmabuf_support(&self) -> Option<DmabufSupport> {
        let importer = self.importer()?;
        Some(DmabufSupport { main_device: importer.render_node()?, formats: importer.formats().collect() })
    }

    /// Makes an image readable for [`crate::LayerCompositor`]. The descriptors stay the caller's. The
    /// title may draw into the buffer again once the frame that shows the image has been converted.
    pub fn import_dmabuf(&self, image: &DmabufImage<'_>) -> Result<ImportedImage, GpuError> {
        self.check()?;
        let importer = self.importer().ok_or(GpuError::NoDmabufs)?;
        import::import(self, importer, image)
    }
}
