//! The matchmaker: API, signalling, leases and receipts
