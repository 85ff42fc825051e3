//! Sessions.

use async_trait::async_trait;
use boxoffice_domain::{
    AccountId, SessionId, StorageError, Timestamp,
    accounts::{
        ChainKey, ClientName, Credentials, Member, PasswordHash, RefreshHash, Revoked, RotateRequest, Session,
        Sessions, SessionsToEnd,
    },
    events::Event,
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
        outbox::write_events,
    },
    AccountRow, member_of,
};
use crate::{
    row::row,
    schema::{accounts, sessions},
    statement::{Bind, Null, Statement},
    stored::{Stored, count, damaged, id, time},
};

row! {
    pub(super) struct SessionRow in sessions, from (session: &Session) {
        id: Vec<u8> = session.id,
        account_id: Vec<u8> = session.account_id,
        refresh_hash: Vec<u8> = session.refresh_hash.0.to_vec(),
        created_at: NaiveDateTime = session.created_at,
        expires_at: NaiveDateTime = session.expires_at,
        ended_at: Option<NaiveDateTime> = Bind::Null(Null::Time),
        chain_key: Option<Vec<u8>> = session.chain_key.map(|key| key.0.to_vec()),
        former_hash: Option<Vec<u8>> = session.former_hash.map(|hash| hash.0.to_vec()),
        refreshed_at: Option<NaiveDateTime> = Bind::Null(Null::Time),
        client: Option<String> = session.client.as_ref().map(|client| client.as_str().to_owned()),
        network: Option<String> = session.network.map(|network| network.to_string()),
    }
}

impl TryFrom<SessionRow> for Session {
    type Error = StorageError;

    fn try_from(row: SessionRow) -> Result<Self, StorageError> {
        let bytes = |bytes: Vec<u8>| <[u8; 32]>::try_from(bytes).map_err(|_| damaged("secret")());
        Ok(Self {
            id: id(&row.id)?,
            account_id: id(&row.account_id)?,
            chain_key: row.chain_key.map(bytes).transpose()?.map(ChainKey),
            refresh_hash: RefreshHash(bytes(row.refresh_hash)?),
            former_hash: row.former_hash.map(bytes).transpose()?.map(RefreshHash),
            created_at: row.created_at.and_utc(),
            last_used_at: row.refreshed_at.unwrap_or(row.created_at).and_utc(),
            expires_at: row.expires_at.and_utc(),
            ended_at: row.ended_at.map(|at| at.and_utc()),
            client: row.client.as_deref().and_then(ClientName::new),
            network: row.network.as_deref().and_then(|network| network.parse().ok()),
        })
    }
}

#[async_trait]
impl Sessions for Store {
    async fn open(
        &self,
        session: Session,
        verified: PasswordHash,
        sessions_max: u32,
    ) -> Result<Option<Vec<SessionId>>, StorageError> {
        let input = (&session, &verified, sessions_max, time(self.now()));
        let opened = self.writer.transaction(input, |connection, (session, verified, sessions_max, now)| {
            Box::pin(open(connection, session, verified, *sessions_max, *now))
        });
        match opened.await {
            // An earlier attempt, whose answer was lost, had opened it: no other session has its id.
            Err(failure) if failure.kind == Kind::Duplicate => Ok(Some(Vec::new())),
            opened => Ok(opened?),
        }
    }

    async fn find(&self, id: SessionId) -> Result<Option<(Session, Member)>, StorageError> {
        let query = sessions::table.find(id.stored()).select(SessionRow::as_select());
        let Some(session) = self.find_one::<_, Session>(query).await? else {
            return Ok(None);
        };
        let query = accounts::table.find(session.account_id.stored()).select(AccountRow::as_select());
        Ok(self.find_one(query).await?.map(|credentials| (session, member_of(credentials))))
    }

    async fn list(&self, account_id: AccountId) -> Result<Vec<Session>, StorageError> {
        let living = sessions::table
            .filter(sessions::account_id.eq(account_id.stored()))
            .filter(sessions::ended_at.is_null())
            .filter(sessions::expires_at.gt(time(self.now())))
            .order((sessions::created_at, sessions::id))
            .select(SessionRow::as_select());
        self.read(living).await?.into_iter().map(Session::try_from).collect()
    }

