//! Mail that waits to be sent. The rows of codes are inserted by what makes the codes.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use async_trait::async_trait;
use boxoffice_domain::{
    AccountId, PerformanceId, ReservationId, StorageError, TimeZone,
    mail::{
        Addressee, DueMail, EmailAddress, EndedMail, MailOutcome, MailQueue, NewMail, Notice, PostponedMail, Show,
        Ticket,
    },
    page::{Page, PageRequest},
    reservations::ReservedSeat,
    seats::SeatLabel,
};
use chrono::NaiveDateTime;
use diesel::{
    prelude::*,
    sql_types::{BigInt, Binary, Nullable, Text, Timestamp as SqlTimestamp},
};
use diesel_async::RunQueryDsl;

use super::{super::Connection, Store, failure::Failure, insert::upsert};
use crate::{
    row::row,
    schema::{mails, seats},
    statement::{ROWS_MAX, Row, Statement},
    stored::{Stored, count, damaged, id as parse_id, json, name, points, time},
};

row! {
    pub(super) struct MailRow in mails, from (mail: &NewMail, notice: String) {
        id: Vec<u8> = mail.id,
        account_id: Vec<u8> = mail.account_id,
        address: Option<String> = mail.to.as_ref().map(|to| to.as_str().to_owned()),
        // JSON.
        notice: Option<String> = Some(notice),
        created_at: NaiveDateTime = mail.created_at,
        #[expect(dead_code, reason = "it is asked for by this time")]
        next_attempt_at: Option<NaiveDateTime> = Some(mail.first_attempt_at()),
    }
}

/// Queues mail, in the transaction of its cause. A mail that was queued before stays as it is.
pub(super) async fn queue(
    connection: &mut Connection,
    mails: impl IntoIterator<Item = &NewMail>,
) -> Result<(), Failure> {
    let rows = mails.into_iter().map(|mail| Ok(MailRow::bind(mail, json(&mail.notice)?)));
    upsert::<MailRow>(connection, rows.collect::<Result<Vec<_>, StorageError>>()?, "id", &["id"]).await
}

type DueSql =
    (<MailRow as Row>::Sql, BigInt, (Nullable<Text>, Nullable<SqlTimestamp>), (Nullable<Text>, Nullable<Text>));
type DueRow = (MailRow, i64, (Option<String>, Option<NaiveDateTime>), (Option<String>, Option<String>));

/// The joined rows are found by their primary keys.
const DUE: &str = "SELECT mails.id, mails.account_id, mails.address, mails.notice, mails.created_at, \
    mails.next_attempt_at, mails.attempts, \
    accounts.name, accounts.erased_at, account_emails.address, account_emails.language \
    FROM mails LEFT JOIN accounts ON accounts.id = mails.account_id \
    LEFT JOIN account_emails ON account_emails.account_id = mails.account_id \
    WHERE mails.next_attempt_at <= ";

fn due_mail(row: DueRow) -> Result<DueMail, StorageError> {
    let (mail, attempts, (account_name, erased_at), (address, language)) = row;
    let address_of = |text: Option<String>| {
        text.map(|text| EmailAddress::new(&text).map_err(|_| damaged("e-mail address")())).transpose()
    };
    let addressee = match account_name.filter(|_| erased_at.is_none()) {
        None => None,
        Some(text) => Some(Addressee {
            name: name(&text)?,
            address: address_of(address)?,
            // A language that only a newer version knows is as good as none.
            language: language.and_then(|text| text.parse().ok()),
        }),
    };
    Ok(DueMail {
        id: parse_id(&mail.id)?,
        account_id: parse_id(&mail.account_id)?,
        to: address_of(mail.address)?,
        notice: mail.notice.and_then(|text| serde_json::from_str::<Notice>(&text).ok()),
        created_at: mail.created_at.and_utc(),
        attempts: count(attempts)?,
        addressee,
    })
}

type TicketRow = (Vec<u8>, Vec<u8>, Vec<u8>, String, i64, NaiveDateTime);
type ShowRow = (Vec<u8>, String, String, String, String, String, NaiveDateTime);

/// The rows are found by their primary keys.
const TICKETS: &str =
    "SELECT id, account_id, performance_id, seats, total_amount, created_at FROM reservations WHERE id IN ";
