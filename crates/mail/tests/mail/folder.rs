//! Mail in a folder.

use std::{fs, os::unix::fs::PermissionsExt, sync::Arc};

use boxoffice_contracts::{
    mailer::{ArrivedMail, Subject},
    mailer_contract,
};
use boxoffice_domain::{
    fixtures::TestClock,
    mail::{EmailAddress, MailError, Mailer},
};
use boxoffice_mail::{FolderMailer, MailRoute};
use boxoffice_testkit::{TestFolder, smtp::ParsedMail};

use crate::support::{arrived, clock, mail_to, sender};

/// A folder, and a mailer to it.
struct Kept {
    folder: TestFolder,
    clock: Arc<TestClock>,
    mailer: FolderMailer,
}

impl Kept {
    fn new() -> Self {
        let (folder, clock) = (TestFolder::create(), clock());
        let mailer = FolderMailer::open(&folder.join("a/mail"), sender(), Arc::clone(&clock) as _).unwrap();
        Self { folder, clock, mailer }
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.folder.join("a/mail")).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }
}

impl Subject for Kept {
    fn mailer(&self) -> &dyn Mailer {
        &self.mailer
    }

    fn arrived(&self, to: &EmailAddress) -> Vec<ArrivedMail> {
        let paths = self.names().into_iter().map(|name| self.folder.join("a/mail").join(name));
        // Reading takes a process, so only those are read that may be it.
        let names_it = |path: &std::path::PathBuf| fs::read_to_string(path).unwrap().contains(to.as_str());
        let mails = paths.filter(names_it).map(|path| arrived(ParsedMail::of_file(&path).unwrap()));
        mails.filter(|mail| mail.to.iter().any(|(_, address)| address == to.as_str())).collect()
    }

    fn keeps_one_of_each_id(&self) -> bool {
        true
    }
}

mod contract {
    use super::*;

    async fn subject() -> Kept {
        Kept::new()
    }

    mailer_contract!(subject);
}

#[tokio::test]
async fn a_mail_is_a_file_that_nobody_else_may_read() {
    let (kept, mail) = (Kept::new(), mail_to("reader"));
    kept.mailer.send(&mail).await.unwrap();
    assert_eq!(kept.names(), [format!("2026-12-05T103000.123Z-{}.eml", mail.id)]);
    let mode = |path: &str| fs::metadata(kept.folder.join(path)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("a/mail"), mode(&format!("a/mail/{}", kept.names()[0]))), (0o700, 0o600));
    let content = fs::read_to_string(kept.folder.join("a/mail").join(&kept.names()[0])).unwrap();
    assert!(content.contains(&format!("\r\nMessage-ID: <{}@shop.example.org>\r\n", mail.id)), "{content}");
    assert!(content.contains("\r\nDate: Sat, 05 Dec 2026 10:30:00 +0000\r\n"), "{content}");
}

#[tokio::test]
async fn a_mail_that_is_sent_again_later_is_still_one_file() {
    let (kept, mail) = (Kept::new(), mail_to("reader"));
    kept.mailer.send(&mail).await.unwrap();
    let names = kept.names();
    kept.clock.advance_seconds(3_600);
    kept.mailer.send(&mail).await.unwrap();
    assert_eq!(kept.names(), names);
    kept.mailer.send(&mail_to("reader")).await.unwrap();
    assert_eq!(kept.names().len(), 2);
}

#[tokio::test]
async fn what_a_killed_process_left_is_in_nobody_s_way() {
    let (kept, mail) = (Kept::new(), mail_to("reader"));
    fs::write(kept.folder.join(&format!("a/mail/.{}.new", mail.id)), "half of a m").unwrap();
    kept.mailer.send(&mail).await.unwrap();
    assert_eq!(kept.names().len(), 1);
    assert_eq!(kept.arrived(&mail.to).len(), 1);
}

#[tokio::test]
async fn a_folder_that_has_gone_is_a_reason_to_try_again() {
    let kept = Kept::new();
    fs::remove_dir_all(kept.folder.join("a")).unwrap();
    let error = kept.mailer.send(&mail_to("reader")).await.unwrap_err();
    assert!(matches!(error, MailError::Temporary(_)), "{error:?}");
    fs::create_dir_all(kept.folder.join("a/mail")).unwrap();
    kept.mailer.send(&mail_to("reader")).await.unwrap();
    assert_eq!(kept.names().len(), 1);
}

#[tokio::test]
async fn a_route_has_its_mailer() {
    let kept = Kept::new();
    let route: MailRoute = format!("folder:{}", kept.folder.join("a/mail").display()).parse().unwrap();
    let (mailer, mail) = (route.mailer(None, sender(), clock()).unwrap(), mail_to("reader"));
    mailer.send(&mail).await.unwrap();
    assert_eq!(kept.arrived(&mail.to).len(), 1);
    let server: MailRoute = "smtps://mail.example.org".parse().unwrap();
    assert!(server.clone().mailer(None, sender(), clock()).is_ok(), "nothing is connected before the first mail");
    assert!(server.mailer(Some(b"no authority"), sender(), clock()).is_err());
}
