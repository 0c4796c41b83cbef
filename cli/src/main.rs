//! The nearframe command: matchmaker and node in one binary
fn main() {}