const SHOWS: &str = "SELECT performances.id, concerts.title, concerts.artist, venues.name, venues.location, \
    venues.time_zone, performances.starts_at FROM performances \
    INNER JOIN concerts ON concerts.id = performances.concert_id \
    INNER JOIN venues ON venues.id = performances.venue_id WHERE performances.id IN ";

fn show(row: ShowRow) -> Result<(Vec<u8>, Show), StorageError> {
    let (performance_id, title, artist, venue, location, time_zone, starts_at) = row;
    let show = Show {
        title: name(&title)?,
        artist: name(&artist)?,
        venue: name(&venue)?,
        location: name(&location)?,
        starts_at: starts_at.and_utc(),
        time_zone: TimeZone::new(&time_zone).map_err(|_| damaged("time zone")())?,
    };
    Ok((performance_id, show))
}

impl Store {
    /// Asks for values in lists of bounded length.
    async fn in_lists<K, ST, R>(&self, sql: &'static str, keys: &[K]) -> Result<Vec<R>, StorageError>
    where
        K: Copy + Into<crate::statement::Bind> + Send + Sync,
        ST: 'static,
        R: Send,
        Statement<ST>: for<'q> diesel_async::methods::LoadQuery<'q, Connection, R> + Send,
    {
        let mut found = Vec::new();
        for some in keys.chunks(ROWS_MAX) {
            found.extend(self.read_in_time::<R>(Statement::<ST>::new(sql).list(some.iter().copied())).await?);
        }
        Ok(found)
    }

    async fn tickets_in(&self, reservations: &[ReservationId]) -> Result<Vec<Ticket>, StorageError> {
        type Sql = (Binary, Binary, Binary, Text, BigInt, SqlTimestamp);
        type ShowSql = (Binary, Text, Text, Text, Text, Text, SqlTimestamp);
        let rows = self.in_lists::<_, Sql, TicketRow>(TICKETS, reservations).await?;
        let performances: BTreeSet<PerformanceId> =
            rows.iter().map(|row| parse_id(&row.2)).collect::<Result<_, _>>()?;
        let performances: Vec<_> = performances.into_iter().collect();
        let shows = self.in_lists::<_, ShowSql, ShowRow>(SHOWS, &performances).await?;
        let shows: HashMap<_, _> = shows.into_iter().map(show).collect::<Result<_, _>>()?;
        let ticket = |(id, account_id, performance_id, seats, amount, created_at): TicketRow| {
            let seats: Vec<ReservedSeat> =
                serde_json::from_str(&seats).map_err(|_| damaged("list of reserved seats")())?;
            let Some(show) = shows.get(&performance_id) else { return Ok(None) };
            Ok(Some(Ticket {
                reservation_id: parse_id(&id)?,
                account_id: parse_id(&account_id)?,
                seats: seats.into_iter().map(|seat| seat.label).collect(),
                amount: points(amount)?,
                show: show.clone(),
                held_at: created_at.and_utc(),
            }))
        };
        rows.into_iter().filter_map(|row| ticket(row).transpose()).collect()
    }

    async fn reachable_in(&self, accounts: &[AccountId]) -> Result<Vec<AccountId>, StorageError> {
        const REACHABLE: &str = "SELECT account_id FROM account_emails WHERE address IS NOT NULL AND account_id IN ";
        let rows = self.in_lists::<_, Binary, Vec<u8>>(REACHABLE, accounts).await?;
        rows.iter().map(|bytes| parse_id(bytes)).collect()
    }
}

#[async_trait]
impl MailQueue for Store {
    async fn reachable(&self, accounts: Vec<AccountId>) -> Result<Vec<AccountId>, StorageError> {
        self.reachable_in(&accounts).await
    }

    async fn tickets(&self, reservations: Vec<ReservationId>) -> Result<Vec<Ticket>, StorageError> {
        self.tickets_in(&reservations).await
    }

