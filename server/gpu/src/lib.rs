//! Pictures and what turns them into what an encoder takes.
//!
//! Adapter choice, the wgpu device, compositing with letterbox, colour conversion (BT.709, limited
//! range) and the bounded ring of surfaces. Deliberately not: windows, swapchains, titles or codecs.
//!
//! **Architecture invariant:** a [`Surface`] always holds a whole, converted frame; its ring is bounded,
//! and a surface returns to it when dropped.

mod picture;
mod surface;

pub use picture::{CpuPicture, Picture};
pub use surface::{Layout, Surface, SurfaceRing};
