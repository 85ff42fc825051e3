//! The use cases of boxoffice: what a request or a worker wants done, said in terms of the ports of
//! [`boxoffice_domain`].
//!
//! There is one service for each capability, under the name that the capability has in every crate. A
//! service holds its ports as `Arc<dyn Port>`; it decides in which order they are called and what a
//! refusal of one means for the next, and leaves every rule to the domain and every transaction to the
//! adapter.

pub mod account_locks;
pub mod accounts;
pub mod catalog;
mod catalog_generation;
mod catalog_import;
pub mod draw;
pub mod fingerprint;
pub mod payments;
pub mod queue_control;
pub mod reservations;
mod sale_terms;
pub mod waiting_room;
pub mod wallet;

pub use account_locks::AccountLocks;
pub use accounts::{AccountService, Identity};
pub use catalog::CatalogService;
pub use catalog_generation::CatalogGeneration;
pub use catalog_import::CatalogImportService;
pub use payments::PaymentService;
pub use reservations::ReservationService;
pub use sale_terms::SaleTermsCache;
pub use waiting_room::WaitingRoomService;
pub use wallet::WalletService;
