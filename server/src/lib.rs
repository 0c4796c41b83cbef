//! What runs on a GPU host: the node agent and its session workers.
//!
//! Thin and async: processes, sockets and configuration. What is drawn lives in `title`, what is
//! encoded in `encode`, when packets leave in `stream`. Deliberately not here: placement and money.
//!
//! **Architecture invariant:** one worker process per session. The agent holds the node's key and never
//! touches media; a worker touches media and never holds the key. A worker that dies ends one session.

pub mod agent;
pub mod capability;
pub mod encoders;
mod frames;
pub mod worker;

pub use nearframe_encode as encode;
pub use nearframe_gpu as gpu;
pub use nearframe_title as title;
