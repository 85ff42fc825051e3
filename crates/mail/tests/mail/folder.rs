//! Mail in a folder.

use std::{fs, os::unix::fs::PermissionsExt};

use boxoffice_contracts::{
    mailer::{ArrivedMail, Subject},
    mailer_contract,
};
use boxoffice_domain::mail::{EmailAddress, MailError, Mailer};
use boxoffice_mail::FolderMailer;
use boxoffice_testkit::{TestFolder, smtp::ParsedMail};

use crate::support::{arrived, clock, mail_to, sender};

struct Folder {
    folder: TestFolder,
    mailer: FolderMailer,
}

impl Folder {
    fn new() -> Self {
        let folder = TestFolder::create();
        let mailer = FolderMailer::open(&folder.join("a/mail"), sender(), clock()).unwrap();
        Self { folder, mailer }
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.folder.join("a/mail")).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }
}

impl Subject for Folder {
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

    async fn subject() -> Folder {
        Folder::new()
    }

    mailer_contract!(subject);
}

#[tokio::test]
async fn a_mail_is_a_file_that_nobody_else_may_read() {
    let (folder, mail) = (Folder::new(), mail_to("reader"));
    folder.mailer.send(&mail).await.unwrap();
    assert_eq!(folder.names(), [format!("2026-12-05T103000.123Z-{}.eml", mail.id)]);
    let mode = |path: &str| fs::metadata(folder.folder.join(path)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("a/mail"), mode(&format!("a/mail/{}", folder.names()[0]))), (0o700, 0o600));
    let content = fs::read_to_string(folder.folder.join("a/mail").join(&folder.names()[0])).unwrap();
    assert!(content.contains(&format!("\r\nMessage-ID: <{}@shop.example.org>\r\n", mail.id)), "{content}");
    assert!(content.contains("\r\nDate: Sat, 05 Dec 2026 10:30:00 +0000\r\n"), "{content}");
}

#[tokio::test]
async fn what_a_killed_process_left_is_in_nobody_s_way() {
    let (folder, mail) = (Folder::new(), mail_to("reader"));
    fs::write(folder.folder.join(&format!("a/mail/.{}.new", mail.id)), "half of a m").unwrap();
    folder.mailer.send(&mail).await.unwrap();
    assert_eq!(folder.names().len(), 1);
    assert_eq!(folder.arrived(&mail.to).len(), 1);
}

#[tokio::test]
async fn a_folder_that_has_gone_is_a_reason_to_try_again() {
    let folder = Folder::new();
    fs::remove_dir_all(folder.folder.join("a")).unwrap();
    let error = folder.mailer.send(&mail_to("reader")).await.unwrap_err();
    assert!(matches!(error, MailError::Temporary(_)), "{error:?}");
    fs::create_dir_all(folder.folder.join("a/mail")).unwrap();
    folder.mailer.send(&mail_to("reader")).await.unwrap();
    assert_eq!(folder.names().len(), 1);
}
