//! Where settings come from: the file, the variables, the flags.

use std::{
    collections::HashMap,
    fs::File,
    path::{Path, PathBuf},
};

use toml::{Table, Value};

use super::{DEMO_DEFAULTS, Setting, Settings, named, secrets};
use crate::text_file;

/// The prefix of all variables of boxoffice.
pub(crate) const VARIABLE_PREFIX: &str = "BOXOFFICE_";
/// Variables that are not settings: the path of the file, and the password for `boxoffice account`, or its file.
const OTHER_VARIABLES: [&str; 3] = ["BOXOFFICE_CONFIG", "BOXOFFICE_PASSWORD", "BOXOFFICE_PASSWORD_FILE"];
/// The most bytes of the file.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// The sources of settings; a later one wins over an earlier one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Layers {
    pub(crate) file: Option<PathBuf>,
    /// Every variable whose name begins with `BOXOFFICE_`, with its value.
    pub(crate) variables: Vec<(String, String)>,
    /// The flags that were given, by key.
    pub(crate) flags: Vec<(&'static str, String)>,
    /// The folder of the credentials that systemd gives this service.
    pub(crate) credentials: Option<PathBuf>,
}

/// Every setting that is wrong, in words.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub(crate) struct SettingsError(pub(crate) Vec<String>);

impl Settings {
    pub(crate) fn load(layers: &Layers) -> Result<Self, SettingsError> {
        let mut wrong = Vec::new();
        let mut values = Values::default();
        for Setting { key, default, .. } in named() {
            values.set(key, *default, Source::Default, "its default");
        }
        if let Some(path) = &layers.file {
            let source = format!("the file {}", path.display());
            for (key, value) in read_file(path).map_err(|error| SettingsError(vec![error]))? {
                match named().find(|setting| setting.key == key) {
                    Some(setting) => values.set(setting.key, value, Source::File, &source),
                    None => wrong.push(format!("`{key}` is not a setting (in {source})")),
                }
            }
        }
        for setting in named() {
            let variable = setting.variable();
            // A compose file or a shell leaves a variable empty that it does not fill in.
            let given = layers.variables.iter().find(|(name, value)| *name == variable && !value.is_empty());
            if let Some((_, value)) = given {
                values.set(setting.key, value.as_str(), Source::Variable, &format!("the variable {variable}"));
            }
            if let Some((_, value)) = layers.flags.iter().find(|(key, _)| *key == setting.key) {
                values.set(setting.key, value.as_str(), Source::Flag, &format!("the flag --{}", setting.flag()));
            }
        }
        secrets::read_files(&mut values, layers.credentials.as_deref(), &mut wrong);
        if values.text("demo").is_ok_and(|text| text.trim() == "true") {
            for (key, value) in DEMO_DEFAULTS {
                values.set_default(key, value);
            }
        }
        let settings = Self::read(&values, wrong)?;
        if settings.database_ca_file.is_some() && settings.database.sqlite_path().is_some() {
            let wrong = "`database_ca_file` is for a database server, and `database` is a file";
            return Err(SettingsError(vec![wrong.to_owned()]));
        }
        Ok(settings)
    }
}

/// The variables that look like settings and are not. They are worth a warning and not a refusal, since some
/// environments make variables for a service that is called boxoffice.
pub(crate) fn unknown_variables(variables: &[(String, String)]) -> Vec<&str> {
    let names = variables.iter().map(|(name, _)| name.as_str());
    let known = |name: &str| named().any(|setting| setting.variable() == name);
    names.filter(|name| !OTHER_VARIABLES.contains(name) && !known(name)).collect()
}

/// What sets a value; a later one wins over an earlier one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Source {
    Default,
    File,
    Credential,
    Variable,
    Flag,
}

struct Given {
    value: Value,
    source: Source,
    /// The source in words.
    origin: String,
}

