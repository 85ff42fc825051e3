//! What the staff did. The rows are inserted by what they are about.

use async_trait::async_trait;
use boxoffice_domain::{
    ConcertId, StorageError,
    events::Event,
    history::{ActKind, Actor, History, StaffAct},
    page::{Page, PageRequest},
};
use chrono::NaiveDateTime;
use diesel::prelude::*;
use uuid::Uuid;

use super::{super::Connection, Store, failure::Failure, insert::insert, outbox::write_events};
use crate::{
    row::row,
    schema::staff_acts,
    stored::{Stored, damaged, id, json, optional_id},
};

row! {
    pub(super) struct StaffActRow in staff_acts, from (act: &StaffAct, changes: String) {
        id: Vec<u8> = act.id,
        done_at: NaiveDateTime = act.at,
        account_id: Option<Vec<u8>> = act.actor.account_id,
        request_id: Option<String> = act.actor.request_id.clone(),
        kind: String = act.kind.as_str(),
        subject_id: Vec<u8> = act.subject.uuid(),
        concert_id: Option<Vec<u8>> = act.concert_id,
        // JSON.
        changes: String = changes,
    }
}

impl TryFrom<StaffActRow> for StaffAct {
    type Error = StorageError;

    fn try_from(row: StaffActRow) -> Result<Self, StorageError> {
        let kind = ActKind::parse(&row.kind).ok_or_else(damaged("kind of an act"))?;
        Ok(Self {
            id: id(&row.id)?,
            at: row.done_at.and_utc(),
            actor: Actor { account_id: optional_id(row.account_id.as_ref())?, request_id: row.request_id },
            kind,
            subject: kind.subject(id(&row.subject_id)?),
            concert_id: optional_id(row.concert_id.as_ref())?,
            changes: serde_json::from_str(&row.changes).map_err(|_| damaged("list of changes")())?,
        })
    }
}

/// The most acts of one batch of events: an import may have 100,000.
const ACTS_TOGETHER: usize = 500;

/// Writes acts down, in the transaction that does them, with the events of those that are about a concert.
pub(super) async fn write_down(
    connection: &mut Connection,
    acts: impl IntoIterator<Item = &StaffAct>,
) -> Result<(), Failure> {
    let acts: Vec<_> = acts.into_iter().collect();
    let rows = acts.iter().map(|act| Ok(StaffActRow::bind(act, json(&act.changes)?)));
    insert::<StaffActRow>(connection, rows.collect::<Result<Vec<_>, StorageError>>()?).await?;
    let of_concerts: Vec<_> = acts.into_iter().filter(|act| act.concert_id.is_some()).collect();
    for acts in of_concerts.chunks(ACTS_TOGETHER) {
        let Some(first) = acts.first() else { continue };
        let events: Vec<_> = acts.iter().map(|act| Event::StaffActed { act: StaffAct::clone(act) }).collect();
        write_events(connection, first.id, &events, first.at).await?;
    }
    Ok(())
}

#[async_trait]
impl History for Store {
    async fn acts(
        &self,
        concert_id: Option<ConcertId>,
        page: PageRequest<Uuid>,
    ) -> Result<Page<StaffAct, Uuid>, StorageError> {
        let mut query = staff_acts::table
            .order(staff_acts::id.desc())
            .limit(i64::from(page.limit) + 1)
            .select(StaffActRow::as_select())
            .into_boxed();
        if let Some(concert_id) = concert_id {
            query = query.filter(staff_acts::concert_id.eq(concert_id.stored()));
        }
        if let Some(after) = page.after {
            query = query.filter(staff_acts::id.lt(after.as_bytes().to_vec()));
        }
        let rows = self.read(query).await?;
        let acts = rows.into_iter().map(StaffAct::try_from).collect::<Result<Vec<_>, _>>()?;
        Ok(Page::from_rows(acts, page.limit, |act| act.id))
    }
}
