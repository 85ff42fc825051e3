//! Second factors.

use async_trait::async_trait;
use boxoffice_domain::{
    AccountId, StorageError, Timestamp,
    accounts::{
        CodeAttempt, Confirmation, Credentials, FactorChanged, PasswordHash, RecoveryHash, RightCode, SecondFactor,
        SecondFactors, SessionsToEnd, TotpSecret,
    },
};
use chrono::NaiveDateTime;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::{
    super::{
        super::{Connection, LOCK_ROWS},
        Store,
        failure::{Failure, Kind},
        insert::insert,
    },
    lock_account, save_account, sessions,
};
use crate::{
    row::row,
    schema::second_factors,
    statement::{Row, Statement},
    stored::{Stored, count, damaged, id, json, time},
};

row! {
    struct FactorRow in second_factors, from (factor: &SecondFactor, recovery_hashes: String) {
        account_id: Vec<u8> = factor.account_id,
        secret: Vec<u8> = factor.secret.0.to_vec(),
        created_at: NaiveDateTime = factor.created_at,
        confirmed_at: Option<NaiveDateTime> = factor.confirmed_at,
        last_step: i64 = factor.last_step,
        attempts_count: i64 = factor.attempts_count,
        attempted_at: Option<NaiveDateTime> = factor.attempted_at,
        recovery_hashes: String = recovery_hashes,
    }
}

/// How recovery codes are stored: each hash as lists of numbers would take three times the room.
fn hashes_text(hashes: &[RecoveryHash]) -> Result<String, StorageError> {
    json(&hashes.iter().map(|hash| hex::encode(hash.0)).collect::<Vec<_>>())
}

fn parse_hashes(text: &str) -> Option<Vec<RecoveryHash>> {
    let texts: Vec<String> = serde_json::from_str(text).ok()?;
    let parse = |text: &String| Some(RecoveryHash(hex::decode(text).ok()?.try_into().ok()?));
    texts.iter().map(parse).collect()
}

impl TryFrom<FactorRow> for SecondFactor {
    type Error = StorageError;

    fn try_from(row: FactorRow) -> Result<Self, StorageError> {
        let secret = row.secret.try_into().map_err(|_| damaged("second factor")())?;
        Ok(Self {
            account_id: id(&row.account_id)?,
            secret: TotpSecret(secret),
            created_at: row.created_at.and_utc(),
            confirmed_at: row.confirmed_at.map(|at| at.and_utc()),
            last_step: count(row.last_step)?,
            attempts_count: count(row.attempts_count)?,
            attempted_at: row.attempted_at.map(|at| at.and_utc()),
            recovery_hashes: parse_hashes(&row.recovery_hashes).ok_or_else(damaged("second factor"))?,
        })
    }
}

#[async_trait]
impl SecondFactors for Store {
    async fn begin(&self, factor: SecondFactor) -> Result<bool, StorageError> {
        let begun = self.writer.transaction(factor, |connection, factor| {
            Box::pin(async move {
                let known = lock_factor(connection, factor.account_id).await?;
                if known.is_some_and(|known| known.confirmed_at.is_some()) {
                    return Ok(false);
                }
                remove(connection, factor.account_id).await?;
                insert::<FactorRow>(connection, [bind(factor)?]).await?;
                Ok(true)
            })
        });
        match begun.await {
            // Another call was first, and its factor is as good: none of the two is confirmed.
            Err(failure) if failure.kind == Kind::Duplicate => Ok(true),
            begun => Ok(begun?),
        }
    }

    async fn find_factor(&self, account_id: AccountId) -> Result<Option<SecondFactor>, StorageError> {
        self.find_one(second_factors::table.find(account_id.stored()).select(FactorRow::as_select())).await
    }

    async fn attempt(&self, account_id: AccountId) -> Result<CodeAttempt, StorageError> {
        let attempted = self.writer.transaction((account_id, self.now()), |connection, (account_id, now)| {
            Box::pin(async move {
                let Some(mut factor) = lock_factor(connection, *account_id).await? else {
                    return Ok(CodeAttempt::Missing);
                };
                if let Err(seconds_left) = factor.attempt(*now) {
                    return Ok(CodeAttempt::TooMany { seconds_left });
                }
                save(connection, &factor).await?;
                Ok(CodeAttempt::Allowed(Box::new(factor)))
            })
        });
        Ok(attempted.await?)
    }

