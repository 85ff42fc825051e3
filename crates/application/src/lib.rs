//! The use cases of boxoffice: what a request or a worker wants done, in terms of the ports of [`boxoffice_domain`].
//!
//! There is one service for each capability, under the name that the capability has in every crate. A service holds its
//! ports as `Arc<dyn Port>`. It decides in which order they are called and what a refusal of one means for the next. It
//! leaves every rule to the domain and every transaction to the adapter.

pub mod account_locks;
pub mod accounts;
pub mod catalog;
mod catalog_generation;
mod catalog_import;
mod concert_view;
pub mod draw;
pub mod fingerprint;
mod gate;
mod history;
pub mod mail;
mod maintenance;
pub mod payments;
mod published_events;
pub mod queue_control;
mod relay;
pub mod reservations;
mod retention;
mod sale_terms;
mod sale_watch;
pub mod waiting_room;
pub mod wallet;
pub mod webhooks;

/// A service is printed by its name: its ports have nothing to print.
macro_rules! debug_by_name {
    ($($service:ident,)*) => {$(
        impl std::fmt::Debug for $service {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_struct(stringify!($service)).finish_non_exhaustive()
            }
        }
    )*};
}

debug_by_name! {
    AccountService,
    CatalogImportService,
    CatalogService,
    EventReader,
    EventSequencer,
    KnownAccounts,
    MailReader,
    MaintenanceMode,
    PaymentService,
    ReservationService,
    RetentionService,
    WaitingRoomService,
    WalletService,
    WebhookFanOut,
    WebhookService,
}

pub use account_locks::AccountLocks;
pub use accounts::{AccountService, Identity, KnownAccounts, Staff};
pub use catalog::CatalogService;
pub use catalog_generation::CatalogGeneration;
pub use catalog_import::CatalogImportService;
pub use concert_view::ConcertView;
pub use gate::{Gate, Visitor};
pub use mail::{MailReader, MailSender};
pub use maintenance::MaintenanceMode;
pub use payments::PaymentService;
pub use published_events::published;
pub use relay::{EventReader, EventSequencer, RelayError, Relayed};
pub use reservations::ReservationService;
pub use retention::{KeptDays, RetentionService, RetentionStep, Stepped};
pub use sale_terms::SaleTermsCache;
pub use sale_watch::SaleWatch;
pub use waiting_room::WaitingRoomService;
pub use wallet::WalletService;
pub use webhooks::{WebhookFanOut, WebhookService};
