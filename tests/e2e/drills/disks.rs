//! The disk of an embedded database is full.

use std::{fs::File, io::Write, path::Path};

use boxoffice_testkit::prometheus::Prometheus;
use tokio::{process::Command, time::Instant};

use super::stage::{Tally, is_long, lasts};
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
    let prometheus = Prometheus::start(&[server.address()], None).await.expect("Prometheus starts");
    let mut tally = Tally::default();
    let look = async |tally: &mut Tally, phase| {
        tally.note(phase, "read", buyer.get("/v1/wallet").send().await.status);
        tally.note(phase, "ask whether it is ready", server.api().get("/readyz").send().await.status);
        let charged = buyer.ask_charge(1).key(fresh("full")).send().await.status;
        tally.note(phase, "charge", charged);
        i64::from(charged == 201)
    };
    let mut charged = 7 + look(&mut tally, "there is room").await;
    let filler = disk.join("filler");
    let mut file = File::create(&filler).expect("a file");
    while file.write_all(&[7; 8 * 1024]).is_ok() {}
    while file.write_all(&[7; 512]).is_ok() {}
    drop(file);
    // What is in the write-ahead log already has room.
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
    let (full_since, full_for) = (Instant::now(), lasts(1, 90));
    while full_since.elapsed() < full_for {
        charged += look(&mut tally, "the disk is full").await;
    }
    assert!(tally.count("the disk is full", "read", 200) > 0 && tally.count("the disk is full", "charge", 503) > 0);
    std::fs::remove_file(&filler).expect("there is room again");
    until("it is ready by itself", async || server.api().get("/readyz").send().await.status == 200).await;
    buyer.charge(1).await;
    charged += 1 + look(&mut tally, "there is room again").await;
    // Of what was answered with 503 some was done.
    let balance = buyer.balance().await;
    assert!(balance >= charged, "{balance}, {charged}");
    let log = server.log();
    assert!(log.contains("there is no room left"), "{log}");
    let alerts = prometheus.fired_within(full_since.elapsed().as_secs() + 30).await.expect("Prometheus answers");
    let alerts: Vec<_> = alerts.into_iter().filter(|alert| alert != "BoxofficeProxyDown").collect();
    assert!(!is_long() || alerts.iter().any(|alert| alert == "BoxofficeDiskFull"), "{alerts:?}");
    server.stop().await;
    server.audit().await;
    tally.report("The disk of an embedded database is full", &alerts);
    let unmounted = Command::new("umount").arg(&disk).status().await;
    assert!(unmounted.expect("umount runs").success());
}