    async fn rotate(&self, request: RotateRequest) -> Result<Option<Timestamp>, StorageError> {
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

    async fn end_reused(&self, id: SessionId, seen: RefreshHash) -> Result<bool, StorageError> {
        let ended = self.writer.transaction((id, seen, time(self.now())), |connection, (id, seen, now)| {
            Box::pin(async move {
                let session = sessions::table.find(id.stored()).filter(sessions::refresh_hash.eq(seen.0.to_vec()));
                let living = session.clone().filter(sessions::ended_at.is_null());
                diesel::update(living).set(sessions::ended_at.eq(now)).execute(connection).await?;
                let count: i64 = session.count().get_result(connection).await?;
                Ok(count > 0)
            })
        });
        Ok(ended.await?)
    }

    async fn end_of(&self, account_id: AccountId, which: SessionsToEnd) -> Result<Vec<SessionId>, StorageError> {
        let ended = self.writer.transaction((account_id, which, time(self.now())), |connection, (id, which, now)| {
            Box::pin(end_of(connection, *id, Some(*which), *now))
        });
        Ok(ended.await?)
    }

    async fn revoked_since(&self, since: Timestamp) -> Result<Revoked, StorageError> {
        let ended = sessions::table.filter(sessions::ended_at.ge(time(since))).select(sessions::id);
        let ended: Vec<Vec<u8>> = self.read_in_time(ended).await?;
        let voided = accounts::table.filter(accounts::access_changed_at.ge(time(since)));
        let voided: Vec<(Vec<u8>, i64)> =
            self.read_in_time(voided.select((accounts::id, accounts::access_version))).await?;
        let voided = voided.iter().map(|(bytes, version)| Ok((id(bytes)?, count(*version)?)));
        Ok(Revoked { sessions: ids(&ended)?, accounts: voided.collect::<Result<_, StorageError>>()? })
    }
}

fn ids(rows: &[Vec<u8>]) -> Result<Vec<SessionId>, StorageError> {
    rows.iter().map(|bytes| id(bytes)).collect()
}

async fn open(
    connection: &mut Connection,
    session: &Session,
    verified: &PasswordHash,
    sessions_max: u32,
    now: NaiveDateTime,
) -> Result<Option<Vec<SessionId>>, Failure> {
    // A change of the account waits for this transaction, and then ends the session; or this one waits. On a cluster, one of
    // the two is repeated, since both change the row.
    let counted = Statement::<Untyped>::new("UPDATE accounts SET sessions_count = sessions_count + 1 WHERE id = ");
    counted.bind(session.account_id).execute(connection).await?;
    let account = accounts::table.find(session.account_id.stored()).select(AccountRow::as_select());
    let account = account.first(connection).await.optional()?.map(Credentials::try_from).transpose()?;
    if !account.is_some_and(|found| found.password_hash == *verified && found.standing.may_sign_in()) {
        return Ok(None);
    }
    let living = sessions::table
        .filter(sessions::account_id.eq(session.account_id.stored()))
        .filter(sessions::ended_at.is_null())
        .filter(sessions::expires_at.gt(now))
        .order((sessions::created_at, sessions::id))
        .select(sessions::id);
    let living: Vec<Vec<u8>> = living.load(connection).await?;
    let surplus = (living.len() + 1).saturating_sub(sessions_max.max(1) as usize);
    let oldest = &living[..surplus];
    if surplus > 0 {
        let oldest = sessions::table.filter(sessions::id.eq_any(oldest));
        diesel::update(oldest).set(sessions::ended_at.eq(now)).execute(connection).await?;
    }
    let is_from_elsewhere = is_from_elsewhere(connection, session).await?;
    insert::<SessionRow>(connection, [SessionRow::bind(session)]).await?;
    if is_from_elsewhere {
        let (account_id, session_id, client) = (session.account_id, session.id, session.client.clone());
        let event = Event::SignedInElsewhere { account_id, session_id, client };
        write_events(connection, session.id.uuid(), &[event], session.created_at).await?;
    }
    Ok(Some(ids(oldest)?))
}

/// Whether sessions of the account are kept, and none is of the same client. Usually the first one that is read is.
async fn is_from_elsewhere(connection: &mut Connection, session: &Session) -> Result<bool, Failure> {
    let of_account = sessions::table.filter(sessions::account_id.eq(session.account_id.stored()));
    let mut alike = match &session.client {
        Some(client) => of_account.clone().filter(sessions::client.eq(client.as_str())).into_boxed(),
        None => of_account.clone().filter(sessions::client.is_null()).into_boxed(),
    };
    if let Some(network) = session.network {
        alike = alike.filter(sessions::network.is_null().or(sessions::network.eq(network.to_string())));
    }
    let alike: Option<Vec<u8>> = alike.select(sessions::id).first(connection).await.optional()?;
    if alike.is_some() {
        return Ok(false);
    }
    let any: Option<Vec<u8>> = of_account.select(sessions::id).first(connection).await.optional()?;
    Ok(any.is_some())
}

/// Removes all sessions of an account, with what they say of its holder.
pub(super) async fn remove_all(connection: &mut Connection, account_id: AccountId) -> Result<(), Failure> {
    let sessions_of_account = sessions::table.filter(sessions::account_id.eq(account_id.stored()));
    diesel::delete(sessions_of_account).execute(connection).await?;
    Ok(())
}

/// Exchanges the secret by one conditional update, so that exactly one of several concurrent exchanges is made.
async fn exchange(
    connection: &mut Connection,
    request: &RotateRequest,
    now: NaiveDateTime,
) -> Result<Option<Timestamp>, Failure> {
    let (presented, next) = (request.presented.0.as_slice(), request.next.0.as_slice());
    let session = sessions::table.find(request.session_id.stored()).filter(sessions::ended_at.is_null());
    let valid = session.clone().filter(sessions::expires_at.gt(now)).filter(sessions::refresh_hash.eq(presented));
    let change = (
        sessions::chain_key.eq(request.chain_key.0.as_slice()),
        sessions::refresh_hash.eq(next),
        sessions::former_hash.eq(presented),
        sessions::refreshed_at.eq(now),
        sessions::expires_at.eq(time(request.expires_at)),
    );
    if diesel::update(valid).set(change).execute(connection).await? > 0 {
        return Ok(Some(now.and_utc()));
    }
    // Another exchange for the same secret was first, or an earlier attempt of this one, whose answer was lost.
    let made = session.filter(sessions::refresh_hash.eq(next)).select(sessions::refreshed_at);
    let made: Option<Option<NaiveDateTime>> = made.first(connection).await.optional()?;
    Ok(made.flatten().map(|at| at.and_utc()))
}

/// Ends living sessions of an account: those that are named, or all. An earlier attempt, whose answer was lost, may have
/// ended them at the same time `now`; they are named again.
pub(super) async fn end_of(
    connection: &mut Connection,
    account_id: AccountId,
    which: Option<SessionsToEnd>,
    now: NaiveDateTime,
) -> Result<Vec<SessionId>, Failure> {
    let of_account = sessions::table.filter(sessions::account_id.eq(account_id.stored()));
    let named = match which {
        Some(SessionsToEnd::One(id)) => of_account.filter(sessions::id.eq(id.stored())).into_boxed(),
        Some(SessionsToEnd::AllBut(id)) => of_account.filter(sessions::id.ne(id.stored())).into_boxed(),
        None => of_account.into_boxed(),
    };
    let living = named.filter(sessions::expires_at.gt(now));
    let living = living.filter(sessions::ended_at.is_null().or(sessions::ended_at.eq(now))).select(sessions::id);
    let ended: Vec<Vec<u8>> = living.load(connection).await?;
    let those = sessions::table.filter(sessions::id.eq_any(&ended));
    diesel::update(those).set(sessions::ended_at.eq(now)).execute(connection).await?;
    Ok(ids(&ended)?)
}
