//! Settings with a password in them may be in a file of their own, so that neither a command line nor a variable shows them.

use std::{
    fs::File,
    path::{Path, PathBuf},
};

use super::{
    Setting,
    load::{Source, Values},
};
use crate::text_file;

/// The most bytes of a secret.
const SECRET_BYTES_MAX: u64 = 64 * 1024;

/// The settings that name the file of another setting, whose key they have with `_file` after it.
pub(crate) const SECRET_FILES: &[Setting] = &[
    Setting { key: "database_file", default: "", help: "File that has the value of `database`" },
    Setting { key: "events_file", default: "", help: "File that has the value of `events`" },
    Setting { key: "mail_file", default: "", help: "File that has the value of `mail`" },
    Setting { key: "waiting_room_file", default: "", help: "File that has the value of `waiting_room`" },
];

const SECRETS: [(&str, &str); 4] = [
    ("database", "database_file"),
    ("events", "events_file"),
    ("mail", "mail_file"),
    ("waiting_room", "waiting_room_file"),
];

/// Reads the secrets that are in files: those that a setting names, and the credentials that systemd gives this service,
/// each under the key of its setting. A file wins over weaker sources of its setting, and may not stand beside an equal one.
pub(super) fn read_files(values: &mut Values, credentials: Option<&Path>, wrong: &mut Vec<String>) {
    for (key, file_key) in SECRETS {
        let credential = credentials.map(|folder| folder.join(key)).filter(|path| path.is_file());
        let (plain, file) = (values.source(key), values.source(file_key));
        let path = if file > Source::Default && file == plain {
            wrong.push(format!("`{key}` and `{file_key}` are both set (by {})", values.origin(key)));
            continue;
        } else if file > plain.max(Source::Credential) || (file > plain && credential.is_none()) {
            let path = values.text(file_key).map(|path| PathBuf::from(path.trim()));
            path.map(|path| (path, file, values.origin(file_key)))
        } else {
            let Some(path) = credential.filter(|_| plain < Source::Credential) else { continue };
            Ok((path, Source::Credential, format!("the credential `{key}`")))
        };
        let read = path.and_then(|(path, source, origin)| {
            let text = read_secret(&path)?;
            Ok((text, source, origin))
        });
        match read {
            Ok((text, source, origin)) => values.set(key, text, source, &origin),
            Err(what) => wrong.push(format!("`{file_key}` {what}")),
        }
    }
}

/// The text of a file without the end of its line, or why it cannot be used, after the name of its setting.
pub(crate) fn read_secret(path: &Path) -> Result<String, String> {
    let shown = path.display();
    let text = File::open(path).and_then(|file| text_file::read(file, SECRET_BYTES_MAX));
    let text = text.map_err(|error| format!("cannot be read from {shown}: {error}"))?;
    let text = text.trim_end_matches(['\r', '\n']);
    if text.trim().is_empty() {
        return Err(format!("is empty: nothing is in {shown}"));
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use boxoffice_testkit::TestFolder;

    use super::super::{Layers, Settings, load::tests::variables};
    use super::*;

    const URL: &str = "mysql://seller:hunter2@db.example/boxoffice";

    #[test]
    fn every_secret_has_its_file() {
        for (key, file_key) in SECRETS {
            assert_eq!(file_key, format!("{key}_file"));
            assert!(SECRET_FILES.iter().any(|setting| setting.key == file_key));
            assert!(super::super::SETTINGS.iter().any(|setting| setting.key == key));
        }
        assert_eq!(SECRET_FILES.len(), SECRETS.len());
    }

    /// The database of these sources, where `{dir}` stands for a folder with the files `a` and `b` and the credential
    /// `database`.
    fn database(file: &str, given: &[(&str, &str)], flags: &[(&'static str, &str)], credentials: bool) -> String {
        let folder = TestFolder::create();
        for name in ["a", "b", "database"] {
            folder.write(name, &format!("{URL}-{name}\r\n"));
        }
        let here = |text: &str| text.replace("{dir}", folder.path().to_str().unwrap());
        let given: Vec<_> = given.iter().map(|(name, value)| (*name, here(value))).collect();
        let given: Vec<_> = given.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let layers = Layers {
            file: (!file.is_empty()).then(|| folder.write("boxoffice.toml", &here(file))),
            variables: variables(&given),
            flags: flags.iter().map(|(key, value)| (*key, here(value))).collect(),
            credentials: credentials.then(|| folder.path().to_owned()),
        };
        match Settings::load(&layers) {
            Ok(settings) => settings.database_url().expose().trim_start_matches(URL).to_owned(),
            Err(wrong) => {
                assert!(!wrong.to_string().contains("hunter2"), "{wrong}");
                wrong.to_string().replace(folder.path().to_str().unwrap(), "{dir}")
            }
        }
    }

    #[test]
    fn a_secret_is_read_from_the_file_that_the_strongest_source_names() {
        const FILE_A: &str = "database_file = '{dir}/a'";
        const VARIABLE_B: (&str, &str) = ("BOXOFFICE_DATABASE_FILE", "{dir}/b");
        let flag_a = ("database_file", "{dir}/a");
        assert_eq!(database(FILE_A, &[], &[], false), "-a");
        assert_eq!(database(FILE_A, &[VARIABLE_B], &[], false), "-b");
        assert_eq!(database("", &[VARIABLE_B], &[flag_a], false), "-a");
        // The value of a stronger source wins over a file, and a file over the value of a weaker one.
        assert_eq!(database(FILE_A, &[("BOXOFFICE_DATABASE", "mysql://h/d")], &[], false), "mysql://h/d");
        assert_eq!(database("database = 'mysql://h/d'", &[VARIABLE_B], &[], false), "-b");
        // A credential wins over the file of settings.
        assert_eq!(database("", &[], &[], true), "-database");
        assert_eq!(database(FILE_A, &[], &[], true), "-database");
        assert_eq!(database("database = 'mysql://h/d'", &[], &[], true), "-database");
        assert_eq!(database("", &[VARIABLE_B], &[], true), "-b");
        assert_eq!(database("", &[], &[("database", "mysql://h/d")], true), "mysql://h/d");
    }

    #[test]
    fn a_secret_that_cannot_be_read_is_named() {
        let wrong = database("", &[("BOXOFFICE_DATABASE_FILE", "{dir}/none")], &[], false);
        assert!(wrong.starts_with("`database_file` cannot be read from {dir}/none: "), "{wrong}");
        let both = [("BOXOFFICE_DATABASE_FILE", "{dir}/a"), ("BOXOFFICE_DATABASE", "mysql://h/d")];
        let wrong = database("", &both, &[], false);
        assert_eq!(wrong, "`database` and `database_file` are both set (by the variable BOXOFFICE_DATABASE)");
        let folder = TestFolder::create();
        assert!(read_secret(&folder.write("blank", " \n")).unwrap_err().starts_with("is empty"));
        assert_eq!(read_secret(&folder.write("spaces", " pass word \n\n")), Ok(" pass word ".to_owned()));
    }
}
