//! Webhooks.

use async_trait::async_trait;
use boxoffice_domain::{
    AccountId, ActError, StorageError, Timestamp, WebhookId,
    accounts::Role,
    page::{Page, PageRequest},
    webhooks::{
        ActiveWebhook, CreateWebhookRefusal, EventKinds, OffReason, WEBHOOKS_PER_ACCOUNT_MAX, Webhook, WebhookChange,
        WebhookSecret, WebhookSecrets, WebhookState, Webhooks,
    },
};
use chrono::NaiveDateTime;
use diesel::{prelude::*, sql_types::Binary};
use diesel_async::RunQueryDsl;

use super::{
    super::{Connection, LOCK_ROWS},
    Store,
    failure::Failure,
    insert::insert,
};
use crate::{
    row::row,
    schema::{accounts, webhooks},
    statement::{Bind, Row, Statement},
    stored::{Stored, count, damaged, id, json},
};

/// The status of a webhook that is on; that of another one says why it is off.
const ON: &str = "on";

row! {
    pub(super) struct WebhookRow in webhooks, from (webhook: &Webhook, kinds: String) {
        id: Vec<u8> = webhook.id,
        owner_id: Vec<u8> = webhook.owner_id,
        url: String = webhook.url.clone(),
        // JSON.
        kinds: String = kinds,
        status: String = stored_state(webhook.state).0,
        since: Option<NaiveDateTime> = stored_state(webhook.state).1,
        secret: Vec<u8> = webhook.secrets.current.expose().to_vec(),
        former_secret: Option<Vec<u8>> = webhook.secrets.former.map(|(secret, _)| secret.expose().to_vec()),
        former_until: Option<NaiveDateTime> = webhook.secrets.former.map(|(_, until)| until),
        created_at: NaiveDateTime = webhook.created_at,
    }
}

fn stored_state(state: WebhookState) -> (&'static str, Option<Timestamp>) {
    match state {
        WebhookState::On { failing_since } => (ON, failing_since),
        WebhookState::Off { since, reason } => (reason.as_str(), Some(since)),
    }
}

fn state(status: &str, since: Option<NaiveDateTime>) -> Result<WebhookState, StorageError> {
    let since = since.map(|at| at.and_utc());
    if status == ON {
        return Ok(WebhookState::On { failing_since: since });
    }
    let reason = OffReason::ALL.into_iter().find(|reason| reason.as_str() == status);
    let off = reason.zip(since).map(|(reason, since)| WebhookState::Off { since, reason });
    off.ok_or_else(damaged("state of a webhook"))
}

fn secret(bytes: Vec<u8>) -> Result<WebhookSecret, StorageError> {
    bytes.try_into().map(WebhookSecret::new).map_err(|_| damaged("secret of a webhook")())
}

impl TryFrom<WebhookRow> for Webhook {
    type Error = StorageError;

    fn try_from(row: WebhookRow) -> Result<Self, StorageError> {
        let former = row.former_secret.zip(row.former_until);
        let former =
            former.map(|(bytes, until)| Ok::<_, StorageError>((secret(bytes)?, until.and_utc()))).transpose()?;
        let kinds: Vec<String> = serde_json::from_str(&row.kinds).map_err(|_| damaged("list of kinds")())?;
        Ok(Self {
            id: id(&row.id)?,
            owner_id: id(&row.owner_id)?,
            url: row.url,
            kinds: EventKinds::new(kinds).map_err(|_| damaged("list of kinds")())?,
            state: state(&row.status, row.since)?,
            secrets: WebhookSecrets { current: secret(row.secret)?, former },
            created_at: row.created_at.and_utc(),
        })
    }
}

fn bind(webhook: &Webhook) -> Result<Vec<Bind>, StorageError> {
    Ok(WebhookRow::bind(webhook, json(webhook.kinds.patterns())?))
}

#[async_trait]
impl Webhooks for Store {
    async fn create(&self, webhook: Webhook) -> Result<(), ActError<CreateWebhookRefusal>> {
        let created = self.writer.transaction(webhook, |connection, webhook| Box::pin(create(connection, webhook)));
        if created.await.map_err(StorageError::from)? {
            Ok(())
        } else {
            Err(ActError::Refused(CreateWebhookRefusal::TooMany))
        }
    }

    async fn find(&self, id: WebhookId) -> Result<Option<Webhook>, StorageError> {
        self.find_one(webhooks::table.find(id.stored()).select(WebhookRow::as_select())).await
    }

