//! What is asked of the rate control, and what it answers.

use super::quantiser::MAX_QP;
use std::time::Duration;

/// Growth of a frame with every frame that its reference is older: at 5 frames about twice, at 8 about
/// three times the size, as measured with OpenH264 on moving pictures.
pub(super) const GROWTH_PER_FRAME: f64 = 0.3;

/// What to do with a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plan {
    /// Leave it out: the window has no room even for the smallest frame.
    Skip,
    /// Encode it.
    Encode(Try),
}

/// What a frame is predicted from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Nothing.
    Keyframe,
    /// The frame before.
    Predicted,
    /// A frame so many frames ago, because what came between is lost or was thrown away.
    Recovery {
        /// At least 1.
        age: u32,
    },
}

/// A frame to plan for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// When it was drawn. Times that go back count as the latest one.
    pub at: Duration,
    /// What it may be predicted from; a keyframe that is owed comes first.
    pub kind: Kind,
    /// Its own budget, if it has one.
    pub budget_bytes: Option<u32>,
}

/// One attempt at a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Try {
    /// Quantiser for every macroblock, 14..=51.
    pub qp: u8,
    /// What it is predicted from.
    pub kind: Kind,
    /// The size that is aimed at.
    pub budget_bytes: usize,
    /// The size is a budget of its own.
    pub(super) budgeted: bool,
}

impl Kind {
    /// How many times larger than one predicted from the frame before.
    pub(super) fn growth(self) -> f64 {
        match self {
            Self::Recovery { age } => 1.0 + GROWTH_PER_FRAME * f64::from(age.saturating_sub(1)),
            Self::Keyframe | Self::Predicted => 1.0,
        }
    }
}

impl Try {
    /// Whether `bytes` miss the frame's budget although no quantiser is coarser.
    pub fn is_over_budget(&self, bytes: usize) -> bool {
        self.budgeted && self.qp == MAX_QP && bytes > self.budget_bytes
    }
}

/// What to do with the bytes that came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Send them.
    Emit,
    /// Throw them away and encode the same frame like this.
    Again(Try),
    /// Throw them away; the next frame will be a keyframe.
    Drop,
}