/// The value of each setting, with the source that set it.
#[derive(Default)]
pub(super) struct Values(HashMap<&'static str, Given>);

impl Values {
    pub(super) fn set(&mut self, key: &'static str, value: impl Into<Value>, source: Source, origin: &str) {
        self.0.insert(key, Given { value: value.into(), source, origin: origin.to_owned() });
    }

    fn set_default(&mut self, key: &'static str, value: &str) {
        if self.source(key) == Source::Default {
            self.set(key, value, Source::Default, "the demo");
        }
    }

    pub(super) fn source(&self, key: &str) -> Source {
        self.0.get(key).map_or(Source::Default, |given| given.source)
    }

    pub(super) fn origin(&self, key: &str) -> String {
        self.0.get(key).map_or_else(|| "unknown".to_owned(), |given| given.origin.clone())
    }

    pub(super) fn text(&self, key: &str) -> Result<String, String> {
        self.0.get(key).map_or_else(|| Err("is not a setting".to_owned()), |given| text_of(&given.value))
    }

    /// The value of one setting; `None` if it is wrong, which is added to `wrong`.
    pub(super) fn read<T>(
        &self,
        key: &str,
        parse: impl Fn(&str) -> Result<T, String>,
        wrong: &mut Vec<String>,
    ) -> Option<T> {
        match self.text(key).and_then(|text| parse(text.trim())) {
            Ok(value) => Some(value),
            Err(what) => {
                wrong.push(format!("`{key}` {what} (set by {})", self.origin(key)));
                None
            }
        }
    }
}

fn read_file(path: &Path) -> Result<Table, String> {
    let shown = path.display();
    let text = File::open(path).and_then(|file| text_file::read(file, FILE_BYTES_MAX));
    let text = text.map_err(|error| format!("cannot read {shown}: {error}"))?;
    let table = text.parse::<Table>();
    table.map_err(|error| format!("{shown} is not a TOML file: {}", without_source_lines(&error.to_string())))
}

/// The error without the lines of the file that it quotes, in which there may be a password.
fn without_source_lines(error: &str) -> String {
    let quotes =
        |line: &str| line.trim_start().trim_start_matches(|c: char| c.is_ascii_digit()).trim_start().starts_with('|');
    error.lines().filter(|line| !quotes(line)).collect::<Vec<_>>().join(": ")
}

/// A value of the file, as a variable would have it.
fn text_of(value: &Value) -> Result<String, String> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Boolean(on) => Ok(on.to_string()),
        Value::Integer(number) => Ok(number.to_string()),
        Value::Float(_) => Err("must not be a fraction".to_owned()),
        Value::Array(values) => Ok(values.iter().map(text_of).collect::<Result<Vec<_>, _>>()?.join(",")),
        Value::Datetime(_) | Value::Table(_) => Err("must be one value".to_owned()),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use boxoffice_testkit::TestFolder;

    use super::*;
    use crate::settings::Gateway;

    pub(crate) fn variables(texts: &[(&str, &str)]) -> Vec<(String, String)> {
        texts.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    pub(crate) fn of_variables(texts: &[(&str, &str)]) -> Result<Settings, SettingsError> {
        Settings::load(&Layers { variables: variables(texts), ..Layers::default() })
    }

    fn of_file(name: &str, text: &str) -> Result<Settings, SettingsError> {
        let folder = TestFolder::create();
        Settings::load(&Layers { file: Some(folder.write(name, text)), ..Layers::default() })
    }

    #[test]
    fn every_default_is_a_value_of_its_setting() {
        let settings = Settings::load(&Layers::default()).unwrap();
        assert_eq!(settings.listen.to_string(), "127.0.0.1:8080");
        assert_eq!(settings.database_url().to_string(), "sqlite://./data/boxoffice.db");
        assert_eq!((settings.demo, settings.metrics_listen, settings.cors_origins), (false, None, Vec::new()));
        // What OWASP recommends for Argon2id.
        assert_eq!((settings.password_memory_kib, settings.password_iterations), (19_456, 2));
        assert_eq!((settings.hold_seconds.get(), settings.charge_points_max.get()), (300, 10_000_000));
    }

    #[test]
    fn a_flag_wins_over_a_variable_and_a_variable_over_the_file() {
        let text = "hold_seconds = 10\nadmission_seconds = 20\nmax_active = 30\n\
             cors_origins = ['https://a.example', 'http://b.example:81']\ndemo = true\n";
        let folder = TestFolder::create();
        let layers = Layers {
            file: Some(folder.write("precedence.toml", text)),
            variables: variables(&[("BOXOFFICE_HOLD_SECONDS", "11"), ("BOXOFFICE_ADMISSION_SECONDS", "21")]),
            flags: vec![("hold_seconds", "12".to_owned())],
            credentials: None,
        };
        let settings = Settings::load(&layers).unwrap();
        assert_eq!((settings.hold_seconds.get(), settings.admission_seconds, settings.max_active.get()), (12, 21, 30));
        assert_eq!(settings.cors_origins, ["https://a.example", "http://b.example:81"]);
        assert!(settings.demo);
        assert_eq!(of_variables(&[("BOXOFFICE_ADMISSION_SECONDS", "")]).unwrap().admission_seconds, 600, "it is empty");
    }

    #[test]
    fn the_demo_lifts_the_limit_of_an_address_unless_a_source_sets_one() {
        let limit = |texts: &[(&str, &str)]| of_variables(texts).unwrap().account_requests_per_minute;
        assert_eq!(limit(&[("BOXOFFICE_DEMO", "true")]), 0);
        assert_eq!(limit(&[("BOXOFFICE_DEMO", "false")]), 30);
        assert_eq!(limit(&[("BOXOFFICE_DEMO", "true"), ("BOXOFFICE_ACCOUNT_REQUESTS_PER_MINUTE", "30")]), 30);
        let limit = |name, text| of_file(name, text).unwrap().account_requests_per_minute;
        assert_eq!(limit("demo.toml", "demo = true\n"), 0);
        assert_eq!(limit("limited.toml", "demo = true\naccount_requests_per_minute = 5\n"), 5);
    }

    #[test]
    fn only_the_demo_has_a_gateway_by_default() {
        let gateway = |texts: &[(&str, &str)]| of_variables(texts).unwrap().gateway;
        assert_eq!(gateway(&[]), Gateway::None);
        assert_eq!(gateway(&[("BOXOFFICE_DEMO", "true")]), Gateway::Simulator);
        assert_eq!(gateway(&[("BOXOFFICE_DEMO", "true"), ("BOXOFFICE_GATEWAY", "none")]), Gateway::None);
        assert_eq!(gateway(&[("BOXOFFICE_GATEWAY", "simulator")]), Gateway::Simulator);
    }

    #[test]
    fn every_wrong_setting_is_named() {
        let given = [
            ("BOXOFFICE_HOLD_SECONDS", "0"),
            ("BOXOFFICE_ADMISSION_SECONDS", "-1"),
            ("BOXOFFICE_MAX_ACTIVE", "99999999999999999999999"),
            ("BOXOFFICE_QUEUE_CAPACITY", "1.5"),
            ("BOXOFFICE_CHARGE_POINTS_MAX", "0"),
            ("BOXOFFICE_CACHE_MILLISECONDS", "501"),
            ("BOXOFFICE_DEMO", "maybe"),
            ("BOXOFFICE_LOG_FORMAT", "xml"),
            ("BOXOFFICE_LOG", "boxoffice=loud"),
            ("BOXOFFICE_SIMULATOR_MODE", "steal"),
            ("BOXOFFICE_CORS_ORIGINS", "https://a.example/path"),
            ("BOXOFFICE_METRICS_LISTEN", "9090"),
            ("BOXOFFICE_DATABASE", "postgres://localhost/boxoffice"),
            ("BOXOFFICE_WAITING_ROOM", "memcached://localhost"),
            ("BOXOFFICE_REDIS_PREFIX", "box{office}"),
            ("BOXOFFICE_REDIS_TIMEOUT_MILLISECONDS", "0"),
        ];
        let SettingsError(wrong) = of_variables(&given).unwrap_err();
        assert_eq!(wrong.len(), given.len(), "{wrong:#?}");
        for (variable, _) in given {
            let named = wrong.iter().filter(|wrong| wrong.contains(&format!("{variable})"))).count();
            assert_eq!(named, 1, "{variable}");
        }
    }

    #[test]
    fn a_value_of_the_file_has_the_right_type_and_range() {
        for (text, what) in [
            ("hold_seconds = 1.5", "`hold_seconds` must not be a fraction"),
            ("hold_seconds = true", "`hold_seconds` must be a whole number from 1 to 86400, not `true`"),
            ("hold_seconds = [1, 2]", "`hold_seconds` must be a whole number from 1 to 86400, not `1,2`"),
            ("hold_seconds = -1", "`hold_seconds` must be a whole number from 1 to 86400, not `-1`"),
            ("[hold_seconds]\nx = 1", "`hold_seconds` must be one value"),
            ("demo = 1", "`demo` must be `true` or `false`, not `1`"),
            ("hold_second = 10", "`hold_second` is not a setting (in the file "),
            ("[queue]\nhold_seconds = 3", "`queue` is not a setting (in the file "),
        ] {
            let SettingsError(wrong) = of_file("types.toml", text).unwrap_err();
            assert!(wrong.len() == 1 && wrong[0].starts_with(what), "{text}: {wrong:?}");
        }
    }

    #[test]
    fn a_file_that_cannot_be_read_is_named_and_its_lines_are_not_quoted() {
        let layers = Layers { file: Some("/nowhere/boxoffice.toml".into()), ..Layers::default() };
        assert!(Settings::load(&layers).unwrap_err().to_string().starts_with("cannot read /nowhere/boxoffice.toml: "));
        let error = of_file("broken.toml", "database = \"mysql://u:hunter2@h/d\" x\n").unwrap_err().to_string();
        assert!(error.contains("broken.toml is not a TOML file") && error.contains("line 1"), "{error}");
        assert!(!error.contains("hunter2"), "{error}");
    }

    #[test]
    fn a_file_may_begin_with_a_byte_order_mark_and_have_the_lines_of_windows() {
        let settings = of_file("windows.toml", "\u{feff}hold_seconds = 7\r\nmax_active = 3\r\n").unwrap();
        assert_eq!((settings.hold_seconds.get(), settings.max_active.get()), (7, 3));
    }

    #[test]
    fn a_variable_that_is_not_known_is_found() {
        let known = ["HOLD_SECONDS", "DATABASE_FILE", "CONFIG", "PASSWORD", "PASSWORD_FILE"];
        let names = known.into_iter().chain(["HOLD_SECOND"]).map(|name| format!("BOXOFFICE_{name}"));
        let given: Vec<_> = names.map(|name| (name, "1".to_owned())).collect();
        assert_eq!(unknown_variables(&given), ["BOXOFFICE_HOLD_SECOND"]);
    }
}