    async fn list(
        &self,
        owner_id: Option<AccountId>,
        page: PageRequest<WebhookId>,
    ) -> Result<Page<Webhook, WebhookId>, StorageError> {
        let mut query = webhooks::table
            .order(webhooks::id.desc())
            .limit(i64::from(page.limit) + 1)
            .select(WebhookRow::as_select())
            .into_boxed();
        if let Some(owner_id) = owner_id {
            query = query.filter(webhooks::owner_id.eq(owner_id.stored()));
        }
        if let Some(after) = page.after {
            query = query.filter(webhooks::id.lt(after.stored()));
        }
        let rows = self.read(query).await?;
        let listed = rows.into_iter().map(Webhook::try_from).collect::<Result<Vec<_>, _>>()?;
        Ok(Page::from_rows(listed, page.limit, |webhook| webhook.id))
    }

    async fn change(
        &self,
        id: WebhookId,
        change: WebhookChange,
        now: Timestamp,
    ) -> Result<Option<Webhook>, StorageError> {
        let changed = self.writer.transaction((id, change, now), |connection, (id, change, now)| {
            Box::pin(async move {
                let Some(webhook) = lock(connection, *id).await? else { return Ok(None) };
                let changed = change.apply(webhook.clone(), *now);
                if changed != webhook {
                    save(connection, &changed).await?;
                }
                Ok(Some(changed))
            })
        });
        Ok(changed.await?)
    }

    async fn remove(&self, id: WebhookId) -> Result<bool, StorageError> {
        let removed = self.writer.transaction(id, |connection, id| {
            Box::pin(
                async move { Ok(diesel::delete(webhooks::table.find(id.stored())).execute(connection).await? > 0) },
            )
        });
        Ok(removed.await?)
    }

    async fn active(&self, page: PageRequest<WebhookId>) -> Result<Page<ActiveWebhook, WebhookId>, StorageError> {
        let mut query = webhooks::table
            .inner_join(accounts::table)
            .filter(webhooks::status.eq(ON))
            .filter(accounts::role.eq_any([Role::Promoter.as_str(), Role::Admin.as_str()]))
            .filter(accounts::locked_at.is_null())
            .filter(accounts::erased_at.is_null())
            .order(webhooks::id)
            .limit(i64::from(page.limit) + 1)
            .select((WebhookRow::as_select(), accounts::role))
            .into_boxed();
        if let Some(after) = page.after {
            query = query.filter(webhooks::id.gt(after.stored()));
        }
        let rows: Vec<(WebhookRow, String)> = self.read_in_time(query).await?;
        let active = rows.into_iter().map(|(row, role)| {
            let owner_role = role.parse().map_err(|_| damaged("role")())?;
            Ok::<_, StorageError>(ActiveWebhook { webhook: row.try_into()?, owner_role })
        });
        let active = active.collect::<Result<Vec<_>, _>>()?;
        Ok(Page::from_rows(active, page.limit, |active| active.webhook.id))
    }

    async fn turned_off(&self) -> Result<u64, StorageError> {
        let query = webhooks::table
            .filter(webhooks::status.eq_any([OffReason::Failing.as_str(), OffReason::Gone.as_str()]))
            .count();
        let rows: Vec<i64> = self.read_in_time(query).await?;
        count(rows.into_iter().next().unwrap_or(0))
    }
}

/// Whether the webhook is there at the end. Others of the account wait for its row.
async fn create(connection: &mut Connection, webhook: &Webhook) -> Result<bool, Failure> {
    let owner = Statement::<Binary>::new("SELECT id FROM accounts WHERE id = ").bind(webhook.owner_id).sql(LOCK_ROWS);
    let _locked: Vec<Vec<u8>> = owner.load(connection).await?;
    // An earlier attempt, whose answer was lost, may have made it.
    if lock(connection, webhook.id).await?.is_some() {
        return Ok(true);
    }
    let of_owner = webhooks::table.filter(webhooks::owner_id.eq(webhook.owner_id.stored())).count();
    let there: i64 = of_owner.get_result(connection).await?;
    if there >= i64::from(WEBHOOKS_PER_ACCOUNT_MAX) {
        return Ok(false);
    }
    insert::<WebhookRow>(connection, [bind(webhook)?]).await?;
    Ok(true)
}

/// A webhook, which nothing else changes until the transaction ends.
pub(super) async fn lock(connection: &mut Connection, id: WebhookId) -> Result<Option<Webhook>, Failure> {
    let lock = Statement::select::<WebhookRow>().sql(" WHERE id = ").bind(id).sql(LOCK_ROWS);
    let rows: Vec<WebhookRow> = lock.load(connection).await?;
    Ok(rows.into_iter().next().map(Webhook::try_from).transpose()?)
}

/// Saves what can change of a webhook.
pub(super) async fn save(connection: &mut Connection, webhook: &Webhook) -> Result<(), Failure> {
    let update = Statement::update::<WebhookRow>(bind(webhook)?, &WebhookRow::COLUMNS[2..9]);
    update.sql(" WHERE id = ").bind(webhook.id).execute(connection).await?;
    Ok(())
}
