//! The notice of maintenance.

use boxoffice_domain::{fixtures::instant, maintenance::Notice};

use super::{Stage, name};

/// There is one notice for all, until it is taken back; another message does not make it begin later.
pub async fn a_notice_stays_until_it_is_taken_back(stage: &Stage) {
    let maintenance = &stage.storage.maintenance;
    let notice = |message, at| Some(Notice { message: name(message), began_at: instant(at) });
    assert_eq!(maintenance.notice().await.unwrap(), None);
    maintenance.set_notice(None).await.unwrap();
    assert_eq!(maintenance.notice().await.unwrap(), None);
    maintenance.set_notice(notice("back at nine", 5)).await.unwrap();
    assert_eq!(maintenance.notice().await.unwrap(), notice("back at nine", 5));
    maintenance.set_notice(notice("점검 중", 60)).await.unwrap();
    assert_eq!(maintenance.notice().await.unwrap(), notice("점검 중", 5));
    maintenance.set_notice(None).await.unwrap();
    assert_eq!(maintenance.notice().await.unwrap(), None);
    maintenance.set_notice(notice("again", 90)).await.unwrap();
    assert_eq!(maintenance.notice().await.unwrap(), notice("again", 90));
}
