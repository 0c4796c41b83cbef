//! Benches: latency against Chromium's own sender, and micro benches
fn main() {}
