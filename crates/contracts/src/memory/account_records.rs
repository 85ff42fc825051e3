//! What is stored of an account, and second factors.

use std::collections::BTreeSet;

use async_trait::async_trait;
use boxoffice_domain::{
    AccountId, ChargeId, ConcertId, SessionId, StorageError, Timestamp,
    accounts::{
        AccountRecords, Belonging, CodeAttempt, Confirmation, FactorChanged, PasswordHash, PublishedKind, RightCode,
        SecondFactor, SecondFactors, Session,
    },
    history::StaffAct,
    page::{Page, PageRequest},
    sale::HoldBudget,
    text::Name,
    wallet::Charge,
};
use uuid::Uuid;

use super::{MemoryStore, Rows, page};

#[async_trait]
impl AccountRecords for MemoryStore {
    async fn all_sessions(
        &self,
        account_id: AccountId,
        request: PageRequest<SessionId>,
    ) -> Result<Page<Session, SessionId>, StorageError> {
        let rows = self.rows();
        let own = rows.sessions.values().filter(|session| session.account_id == account_id);
        Ok(page(own.cloned(), request, |session| session.id, SessionId::gt))
    }

    async fn owner_of(&self, owned: Belonging) -> Result<Option<AccountId>, StorageError> {
        let sale = &self.rows().sale;
        Ok(match owned {
            Belonging::Reservation(id) => sale.reservations.get(&id).map(|reservation| reservation.account_id),
            Belonging::Payment(id) => {
                sale.payments.values().find(|payment| payment.id == id).map(|payment| payment.account_id)
            }
        })
    }

    async fn all_charges(
        &self,
        account_id: AccountId,
        request: PageRequest<ChargeId>,
    ) -> Result<Page<Charge, ChargeId>, StorageError> {
        let rows = self.rows();
        let mut own: Vec<_> = rows.sale.charges.values().filter(|charge| charge.account_id == account_id).collect();
        own.sort_unstable_by_key(|charge| charge.id);
        Ok(page(own.into_iter().cloned(), request, |charge| charge.id, ChargeId::gt))
    }

    async fn all_hold_budgets(
        &self,
        account_id: AccountId,
        request: PageRequest<ConcertId>,
    ) -> Result<Page<HoldBudget, ConcertId>, StorageError> {
        let rows = self.rows();
        let budgets = rows.sale.hold_budgets.values().filter(|budget| budget.account_id == account_id);
        let mut own: Vec<_> = budgets.copied().collect();
        own.sort_unstable_by_key(|budget| budget.concert_id);
        Ok(page(own.into_iter(), request, |budget| budget.concert_id, ConcertId::gt))
    }

    async fn all_published(
        &self,
        account_id: AccountId,
        kind: PublishedKind,
        request: PageRequest<Uuid>,
    ) -> Result<Page<(Uuid, Name), Uuid>, StorageError> {
        let rows = self.rows();
        let own: Vec<_> = match kind {
            PublishedKind::Venue => {
                let imported = rows.venues.imported.iter().filter(|((_, owner), _)| *owner == Some(account_id));
                let published = rows.venue_publishers.iter().filter(|(_, publisher)| **publisher == account_id);
                let ids: BTreeSet<_> = imported.map(|(_, id)| id).chain(published.map(|(id, _)| id)).collect();
                ids.into_iter().map(|id| (id.uuid(), rows.venues.rows[id].name.clone())).collect()
            }
            PublishedKind::Concert => {
                let concerts = rows.concerts.rows.values().filter(|concert| concert.promoter_id == Some(account_id));
                concerts.map(|concert| (concert.id.uuid(), concert.title.clone())).collect()
            }
        };
        Ok(page(own.into_iter(), request, |(id, _)| *id, Uuid::gt))
    }

    async fn all_acts(
        &self,
        account_id: AccountId,
        request: PageRequest<Uuid>,
    ) -> Result<Page<StaffAct, Uuid>, StorageError> {
        let rows = self.rows();
        let mut own: Vec<_> = rows.acts.iter().filter(|act| act.actor.account_id == Some(account_id)).collect();
        own.sort_unstable_by_key(|act| act.id);
        Ok(page(own.into_iter().cloned(), request, |act| act.id, Uuid::gt))
    }
}

impl Rows {
    fn factor_changed(
        &mut self,
        account_id: AccountId,
        second_factor_at: Option<Timestamp>,
        ended_sessions: Vec<SessionId>,
        now: Timestamp,
    ) -> FactorChanged {
        let known = self.accounts.get_mut(&account_id).expect("a factor has its account");
        known.standing.second_factor_at = second_factor_at;
        known.standing.void_access_tokens(now);
        FactorChanged { ended_sessions, access_version: known.standing.access_version }
    }
}

#[async_trait]
impl SecondFactors for MemoryStore {
    async fn begin(&self, factor: SecondFactor) -> Result<bool, StorageError> {
        let mut rows = self.rows();
        let is_confirmed = rows.factors.get(&factor.account_id).is_some_and(|known| known.confirmed_at.is_some());
        if !is_confirmed {
            rows.factors.insert(factor.account_id, factor);
        }
        Ok(!is_confirmed)
    }

    async fn find_factor(&self, account_id: AccountId) -> Result<Option<SecondFactor>, StorageError> {
        Ok(self.rows().factors.get(&account_id).cloned())
    }

    async fn attempt(&self, account_id: AccountId) -> Result<CodeAttempt, StorageError> {
        let now = self.now();
        Ok(match self.rows().factors.get_mut(&account_id) {
            None => CodeAttempt::Missing,
            Some(factor) => match factor.attempt(now) {
                Ok(()) => CodeAttempt::Allowed(Box::new(factor.clone())),
                Err(seconds_left) => CodeAttempt::TooMany { seconds_left },
            },
        })
    }

    async fn take(&self, account_id: AccountId, code: RightCode) -> Result<bool, StorageError> {
        let mut rows = self.rows();
        let factor = rows.factors.get_mut(&account_id).filter(|factor| factor.confirmed_at.is_some());
        Ok(factor.is_some_and(|factor| factor.take(code)))
    }

    async fn confirm(&self, confirmation: Confirmation) -> Result<Option<FactorChanged>, StorageError> {
        let Confirmation { account_id, secret, code, recovery_hashes, kept } = confirmation;
        let now = self.now();
        let mut rows = self.rows();
        let begun = rows.factors.get_mut(&account_id);
        let begun = begun.filter(|factor| factor.secret == secret && factor.confirmed_at.is_none());
        let Some(factor) = begun else {
            return Ok(None);
        };
        if !factor.take(code) {
            return Ok(None);
        }
        (factor.confirmed_at, factor.recovery_hashes) = (Some(now), recovery_hashes);
        let ended = rows.end_sessions(account_id, |id| id != kept, now);
        Ok(Some(rows.factor_changed(account_id, Some(now), ended, now)))
    }

    async fn remove(
        &self,
        account_id: AccountId,
        verified: PasswordHash,
    ) -> Result<Option<FactorChanged>, StorageError> {
        let now = self.now();
        let mut rows = self.rows();
        let known = rows.accounts.get(&account_id).filter(|known| known.password_hash == verified);
        if known.is_none_or(|known| known.standing.second_factor_at.is_none()) {
            return Ok(None);
        }
        rows.factors.remove(&account_id);
        Ok(Some(rows.factor_changed(account_id, None, Vec::new(), now)))
    }
}
