//! The obligations of the ports, as functions over any implementor.

pub mod storage;
pub mod waiting_room;
