//! The node agent and the session worker
