//! The waiting rooms: the contract of the port, and what is theirs alone.

mod contract;
mod memory;
mod redis;
mod support;
