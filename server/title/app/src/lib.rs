//! A headless Wayland compositor for one title, with Xwayland for titles that speak X11.
//!
//! It runs on a thread of its own and composes nothing by itself: the session's frame clock calls
//! [`Compositor::frame`], which hands the title its inputs and its frame callbacks, waits a little for
//! a title that has shown that it answers in time, and returns the layers of the picture. It knows no
//! GPU, no encoder and no network; what the player's page shows itself (cursor, clipboard, text field)
//! leaves as [`Event`]s.
//!
//! **Invariant:** a title, however slow, broken or hostile, never blocks [`Compositor::frame`] beyond
//! its bound and never makes this process read memory that it does not own.

pub mod canvas;
mod compositor;
mod error;
mod event;
mod frame;
mod input;
mod keymap;
mod limits;
mod pixels;
mod settings;
mod state;
mod timing;
mod x11;

pub use compositor::Compositor;
pub use error::CompositorError;
pub use event::{Cursor, Event};
pub use frame::{Content, DmabufLease, Frame, FrameRequest, Layer, Plane, Rect, Timings};
pub use input::{Input, TouchPhase};
pub use pixels::Pixels;
pub use settings::{Display, DmabufFormat, DmabufSupport, KeyboardLayout, Settings, Sockets};
