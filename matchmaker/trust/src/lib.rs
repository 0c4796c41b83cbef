//! Trust between people who never met: who cheats, what of earnings is held and why, disputes, stakes, service levels.
//!
//! [`seen`] is what witnesses say, [`witness`] tells how many independent ones that are, [`fraud`] reads cheating out of
//! it, [`holds`] what hosts may have meanwhile, [`dispute`] what is paid back, [`stake`] what hosts put down and lose,
//! [`service`] how reliable a machine was, [`reach`] when it could be reached and whose fault it was where not, [`credit`]
//! what is credited where less was given than promised. Deliberately without I/O: what was seen comes in as values, findings
//! come out as values, and nothing here moves money.
//!
//! **Architecture invariant:** a lone witness, be it a player, a checker or a clock, is never enough for a penalty; and
//! all arithmetic is in integers, so that whoever recomputes a finding comes to the same one.

pub mod credit;
pub mod dispute;
pub mod fraud;
pub mod holds;
pub mod reach;
pub mod seen;
pub mod service;
pub mod stake;
pub mod witness;
