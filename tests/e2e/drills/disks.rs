//! The disk of an embedded database is full.

use std::{fs::File, io::Write, path::Path};

use tokio::process::Command;

use crate::support::{
    client::{Buyer, fresh},
    server::Server,
    until,
};

/// A small file system, if this user may make one.
async fn small_disk(folder: &Path) -> bool {
    let mount = ["-t", "tmpfs", "-o", "size=24m,mode=700", "tmpfs"];
    let mounted = Command::new("mount").args(mount).arg(folder).output().await;
    mounted.is_ok_and(|output| output.status.success())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_named_and_nothing_is_lost() {
    let mut server = Server::prepare(&[]);
    let disk = server.folder().join("disk");
    std::fs::create_dir(&disk).expect("a folder");
    if !small_disk(&disk).await {
        eprintln!("left out: this user may not mount a file system");
        return;
    }
    server.set("DATABASE", &format!("sqlite://{}/boxoffice.db", disk.display()));
    server.breaks_things = true;
    server.start_again().await;
    let buyer = Buyer::new(server.api()).await;
    buyer.charge(7).await;
    let filler = disk.join("filler");
    let mut file = File::create(&filler).expect("a file");
    while file.write_all(&[7; 8 * 1024]).is_ok() {}
    while file.write_all(&[7; 512]).is_ok() {}
    drop(file);
    // What is in the write-ahead log already has room.
    let mut charged = 7;
    until("there is no room left", async || {
        let answer = buyer.ask_charge(1).key(fresh("full")).send().await;
        charged += i64::from(answer.status == 201);
        answer.status == 503
    })
    .await;
    until("it is not ready", async || server.api().get("/readyz").send().await.status == 503).await;
    until("reading goes on", async || buyer.get("/v1/wallet").send().await.status == 200).await;
    assert!(server.api().metric("boxoffice_storage_ready").await < 1.0);
    let full = r#"boxoffice_write_retries_total{reason="disk_full"}"#;
    let metrics = server.api().metrics().await;
    let counted = metrics.lines().find_map(|line| line.strip_prefix(full)).expect("a metric");
    assert!(counted.trim().parse::<f64>().expect("a number") > 0.0, "{counted}");
    std::fs::remove_file(&filler).expect("there is room again");
    until("it is ready by itself", async || server.api().get("/readyz").send().await.status == 200).await;
    buyer.charge(1).await;
    let balance = buyer.balance().await;
    assert!(balance > charged, "{balance}, {charged}");
    let log = server.log();
    assert!(log.contains("there is no room left"), "{log}");
    server.stop().await;
    server.audit().await;
    let unmounted = Command::new("umount").arg(&disk).status().await;
    assert!(unmounted.expect("umount runs").success());
}
