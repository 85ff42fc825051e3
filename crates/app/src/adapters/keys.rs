//! The keys that this installation signs with.

use std::{
    fmt,
    fs::{self, File, OpenOptions},
    io::{self, ErrorKind, Read, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::Path,
};

use anyhow::{Context, Result, bail, ensure};
use base64::{Engine, prelude::BASE64_STANDARD};
use boxoffice_domain::EntropySource;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The name of the file in the data folder.
pub(crate) const FILE_NAME: &str = "keys.json";
/// More than any number of keys that somebody would rotate through.
const FILE_BYTES_MAX: u64 = 1_000_000;

/// 32 secret bytes with a name that is no secret.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Key {
    /// Tells this key from the others of its list.
    pub(crate) id: String,
    #[serde(with = "as_base64")]
    secret: [u8; 32],
    /// Whether it may sign. One that does not is accepted already: it is on its way to every instance.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub(crate) signs: bool,
}

fn yes() -> bool {
    true
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives it so")]
fn is_yes(signs: &bool) -> bool {
    *signs
}

impl Key {
    pub(super) fn new(entropy: &dyn EntropySource) -> Self {
        Self { id: entropy.uuid().to_string(), secret: entropy.secret(), signs: true }
    }

    /// When it was made, as its id says; `None` where somebody gave it another id. In seconds since 1970.
    pub(super) fn made_at_seconds(&self) -> Option<u32> {
        let (seconds, _) = Uuid::parse_str(&self.id).ok()?.get_timestamp()?.to_unix();
        u32::try_from(seconds).ok()
    }

    /// The secret bytes, for signing alone.
    pub(crate) fn expose(&self) -> &[u8; 32] {
        &self.secret
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({}, …)", self.id)
    }
}

/// The keys of an installation, the newest first. The first of a list that may sign does, and all of it are accepted:
/// see `rotation` for how a key is changed while instances run.
///
/// Instances that share a database need the same keys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Keys {
    /// The secrets that access tokens are signed with.
    pub(crate) access_tokens: Vec<Key>,
    /// The HMAC keys that queue tokens are signed with.
    pub(crate) queue_tokens: Vec<Key>,
}

impl Keys {
    /// The keys in the data folder; where there are none yet, new ones are made and kept there, readable by
    /// the owner alone. Processes that start at the same moment end with the same keys.
    pub(crate) fn load_or_create(data_dir: &Path, entropy: &dyn EntropySource) -> Result<Self> {
        let path = data_dir.join(FILE_NAME);
        if let Some(keys) = Self::load(&path)? {
            return Ok(keys);
        }
        fs::create_dir_all(data_dir).with_context(|| format!("cannot make the data folder {}", data_dir.display()))?;
        let keys = Self { access_tokens: vec![Key::new(entropy)], queue_tokens: vec![Key::new(entropy)] };
        keys.publish(data_dir, entropy).with_context(|| format!("cannot write {}", path.display()))?;
        // Read back, as another process may have been first: the file says which keys are good.
        Self::load(&path)?.with_context(|| format!("{} has vanished", path.display()))
    }

    /// The keys in a file that is there already.
    pub(crate) fn load_shared(path: &Path) -> Result<Self> {
        let missing = || format!("there is no file {}: make it with `boxoffice keys rotate`", path.display());
        Self::load(path)?.with_context(missing)
    }

    /// The keys of a list, the one that signs first.
    pub(crate) fn signing_first(list: &[Key]) -> Vec<Key> {
        let signing = list.iter().position(|key| key.signs).unwrap_or(0);
        let rest = list.iter().enumerate().filter(|(index, _)| *index != signing).map(|(_, key)| key);
        list.get(signing).into_iter().chain(rest).cloned().collect()
    }

