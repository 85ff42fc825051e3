//! One batch of writes: load and lock, decide, save, commit.

mod blocked;
mod load;
mod save;

use std::collections::BTreeSet;

use async_trait::async_trait;
use boxoffice_domain::{
    StorageError,
    idempotency::Made,
    sale::{Command, LoadPlan, Outcome},
    wallet::ChargeState,
};
use diesel::sql_types::{Binary, Untyped};
use diesel_async::{RunQueryDsl, SimpleAsyncConnection};
use tokio::time::{Instant, timeout};
use tracing::{Instrument, debug_span};
use uuid::Uuid;

pub(super) use self::blocked::LongLocks;
use self::{blocked::merged, load::load, save::save};
use super::{
    super::Connection,
    Writer,
    failure::Failure,
    retry::{Attempts, BATCH_TIME_MAX, commit},
};
use crate::{
    statement::Statement,
    write_lanes::{BatchWriter, Decided},
};

/// A batch that is being written.
struct Batch<'b> {
    id: Uuid,
    commands: &'b [Command],
    /// The outcomes, if a commit was not answered: it may have happened or not.
    in_doubt: Option<Vec<Decided>>,
}

#[async_trait]
impl BatchWriter for Writer {
    async fn write_batch(&self, commands: &[Command]) -> Result<Vec<Decided>, StorageError> {
        if let Some(blocked) = self.still_blocked(commands).await {
            return self.write_free(commands, &blocked).await;
        }
        let mut batch = Batch { id: self.entropy.uuid(), commands, in_doubt: None };
        let mut attempts = Attempts::begin(self.retry_max);
        loop {
            let attempted = timeout(BATCH_TIME_MAX, self.attempt(&mut batch)).await;
            match attempted.unwrap_or_else(|elapsed| Err(Failure::timed_out(elapsed))) {
                Ok(outcomes) => return Ok(outcomes),
                Err(failure) if failure.is_of_a_lock() && batch.in_doubt.is_none() => {
                    if let Some(blocked) = self.blocked(commands).await {
                        return self.write_free(commands, &blocked).await;
                    }
                    attempts.wait_after(failure).await?;
                }
                Err(failure) => {
                    if batch.in_doubt.is_some() {
                        attempts.doubt();
                    }
                    attempts.wait_after(failure).await?;
                }
            }
        }
    }
}

impl Writer {
    /// Writes the commands that are not blocked.
    async fn write_free(&self, commands: &[Command], blocked: &[bool]) -> Result<Vec<Decided>, StorageError> {
        let free = commands.iter().zip(blocked).filter(|(_, blocked)| !**blocked);
        let free: Vec<Command> = free.map(|(command, _)| command.clone()).collect();
        let outcomes = if free.is_empty() { Vec::new() } else { self.write_batch(&free).await? };
        Ok(merged(blocked, outcomes))
    }

    #[tracing::instrument(level = "debug", name = "persistence.transaction", skip_all)]
    async fn attempt(&self, batch: &mut Batch<'_>) -> Result<Vec<Decided>, Failure> {
        let mut session = self.pool.session().await?;
        let attempted = self.attempt_over(session.connection(), batch).await;
        let outcomes = self.ended(&mut session, attempted).await?;
        count_outcomes(&outcomes);
        Ok(outcomes)
    }

    async fn attempt_over(&self, connection: &mut Connection, batch: &mut Batch<'_>) -> Result<Vec<Decided>, Failure> {
        self.begin(connection).await?;
        let mut state =
            load(connection, LoadPlan::new(batch.commands)).instrument(debug_span!("persistence.load")).await?;
        // The rows are locked now, so an earlier attempt has ended. The doubt stays until this attempt commits: this one
        // may be interrupted too, or have lost its locks.
        if batch.in_doubt.is_some() && is_written(connection, batch.id).await? {
            connection.batch_execute("ROLLBACK").await?;
            return Ok(batch.in_doubt.take().unwrap_or_default());
        }
        let now = self.clock.now();
        let decide = |command| state.decide(now, command).map_err(|error| StorageError::Failed(error.into()));
        let outcomes: Vec<Decided> = batch.commands.iter().map(decide).collect();
        if state.changes().is_empty() {
            connection.batch_execute("ROLLBACK").await?;
            return Ok(outcomes);
        }
        save(connection, state.changes(), batch.id, now).instrument(debug_span!("persistence.save")).await?;
        if self.locks_are_local {
            change_locked_wallets(connection, batch.commands).await?;
        }
        self.before_commit(connection).await?;
        // Noted before the commit begins, which may be interrupted.
        let doubtful = batch.in_doubt.insert(outcomes);
        let began = Instant::now();
        commit(connection).instrument(debug_span!("persistence.commit")).await?;
        // A batch that changes nothing says nothing about the disk.
        self.outage.note(None);
        metrics::histogram!("boxoffice_commit_seconds").record(began.elapsed().as_secs_f64());
        self.holds_ended.count(state.changes().holds_ended());
        Ok(std::mem::take(doubtful))
    }
}

fn count_outcomes(outcomes: &[Decided]) {
    let (mut holds, mut payments, mut points) = (0, 0, 0);
    for outcome in outcomes.iter().flatten() {
        match outcome {
            Outcome::Hold(Ok(made)) if !made.replayed => holds += 1,
            Outcome::Pay(Ok(made)) if !made.replayed => payments += 1,
            Outcome::CompleteCharge(Some(Made { value: charge, replayed: false }))
                if matches!(charge.state, ChargeState::Completed { .. }) =>
            {
                points += u64::try_from(charge.amount.get()).unwrap_or(0);
            }
            _ => {}
        }
    }
    metrics::counter!("boxoffice_holds_total").increment(holds);
    metrics::counter!("boxoffice_payments_total").increment(payments);
    metrics::counter!("boxoffice_points_charged_total").increment(points);
}

/// Changes every wallet that is locked. Nodes that do not see each other's locks compare changed rows at commit: the
/// first of two batches of one account commits, and the other one starts again and sees what the first one did.
async fn change_locked_wallets(connection: &mut Connection, commands: &[Command]) -> Result<(), Failure> {
    let accounts: BTreeSet<_> = commands.iter().map(Command::account_id).collect();
    Statement::<Untyped>::new("UPDATE wallets SET changes_count = changes_count + 1 WHERE account_id IN ")
        .list(accounts)
        .execute(connection)
        .await?;
    Ok(())
}

async fn is_written(connection: &mut Connection, batch_id: Uuid) -> Result<bool, Failure> {
    let written: Vec<Vec<u8>> =
        Statement::<Binary>::new("SELECT id FROM outbox_batches WHERE id = ").bind(batch_id).load(connection).await?;
    Ok(!written.is_empty())
}
