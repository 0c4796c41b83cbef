//! Pictures and what turns them into what an encoder takes.
//!
//! Adapter choice, the wgpu device, layers and letterbox, import of other programs' GPU buffers, colour
//! conversion (BT.709, limited range; BT.2020 for 10 bits), tone mapping, and the bounded rings of surfaces, in CPU
//! memory and in exported GPU memory. Deliberately not: windows, swapchains, titles or codecs.
//!
//! **Architecture invariant:** a [`Surface`] always holds a whole, converted frame; its ring is bounded,
//! and a surface returns to it when dropped.

mod adapter;
mod composite;
mod convert;
mod device;
mod dmabuf;
mod error;
mod export;
mod exported;
mod faults;
mod hdr;
mod layers;
mod letterbox;
mod measure;
mod picture;
mod pixels;
mod readback;
mod scale;
mod shader;
mod simd;
mod surface;

pub use adapter::{AdapterFacts, AdapterKind, adapters};
pub use convert::{Conversion, Converter};
pub use device::Gpu;
pub use dmabuf::{DmabufFormat, DmabufImage, DmabufPlane, DmabufSupport, ImportedImage};
pub use error::GpuError;
pub use export::{ColourMatrix, EXPORT_USAGE, GpuConverter, PeerDevice, exported_memory_type};
pub use exported::{DeviceUuid, ExportedSlot, FreeSlots, GpuSurface, PlaneLayout, SlotId};
pub use faults::Faults;
pub use hdr::hdr10_code;
pub use layers::{GpuContent, GpuLayer, LayerCompositor};
pub use measure::GpuTimes;
pub use picture::{CpuPicture, Hdr10Picture, Hdr10Pixels, Picture};
pub use surface::{CpuSurface, Layout, Surface, SurfaceRing};
