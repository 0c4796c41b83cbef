//! Sharing what is scarce: who gets which site under load, who waits, what is kept free, what is kept warm.
//!
//! Below [`plan::GREEDY_BELOW_PERCENT`] of load every player simply gets the nearest node; above it a slot's
//! price keeps it for those who would lose most without it.

pub mod crowd;
pub mod flow;
pub mod group;
pub mod plan;
pub mod preempt;
pub mod prewarm;
pub mod queue;
pub mod reserve;

pub use crowd::{Crowd, NextPlan};
pub use flow::{Assignment, Market, assign};
pub use plan::Plan;
