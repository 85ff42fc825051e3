//! What others must not read: secrets come from files, and files that are open to others are refused.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    path::Path,
};

use boxoffice_testkit::TestFolder;

use crate::{Outcome, boxoffice, folder_with_database, run};

fn set_mode(path: impl AsRef<Path>, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_secret_comes_from_a_file_or_a_credential() {
    let folder = TestFolder::create();
    folder.write("named", "sqlite://{data_dir}/named.db\n");
    run(&folder, &["migrate", "--create", "--database-file", "named"]).prints(&["applied "]);
    fs::create_dir(folder.join("credentials")).unwrap();
    folder.write("credentials/database", "sqlite://{data_dir}/credential.db");
    let credentials = folder.join("credentials");
    Outcome::of(boxoffice(&folder, &["migrate", "--create"]).env("CREDENTIALS_DIRECTORY", &credentials))
        .prints(&["applied "]);
    for name in ["named.db", "credential.db"] {
        assert!(folder.join("data").join(name).exists(), "{name}");
    }
    assert!(!folder.join("data/boxoffice.db").exists());
    run(&folder, &["migrate", "--database-file", "none"]).fails(2, &["`database_file` cannot be read from none"]);
    run(&folder, &["openapi", "--database-file", "named"]).fails(2, &["has no use for --database-file"]);

    // systemd lets the service read a credential by a list, which shows as a right of the group.
    run(&folder, &["keys", "rotate", "--keys-file", "credentials/keys.json"]).prints(&["signs"]);
    set_mode(folder.join("credentials/keys.json"), 0o440);
    let keys = credentials.join("keys.json").display().to_string();
    let mut account = boxoffice(&folder, &["account", "haneul", "--create", "--role", "admin", "--keys-file", &keys]);
    account.env("BOXOFFICE_PASSWORD_FILE", folder.write("password", "long enough\n"));
    Outcome::of(&mut account).fails(2, &["(mode 440): run `chmod 600"]);
    Outcome::of(account.env("CREDENTIALS_DIRECTORY", &credentials)).prints(&["made the account `haneul`"]);
    Outcome::of(account.env("BOXOFFICE_PASSWORD", "another one")).fails(2, &["are both set"]);
}

#[test]
fn data_that_others_may_read_is_refused_with_what_to_do() {
    let folder = folder_with_database();
    for (path, open, private) in [("data/boxoffice.db", 0o644, 0o600), ("data", 0o750, 0o700)] {
        set_mode(folder.join(path), open);
        let refusal = format!("{path} (mode {open:o}): run `chmod {private:o} ./{path}`");
        for command in [&["migrate"][..], &["serve"], &["account", "haneul", "--role", "admin"]] {
            run(&folder, command).fails(2, &["users other than the owner may read or write", &refusal]);
        }
        set_mode(folder.join(path), private);
        run(&folder, &["migrate"]).prints(&["the schema is up to date"]);
    }
    // What SQLite keeps beside the database holds the same data.
    let beside = folder.write("data/boxoffice.db-wal", "");
    set_mode(beside, 0o644);
    run(&folder, &["migrate"]).fails(2, &["boxoffice.db-wal (mode 644)"]);
    fs::remove_file(folder.join("data/boxoffice.db-wal")).unwrap();
    // A copy that somebody made elsewhere can be checked as it is.
    fs::copy(folder.join("data/boxoffice.db"), folder.join("copy.db")).unwrap();
    set_mode(folder.join("copy.db"), 0o644);
    run(&folder, &["audit", "--database", "sqlite://copy.db"]).prints(&["no breach found"]);
}
