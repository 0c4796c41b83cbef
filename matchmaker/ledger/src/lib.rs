//! Sans-I/O metering: receipts, transfers, balances
