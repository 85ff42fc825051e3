//! A demo account that is signed in.

use std::{sync::Arc, time::Duration};

use anyhow::{Context, bail};
use boxoffice_rush::{
    Buyer, Request, Response,
    buyer::{self, List, QueueState, QueueStatus, Session, Wallet},
};
use serde::de::{DeserializeOwned, IgnoredAny};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{
    client::Client,
    tally::{Step, words},
};

/// The password of the buyers that `boxoffice serve --demo` makes.
const PASSWORD: &str = "buyer-password";

pub(crate) struct Account {
    pub(crate) client: Arc<Client>,
    /// The first account has the number 1.
    pub(crate) number: u32,
    buyer: Buyer,
}

/// How waiting in the queue ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wait {
    Admitted,
    /// The place is no longer valid.
    Lost,
    /// The queue has ended: there is nothing left.
    Ended,
    Stopped,
}

pub(crate) fn login_id(number: u32) -> String {
    format!("buyer-{number:05}")
}

/// An idempotency key that no other request has.
#[expect(clippy::disallowed_methods, reason = "a client of a real server, whose keys no test has to foresee")]
pub(crate) fn new_key() -> String {
    Uuid::new_v4().to_string()
}

impl Account {
    /// Signs in. `None` if there is no such account.
    pub(crate) async fn sign_in(client: &Arc<Client>, number: u32) -> anyhow::Result<Option<Self>> {
        let response = client.send(Step::SignIn, &buyer::sign_in(&login_id(number), PASSWORD)).await?;
        match response.status {
            401 => return Ok(None),
            429 => bail!(
                "the server limits how often one address may sign in: start it with --demo, or set \
                 BOXOFFICE_ACCOUNT_REQUESTS_PER_MINUTE to 0"
            ),
            _ => {}
        }
        let session: Session = response.read().context("signing in")?;
        Ok(Some(Self { client: Arc::clone(client), number, buyer: Buyer::new(session.access_token) }))
    }

    /// Sends a request of this account, and signs in again if the access token has expired.
    pub(crate) async fn send(&mut self, step: Step, request: impl Fn(&Buyer) -> Request) -> anyhow::Result<Response> {
        let response = self.client.send(step, &request(&self.buyer)).await?;
        if response.status != 401 || response.code().as_deref() != Some("access_token_expired") {
            return Ok(response);
        }
        let again = Self::sign_in(&self.client, self.number).await?.context("a demo account has vanished")?;
        self.buyer.access_token = again.buyer.access_token;
        self.client.send(step, &request(&self.buyer)).await
    }

    /// Sends a request that has to succeed.
    pub(crate) async fn ask<T: DeserializeOwned>(
        &mut self,
        step: Step,
        request: impl Fn(&Buyer) -> Request,
    ) -> anyhow::Result<T> {
        let response = self.send(step, request).await?;
        response.read().with_context(|| format!("`{}`", words(step)))
    }

    pub(crate) async fn balance(&mut self) -> anyhow::Result<u64> {
        Ok(self.ask::<Wallet>(Step::Wallet, Buyer::wallet).await?.balance)
    }

    /// Tops the wallet up to these points at least, and gives its balance.
    pub(crate) async fn fill_wallet(&mut self, points: u64) -> anyhow::Result<u64> {
        let balance = self.balance().await?;
        if balance >= points {
            return Ok(balance);
        }
        let (amount, key) = (i64::try_from(points - balance)?, new_key());
        self.ask::<IgnoredAny>(Step::Charge, |buyer| buyer.charge(amount).key(&key)).await?;
        Ok(points)
    }

    /// Asks for every page of a list. The path has a query.
    pub(crate) async fn ask_all<T: DeserializeOwned>(&mut self, step: Step, path: &str) -> anyhow::Result<Vec<T>> {
        let (mut items, mut page_path) = (Vec::new(), path.to_owned());
        loop {
            let page: List<T> = self.ask(step, |buyer| buyer.get(&page_path)).await?;
            items.extend(page.items);
            let Some(cursor) = page.next_cursor else { return Ok(items) };
            page_path = format!("{path}&cursor={cursor}");
        }
    }

    /// Joins the queue of a concert. If the queue takes no account any more, or not yet, gives the code of the refusal.
    pub(crate) async fn join(&mut self, concert_id: Uuid) -> anyhow::Result<Result<QueueStatus, String>> {
        let response = self.send(Step::Join, |buyer| buyer.join(concert_id)).await?;
        if let Some(code) = response.code().filter(|_| matches!(response.status, 403 | 409 | 410)) {
            return Ok(Err(code));
        }
        let status: QueueStatus = response.read().with_context(|| format!("`{}`", words(Step::Join)))?;
        self.buyer.queue_token.clone_from(&status.token);
        Ok(Ok(status))
    }

    /// Polls as often as the server says until the account is admitted, and shows each status to `seen`.
    pub(crate) async fn wait(
        &mut self,
        mut status: QueueStatus,
        stop: &CancellationToken,
        seen: impl Fn(&QueueStatus),
    ) -> anyhow::Result<Wait> {
        loop {
            seen(&status);
            match status.status {
                QueueState::Active => return Ok(Wait::Admitted),
                QueueState::Expired if status.reason.is_some() => return Ok(Wait::Ended),
                QueueState::Expired => return Ok(Wait::Lost),
                QueueState::Waiting => {}
            }
            let pause = Duration::from_secs(status.poll_after_seconds.unwrap_or(1));
            if stop.run_until_cancelled(sleep(pause)).await.is_none() {
                return Ok(Wait::Stopped);
            }
            status = self.ask(Step::Poll, Buyer::poll).await?;
            self.buyer.queue_token.clone_from(&status.token);
        }
    }

    /// Leaves the queue, or ends the admission.
    pub(crate) async fn leave(&mut self) -> anyhow::Result<()> {
        self.send(Step::Leave, Buyer::leave).await?;
        self.buyer.queue_token.clear();
        Ok(())
    }
}
