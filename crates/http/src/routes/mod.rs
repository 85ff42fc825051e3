//! The operations of the API: a folder for each capability, and a file for each operation.

pub(crate) mod accounts;
pub(crate) mod catalog;
pub(crate) mod operations;
pub(crate) mod payments;
pub(crate) mod queue_control;
pub(crate) mod reservations;
pub(crate) mod waiting_room;
pub(crate) mod wallet;
