//! Sessions.

use async_trait::async_trait;
use boxoffice_domain::{
    AccountId, SessionId, StorageError, Timestamp,
    accounts::{PasswordHash, Revoked, RotateRequest, Rotation, Session, Sessions},
};
use chrono::NaiveDateTime;
use diesel::{prelude::*, sql_types::Untyped};
use diesel_async::RunQueryDsl;

use super::{
    super::{
        super::Connection,
        Store,
        failure::{Failure, Kind},
        insert::insert,
    },
    member,
};
use crate::{
    row::row,
    schema::{accounts, sessions},
    statement::{Bind, Null, Statement},
    stored::{Stored, count, id, time},
};

row! {
    #[expect(dead_code, reason = "written for the operator, and not read")]
    struct SessionRow in sessions, from (session: &Session) {
        id: Vec<u8> = session.id,
        account_id: Vec<u8> = session.account_id,
        refresh_hash: Vec<u8> = session.refresh_hash.0.to_vec(),
        created_at: NaiveDateTime = session.created_at,
        expires_at: NaiveDateTime = session.expires_at,
        ended_at: Option<NaiveDateTime> = Bind::Null(Null::Time),
    }
}

#[async_trait]
impl Sessions for Store {
    async fn open(&self, session: Session, verified: PasswordHash) -> Result<bool, StorageError> {
        let opened = self.writer.transaction((&session, &verified), |connection, (session, verified)| {
            Box::pin(async move {
                // A change of the password waits for this transaction, and then ends the session; or this one waits. On a
                // cluster, one of the two is repeated, since both change the row.
                let counted = Statement::<Untyped>::new("UPDATE accounts SET sessions_count = sessions_count + 1 WHERE id = ");
                counted.bind(session.account_id).execute(connection).await?;
                let account = accounts::table.find(session.account_id.stored()).select(accounts::password_hash);
                let hash: Option<String> = account.first(connection).await.optional()?;
                if hash.as_ref() != Some(&verified.0) {
                    return Ok(false);
                }
                insert::<SessionRow>(connection, [SessionRow::bind(session)]).await?;
                Ok(true)
            })
        });
        match opened.await {
            // An earlier attempt, whose answer was lost, had opened it: no other session has its id.
            Err(failure) if failure.kind == Kind::Duplicate => Ok(true),
            opened => Ok(opened?),
        }
    }

    async fn rotate(&self, request: RotateRequest) -> Result<Rotation, StorageError> {
        let exchanged = self.writer.transaction((request, time(self.now())), |connection, (request, now)| {
            Box::pin(exchange(connection, request, *now))
        });
        Ok(exchanged.await?)
    }

    async fn end(&self, id: SessionId) -> Result<(), StorageError> {
        let ended = self.writer.transaction((id, time(self.now())), |connection, (id, now)| {
            Box::pin(async move {
                let living = sessions::table.find(id.stored()).filter(sessions::ended_at.is_null());
                diesel::update(living).set(sessions::ended_at.eq(now)).execute(connection).await?;
                Ok(())
            })
        });
        Ok(ended.await?)
    }

    async fn revoked_since(&self, since: Timestamp) -> Result<Revoked, StorageError> {
        let ended = sessions::table.filter(sessions::ended_at.ge(time(since))).select(sessions::id);
        let ended: Vec<Vec<u8>> = self.read_in_time(ended).await?;
        let voided = accounts::table.filter(accounts::access_changed_at.ge(time(since)));
        let voided: Vec<(Vec<u8>, i64)> =
            self.read_in_time(voided.select((accounts::id, accounts::access_version))).await?;
        Ok(Revoked {
            sessions: ended.iter().map(|bytes| id(bytes)).collect::<Result<_, _>>()?,
            accounts: voided.iter().map(|(bytes, version)| Ok((id(bytes)?, count(*version)?))).collect::<Result<_, StorageError>>()?,
        })
    }
}

/// Exchanges the secret by one conditional update, so that exactly one of several concurrent exchanges succeeds.
async fn exchange(
    connection: &mut Connection,
    request: &RotateRequest,
    now: NaiveDateTime,
) -> Result<Rotation, Failure> {
    let (presented, next) = (request.presented.0.as_slice(), request.next.0.as_slice());
    let session = sessions::table.find(request.session_id.stored());
    let living = session
        .clone()
        .filter(sessions::ended_at.is_null())
        .filter(sessions::expires_at.gt(now))
        .filter(sessions::refresh_hash.eq(presented));
    let rotated = diesel::update(living)
        .set((sessions::refresh_hash.eq(next), sessions::expires_at.eq(time(request.expires_at))))
        .execute(connection)
        .await?;
    let row = session.clone().select(SessionRow::as_select()).first(connection).await.optional()?;
    let Some(row) = row else {
        return Ok(Rotation::Unknown);
    };
    // In the second case an earlier attempt, whose answer was lost, had exchanged it.
    if rotated > 0 || (row.ended_at.is_none() && row.refresh_hash == next) {
        return Ok(Rotation::Rotated(member(connection, row.account_id).await?));
    }
    if row.ended_at.is_some() || row.expires_at <= now {
        return Ok(Rotation::Unknown);
    }
    diesel::update(session).set(sessions::ended_at.eq(now)).execute(connection).await?;
    Ok(Rotation::Reused)
}

/// Ends the living sessions of an account. An earlier attempt, whose answer was lost, may have ended them at the same time
/// `now`; they are named again.
pub(super) async fn end_all(
    connection: &mut Connection,
    account_id: AccountId,
    now: NaiveDateTime,
) -> Result<Vec<SessionId>, Failure> {
    let sessions_of_account = sessions::table.filter(sessions::account_id.eq(account_id.stored()));
    let living = sessions_of_account.clone().filter(sessions::ended_at.is_null()).filter(sessions::expires_at.gt(now));
    diesel::update(living).set(sessions::ended_at.eq(now)).execute(connection).await?;
    let ended = sessions_of_account.filter(sessions::ended_at.eq(now)).select(sessions::id);
    let ids: Vec<Vec<u8>> = ended.load(connection).await?;
    Ok(ids.iter().map(|bytes| id(bytes)).collect::<Result<_, _>>()?)
}