    async fn take(&self, account_id: AccountId, code: RightCode) -> Result<bool, StorageError> {
        let taken = self.writer.transaction((account_id, code), |connection, (account_id, code)| {
            Box::pin(async move {
                let factor = lock_factor(connection, *account_id).await?;
                let Some(mut factor) = factor.filter(|factor| factor.confirmed_at.is_some()) else {
                    return Ok(false);
                };
                let is_good = factor.take(*code);
                if is_good {
                    save(connection, &factor).await?;
                }
                Ok(is_good)
            })
        });
        Ok(taken.await?)
    }

    async fn confirm(&self, confirmation: Confirmation) -> Result<Option<FactorChanged>, StorageError> {
        let confirmed = self.writer.transaction((confirmation, self.now()), |connection, (confirmation, now)| {
            Box::pin(confirm(connection, confirmation, *now))
        });
        Ok(confirmed.await?)
    }

    async fn remove(
        &self,
        account_id: AccountId,
        verified: PasswordHash,
    ) -> Result<Option<FactorChanged>, StorageError> {
        let removed = self.writer.transaction((account_id, verified, self.now()), |connection, (id, verified, now)| {
            Box::pin(async move {
                let Some(mut credentials) = lock_account(connection, "id", *id).await? else {
                    return Ok(None);
                };
                let may_remove =
                    credentials.password_hash == *verified && credentials.standing.second_factor_at.is_some();
                if !may_remove && credentials.standing.access_changed_at != Some(*now) {
                    return Ok(None);
                }
                remove(connection, *id).await?;
                credentials.standing.second_factor_at = None;
                changed(connection, credentials, Vec::new(), *now).await
            })
        });
        Ok(removed.await?)
    }
}

async fn confirm(
    connection: &mut Connection,
    confirmation: &Confirmation,
    now: Timestamp,
) -> Result<Option<FactorChanged>, Failure> {
    let Confirmation { account_id, secret, code, recovery_hashes, kept } = confirmation;
    let Some(mut credentials) = lock_account(connection, "id", *account_id).await? else {
        return Ok(None);
    };
    let factor = lock_factor(connection, *account_id).await?.filter(|factor| factor.secret == *secret);
    let Some(mut factor) = factor else {
        return Ok(None);
    };
    // An earlier attempt, whose answer was lost, may have confirmed it.
    if factor.confirmed_at != Some(now) {
        if factor.confirmed_at.is_some() || !factor.take(*code) {
            return Ok(None);
        }
        factor.confirmed_at = Some(now);
        factor.recovery_hashes.clone_from(recovery_hashes);
        save(connection, &factor).await?;
    }
    credentials.standing.second_factor_at = Some(now);
    let others = Some(SessionsToEnd::AllBut(*kept));
    let ended_sessions = sessions::end_of(connection, *account_id, others, time(now)).await?;
    changed(connection, credentials, ended_sessions, now).await
}

async fn changed(
    connection: &mut Connection,
    mut credentials: Credentials,
    ended_sessions: Vec<boxoffice_domain::SessionId>,
    now: Timestamp,
) -> Result<Option<FactorChanged>, Failure> {
    if credentials.standing.access_changed_at != Some(now) {
        credentials.standing.void_access_tokens(now);
    }
    save_account(connection, &credentials).await?;
    Ok(Some(FactorChanged { ended_sessions, access_version: credentials.standing.access_version }))
}

fn bind(factor: &SecondFactor) -> Result<Vec<crate::statement::Bind>, StorageError> {
    Ok(FactorRow::bind(factor, hashes_text(&factor.recovery_hashes)?))
}

/// The factor of an account, which nothing else changes until the transaction ends.
async fn lock_factor(connection: &mut Connection, account_id: AccountId) -> Result<Option<SecondFactor>, Failure> {
    let lock = Statement::select::<FactorRow>().sql(" WHERE account_id = ").bind(account_id).sql(LOCK_ROWS);
    let rows: Vec<FactorRow> = lock.load(connection).await?;
    Ok(rows.into_iter().next().map(SecondFactor::try_from).transpose()?)
}

async fn save(connection: &mut Connection, factor: &SecondFactor) -> Result<(), Failure> {
    let update = Statement::update::<FactorRow>(bind(factor)?, &FactorRow::COLUMNS[1..]);
    update.sql(" WHERE account_id = ").bind(factor.account_id).execute(connection).await?;
    Ok(())
}

/// Removes the factor of an account, if there is one.
pub(super) async fn remove(connection: &mut Connection, account_id: AccountId) -> Result<(), Failure> {
    diesel::delete(second_factors::table.find(account_id.stored())).execute(connection).await?;
    Ok(())
}
