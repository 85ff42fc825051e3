//! From nothing to ready, and the memory of an idle server.

use std::{fs, time::Duration};

use crate::{
    options::{self, Bench},
    report::{Section, Spread},
    server::{Backend, Server, Store},
};

const STARTS: usize = 10;
const IDLE: Duration = Duration::from_secs(5);

/// Starts on an empty folder, and again on what the first start has made.
#[expect(clippy::cast_precision_loss, reason = "memory and files are far below 2^53 bytes")]
pub(super) async fn run(bench: &Bench) -> anyhow::Result<Section> {
    let store = Store::start(Backend::Sqlite, bench).await?;
    let (starts, idle) = if bench.smoke { (1, Duration::ZERO) } else { (STARTS, IDLE) };
    let [mut first_ms, mut second_ms, mut idle_mb] = [const { Vec::new() }; 3];
    for index in 0..starts {
        let name = format!("start-{index}");
        let (folder, database_url) = (options::folder().join(&name), store.database(&name).await?);
        let start = async || Server::start(&bench.binary, &folder, &database_url, &[]).await;
        let server = start().await?;
        first_ms.push(server.ready_after.as_secs_f64() * 1e3);
        server.stop().await?;
        let server = start().await?;
        second_ms.push(server.ready_after.as_secs_f64() * 1e3);
        tokio::time::sleep(idle).await;
        idle_mb.push(server.watched()?.cost()?.resident_bytes as f64 / 1e6);
        server.stop().await?;
    }
    let setting = format!(
        "{}. {starts} times: the process is started on an empty folder, stopped, and started again on what it has \
         made there, each time until `/readyz` answers 200. Its memory is read {} s after the second start.",
        store.described,
        idle.as_secs()
    );
    let mut section = Section::new("Start-up and rest", setting);
    section.figure("ready after the first start", Spread::of(first_ms), "ms");
    section.figure("ready after a second start", Spread::of(second_ms), "ms");
    section.figure("resident memory, idle", Spread::of(idle_mb), "MB");
    let binary_mb = fs::metadata(&bench.binary)?.len() as f64 / 1e6;
    section.figure("size of the binary", Spread::of([binary_mb]), "MB");
    Ok(section)
}
