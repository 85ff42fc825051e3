//! A real Prometheus with the rules that operators get.

use std::{
    fs, io,
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    process::{Child, Command, Stdio},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{
    TestFolder,
    servers::{free_port, scripts, until},
};

/// A Prometheus that scrapes instances each second. It ends when it is dropped.
#[derive(Debug)]
pub struct Prometheus {
    address: SocketAddr,
    process: Child,
    _folder: TestFolder,
}

impl Prometheus {
    /// Starts it with `docs/operations/alerts.yml`, for instances and a load balancer that serve their metrics at these
    /// addresses. Without a load balancer the alert about its absence fires.
    pub async fn start(instances: &[SocketAddr], load_balancer: Option<SocketAddr>) -> io::Result<Self> {
        let rules = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/operations/alerts.yml");
        let folder = TestFolder::create();
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()?));
        folder.write("alerts.yml", &fs::read_to_string(rules)?);
        let targets: Vec<_> = instances.iter().map(|instance| format!("'{instance}'")).collect();
        let configuration = format!(
            "global: {{scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}}\n\
             rule_files: [alerts.yml]\n\
             scrape_configs:\n  - {{job_name: boxoffice, static_configs: [{{targets: [{}]}}]}}\n  \
             - {{job_name: haproxy, static_configs: [{{targets: [{}]}}]}}\n",
            targets.join(", "),
            load_balancer.map(|address| format!("'{address}'")).unwrap_or_default()
        );
        let file = folder.write("prometheus.yml", &configuration);
        let process = Command::new(scripts().join("monitor"))
            .arg("prometheus")
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.tsdb.path={}", folder.join("data").display()))
            .arg(format!("--web.listen-address={address}"))
            .arg("--log.level=error")
            .stdin(Stdio::piped())
            .spawn()?;
        let prometheus = Self { address, process, _folder: folder };
        until("Prometheus is ready", || async {
            Ok(prometheus.get("/-/ready").await.is_ok_and(|answer| answer.contains("Ready")))
        })
        .await?;
        Ok(prometheus)
    }

    /// The names of the alerts that have fired since then, each once, in the order of the alphabet.
    pub async fn fired_within(&self, seconds: u64) -> io::Result<Vec<String>> {
        let query = format!("group by (alertname) (max_over_time(ALERTS{{alertstate=\"firing\"}}[{seconds}s]))");
        let escaped: String = url::form_urlencoded::byte_serialize(query.as_bytes()).collect();
        let answer = self.get(&format!("/api/v1/query?query={escaped}")).await?;
        let mut names: Vec<_> = answer
            .split("\"alertname\":\"")
            .skip(1)
            .filter_map(|rest| rest.split('"').next().map(str::to_owned))
            .collect();
        names.sort_unstable();
        names.dedup();
        Ok(names)
    }

    /// Sends a request, and returns the response as it is.
    async fn get(&self, path: &str) -> io::Result<String> {
        let mut stream = TcpStream::connect(self.address).await?;
        let request = format!("GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", self.address);
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        Ok(answer)
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        self.process.wait().ok();
    }
}
