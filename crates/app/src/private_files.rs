//! Files and folders that their owner alone may read: what is in them are keys and the data of accounts.

use std::{fs::Metadata, os::unix::fs::PermissionsExt, path::Path};

use anyhow::{Result, bail};

/// The folder in which systemd puts the credentials of a service. Its files are read by the service alone, although their
/// modes do not say so: it is given access by a list.
pub(crate) const CREDENTIALS_VARIABLE: &str = "CREDENTIALS_DIRECTORY";

/// Refuses a file or a folder that other users of the machine may read or write, and says what to do.
pub(crate) fn refuse_if_open(path: &Path, metadata: &Metadata) -> Result<()> {
    let mode = metadata.permissions().mode() & 0o777;
    if mode.trailing_zeros() >= 6 {
        return Ok(());
    }
    let (kind, right) = if metadata.is_dir() { ("folder", "700") } else { ("file", "600") };
    let path = path.display();
    bail!("users other than the owner may read or write the {kind} {path} (mode {mode:o}): run `chmod {right} {path}`")
}

/// Whether a file is a credential that systemd guards.
pub(crate) fn is_credential(path: &Path) -> bool {
    let folder = std::env::var_os(CREDENTIALS_VARIABLE).filter(|folder| !folder.is_empty());
    folder.is_some_and(|folder| path.parent() == Some(Path::new(&folder)))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use boxoffice_testkit::TestFolder;

    use super::*;

    #[test]
    fn only_the_owner_may_have_a_right() {
        let folder = TestFolder::create();
        let file = folder.write("secret", "");
        let check = |path: &Path, mode| {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
            refuse_if_open(path, &fs::metadata(path).unwrap()).map_err(|error| error.to_string())
        };
        for mode in [0o600, 0o400] {
            check(&file, mode).unwrap();
        }
        for mode in [0o640, 0o604, 0o620, 0o601] {
            let message = check(&file, mode).unwrap_err();
            let told = format!("(mode {mode:o}): run `chmod 600 {}`", file.display());
            assert!(message.contains(&told), "{message}");
        }
        check(folder.path(), 0o700).unwrap();
        let message = check(folder.path(), 0o755).unwrap_err();
        assert!(message.contains("the folder") && message.contains("chmod 700"), "{message}");
    }
}
