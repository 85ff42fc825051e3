//! What is stored of an account.

use async_trait::async_trait;
use boxoffice_domain::{
    AccountId, ChargeId, ConcertId, SessionId, StorageError,
    accounts::{AccountRecords, Belonging, PublishedKind, Session},
    history::StaffAct,
    page::{Page, PageRequest},
    sale::HoldBudget,
    text::Name,
    wallet::Charge,
};
use diesel::sql_types::{Binary, Text};
use diesel_async::methods::LoadQuery;
use uuid::Uuid;

use super::{
    super::{super::Connection, Store, history::StaffActRow, reservations::HoldBudgetRow, wallet::ChargeRow},
    sessions::SessionRow,
};
use crate::{
    statement::{Bind, Row, Statement},
    stored::{id, name},
};

#[async_trait]
impl AccountRecords for Store {
    async fn all_sessions(
        &self,
        account_id: AccountId,
        page: PageRequest<SessionId>,
    ) -> Result<Page<Session, SessionId>, StorageError> {
        let query = Statement::select::<SessionRow>().sql(" WHERE account_id = ").bind(account_id);
        self.page::<SessionRow, _, _>(query, "id", page, |session: &Session| session.id).await
    }

    async fn owner_of(&self, owned: Belonging) -> Result<Option<AccountId>, StorageError> {
        let select = Statement::<Binary>::new("SELECT account_id FROM ");
        let query = match owned {
            Belonging::Reservation(id) => select.sql("reservations WHERE id = ").bind(id),
            Belonging::Payment(id) => select.sql("payments WHERE id = ").bind(id),
        };
        let rows: Vec<Vec<u8>> = self.read(query).await?;
        rows.first().map(|bytes| id(bytes)).transpose()
    }

    async fn all_charges(
        &self,
        account_id: AccountId,
        page: PageRequest<ChargeId>,
    ) -> Result<Page<Charge, ChargeId>, StorageError> {
        let query = Statement::select::<ChargeRow>().sql(" WHERE account_id = ").bind(account_id);
        self.page::<ChargeRow, _, _>(query, "id", page, |charge: &Charge| charge.id).await
    }

    async fn all_hold_budgets(
        &self,
        account_id: AccountId,
        page: PageRequest<ConcertId>,
    ) -> Result<Page<HoldBudget, ConcertId>, StorageError> {
        // Its rows are found by their concerts.
        let query = Statement::select::<HoldBudgetRow>()
            .sql(" WHERE concert_id IN (SELECT concert_id FROM reservations WHERE account_id = ")
            .bind(account_id)
            .sql(") AND account_id = ")
            .bind(account_id);
        self.page::<HoldBudgetRow, _, _>(query, "concert_id", page, |budget: &HoldBudget| budget.concert_id).await
    }

    async fn all_published(
        &self,
        account_id: AccountId,
        kind: PublishedKind,
        page: PageRequest<Uuid>,
    ) -> Result<Page<(Uuid, Name), Uuid>, StorageError> {
        let query: Statement<(Binary, Text)> = Statement::new(match kind {
            PublishedKind::Venue => "SELECT id, name FROM venues WHERE publisher_id = ",
            PublishedKind::Concert => "SELECT id, title FROM concerts WHERE promoter_id = ",
        });
        let query = after(query.bind(account_id), "id", &page);
        let rows: Vec<(Vec<u8>, String)> = self.read(query).await?;
        let rows = rows.iter().map(|(bytes, text)| Ok((id::<Uuid>(bytes)?, name(text)?)));
        Ok(Page::from_rows(rows.collect::<Result<_, StorageError>>()?, page.limit, |(id, _)| *id))
    }

    async fn all_acts(
        &self,
        account_id: AccountId,
        page: PageRequest<Uuid>,
    ) -> Result<Page<StaffAct, Uuid>, StorageError> {
        let query = Statement::select::<StaffActRow>().sql(" WHERE account_id = ").bind(account_id);
        self.page::<StaffActRow, _, _>(query, "id", page, |act: &StaffAct| act.id).await
    }
}

impl Store {
    /// The rows of a query that come next in the order of `key`.
    async fn page<R, E, K>(
        &self,
        query: Statement<R::Sql>,
        key: &'static str,
        page: PageRequest<K>,
        key_of: impl Fn(&E) -> K + Send,
    ) -> Result<Page<E, K>, StorageError>
    where
        R: Row + Send + 'static,
        E: TryFrom<R, Error = StorageError>,
        K: Copy + Into<Bind> + Send,
        Statement<R::Sql>: LoadQuery<'static, Connection, R>,
    {
        let query = after(query, key, &page);
        let rows: Vec<R> = Box::pin(async { Ok::<_, StorageError>(self.reader().await?.read(query).await?) }).await?;
        let entities = rows.into_iter().map(E::try_from).collect::<Result<_, _>>()?;
        Ok(Page::from_rows(entities, page.limit, key_of))
    }
}

fn after<ST, K: Copy + Into<Bind>>(query: Statement<ST>, key: &'static str, page: &PageRequest<K>) -> Statement<ST> {
    let query = match page.after {
        Some(after) => query.sql(" AND ").sql(key).sql(" > ").bind(after),
        None => query,
    };
    query.sql(" ORDER BY ").sql(key).sql(" LIMIT ").bind(i64::from(page.limit) + 1)
}
