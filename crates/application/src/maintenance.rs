//! Maintenance: what this instance knows of the notice that all instances share.

use std::sync::{
    Arc, PoisonError, RwLock,
    atomic::{AtomicBool, Ordering},
};

use boxoffice_domain::{
    StorageError,
    maintenance::{Maintenance, Notice},
};

/// Whether anything new may be begun.
pub struct MaintenanceMode {
    maintenance: Arc<dyn Maintenance>,
    is_on: AtomicBool,
    notice: RwLock<Option<Notice>>,
}

impl MaintenanceMode {
    /// No notice is known yet.
    pub fn new(maintenance: Arc<dyn Maintenance>) -> Self {
        Self { maintenance, is_on: AtomicBool::new(false), notice: RwLock::default() }
    }

    /// Whether nothing new may be begun, as of the last reading.
    pub fn is_on(&self) -> bool {
        self.is_on.load(Ordering::Relaxed)
    }

    /// What is answered meanwhile, as of the last reading.
    pub fn notice(&self) -> Option<Notice> {
        if !self.is_on() {
            return None;
        }
        self.notice.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Reads the notice; gives it if it is another one than before. To be called each second.
    pub async fn read(&self) -> Result<Option<Option<Notice>>, StorageError> {
        let now = self.maintenance.notice().await?;
        let mut known = self.notice.write().unwrap_or_else(PoisonError::into_inner);
        if *known == now {
            return Ok(None);
        }
        known.clone_from(&now);
        self.is_on.store(now.is_some(), Ordering::Relaxed);
        Ok(Some(now))
    }
}

#[cfg(test)]
mod tests {
    use boxoffice_domain::{Timestamp, maintenance::MockMaintenance, text::Name};

    use super::*;

    #[tokio::test]
    async fn the_notice_counts_from_one_reading_to_the_next_also_if_one_fails() {
        let notice = Notice { message: Name::new("back at nine").unwrap(), began_at: Timestamp::UNIX_EPOCH };
        let mut maintenance = MockMaintenance::new();
        let read = notice.clone();
        maintenance.expect_notice().times(2).returning(move || Ok(Some(read.clone())));
        maintenance.expect_notice().times(1).returning(|| Err(StorageError::Busy));
        maintenance.expect_notice().times(1).returning(|| Ok(None));
        let mode = MaintenanceMode::new(Arc::new(maintenance));
        assert_eq!((mode.is_on(), mode.notice()), (false, None));
        assert_eq!(mode.read().await.unwrap(), Some(Some(notice.clone())));
        assert_eq!(mode.read().await.unwrap(), None);
        assert!(mode.read().await.is_err());
        assert_eq!((mode.is_on(), mode.notice()), (true, Some(notice)));
        assert_eq!(mode.read().await.unwrap(), Some(None));
        assert_eq!((mode.is_on(), mode.notice()), (false, None));
    }
}
