//! localstripe, a stand-in for Stripe that others wrote, private to a test run.
//!
//! `tests/stripe/install` fetches it. It ignores idempotency keys, gives back more than it has taken, and cannot be made to
//! fail; for that there is [`FaultyStripe`](crate::faulty_stripe::FaultyStripe).

use std::{
    io::{self, Write},
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    process::{Child, Command, Stdio},
    sync::{Mutex, PoisonError},
};

use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::OnceCell,
};
use url::{Url, form_urlencoded};

use crate::{
    TestFolder,
    servers::{attempts, free_port, until},
};

/// The key that requests carry; localstripe takes every one that begins so.
pub const SECRET_KEY: &str = "sk_test_boxoffice";

/// A card that is charged.
pub const CARD_GOOD: &str = "4242424242424242";
/// A card that can be attached and is refused when it is charged.
pub const CARD_DECLINED: &str = "4000000000000341";
/// A card whose holder has to confirm each payment.
pub const CARD_CONFIRMED: &str = "4000002500003155";

/// A running localstripe. It ends when it is dropped, and when the process of the tests ends.
#[derive(Debug)]
pub struct LocalStripe {
    address: SocketAddr,
    folder: TestFolder,
    process: Mutex<Option<Child>>,
}

impl LocalStripe {
    /// Starts one that knows nothing, and waits until it answers.
    pub async fn start() -> io::Result<Self> {
        attempts(|| async {
            let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()?));
            let server = Self { address, folder: TestFolder::create(), process: Mutex::default() };
            server.start_again().await?;
            Ok(server)
        })
        .await
    }

    /// One that every test of this process shares. Never stop it: other tests use it.
    pub async fn shared() -> io::Result<&'static Self> {
        static SHARED: OnceCell<LocalStripe> = OnceCell::const_new();
        SHARED.get_or_try_init(Self::start).await
    }

    /// Where the API is served.
    pub fn base_url(&self) -> Url {
        Url::parse(&format!("http://{}", self.address)).expect("an address is part of a URL")
    }

    /// Kills the server (SIGKILL) and waits until it is gone. What it knows stays.
    pub fn kill(&self) {
        let process = self.process.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(mut process) = process {
            if let Some(mut input) = process.stdin.take() {
                writeln!(input, "keep").ok();
            }
            // The script ends the server when its input ends.
            process.wait().ok();
        }
    }

    /// Starts the server again on the same port, with what it knew, and waits until it answers.
    pub async fn start_again(&self) -> io::Result<()> {
        self.kill();
        let process = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/stripe/serve"))
            .arg(self.address.port().to_string())
            .arg(self.folder.path())
            .stdin(Stdio::piped())
            .spawn()?;
        *self.process.lock().unwrap_or_else(PoisonError::into_inner) = Some(process);
        let folder = self.folder.path().display().to_string();
        until("localstripe answers", || async {
            if let Some(process) = self.process.lock().unwrap_or_else(PoisonError::into_inner).as_mut()
                && process.try_wait()?.is_some()
            {
                return Err(io::Error::other("localstripe ended while it started; its last words are above"));
            }
            match self.send("GET", "/_config/folder", &[]).await {
                Ok((200, found)) if found == folder => Ok(true),
                Ok(_) => Err(io::Error::new(io::ErrorKind::AddrInUse, "another server has taken the port")),
                Err(_) => Ok(false),
            }
        })
        .await
    }

    /// Sends all later events to this URL, signed with this secret. `name` names the endpoint, and replaces one of that
    /// name.
    pub async fn register_webhook(&self, name: &str, url: &Url, secret: &str) -> io::Result<()> {
        let (status, body) = self
            .send("POST", &format!("/_config/webhooks/{name}"), &[("url", url.as_str()), ("secret", secret)])
            .await?;
        if status == 200 { Ok(()) } else { Err(io::Error::other(body)) }
    }

    /// Makes a way to pay, and returns its name.
    pub async fn payment_method(&self, card: &str) -> io::Result<String> {
        let form = [
            ("type", "card"),
            ("card[number]", card),
            ("card[exp_month]", "12"),
            ("card[exp_year]", "2040"),
            ("card[cvc]", "123"),
        ];
        let method = self.object("POST", "/v1/payment_methods", &form).await?;
        Ok(method["id"].as_str().unwrap_or_default().to_owned())
    }

    /// Acts for the buyer, who confirms a payment or fails to. Returns whether it was possible.
    pub async fn authenticate(&self, intent: &str, confirms: bool) -> io::Result<bool> {
        let path = format!("/v1/payment_intents/{intent}");
        let secret = self.object("GET", &path, &[]).await?["client_secret"].as_str().unwrap_or_default().to_owned();
        let success = if confirms { "true" } else { "false" };
        let form = [("client_secret", secret.as_str()), ("success", success)];
        let (status, _) = self.send("POST", &format!("{path}/_authenticate"), &form).await?;
        Ok(status == 200)
    }

    /// Tries to confirm a payment with the key of the account. Returns whether it was possible.
    pub async fn confirm(&self, intent: &str) -> io::Result<bool> {
        let (status, _) = self.send("POST", &format!("/v1/payment_intents/{intent}/confirm"), &[]).await?;
        Ok(status == 200)
    }

    /// How much was taken for a charge and how much of it was given back, over all payments whose metadata name it.
    pub async fn sums(&self, charge_id: &str) -> io::Result<(i64, i64)> {
        let list = self.object("GET", "/v1/payment_intents?limit=1000000", &[]).await?;
        let mut sums = (0, 0);
        for intent in list["data"].as_array().into_iter().flatten() {
            if intent["metadata"]["charge_id"] == charge_id && intent["status"] == "succeeded" {
                sums.0 += intent["amount"].as_i64().unwrap_or_default();
                sums.1 += intent["latest_charge"]["amount_refunded"].as_i64().unwrap_or_default();
            }
        }
        Ok(sums)
    }

    async fn object(&self, method: &str, path: &str, form: &[(&str, &str)]) -> io::Result<Value> {
        let (status, body) = self.send(method, path, form).await?;
        if status == 200 { Ok(serde_json::from_str(&body)?) } else { Err(io::Error::other(body)) }
    }

    /// Sends a request, and returns the status and the body of the response.
    async fn send(&self, method: &str, path: &str, form: &[(&str, &str)]) -> io::Result<(u16, String)> {
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {SECRET_KEY}\r\nConnection: close\r\n\
             Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{body}",
            self.address,
            body.len()
        );
        let mut stream = TcpStream::connect(self.address).await?;
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        let nonsense = || io::Error::new(io::ErrorKind::InvalidData, "localstripe answers no HTTP");
        let (head, body) = answer.split_once("\r\n\r\n").ok_or_else(nonsense)?;
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or_else(nonsense)?;
        Ok((status, body.to_owned()))
    }
}

impl Drop for LocalStripe {
    fn drop(&mut self) {
        self.kill();
    }
}
