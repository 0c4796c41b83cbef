//! What the player's page sends.

/// One input, in the order in which it happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// A key by its physical position.
    Key {
        /// Linux `KEY_*` code.
        evdev: u16,
        /// Pressed or released.
        down: bool,
    },
    /// Composed text: dead keys, input methods, on-screen keyboards.
    Text(String),
    /// Relative motion in pixels of the picture.
    Motion {
        /// To the right.
        dx: f64,
        /// Down.
        dy: f64,
    },
    /// Absolute position in pixels of the picture.
    Position {
        /// From the left edge.
        x: f64,
        /// From the upper edge.
        y: f64,
    },
    /// A mouse button.
    Button {
        /// Linux `BTN_*` code.
        evdev: u16,
        /// Pressed or released.
        down: bool,
    },
    /// The wheel, in 1/120 of a notch; positive is right and down.
    Wheel {
        /// Horizontal.
        dx: i16,
        /// Vertical.
        dy: i16,
    },
    /// One finger.
    Touch {
        /// Which finger.
        id: u8,
        /// What it did.
        phase: TouchPhase,
        /// Pixels of the picture from the left edge.
        x: f64,
        /// Pixels of the picture from the upper edge.
        y: f64,
    },
    /// The player lost focus or connection: nothing stays pressed.
    ReleaseAll,
}

/// What a finger did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TouchPhase {
    /// Touched the picture.
    Down,
    /// Moved.
    Move,
    /// Left the picture.
    Up,
    /// The system took the gesture over; all fingers are gone.
    Cancel,
}
