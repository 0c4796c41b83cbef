//! What can go wrong between a picture and a surface.

use crate::surface::Layout;

/// Failures of this crate; each says what to do next.
#[derive(Debug, thiserror::Error)]
pub enum GpuError {
    /// Neither Vulkan nor OpenGL offers an adapter.
    #[error(
        "no GPU adapter found: install the GPU's Vulkan driver, or `mesa-vulkan-drivers` for drawing in software"
    )]
    NoAdapter,
    /// The configured adapter does not exist here.
    #[error("no GPU adapter has {wanted:?} in its name; there are: {found}")]
    NoSuchAdapter {
        /// The configured part of the name.
        wanted: String,
        /// The adapters that were found.
        found: String,
    },
    /// The driver gave no device.
    #[error("{adapter} gave no device: {detail}; update its driver or choose another adapter")]
    NoDevice {
        /// Which adapter.
        adapter: String,
        /// The driver's words.
        detail: String,
    },
    /// The device is gone; whatever lived on it has to be made anew.
    #[error("the GPU device was lost: {0}; open the device again or end the session")]
    Lost(String),
    /// Memory for a frame that is shared with an encoder was refused.
    #[error(
        "the GPU has no {bytes} bytes left for a frame: run fewer sessions on this machine, or smaller pictures"
    )]
    OutOfMemory {
        /// What one frame takes.
        bytes: u64,
    },
    /// The driver had no memory for something that a session cannot go on without.
    #[error("the GPU's memory is full: {0}; run fewer sessions on this machine, or smaller pictures")]
    Full(String),
    /// Frames cannot be shared with an encoder.
    #[error("this adapter shares no frames with encoders: {0}; frames go through the CPU")]
    NoExport(String),
    /// The device did not finish in time.
    #[error("the GPU did not finish a frame within {0:?}; end the session")]
    Stalled(std::time::Duration),
    /// A GPU picture came to a converter without a device.
    #[error("a GPU picture needs a converter that was made with the device it lives on")]
    NeedsDevice,
    /// A picture that breaks the contract of [`crate::Picture`].
    #[error("the picture cannot be converted: {0}")]
    BadPicture(String),
    /// Layers that break the contract of [`crate::GpuLayer`].
    #[error("the layers cannot be drawn: {0}")]
    BadLayers(String),
    /// A layout that surfaces in CPU memory are not converted into.
    #[error("pictures are not converted into {0:?} in CPU memory; NV12, I420 and, in HDR10, P010 are")]
    BadLayout(Layout),
    /// A dma-buf came to a device that imports none.
    #[error("this device imports no dma-bufs: offer titles none, so that they hand over pixels")]
    NoDmabufs,
    /// A dma-buf that is not what its title says, or that the driver refuses.
    #[error("the title's GPU buffer cannot be imported: {0}; leave its picture out")]
    BadDmabuf(String),
    /// A title's drawing takes long.
    #[error("the title has not finished its picture within {0:?}; show the one before")]
    StillDrawing(std::time::Duration),
    /// 4:2:0 needs even sizes, and surfaces have an upper bound.
    #[error("{width}×{height} {layout:?} is no surface: both must be even, and 16 to {max}")]
    BadSize {
        /// Width asked for.
        width: u32,
        /// Height asked for.
        height: u32,
        /// Layout asked for.
        layout: Layout,
        /// Largest width and height.
        max: u32,
    },
}
