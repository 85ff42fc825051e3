//! What every adapter of boxoffice's ports must do.
//!
//! A contract is a set of functions over any implementor of a port, written once; a macro makes a test of each. An
//! adapter is done when it passes the contract that its siblings pass. [`memory::MemoryStore`] is the reference
//! implementation of the storing ports, and a fake for tests about outcomes.

pub mod memory;
pub mod storage;
pub mod waiting_room;
