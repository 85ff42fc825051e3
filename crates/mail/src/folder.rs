//! Mail that is kept in a folder: for trying things out, and for machines without mail.

use std::{
    fs::{self, DirBuilder, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use boxoffice_domain::{
    Clock,
    mail::{Mail, MailError, Mailer},
};
use chrono::SecondsFormat;

use crate::{Sender, message};

/// Keeps each mail as a file `TIME-ID.eml` in a folder, which mail programs open. Only the user of the process may read
/// them, since mails have codes and links for one person.
///
/// A file appears whole or not at all. A mail that is there already is not written again; two processes that write the
/// same mail at the same time may both do.
pub struct FolderMailer {
    folder: Arc<Folder>,
    sender: Sender,
    clock: Arc<dyn Clock>,
}

#[derive(Debug)]
struct Folder {
    path: PathBuf,
    /// One mail is written at a time, so that each is there once.
    writing: Mutex<()>,
}

impl std::fmt::Debug for FolderMailer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FolderMailer").field("path", &self.folder.path).finish_non_exhaustive()
    }
}

impl FolderMailer {
    /// Makes the folder if it is not there, for the user of the process alone.
    pub fn open(path: &Path, sender: Sender, clock: Arc<dyn Clock>) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(path)?;
        let folder = Folder { path: path.to_owned(), writing: Mutex::new(()) };
        Ok(Self { folder: Arc::new(folder), sender, clock })
    }
}

#[async_trait]
impl Mailer for FolderMailer {
    async fn send(&self, mail: &Mail) -> Result<(), MailError> {
        let now = self.clock.now();
        let message = message::rendered(mail, &self.sender, now);
        // Colons are not allowed in the names of files everywhere.
        let time = now.to_rfc3339_opts(SecondsFormat::Millis, true).replace(':', "");
        let (folder, id) = (Arc::clone(&self.folder), mail.id.to_string());
        let written = tokio::task::spawn_blocking(move || folder.keep(&time, &id, &message)).await;
        written.map_err(io::Error::other).flatten().map_err(|error| MailError::Temporary(error.into()))
    }
}

impl Folder {
    fn keep(&self, time: &str, id: &str, message: &[u8]) -> io::Result<()> {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let ending = format!("-{id}.eml");
        for entry in fs::read_dir(&self.path)? {
            if entry?.file_name().to_string_lossy().ends_with(&ending) {
                return Ok(());
            }
        }
        let (path, new) = (self.path.join(format!("{time}{ending}")), self.path.join(format!(".{id}.new")));
        write_private(&new, message).and_then(|()| fs::rename(&new, path)).inspect_err(|_| {
            fs::remove_file(&new).ok();
        })
    }
}

fn write_private(path: &Path, content: &[u8]) -> io::Result<()> {
    // What a process left that was killed meanwhile may be another's to read.
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(content)?;
    file.sync_all()
}
