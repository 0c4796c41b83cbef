//! Frames in GPU memory that encoders read where they lie: no copy to the CPU.
//!
//! [`GpuConverter`] writes each frame into a slot of a ring of `VkBuffer`s whose memory is exported as an opaque
//! file descriptor. Whoever reads it (CUDA for NVENC, another Vulkan device for Vulkan Video) imports each slot
//! once and waits for the slot's timeline on its own queue; where the driver exports no timeline, the converter
//! waits until the frame is whole. [`PeerDevice`] is such a reader: a second device of the same adapter.
//!
//! Tested on lavapipe: what a second device imports is equal to the last byte. **Not yet run on hardware**;
//! adapters that do not export are refused with [`GpuError::NoExport`], and the caller reads back.
//!
//! **Architecture invariant:** a slot is written only while no [`GpuSurface`] of it exists, and after the shader
//! its buffer belongs to the external queue family until it is written again.
//!
//! [`GpuError::NoExport`]: crate::GpuError::NoExport
//! [`GpuSurface`]: crate::GpuSurface

mod convert;
mod exporter;
mod handover;
mod memory;
mod peer;
mod planes;
mod ring;
mod timeline;

pub use convert::GpuConverter;
pub(crate) use exporter::{Exporter, extra_extensions};
pub use memory::{EXPORT_USAGE, exported_memory_type};
pub use peer::PeerDevice;
pub use planes::ColourMatrix;
