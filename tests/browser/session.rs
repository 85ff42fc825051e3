//! Starts Chromium for one test, sets its language, screen and network, and checks its logs when the test ends.

use serde_json::{Value, json};
use thirtyfour::{
    ChromeCapabilities, ChromiumLikeCapabilities, LoggingPrefsLogLevel, WebDriver, WebElement, WindowHandle,
};
use url::Url;

use super::{process::Driver, words::Words};
use crate::support::server::Server;

/// Beside those of the driver. A browser that is started for a test has nothing to look up in the world.
const ARGUMENTS: [&str; 9] = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-dev-shm-usage",
    "--disable-sync",
    "--no-first-run",
    "--hide-scrollbars",
];
/// What a document must not do is written into the log of the browser, which outlives the document.
const WATCH: &str = r#"
document.addEventListener("securitypolicyviolation", (event) =>
  console.error(`policy broken: ${event.violatedDirective} ${event.blockedURI} ${event.sample}`));
"#;
/// The size of a desktop.
const DESKTOP: Screen = Screen { width: 1_440, height: 900, is_phone: false };
/// The size of a common phone.
pub(super) const PHONE: Screen = Screen { width: 390, height: 844, is_phone: true };

#[derive(Clone, Copy)]
pub(super) struct Screen {
    pub(super) width: u32,
    pub(super) height: u32,
    /// Whether it is touched, and has the pixels of a phone.
    pub(super) is_phone: bool,
}

pub(super) struct Browser {
    /// Ended before the process that drives it.
    web: WebDriver,
    pub(super) words: Words,
    pub(super) screen: Screen,
    /// Where the shop is.
    origin: String,
    /// Whether pages may find no server or no file, because the test wants it so.
    pub(super) misses_files: bool,
    #[expect(dead_code, reason = "it lives as long as the browser")]
    driver: Driver,
}

impl Browser {
    /// A desktop in English.
    pub(super) async fn start(server: &Server) -> Self {
        Self::start_as(server, "en", DESKTOP).await
    }

    /// A desktop in English for many visitors, whose windows share a few processes.
    pub(super) async fn start_shared(server: &Server) -> Self {
        Self::start_with(server, "en", DESKTOP, &["--disable-site-isolation-trials", "--renderer-process-limit=4"])
            .await
    }

    pub(super) async fn start_as(server: &Server, language: &str, screen: Screen) -> Self {
        Self::start_with(server, language, screen, &[]).await
    }

    async fn start_with(server: &Server, language: &str, screen: Screen, more: &[&str]) -> Self {
        let driver = Driver::start();
        let mut wanted = ChromeCapabilities::new();
        for argument in ARGUMENTS.iter().chain(more) {
            wanted.add_arg(argument).expect("an argument");
        }
        wanted.add_arg(&format!("--user-data-dir={}", driver.profile().display())).expect("an argument");
        wanted.add_arg(&format!("--window-size={},{}", screen.width, screen.height)).expect("an argument");
        wanted.add_arg(&format!("--accept-lang={language}")).expect("an argument");
        for log in ["browser", "performance"] {
            wanted.set_logging_prefs(log, LoggingPrefsLogLevel::All).expect("a level");
        }
        // Otherwise Chromium starts with its new-tab page, which is slow to load and sends requests to other hosts.
        let begins = json!({"session.restore_on_startup": 4, "session.startup_urls": ["about:blank"]});
        wanted.add_experimental_option("prefs", begins).expect("an option");
        let logged = json!({"enableNetwork": true, "enablePage": false});
        wanted.add_experimental_option("perfLoggingPrefs", logged).expect("an option");
        let web = WebDriver::new(driver.url(), wanted).await.expect("the browser starts: run tests/browser/install");
        let origin = server.url();
        let browser = Self { web, words: Words::of(language), screen, origin, misses_files: false, driver };
        browser.prepare_window().await;
        browser
    }

    /// What each window needs before its first document.
    pub(super) async fn prepare_window(&self) {
        self.command("Page.addScriptToEvaluateOnNewDocument", json!({"source": WATCH})).await;
        self.resize(self.screen).await;
    }

    pub(super) async fn resize(&self, screen: Screen) {
        let Screen { width, height, is_phone } = screen;
        let scale = if is_phone { 3 } else { 1 };
        let metrics = json!({"width": width, "height": height, "deviceScaleFactor": scale, "mobile": is_phone});
        self.command("Emulation.setDeviceMetricsOverride", metrics).await;
        self.command("Emulation.setTouchEmulationEnabled", json!({"enabled": is_phone})).await;
    }

    pub(super) async fn set_dark(&self, is_dark: bool) {
        let value = if is_dark { "dark" } else { "light" };
        let features = json!([{"name": "prefers-color-scheme", "value": value}]);
        self.command("Emulation.setEmulatedMedia", json!({"features": features})).await;
    }

    /// Takes the network away from the window, or gives it back.
    pub(super) async fn set_offline(&mut self, is_offline: bool) {
        self.misses_files = true;
        self.set_network(is_offline, 0, -1).await;
    }

    pub(super) async fn set_network(&self, is_offline: bool, latency_milliseconds: u32, bytes_per_second: i64) {
        let conditions = json!({"offline": is_offline, "latency": latency_milliseconds,
            "downloadThroughput": bytes_per_second, "uploadThroughput": bytes_per_second});
        self.command("Network.emulateNetworkConditions", conditions).await;
    }

    /// Lets the processor be so many times slower.
    pub(super) async fn slow_down(&self, times: u32) {
        self.command("Emulation.setCPUThrottlingRate", json!({"rate": times})).await;
    }

