//! The API as tools of the Model Context Protocol, for agents that book and pay by themselves.
//!
//! Deliberately without a transport and without a connection: whoever serves it says how the API is reached, by a
//! [`Way`]. A thin client of the HTTP API with a key of an account: it decides nothing, keeps nothing, and may do no more
//! than its key. What an agent may spend is limited by the key, on the server.
//!
//! **Architecture invariant:** every tool is one request to a door of the API, so that roles, scopes, budgets, limits and
//! the audit trail are the same for agents as for everybody.

mod answers;
mod client;
mod tools;

pub use client::{Question, Unreachable, Way};
pub use tools::Tools;
