//! The obligations of the ports, as functions over any implementor.

pub mod waiting_room;