    async fn tickets_of(
        &self,
        performance_id: PerformanceId,
        page: PageRequest<SeatLabel>,
    ) -> Result<Page<Ticket, SeatLabel>, StorageError> {
        let mut query = seats::table
            .filter(seats::performance_id.eq(performance_id.stored()))
            .filter(seats::reservation_id.is_not_null())
            .filter(seats::held_until.is_null())
            .order(seats::label)
            .limit(i64::from(page.limit) + 1)
            .select((seats::label, seats::reservation_id.assume_not_null()))
            .into_boxed();
        if let Some(after) = &page.after {
            query = query.filter(seats::label.gt(after.as_str().to_owned()));
        }
        let rows: Vec<(String, Vec<u8>)> = self.read_in_time(query).await?;
        let owned = rows
            .into_iter()
            .map(|(label, id)| Ok((SeatLabel::new(&label).map_err(|_| damaged("seat label")())?, parse_id(&id)?)));
        let owned = owned.collect::<Result<Vec<(SeatLabel, ReservationId)>, StorageError>>()?;
        let Page { items, next } = Page::from_rows(owned, page.limit, |(label, _)| label.clone());
        let reservations: BTreeSet<_> = items.into_iter().map(|(_, id)| id).collect();
        let reservations: Vec<_> = reservations.into_iter().collect();
        let mut tickets = self.tickets_in(&reservations).await?;
        let accounts: BTreeSet<_> = tickets.iter().map(|ticket| ticket.account_id).collect();
        let reachable = self.reachable_in(&accounts.into_iter().collect::<Vec<_>>()).await?;
        let reachable: BTreeSet<_> = reachable.into_iter().collect();
        tickets.retain(|ticket| reachable.contains(&ticket.account_id));
        Ok(Page { items: tickets, next })
    }

    async fn queue(&self, mails: Vec<NewMail>) -> Result<(), StorageError> {
        if mails.is_empty() {
            return Ok(());
        }
        let queued =
            self.writer.transaction(mails, |connection, mails| Box::pin(async move { queue(connection, mails).await }));
        Ok(queued.await?)
    }

    async fn due(&self, limit: u32) -> Result<Vec<DueMail>, StorageError> {
        let query = Statement::<DueSql>::new(DUE).bind(self.now());
        let query = query.sql(" ORDER BY mails.next_attempt_at LIMIT ").bind(i64::from(limit));
        self.read_in_time::<DueRow>(query).await?.into_iter().map(due_mail).collect()
    }

    async fn end(&self, mails: Vec<EndedMail>) -> Result<(), StorageError> {
        let ended = self
            .writer
            .transaction((mails, time(self.now())), |connection, (mails, now)| Box::pin(end(connection, mails, *now)));
        Ok(ended.await?)
    }

    async fn postpone(&self, mails: Vec<PostponedMail>) -> Result<(), StorageError> {
        let postponed = self.writer.transaction(mails, |connection, mails| {
            Box::pin(async move {
                for PostponedMail { id, attempts, next_attempt_at } in mails {
                    let waiting = mails::table.find(id.as_bytes().to_vec()).filter(mails::ended_at.is_null());
                    let change =
                        (mails::attempts.eq(i64::from(*attempts)), mails::next_attempt_at.eq(time(*next_attempt_at)));
                    diesel::update(waiting).set(change).execute(connection).await?;
                }
                Ok(())
            })
        });
        Ok(postponed.await?)
    }

    async fn count_waiting(&self) -> Result<u64, StorageError> {
        let query = mails::table.filter(mails::next_attempt_at.is_not_null()).count();
        let counted: Vec<i64> = self.read_in_time(query).await?;
        count(counted.into_iter().sum())
    }
}

/// Leaves of each mail that it was, and how it has ended.
async fn end(connection: &mut Connection, ended: &[EndedMail], now: NaiveDateTime) -> Result<(), Failure> {
    let mut by_outcome: BTreeMap<MailOutcome, Vec<Vec<u8>>> = BTreeMap::new();
    for EndedMail { id, outcome } in ended {
        by_outcome.entry(*outcome).or_default().push(id.as_bytes().to_vec());
    }
    for (outcome, ids) in by_outcome {
        let waiting = mails::table.filter(mails::id.eq_any(ids)).filter(mails::ended_at.is_null());
        let change = (
            mails::address.eq(None::<String>),
            mails::notice.eq(None::<String>),
            mails::next_attempt_at.eq(None::<NaiveDateTime>),
            mails::attempts.eq(mails::attempts + 1),
            mails::ended_at.eq(now),
            mails::outcome.eq(outcome.as_str()),
        );
        diesel::update(waiting).set(change).execute(connection).await?;
    }
    Ok(())
}