    pub(super) fn load(path: &Path) -> Result<Option<Self>> {
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).with_context(|| format!("cannot open {}", path.display())),
        };
        Self::read(file).with_context(|| format!("the keys in {} cannot be used", path.display())).map(Some)
    }

    fn read(file: File) -> Result<Self> {
        let mode = file.metadata()?.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            bail!("others than the owner may read or write the file (mode {mode:o}): mend it with `chmod 600`");
        }
        let mut text = String::new();
        file.take(FILE_BYTES_MAX).read_to_string(&mut text)?;
        let keys: Self = serde_json::from_str(&text).map_err(|error| without_content(&error))?;
        ensure!(!keys.access_tokens.is_empty(), "`access_tokens` has no key");
        ensure!(!keys.queue_tokens.is_empty(), "`queue_tokens` has no key");
        ensure!(keys.access_tokens.iter().any(|key| key.signs), "no key of `access_tokens` may sign");
        ensure!(keys.queue_tokens.iter().any(|key| key.signs), "no key of `queue_tokens` may sign");
        ensure!(ids_differ(&keys.access_tokens), "two keys of `access_tokens` have one id");
        ensure!(ids_differ(&keys.queue_tokens), "two keys of `queue_tokens` have one id");
        Ok(keys)
    }

    /// Puts the file in place whole and durable, unless there is one already. A link, unlike a renaming,
    /// never takes the place of a file that another process was quicker to make.
    fn publish(&self, data_dir: &Path, entropy: &dyn EntropySource) -> io::Result<()> {
        let temporary = data_dir.join(format!(".{FILE_NAME}.{}", entropy.uuid()));
        let linked = self.write_to(&temporary).and_then(|()| fs::hard_link(&temporary, data_dir.join(FILE_NAME)));
        fs::remove_file(&temporary).or_else(|error| ignoring(ErrorKind::NotFound, error))?;
        linked.or_else(|error| ignoring(ErrorKind::AlreadyExists, error))?;
        File::open(data_dir)?.sync_all()
    }

    pub(super) fn write_to(&self, path: &Path) -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        let mut text = serde_json::to_string_pretty(self)?;
        text.push('\n');
        file.write_all(text.as_bytes())?;
        file.sync_all()
    }
}

fn ignoring(expected: ErrorKind, error: io::Error) -> io::Result<()> {
    if error.kind() == expected { Ok(()) } else { Err(error) }
}

fn ids_differ(keys: &[Key]) -> bool {
    keys.iter().enumerate().all(|(index, key)| keys[..index].iter().all(|earlier| earlier.id != key.id))
}

/// A message of the parser can quote what it read, which is secret; its position is not.
fn without_content(error: &serde_json::Error) -> anyhow::Error {
    anyhow::anyhow!("the file is not what boxoffice wrote: line {}, column {}", error.line(), error.column())
}

mod as_base64 {
    use serde::{Deserializer, Serializer, de::Error};

    use super::{BASE64_STANDARD, Deserialize, Engine};

    pub(super) fn serialize<S: Serializer>(secret: &[u8; 32], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&BASE64_STANDARD.encode(secret))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<[u8; 32], D::Error> {
        let secret = BASE64_STANDARD.decode(String::deserialize(deserializer)?);
        let secret = secret.map_err(|_| D::Error::custom("a secret is base64"))?;
        secret.try_into().map_err(|_| D::Error::custom("a secret has 32 bytes"))
    }
}

#[cfg(test)]
mod tests {
    use std::{path::PathBuf, sync::Barrier, thread};

    use super::*;
    use crate::adapters::SystemEntropy;

    /// A folder of its own for each test, gone after it.
    struct Folder(PathBuf);

    impl Folder {
        fn new() -> Self {
            let path = std::env::temp_dir().join(format!("boxoffice-keys-{}", SystemEntropy.uuid()));
            Self(path)
        }

        fn file(&self) -> PathBuf {
            self.0.join(FILE_NAME)
        }