    /// A command of the developer tools.
    pub(super) async fn command(&self, name: &str, parameters: Value) -> Value {
        let done = self.web.cdp().send_raw(name, parameters).await;
        done.unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// Runs a script in the page, as the body of a function.
    pub(super) async fn run(&self, script: &str, arguments: &[Value]) -> Value {
        self.try_run(script, arguments).await.unwrap_or_else(|error| panic!("{script}: {error}"))
    }

    pub(super) async fn try_run(&self, script: &str, arguments: &[Value]) -> Result<Value, String> {
        let done = self.web.execute(script.to_owned(), arguments.to_vec()).await;
        done.map(|value| value.json().clone()).map_err(|error| error.to_string())
    }

    /// Runs the body of an asynchronous function in the page, and waits for its value.
    pub(super) async fn run_async(&self, script: &str, arguments: &[Value]) -> Value {
        let wrapped = format!(
            "const done = arguments[arguments.length - 1];
             (async (...given) => {{ {script} }})(...[...arguments].slice(0, -1)).then(
               (value) => done([true, value ?? null]), (error) => done([false, String(error?.stack ?? error)]));"
        );
        let answer = self.web.execute_async(wrapped, arguments.to_vec()).await;
        let answer = answer.unwrap_or_else(|error| panic!("{script}: {error}")).json().clone();
        assert_eq!(answer[0], true, "{script}: {}", answer[1]);
        answer[1].clone()
    }

    /// The element that a script returns.
    pub(super) async fn element(&self, script: &str, arguments: &[Value]) -> Option<WebElement> {
        let found = self.web.execute(script.to_owned(), arguments.to_vec()).await.ok()?;
        found.element().ok()
    }

    pub(super) fn web(&self) -> &WebDriver {
        &self.web
    }

    pub(super) fn origin(&self) -> &str {
        &self.origin
    }

    /// Opens a path of the shop, as a visitor who types it.
    pub(super) async fn open(&self, path: &str) {
        self.open_at(&self.origin, path).await;
    }

    pub(super) async fn open_at(&self, origin: &str, path: &str) {
        self.web.goto(format!("{origin}{path}")).await.unwrap_or_else(|error| panic!("{path}: {error}"));
    }

    /// The path of the address.
    pub(super) async fn path(&self) -> String {
        self.web.current_url().await.map(|url| url.path().to_owned()).unwrap_or_default()
    }

    /// Opens one more window of the same visitor, and shows it.
    pub(super) async fn open_window(&self) -> WindowHandle {
        let window = self.web.new_window().await.expect("a window");
        self.show(&window).await;
        self.prepare_window().await;
        window
    }

    /// Opens a tab behind the window that is shown. Pages there draw nothing, and look up only what they must.
    pub(super) async fn open_tab_behind(&self) -> WindowHandle {
        let tab = self.web.new_tab().await.expect("a tab");
        self.show(&tab).await;
        self.prepare_window().await;
        tab
    }

    pub(super) async fn window(&self) -> WindowHandle {
        self.web.window().await.expect("a window")
    }

    pub(super) async fn show(&self, window: &WindowHandle) {
        self.web.switch_to_window(window.clone()).await.expect("the window is there");
    }

    /// What the network did since this was asked last, as the developer tools see it. No request may have left the shop.
    pub(super) async fn network_log(&self) -> Vec<Value> {
        let entries = self.web.get_log("performance").await.expect("the log of the network");
        let parsed = entries.iter().filter_map(|entry| serde_json::from_str::<Value>(&entry.message).ok());
        let log: Vec<_> = parsed.map(|mut entry| entry["message"].take()).collect();
        let sent = log.iter().filter(|entry| entry["method"] == "Network.requestWillBeSent");
        let addresses: Vec<_> = sent.filter_map(|entry| entry["params"]["request"]["url"].as_str()).collect();
        let strays: Vec<_> = addresses.iter().filter(|address| !self.is_of_shop(address)).collect();
        assert!(strays.is_empty(), "requests left the shop: {strays:#?}");
        log
    }

    /// Whether an address belongs to the shop, under any of its names on this machine.
    pub(super) fn is_of_shop(&self, address: &str) -> bool {
        let Ok(url) = address.parse::<Url>() else { return false };
        let Ok(shop) = self.origin.parse::<Url>() else { return false };
        let host = url.host_str().unwrap_or_default();
        let is_local = url.host_str() == shop.host_str() || host.ends_with(".localhost");
        // The browser's own pages, and data that a page has, do not go over the network.
        !matches!(url.scheme(), "http" | "https" | "ws" | "wss") || (is_local && url.port() == shop.port())
    }

    /// What the browser has complained about since this was asked last: a broken policy, a failed script. Refusals of the
    /// API are no faults.
    pub(super) async fn complaints(&self) -> Vec<String> {
        let entries = self.web.browser_log().await.expect("the log of the browser");
        let is_refusal = |message: &str| message.contains("/v1/") || self.misses_files;
        let bad = entries
            .into_iter()
            .filter(|entry| !(entry.source.as_deref() == Some("network") && is_refusal(&entry.message)))
            .filter(|entry| matches!(entry.level.as_str(), "SEVERE" | "WARNING"));
        bad.map(|entry| entry.message).collect()
    }

    /// The end of every test: no page broke its policy, no request left the shop, and no script failed.
    pub(super) async fn finish(self) {
        self.network_log().await;
        let complaints = self.complaints().await;
        assert!(complaints.is_empty(), "the browser complained: {complaints:#?}");
        self.quit().await;
    }

    /// Ends without asking anything.
    pub(super) async fn quit(self) {
        self.web.quit().await.expect("the browser ends");
    }
}
