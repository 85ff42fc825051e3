//! The process that drives a browser, and the folder of the browser.

use std::{
    env, fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
};

const STARTED: &str = "started successfully on port ";

/// A driver on a port of its choice. It ends with the test, also where that panics, and its browser with it.
pub(super) struct Driver {
    process: Child,
    /// Kept open, because the driver writes to it now and then.
    output: BufReader<ChildStdout>,
    profile: PathBuf,
    port: u16,
}

impl Driver {
    pub(super) fn start() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("boxoffice-browser-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let program = env::var_os("TEST_CHROMEDRIVER").filter(|path| !path.is_empty());
        let program = program.unwrap_or_else(|| "chromedriver".into());
        // It ends with the tests, also where these are killed.
        let started = Command::new("setpriv")
            .args(["--pdeathsig", "KILL"])
            .arg(&program)
            .args(["--port=0", "--log-level=SEVERE"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        let mut process = started.unwrap_or_else(|error| {
            panic!("{} cannot be started ({error}): run tests/browser/install", program.display())
        });
        let output = BufReader::new(process.stdout.take().expect("its output is a pipe"));
        let profile = env::temp_dir().join(name);
        let mut driver = Self { process, output, profile, port: 0 };
        driver.port = driver.read_port();
        // What a killed run has left must not be taken for what this one made.
        fs::remove_dir_all(&driver.profile).ok();
        fs::create_dir_all(&driver.profile).expect("a folder for the browser");
        driver
    }

    fn read_port(&mut self) -> u16 {
        let mut said = String::new();
        while self.output.read_line(&mut said).expect("its output is text") > 0 {
            let port =
                said.split_once(STARTED).and_then(|(_, port)| port.trim_end().trim_end_matches('.').parse().ok());
            if let Some(port) = port {
                return port;
            }
        }
        panic!("the driver of the browser did not start: {said}");
    }

    pub(super) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The folder that belongs to this browser alone.
    pub(super) fn profile(&self) -> &Path {
        &self.profile
    }

    /// Kills a browser that its driver has left behind, which names its folder among its arguments.
    fn kill_browser(&self) {
        let argument = format!("--user-data-dir={}", self.profile.display());
        for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
            let arguments = fs::read(entry.path().join("cmdline")).unwrap_or_default();
            if arguments.split(|byte| *byte == 0).any(|one| one == argument.as_bytes()) {
                Command::new("kill").arg("-KILL").arg(entry.file_name()).stderr(Stdio::null()).status().ok();
            }
        }
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
        self.kill_browser();
        // The last processes of a browser may still write into it.
        for _ in 0..50 {
            if fs::remove_dir_all(&self.profile).is_ok() || !self.profile.exists() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }
}
