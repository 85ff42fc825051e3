//! The ports over SQLite, MariaDB and real MySQL: the contracts that all of them keep, and what is theirs alone.

#![recursion_limit = "256"]

/// Makes a test of each function for each kind of database. A function takes a [`home::Backend`].
macro_rules! on_every_backend {
    ($($name:ident)*) => {
        crate::on_every_backend! { @ sqlite, crate::home::Backend::Sqlite; $($name)* }
        crate::on_every_backend! { @ mariadb, crate::home::Backend::Server(boxoffice_testkit::servers::ServerKind::MariaDb); $($name)* }
        crate::on_every_backend! { @ mysql, crate::home::Backend::Server(boxoffice_testkit::servers::ServerKind::MySql); $($name)* }
    };
    (@ $module:ident, $backend:expr; $($name:ident)*) => {
        mod $module {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    super::$name($backend).await;
                }
            )*
        }
    };
}
use on_every_backend;

/// Makes a module with tests of some of the contracts, over a home with these settings.
macro_rules! contracts_with {
    ($module:ident, $backend:expr, $settings:expr; $($contracts:tt)*) => {
        mod $module {
            use super::*;

            async fn home() -> Home {
                Home::open($backend, $settings).await
            }

            boxoffice_contracts::storage_contract! { home; $($contracts)* }
        }
    };
}
use contracts_with;

mod audit;
mod commit_cuts;
mod concert_search;
mod copy;
mod corrupter;
mod galera;
mod galera_catalog;
mod home;
mod inspection;
mod instances;
mod lanes;
mod migrations;
mod restarts;
mod seat_cache;
mod tls;

mod sqlite {
    boxoffice_contracts::storage_contract!(crate::home::sqlite);
}

mod mariadb {
    boxoffice_contracts::storage_contract!(crate::home::mariadb);
}

mod mysql {
    boxoffice_contracts::storage_contract!(crate::home::mysql);
}
