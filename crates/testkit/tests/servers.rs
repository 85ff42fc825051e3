//! Private servers keep what they committed, and leave nothing behind.

use std::path::PathBuf;

use boxoffice_testkit::servers::{DatabaseServer, ServerKind, fresh_database};
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Opts};

async fn connect(url: &str) -> Conn {
    Conn::new(Opts::from_url(url).unwrap()).await.unwrap()
}

/// A folder that exists as long as the process of the server does, and the folder of its data.
async fn whereabouts(server: &DatabaseServer) -> (PathBuf, PathBuf) {
    let mut connection = connect(&server.url("")).await;
    let (pid_file, folder): (String, String) =
        connection.query_first("SELECT @@pid_file, @@datadir").await.unwrap().unwrap();
    connection.disconnect().await.unwrap();
    let process = std::fs::read_to_string(pid_file).unwrap();
    (PathBuf::from("/proc").join(process.trim()), folder.into())
}

/// The kinds that can be started: all, unless the environment names servers.
fn startable() -> impl Iterator<Item = ServerKind> {
    ServerKind::ALL.into_iter().filter(|kind| {
        let startable = kind.can_be_started();
        if !startable {
            eprintln!("left out on {kind}: {} names a server, and there is none to kill", kind.variable());
        }
        startable
    })
}

#[tokio::test]
async fn committed_rows_survive_a_kill_and_a_stop_of_every_kind() {
    for kind in startable() {
        let server = DatabaseServer::start(kind).await.unwrap();
        server.create_database("kept").await.unwrap();
        let url = server.url("kept");
        let mut connection = connect(&url).await;
        connection.query_drop("CREATE TABLE kept (number INT PRIMARY KEY) ENGINE = InnoDB").await.unwrap();
        connection.query_drop("INSERT INTO kept VALUES (41)").await.unwrap();
        let (former, _) = whereabouts(&server).await;

        server.kill().await.unwrap();
        assert!(!former.exists());
        assert!(connection.query_drop("SELECT 1").await.is_err());
        assert!(Conn::new(Opts::from_url(&url).unwrap()).await.is_err());

        server.start_again().await.unwrap();
        assert_ne!(whereabouts(&server).await.0, former);
        let mut connection = connect(&url).await;
        connection.query_drop("INSERT INTO kept VALUES (42)").await.unwrap();
        server.stop().await.unwrap();
        server.start_again().await.unwrap();
        let mut connection = connect(&url).await;
        let rows: Vec<i32> = connection.query("SELECT number FROM kept ORDER BY number").await.unwrap();
        assert_eq!(rows, [41, 42]);
    }
}

#[tokio::test]
async fn a_dropped_server_leaves_neither_process_nor_data() {
    for kind in startable() {
        let server = DatabaseServer::start(kind).await.unwrap();
        let (process, folder) = whereabouts(&server).await;
        assert!(process.exists() && folder.exists());
        drop(server);
        assert!(!process.exists() && !folder.exists(), "{kind}");
    }
}

#[tokio::test]
async fn a_test_cannot_stop_a_server_that_the_environment_names() {
    for kind in ServerKind::ALL {
        let server = DatabaseServer::shared(kind).await.unwrap();
        if !server.is_private() {
            let refusal = server.stop().await.unwrap_err();
            assert!(refusal.to_string().contains(&kind.variable()), "{refusal}");
        }
    }
}

#[tokio::test]
async fn each_kind_is_what_it_says() {
    for kind in ServerKind::ALL {
        let mut connection = connect(&DatabaseServer::shared(kind).await.unwrap().url("")).await;
        let version: String = connection.query_first("SELECT VERSION()").await.unwrap().unwrap();
        assert_eq!(version.contains("MariaDB"), kind == ServerKind::MariaDb, "{version}");
    }
}

#[tokio::test]
async fn tests_share_a_server_but_no_database() {
    for kind in ServerKind::ALL {
        let (one, other) = tokio::join!(fresh_database(kind), fresh_database(kind));
        let (one, other) = (one.unwrap(), other.unwrap());
        assert!(std::ptr::eq(one.server(), other.server()));
        assert_ne!(one.url(), other.url());
        let mut connection = connect(one.url()).await;
        connection.query_drop("CREATE TABLE mine (number INT PRIMARY KEY)").await.unwrap();
        let mut connection = connect(other.url()).await;
        let tables: Vec<String> = connection.query("SHOW TABLES").await.unwrap();
        assert!(tables.is_empty());
        one.remove().await.unwrap();
        other.remove().await.unwrap();
    }
}
