//! What became of events that were sent to webhooks.

use async_trait::async_trait;
use boxoffice_domain::{
    StorageError, Timestamp, WebhookId,
    page::{Page, PageRequest},
    webhooks::{
        Attempt, AttemptOutcome, Attempted, Delivery, DeliveryId, DeliveryState, DeliveryStatus, DeliveryToSend,
        NewDelivery, SentAgain, Webhook, WebhookDeliveries, WebhookState,
    },
};
use chrono::NaiveDateTime;
use diesel::{
    dsl::max,
    prelude::*,
    sql_types::{BigInt, Untyped},
};
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use super::{
    super::Connection,
    Store,
    failure::Failure,
    insert::upsert,
    webhooks::{WebhookRow, lock, save},
};
use crate::{
    row::row,
    schema::webhook_deliveries as deliveries,
    statement::{ROWS_MAX, Statement},
    stored::{Stored, count, damaged, id as parse_id, optional_id, time},
};

row! {
    /// A delivery as it is added. What it has no value for is absent.
    #[expect(dead_code, reason = "it is only written")]
    struct NewRow in webhook_deliveries, from (new: &NewDelivery, now: Timestamp) {
        id: Vec<u8> = new.id,
        webhook_id: Vec<u8> = new.webhook_id,
        event_id: Vec<u8> = new.event.id,
        kind: String = new.event.kind.clone(),
        subject: Vec<u8> = new.event.subject,
        concert_id: Option<Vec<u8>> = new.event.concert_id,
        occurred_at: NaiveDateTime = new.event.occurred_at,
        document: String = new.event.document.clone(),
        status: String = DeliveryStatus::Pending.as_str(),
        next_attempt_at: Option<NaiveDateTime> = Some(now),
        attempts_count: i64 = 0_u32,
    }
}

row! {
    /// A delivery as it is listed, without the document.
    struct DeliveryRow in webhook_deliveries {
        id: Vec<u8>,
        webhook_id: Vec<u8>,
        event_id: Vec<u8>,
        kind: String,
        subject: Vec<u8>,
        concert_id: Option<Vec<u8>>,
        occurred_at: NaiveDateTime,
        status: String,
        next_attempt_at: Option<NaiveDateTime>,
        attempts_count: i64,
        attempted_at: Option<NaiveDateTime>,
        answer_status: Option<i64>,
        answer: Option<String>,
        failure: Option<String>,
        milliseconds: Option<i64>,
    }
}

/// What an attempt changes.
#[derive(AsChangeset)]
#[diesel(table_name = deliveries, treat_none_as_null = true)]
struct AttemptChange {
    status: &'static str,
    next_attempt_at: Option<NaiveDateTime>,
    attempts_count: i64,
    attempted_at: Option<NaiveDateTime>,
    answer_status: Option<i64>,
    answer: Option<String>,
    failure: Option<String>,
    milliseconds: Option<i64>,
}

impl AttemptChange {
    fn of(attempted: &Attempted) -> Self {
        let Attempt { at, outcome, milliseconds } = &attempted.attempt;
        let (answer_status, answer, failure) = match outcome {
            AttemptOutcome::Answered { status, beginning } => (Some(i64::from(*status)), Some(beginning.clone()), None),
            AttemptOutcome::Failed { reason } => (None, None, Some((*reason).to_owned())),
        };
        Self {
            status: attempted.state.status().as_str(),
            next_attempt_at: attempted.state.next_attempt_at().map(time),
            attempts_count: i64::from(attempted.attempts_before) + 1,
            attempted_at: Some(time(*at)),
            answer_status,
            answer,
            failure,
            milliseconds: Some(i64::from(*milliseconds)),
        }
    }
}

