//! Sans-I/O placement: who plays where
