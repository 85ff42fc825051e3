//! A private `RabbitMQ` starts, is killed and starts again on its ports, and leaves nothing behind.

use std::net::TcpStream;

use boxoffice_testkit::rabbitmq::RabbitServer;
use tokio::time::Instant;

#[tokio::test]
async fn a_killed_server_starts_again_on_its_port() {
    let started = Instant::now();
    let server = RabbitServer::start().await.unwrap();
    println!("RabbitMQ answers after {} ms", started.elapsed().as_millis());
    server.kill().await.unwrap();
    assert!(TcpStream::connect(server.address()).is_err());
    let started = Instant::now();
    server.start_again().await.unwrap();
    println!("and again after {} ms", started.elapsed().as_millis());
    let address = server.address();
    drop(server);
    assert!(TcpStream::connect(address).is_err(), "a dropped server is gone");
}