impl DeliveryRow {
    fn state(&self) -> Option<DeliveryState> {
        let status = DeliveryStatus::ALL.into_iter().find(|status| status.as_str() == self.status)?;
        Some(match (status, self.next_attempt_at) {
            (DeliveryStatus::Pending, Some(at)) => DeliveryState::Pending { next_attempt_at: at.and_utc() },
            (DeliveryStatus::Delivered, None) => DeliveryState::Delivered,
            (DeliveryStatus::GivenUp, None) => DeliveryState::GivenUp,
            _ => return None,
        })
    }

    fn last_attempt(&self) -> Result<Option<Attempt>, StorageError> {
        let Some((at, milliseconds)) = self.attempted_at.zip(self.milliseconds) else { return Ok(None) };
        let outcome = match (self.answer_status, &self.failure) {
            (Some(status), None) => {
                AttemptOutcome::Answered { status: count(status)?, beginning: self.answer.clone().unwrap_or_default() }
            }
            (None, Some(failure)) => {
                let known = AttemptOutcome::REASONS.into_iter().find(|reason| reason == failure);
                AttemptOutcome::Failed { reason: known.ok_or_else(damaged("failure of a delivery"))? }
            }
            _ => return Err(damaged("attempt at a delivery")()),
        };
        Ok(Some(Attempt { at: at.and_utc(), outcome, milliseconds: count(milliseconds)? }))
    }
}

impl TryFrom<DeliveryRow> for Delivery {
    type Error = StorageError;

    fn try_from(row: DeliveryRow) -> Result<Self, StorageError> {
        Ok(Self {
            id: parse_id(&row.id)?,
            webhook_id: parse_id(&row.webhook_id)?,
            event_id: parse_id(&row.event_id)?,
            subject: parse_id(&row.subject)?,
            concert_id: optional_id(row.concert_id.as_ref())?,
            occurred_at: row.occurred_at.and_utc(),
            state: row.state().ok_or_else(damaged("state of a delivery"))?,
            attempts_count: count(row.attempts_count)?,
            last_attempt: row.last_attempt()?,
            kind: row.kind,
        })
    }
}

#[async_trait]
impl WebhookDeliveries for Store {
    async fn add(&self, deliveries: Vec<NewDelivery>, now: Timestamp) -> Result<(), StorageError> {
        if deliveries.is_empty() {
            return Ok(());
        }
        let added = self.writer.transaction((deliveries, now), |connection, (deliveries, now)| {
            Box::pin(async move {
                let rows = deliveries.iter().map(|new| NewRow::bind(new, *now));
                // Of a row that is there nothing changes.
                upsert::<NewRow>(connection, rows, "id", &["event_id"]).await
            })
        });
        Ok(added.await?)
    }

    async fn webhooks_due(&self, now: Timestamp, limit: u32) -> Result<Vec<Webhook>, StorageError> {
        // Each of the two looks at one row by an index, whatever the planner thinks of the tables.
        let query = Statement::select::<WebhookRow>()
            .sql(" WHERE status = 'on' AND (SELECT accounts.role FROM accounts WHERE accounts.id = webhooks.owner_id")
            .sql(" AND accounts.locked_at IS NULL AND accounts.erased_at IS NULL) IN ('promoter', 'admin')")
            .sql(" AND (SELECT due.next_attempt_at FROM webhook_deliveries AS due WHERE due.webhook_id = webhooks.id")
            .sql(" AND due.status = 'pending' ORDER BY due.next_attempt_at LIMIT 1) <= ")
            .bind(now)
            .sql(" ORDER BY id LIMIT ")
            .bind(i64::from(limit));
        let rows: Vec<WebhookRow> = self.read_in_time(query).await?;
        rows.into_iter().map(Webhook::try_from).collect()
    }