        fn load_or_create(&self) -> Result<Keys> {
            Keys::load_or_create(&self.0, &SystemEntropy)
        }
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "the age of a key is told in the real time")]
    fn a_key_says_when_it_was_made_unless_somebody_named_it() {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
        let mut key = Key::new(&SystemEntropy);
        assert!(now.abs_diff(key.made_at_seconds().unwrap().into()) <= 1);
        key.id = "the first".to_owned();
        assert_eq!(key.made_at_seconds(), None);
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).ok();
        }
    }

    fn files(folder: &Folder) -> Vec<String> {
        let names = fs::read_dir(&folder.0).unwrap().map(|entry| entry.unwrap().file_name());
        names.map(|name| name.into_string().unwrap()).collect()
    }

    #[test]
    fn keys_are_made_once_for_the_owner_alone() {
        let folder = Folder::new();
        let made = folder.load_or_create().unwrap();
        assert_eq!(folder.load_or_create().unwrap(), made);
        assert_eq!(fs::metadata(folder.file()).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(files(&folder), [FILE_NAME], "nothing temporary is left");
        assert_ne!(made.access_tokens[0].secret, made.queue_tokens[0].secret);
    }

    #[test]
    fn processes_that_start_together_end_with_the_same_keys() {
        for _ in 0..20 {
            let (folder, start) = (Folder::new(), Barrier::new(8));
            let begin = || {
                start.wait();
                folder.load_or_create().unwrap()
            };
            let keys: Vec<_> = thread::scope(|scope| {
                let threads: Vec<_> = (0..8).map(|_| scope.spawn(begin)).collect();
                threads.into_iter().map(|thread| thread.join().unwrap()).collect()
            });
            assert!(keys.iter().all(|other| *other == keys[0]));
            assert_eq!(files(&folder), [FILE_NAME]);
        }
    }

    #[test]
    fn a_file_that_others_can_read_is_refused_with_the_way_to_mend_it() {
        let folder = Folder::new();
        folder.load_or_create().unwrap();
        fs::set_permissions(folder.file(), fs::Permissions::from_mode(0o640)).unwrap();
        let message = format!("{:#}", folder.load_or_create().unwrap_err());
        assert!(message.contains("640") && message.contains("chmod 600"), "{message}");
    }

    #[test]
    fn a_damaged_file_is_refused_and_kept_and_its_content_not_told() {
        let folder = Folder::new();
        folder.load_or_create().unwrap();
        let whole = fs::read_to_string(folder.file()).unwrap();
        for damaged in [
            "",
            r#"{"access_tokens": "c2VjcmV0"}"#,
            r#"{"access_tokens": [], "queue_tokens": []}"#,
            r#"{"access_tokens": [{"id": "a", "secret": "c2VjcmV0"}], "queue_tokens": []}"#,
            &whole.replace(r#""id""#, r#""signs": false, "id""#),
        ] {
            fs::write(folder.file(), damaged).unwrap();
            let message = format!("{:#}", folder.load_or_create().unwrap_err());
            assert!(message.contains(FILE_NAME) && !message.contains("c2VjcmV0"), "{message}");
            assert_eq!(fs::read_to_string(folder.file()).unwrap(), damaged);
        }
    }

    #[test]
    fn a_key_is_never_printed() {
        let key = Key { id: "a".to_owned(), secret: [7; 32], signs: true };
        let keys = Keys { access_tokens: vec![key.clone()], queue_tokens: vec![key] };
        assert_eq!(format!("{keys:?}"), "Keys { access_tokens: [Key(a, …)], queue_tokens: [Key(a, …)] }");
    }

    #[test]
    fn keys_keep_the_order_in_which_the_file_has_them() {
        let folder = Folder::new();
        let mut keys = folder.load_or_create().unwrap();
        keys.access_tokens.insert(0, Key::new(&SystemEntropy));
        fs::write(folder.file(), serde_json::to_string(&keys).unwrap()).unwrap();
        assert_eq!(folder.load_or_create().unwrap(), keys);
    }
}
