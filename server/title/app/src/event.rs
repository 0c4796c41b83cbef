//! What the title tells the player's page, outside of the picture.

use crate::Rect;

/// Something that the page should know. Events say how things are now, at most once a frame each.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The pointer's look has changed.
    Cursor(Cursor),
    /// The title has locked the pointer (and wants [`crate::Input::Motion`]) or let it go.
    PointerLocked(bool),
    /// A text field of the title has come into focus, or none is any more.
    TextInput {
        /// Whether text is wanted.
        active: bool,
        /// Where the caret is, in pixels of the picture.
        rect: Option<Rect<i32>>,
    },
    /// The title has copied text.
    Clipboard(String),
    /// The first window shows content.
    FirstWindow,
    /// The window in focus has a new title.
    Title(String),
    /// The last window is gone.
    AllWindowsClosed,
}

/// The pointer's look.
#[derive(Clone, PartialEq, Eq)]
pub enum Cursor {
    /// No pointer.
    Hidden,
    /// A cursor by its CSS name.
    Named(&'static str),
    /// A picture of the title's own, at most 256 × 256.
    Picture {
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
        /// Hot spot from the left edge.
        hot_x: i32,
        /// Hot spot from the upper edge.
        hot_y: i32,
        /// RGBA8 with straight alpha, rows without padding.
        rgba: Vec<u8>,
    },
}

impl std::fmt::Debug for Cursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Hidden => f.write_str("Hidden"),
            Self::Named(name) => f.debug_tuple("Named").field(name).finish(),
            Self::Picture { width, height, hot_x, hot_y, .. } => {
                write!(f, "Picture({width}x{height} at {hot_x},{hot_y})")
            }
        }
    }
}