    async fn due(
        &self,
        webhook_id: WebhookId,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<DeliveryToSend>, StorageError> {
        type Due = (Vec<u8>, Vec<u8>, String, i64);
        let query = deliveries::table
            .filter(deliveries::webhook_id.eq(webhook_id.stored()))
            .filter(deliveries::status.eq(DeliveryStatus::Pending.as_str()))
            .filter(deliveries::next_attempt_at.le(time(now)))
            .order((deliveries::next_attempt_at, deliveries::id))
            .limit(i64::from(limit))
            .select((deliveries::id, deliveries::event_id, deliveries::document, deliveries::attempts_count));
        let rows: Vec<Due> = self.read_in_time(query).await?;
        let due = rows.into_iter().map(|(id, event_id, document, attempts)| {
            let (id, event_id): (DeliveryId, Uuid) = (parse_id(&id)?, parse_id(&event_id)?);
            Ok(DeliveryToSend { id, event_id, document, attempts_count: count(attempts)? })
        });
        due.collect()
    }

    async fn record(
        &self,
        webhook_id: WebhookId,
        attempted: Vec<Attempted>,
    ) -> Result<Option<WebhookState>, StorageError> {
        let recorded = self.writer.transaction((webhook_id, attempted), |connection, (webhook_id, attempted)| {
            Box::pin(record(connection, *webhook_id, attempted))
        });
        Ok(recorded.await?)
    }

    async fn find(&self, webhook_id: WebhookId, id: DeliveryId) -> Result<Option<Delivery>, StorageError> {
        let query = deliveries::table.find(id.stored()).filter(deliveries::webhook_id.eq(webhook_id.stored()));
        self.find_one(query.select(DeliveryRow::as_select())).await
    }

    async fn list(
        &self,
        webhook_id: WebhookId,
        status: Option<DeliveryStatus>,
        page: PageRequest<DeliveryId>,
    ) -> Result<Page<Delivery, DeliveryId>, StorageError> {
        let mut query = deliveries::table
            .filter(deliveries::webhook_id.eq(webhook_id.stored()))
            .order(deliveries::id.desc())
            .limit(i64::from(page.limit) + 1)
            .select(DeliveryRow::as_select())
            .into_boxed();
        if let Some(status) = status {
            query = query.filter(deliveries::status.eq(status.as_str()));
            if status != DeliveryStatus::Pending {
                // So the index has them in the order of their ids.
                query = query.filter(deliveries::next_attempt_at.is_null());
            }
        }
        if let Some(after) = page.after {
            query = query.filter(deliveries::id.lt(after.stored()));
        }
        let rows = self.read(query).await?;
        let listed = rows.into_iter().map(Delivery::try_from).collect::<Result<Vec<_>, _>>()?;
        Ok(Page::from_rows(listed, page.limit, |delivery| delivery.id))
    }

    async fn send_again(
        &self,
        webhook_id: WebhookId,
        id: DeliveryId,
        now: Timestamp,
    ) -> Result<Option<Delivery>, StorageError> {
        if WebhookDeliveries::find(self, webhook_id, id).await?.is_none() {
            return Ok(None);
        }
        make_due(self, vec![id], now).await?;
        WebhookDeliveries::find(self, webhook_id, id).await
    }

    async fn send_span_again(
        &self,
        webhook_id: WebhookId,
        from: DeliveryId,
        until: DeliveryId,
        now: Timestamp,
        limit: u32,
    ) -> Result<SentAgain, StorageError> {
        let query = deliveries::table
            .filter(deliveries::webhook_id.eq(webhook_id.stored()))
            .filter(deliveries::id.ge(from.stored()))
            .filter(deliveries::id.lt(until.stored()))
            .order(deliveries::id)
            .limit(i64::from(limit) + 1)
            .select(deliveries::id);
        let rows: Vec<Vec<u8>> = self.read(query).await?;
        let mut ids = rows.iter().map(|id| parse_id(id)).collect::<Result<Vec<DeliveryId>, _>>()?;
        let next = ids.get(limit as usize).copied();
        ids.truncate(limit as usize);
        for ids in ids.chunks(ROWS_MAX) {
            make_due(self, ids.to_vec(), now).await?;
        }
        Ok(SentAgain { count: u32::try_from(ids.len()).unwrap_or(limit), next })
    }

    async fn count_due(&self, webhook_id: WebhookId, now: Timestamp, limit: u32) -> Result<u32, StorageError> {
        let query =
            Statement::<BigInt>::new("SELECT COUNT(*) FROM (SELECT id FROM webhook_deliveries WHERE webhook_id = ")
                .bind(webhook_id)
                .sql(" AND status = 'pending' AND next_attempt_at <= ")
                .bind(now)
                .sql(" LIMIT ")
                .bind(i64::from(limit))
                .sql(") AS due");
        let rows: Vec<i64> = self.read_in_time(query).await?;
        count(rows.into_iter().next().unwrap_or(0))
    }

    async fn remove_old(&self, until: DeliveryId, limit: u32) -> Result<u32, StorageError> {
        let query = deliveries::table
            .filter(deliveries::id.lt(until.stored()))
            .order(deliveries::id)
            .limit(i64::from(limit))
            .select(deliveries::id);
        let ids: Vec<Vec<u8>> = self.read_in_time(query).await?;
        let old = u32::try_from(ids.len()).unwrap_or(limit);
        for ids in ids.chunks(ROWS_MAX) {
            let removed = self.writer.transaction(ids.to_vec(), |connection, ids| {
                Box::pin(async move {
                    let delete = Statement::<Untyped>::new("DELETE FROM webhook_deliveries WHERE id IN ");
                    delete.list(ids.iter().cloned()).execute(connection).await?;
                    Ok(())
                })
            });
            removed.await?;
        }
        Ok(old)
    }
}

async fn record(
    connection: &mut Connection,
    webhook_id: WebhookId,
    attempted: &[Attempted],
) -> Result<Option<WebhookState>, Failure> {
    let webhook = lock(connection, webhook_id).await?;
    let before = match &webhook {
        Some(webhook) => state_before(connection, webhook, attempted).await?,
        None => WebhookState::WORKING,
    };
    for attempted in attempted {
        let row = deliveries::table
            .find(attempted.id.stored())
            .filter(deliveries::status.eq(DeliveryStatus::Pending.as_str()))
            .filter(deliveries::attempts_count.eq(i64::from(attempted.attempts_before)));
        diesel::update(row).set(AttemptChange::of(attempted)).execute(connection).await?;
    }
    let Some(webhook) = webhook else { return Ok(None) };
    let state = before.after(attempted.iter().map(|attempted| &attempted.attempt));
    if state != webhook.state {
        save(connection, &Webhook { state, ..webhook }).await?;
    }
    Ok(Some(state))
}

/// The state of a webhook before attempts that are not stored yet. When the one before them was made is asked only if they
/// may turn it off.
async fn state_before(
    connection: &mut Connection,
    webhook: &Webhook,
    attempted: &[Attempted],
) -> Result<WebhookState, Failure> {
    let mut times = attempted.iter().map(|attempted| attempted.attempt.at);
    let Some(first) = times.clone().next() else { return Ok(webhook.state) };
    if !times.any(|at| webhook.state.ends_by_failure_at(at)) {
        return Ok(webhook.state);
    }
    let attempts = deliveries::table.filter(deliveries::webhook_id.eq(webhook.id.stored()));
    let last: Option<NaiveDateTime> = attempts.select(max(deliveries::attempted_at)).first(connection).await?;
    Ok(webhook.state.after_pause(last.map(|last| last.and_utc()), first))
}

/// Makes deliveries due, whatever their state.
async fn make_due(store: &Store, ids: Vec<DeliveryId>, now: Timestamp) -> Result<(), StorageError> {
    let made = store.writer.transaction((ids, now), |connection, (ids, now)| {
        Box::pin(async move {
            let update =
                Statement::<Untyped>::new("UPDATE webhook_deliveries SET status = 'pending', next_attempt_at = ")
                    .bind(*now)
                    .sql(", attempts_count = 0 WHERE id IN ")
                    .list(ids.iter().copied());
            update.execute(connection).await?;
            Ok(())
        })
    });
    Ok(made.await?)
}
