//! Connections that are encrypted, to a server that proves who it is.

use std::sync::Arc;

use boxoffice_domain::fixtures::{TestClock, TestEntropy};
use boxoffice_persistence::{connect, migrate, with_ca_file};
use boxoffice_testkit::{
    Authority,
    servers::{DatabaseServer, ServerKind},
};

use crate::home::settings;

/// A user who may only come over TLS.
const USER: &str = "secure:secret";

async fn the_server_has_to_show_a_certificate_of_the_authority(kind: ServerKind) {
    let (authority, other) = (Authority::create(), Authority::create());
    let files = authority.issue("server", &["127.0.0.1"]);
    let [ca, certificate, key] =
        [("ca", authority.file()), ("cert", files.certificate.clone()), ("key", files.key.clone())]
            .map(|(name, path)| format!("--ssl-{name}={}", path.display()));
    let server = DatabaseServer::start_with(kind, &[&ca, &certificate, &key]).await.unwrap();
    server.create_database("secure").await.unwrap();
    server.execute("CREATE USER secure IDENTIFIED BY 'secret' REQUIRE SSL").await.unwrap();
    server.execute("GRANT ALL ON secure.* TO secure").await.unwrap();
    let url = server.url("secure").replace("boxoffice:boxoffice", USER);

    assert!(migrate(&url).await.is_err(), "without TLS");
    assert!(migrate(&format!("{url}?require_ssl=true")).await.is_err(), "no public authority");
    for accepts_any in ["", "?require_ssl=true&verify_ca=false"] {
        let wrong = with_ca_file(&format!("{url}{accepts_any}"), &other.file());
        assert!(migrate(&wrong).await.is_err(), "a certificate of another authority");
    }
    let elsewhere = with_ca_file(&url.replace("127.0.0.1", "localhost"), &authority.file());
    assert!(migrate(&elsewhere).await.is_err(), "the certificate is for another name");
    assert!(migrate(&with_ca_file(&url, "/nowhere/authority.pem".as_ref())).await.is_err(), "no authority");

    for url in [url.clone(), format!("{url}?require_ssl=true")] {
        let url = with_ca_file(&url, &authority.file());
        migrate(&url).await.unwrap();
        let database = connect(&url, settings(), Arc::new(TestClock::new()), Arc::new(TestEntropy)).await.unwrap();
        database.readiness.ready().await.unwrap();
        assert_eq!(database.audit.breaches().await.unwrap(), vec![]);
        database.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mariadb_has_to_show_a_certificate_of_the_authority() {
    the_server_has_to_show_a_certificate_of_the_authority(ServerKind::MariaDb).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mysql_has_to_show_a_certificate_of_the_authority() {
    the_server_has_to_show_a_certificate_of_the_authority(ServerKind::MySql).await;
}
