use super::*;

fn variables(texts: &[(&str, &str)]) -> Vec<(String, String)> {
    texts.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn of_variables(texts: &[(&str, &str)]) -> Result<Settings, SettingsError> {
    Settings::load(&Layers { variables: variables(texts), ..Layers::default() })
}

/// The one complaint about these variables.
fn refusal(texts: &[(&str, &str)]) -> String {
    let SettingsError(wrong) = of_variables(texts).unwrap_err();
    assert_eq!(wrong.len(), 1, "{wrong:?}");
    wrong.into_iter().next().unwrap()
}

/// A file with this text, in a folder of its own.
fn file(name: &str, text: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("boxoffice-settings-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    path
}

fn of_file(name: &str, text: &str) -> Result<Settings, SettingsError> {
    Settings::load(&Layers { file: Some(file(name, text)), ..Layers::default() })
}

#[test]
fn with_no_settings_at_all_the_defaults_of_the_design_hold() {
    let settings = Settings::load(&Layers::default()).unwrap();
    assert_eq!(settings.listen, "127.0.0.1:8080".parse().unwrap());
    assert_eq!(settings.database_url().to_string(), "sqlite://./data/boxoffice.db");
    assert_eq!((settings.hold_seconds, settings.admission_seconds, settings.max_active), (300, 600, 500));
    assert_eq!((settings.max_seats_per_account, settings.account_requests_per_minute), (4, 30));
    assert_eq!((settings.demo, settings.metrics_listen, settings.shutdown_seconds), (false, None, 30));
    assert_eq!((settings.cors_origins, settings.cache_milliseconds), (Vec::<String>::new(), 250));
}

#[test]
fn a_flag_wins_over_a_variable_and_a_variable_over_the_file() {
    let text = "hold_seconds = 10\nadmission_seconds = 20\nmax_active = 30\ncors_origins = ['https://a.example', 'http://b.example:81']\ndemo = true\n";
    let layers = Layers {
        file: Some(file("precedence.toml", text)),
        variables: variables(&[("BOXOFFICE_HOLD_SECONDS", "11"), ("BOXOFFICE_ADMISSION_SECONDS", "21")]),
        flags: vec![("hold_seconds", "12".to_owned())],
    };
    let settings = Settings::load(&layers).unwrap();
    assert_eq!((settings.hold_seconds, settings.admission_seconds, settings.max_active), (12, 21, 30));
    assert_eq!(settings.cors_origins, ["https://a.example", "http://b.example:81"]);
    assert!(settings.demo);
}

#[test]
fn the_demonstration_alone_lifts_the_limit_of_an_address_and_only_where_none_is_set() {
    let limit = |texts: &[(&str, &str)]| of_variables(texts).unwrap().account_requests_per_minute;
    assert_eq!(limit(&[("BOXOFFICE_DEMO", "true")]), 0);
    assert_eq!(limit(&[("BOXOFFICE_DEMO", "false")]), 30);
    assert_eq!(limit(&[("BOXOFFICE_DEMO", "true"), ("BOXOFFICE_ACCOUNT_REQUESTS_PER_MINUTE", "30")]), 30);
    assert_eq!(of_file("demonstration.toml", "demo = true\n").unwrap().account_requests_per_minute, 0);
    assert_eq!(
        of_file("limited.toml", "demo = true\naccount_requests_per_minute = 5\n").unwrap().account_requests_per_minute,
        5
    );
}

#[test]
fn an_empty_variable_sets_nothing() {
    assert_eq!(of_variables(&[("BOXOFFICE_HOLD_SECONDS", "")]).unwrap().hold_seconds, 300);
}

#[test]
fn a_wrong_value_is_refused_by_its_name_and_source() {
    assert_eq!(
        refusal(&[("BOXOFFICE_HOLD_SECONDS", "soon")]),
        "`hold_seconds` must be a whole number from 1 to 86400, not `soon` (set by the variable BOXOFFICE_HOLD_SECONDS)"
    );
    let flags = vec![("listen", "nowhere".to_owned())];
    let SettingsError(wrong) = Settings::load(&Layers { flags, ..Layers::default() }).unwrap_err();
    assert_eq!(
        wrong,
        ["`listen` must be an address and a port such as 127.0.0.1:8080, not `nowhere` (set by the flag --listen)"]
    );
}

#[test]
fn nothing_is_kept_longer_than_half_a_second() {
    for (given, expected) in [("0", Ok(0)), ("500", Ok(500)), ("501", Err(())), ("-1", Err(()))] {
        let settings = of_variables(&[("BOXOFFICE_CACHE_MILLISECONDS", given)]);
        assert_eq!(settings.map(|settings| settings.cache_milliseconds).map_err(drop), expected, "{given}");
    }
}

#[test]
fn every_wrong_setting_is_named() {
    let wrong = [
        ("BOXOFFICE_HOLD_SECONDS", "0"),
        ("BOXOFFICE_ADMISSION_SECONDS", "-1"),
        ("BOXOFFICE_MAX_ACTIVE", "99999999999999999999999"),
        ("BOXOFFICE_QUEUE_CAPACITY", "1.5"),
        ("BOXOFFICE_DEMO", "maybe"),
        ("BOXOFFICE_LOG_FORMAT", "xml"),
        ("BOXOFFICE_LOG", "boxoffice=loud"),
        ("BOXOFFICE_GATEWAY_MODE", "steal"),
        ("BOXOFFICE_CORS_ORIGINS", "https://a.example/path"),
        ("BOXOFFICE_METRICS_LISTEN", "9090"),
        ("BOXOFFICE_DATABASE", "postgres://localhost/boxoffice"),
        ("BOXOFFICE_WAITING_ROOM", "memcached://localhost"),
        ("BOXOFFICE_REDIS_PREFIX", "box{office}"),
        ("BOXOFFICE_REDIS_TIMEOUT_MILLISECONDS", "0"),
    ];
    let SettingsError(told) = of_variables(&wrong).unwrap_err();
    assert_eq!(told.len(), wrong.len(), "{told:#?}");
    for (variable, _) in wrong {
        assert_eq!(told.iter().filter(|told| told.contains(&format!("{variable})"))).count(), 1, "{variable}");
    }
}

#[test]
fn a_key_of_the_file_that_is_no_setting_is_refused_by_its_name() {
    let error = of_file("unknown.toml", "hold_second = 10\n[queue]\nhold_seconds = 3\n").unwrap_err().to_string();
    assert!(error.contains("`hold_second` is no setting"), "{error}");
    assert!(error.contains("`queue` is no setting"), "{error}");
    assert!(error.contains("unknown.toml"), "{error}");
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
    ] {
        let SettingsError(wrong) = of_file("types.toml", text).unwrap_err();
        assert!(wrong.len() == 1 && wrong[0].starts_with(what), "{text}: {wrong:?}");
    }
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let layers = Layers { file: Some("/nowhere/boxoffice.toml".into()), ..Layers::default() };
    assert!(Settings::load(&layers).unwrap_err().to_string().starts_with("cannot read /nowhere/boxoffice.toml: "));
}

#[test]
fn an_error_in_the_file_does_not_quote_its_lines() {
    let error = of_file("broken.toml", "database = \"mysql://u:hunter2@h/d\" x\n").unwrap_err().to_string();
    assert!(error.contains("broken.toml is not a TOML file") && error.contains("line 1"), "{error}");
    assert!(!error.contains("hunter2"), "{error}");
}

#[test]
fn the_password_in_a_database_url_is_never_shown() {
    let settings =
        of_variables(&[("BOXOFFICE_DATABASE", "mysql://seller:hun@ter2@db.example:3306/boxoffice")]).unwrap();
    let shown = format!("{settings:?} {}", settings.database_url());
    assert!(!shown.contains("hun") && !shown.contains("ter2"), "{shown}");
    assert_eq!(settings.database_url().to_string(), "mysql://seller:…@db.example:3306/boxoffice");
    assert_eq!(settings.database_url().expose(), "mysql://seller:hun@ter2@db.example:3306/boxoffice");
    for wrong in ["mysql://seller:hunter2@db.example", "mysql:seller:hunter2@db.example/boxoffice"] {
        assert!(!refusal(&[("BOXOFFICE_DATABASE", wrong)]).contains("hunter2"));
    }
}

#[test]
fn the_password_in_the_url_of_redis_is_never_shown() {
    let settings = of_variables(&[("BOXOFFICE_WAITING_ROOM", "redis://seller:hunter2@h:6379/1")]).unwrap();
    assert!(!format!("{settings:?}").contains("hunter2"), "{settings:?}");
    for wrong in ["redis:hunter2@h", "redis://:hunter2@h/x", "redis-ring://:hunter2@h", "rediss-sentinel://:hunter2@h"]
    {
        assert!(!refusal(&[("BOXOFFICE_WAITING_ROOM", wrong)]).contains("hunter2"));
    }
}

#[test]
fn a_database_in_a_file_is_found_in_its_url() {
    let path = |url: &str| DatabaseUrl::parse(url).unwrap().sqlite_path().map(Path::to_owned);
    assert_eq!(path("sqlite:///var/lib/b.db"), Some("/var/lib/b.db".into()));
    assert_eq!(path("sqlite://b.db"), Some("b.db".into()));
    assert_eq!(path("sqlite:b.db"), Some("b.db".into()));
    assert_eq!(path("mysql://u@h/d"), None);
    assert!(DatabaseUrl::parse("sqlite:").is_err() && DatabaseUrl::parse("sqlite::memory:").is_err());
}

#[test]
fn the_lines_are_where_the_url_says() {
    let room = |url: &str| of_variables(&[("BOXOFFICE_WAITING_ROOM", url)]).unwrap().waiting_room;
    assert_eq!(room("memory:"), WaitingRoomUrl::Memory);
    for url in ["redis://h:1", "rediss://h", "redis-cluster://a:1,b:2", "redis-sentinel://a,b/main"] {
        assert!(matches!(room(url), WaitingRoomUrl::Redis(shown) if shown.to_string() == url), "{url}");
    }
}

#[test]
fn only_variables_that_are_neither_settings_nor_known_otherwise_are_unknown() {
    let given = variables(&[
        ("BOXOFFICE_HOLD_SECONDS", "1"),
        ("BOXOFFICE_CONFIG", "x"),
        ("BOXOFFICE_PASSWORD", "x"),
        ("BOXOFFICE_HOLD_SECOND", "1"),
    ]);
    assert_eq!(unknown_variables(&given), ["BOXOFFICE_HOLD_SECOND"]);
}

/// A row of the tables in `docs/configuration.md`, up to its meaning.
fn documented(setting: &Setting) -> String {
    let default = if setting.default.is_empty() { "none".to_owned() } else { format!("`{}`", setting.default) };
    format!("| `{}` | {default} |", setting.variable())
}

#[test]
fn the_configuration_page_lists_every_setting_with_its_default() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/configuration.md");
    let page = std::fs::read_to_string(path).unwrap();
    let rows: Vec<_> = page.lines().filter(|line| line.starts_with("| `BOXOFFICE_")).collect();
    let expected: Vec<_> = SETTINGS.iter().map(documented).collect();
    let missing: Vec<_> = expected.iter().filter(|row| !rows.iter().any(|line| line.starts_with(*row))).collect();
    let unknown: Vec<_> = rows.iter().filter(|line| !expected.iter().any(|row| line.starts_with(row))).collect();
    assert!(missing.is_empty() && unknown.is_empty(), "docs/configuration.md lacks {missing:#?} and has {unknown:#?}");
    assert_eq!(rows.len(), SETTINGS.len(), "docs/configuration.md lists a setting twice");
}
