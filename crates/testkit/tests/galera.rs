//! All nodes have what one commits, the first of two commits wins, and two nodes of three go on.

use boxoffice_testkit::{galera::GaleraCluster, servers::DatabaseServer};
use mysql_async::{Conn, Opts, prelude::Queryable};

async fn connect(node: &DatabaseServer) -> Conn {
    Conn::new(Opts::from_url(&node.url("shared")).unwrap()).await.unwrap()
}

async fn number(connection: &mut Conn) -> i32 {
    // Waits for what the other nodes have committed.
    connection.query_drop("SET SESSION wsrep_sync_wait = 1").await.unwrap();
    connection.query_first("SELECT number FROM kept").await.unwrap().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn three_nodes_agree_and_two_go_on() {
    let cluster = GaleraCluster::start().await.unwrap();
    cluster.create_database("shared").await.unwrap();
    let (mut one, mut two) = (connect(&cluster.nodes()[0]).await, connect(&cluster.nodes()[1]).await);
    one.query_drop("CREATE TABLE kept (id INT PRIMARY KEY, number INT NOT NULL)").await.unwrap();
    one.query_drop("INSERT INTO kept VALUES (1, 41)").await.unwrap();
    for node in cluster.nodes() {
        assert_eq!(number(&mut connect(node).await).await, 41);
    }

    // No node knows the locks of another: both change the row, and the second commit is refused.
    one.query_drop("START TRANSACTION").await.unwrap();
    two.query_drop("START TRANSACTION").await.unwrap();
    one.query_drop("UPDATE kept SET number = 42").await.unwrap();
    two.query_drop("UPDATE kept SET number = 43").await.unwrap();
    one.query_drop("COMMIT").await.unwrap();
    let refused = two.query_drop("COMMIT").await.unwrap_err().to_string();
    assert!(refused.contains("try restarting transaction"), "{refused}");
    assert!(cluster.refused_commits(1).await.unwrap() > 0);
    assert_eq!(number(&mut two).await, 42);

    cluster.nodes()[2].kill().await.unwrap();
    cluster.wait_for(&[0, 1]).await.unwrap();
    one.query_drop("UPDATE kept SET number = 44").await.unwrap();
    assert_eq!(number(&mut two).await, 44);
}
