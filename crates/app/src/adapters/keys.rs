//! The keys that sign tokens, and their file.

use std::{
    fmt,
    fs::{self, File, Metadata, OpenOptions, Permissions},
    io::{ErrorKind, Read, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown},
    path::Path,
};

use anyhow::{Context, Result, ensure};
use base64::{Engine, prelude::BASE64_STANDARD};
use boxoffice_domain::{EntropySource, Timestamp};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::private_files;

/// The name of the file in the data folder.
pub(crate) const FILE_NAME: &str = "keys.json";
/// The most bytes of the file, which has some 100 for each key.
const FILE_BYTES_MAX: u64 = 1_000_000;

/// 32 secret bytes with a public id.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Key {
    /// Differs from the ids of the other keys in its list.
    pub(crate) id: String,
    #[serde(with = "as_base64")]
    secret: [u8; 32],
    /// Whether it may sign. A key that may not is accepted already, and on its way to every instance.
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

    /// When it was made, in seconds since 1970, by its id; `None` if an operator gave it another id.
    pub(super) fn made_at_seconds(&self) -> Option<u32> {
        let (seconds, _) = Uuid::parse_str(&self.id).ok()?.get_timestamp()?.to_unix();
        u32::try_from(seconds).ok()
    }

    /// When it was made, in whole seconds, by its id.
    pub(crate) fn made_at(&self) -> Option<Timestamp> {
        Timestamp::from_timestamp(self.made_at_seconds()?.into(), 0)
    }

    pub(crate) fn expose(&self) -> &[u8; 32] {
        &self.secret
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({}, …)", self.id)
    }
}

/// The keys of an installation, the newest first. The first of a list that may sign does, and all are accepted. See
/// `rotation` for how keys change while instances run.
///
/// Instances that share a database need the same keys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Keys {
    pub(crate) access_tokens: Vec<Key>,
    pub(crate) queue_tokens: Vec<Key>,
}

impl Keys {
    pub(super) fn new(entropy: &dyn EntropySource) -> Self {
        Self { access_tokens: vec![Key::new(entropy)], queue_tokens: vec![Key::new(entropy)] }
    }

    /// The keys in the data folder, which are made if there are none. Processes that start together get the same keys.
    pub(crate) fn load_or_create(data_dir: &Path, entropy: &dyn EntropySource) -> Result<Self> {
        let path = data_dir.join(FILE_NAME);
        if let Some(keys) = Self::load(&path)? {
            return Ok(keys);
        }
        fs::create_dir_all(data_dir).with_context(|| format!("cannot make the data folder {}", data_dir.display()))?;
        // Another process may have made them meanwhile.
        Self::change(&path, entropy, |keys| keys.unwrap_or_else(|| Self::new(entropy)))
    }

    /// The keys in a file that has to exist.
    pub(crate) fn load_shared(path: &Path) -> Result<Self> {
        let missing = || format!("there is no file {}: make it with `boxoffice keys rotate`", path.display());
        Self::load(path)?.with_context(missing)
    }

    /// The keys of a list; the one that signs is first.
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
        Self::read(file, path).with_context(|| format!("the keys in {} cannot be used", path.display())).map(Some)
    }

    fn read(file: File, path: &Path) -> Result<Self> {
        if !private_files::is_credential(path) {
            private_files::refuse_if_open(path, &file.metadata()?)?;
        }
        let mut text = String::new();
        file.take(FILE_BYTES_MAX).read_to_string(&mut text)?;
        let keys: Self = serde_json::from_str(&text).map_err(|error| without_content(&error))?;
        for (name, list) in [("access_tokens", &keys.access_tokens), ("queue_tokens", &keys.queue_tokens)] {
            ensure!(!list.is_empty(), "`{name}` has no key");
            ensure!(list.iter().any(|key| key.signs), "no key of `{name}` may sign");
            ensure!(ids_differ(list), "two keys of `{name}` have one id");
        }
        Ok(keys)
    }

    /// Changes the keys of a file, or makes it, readable by its owner only. The file is replaced as a whole, and one change
    /// follows the other. Its owner and its mode stay as they are, since root may change it for the user of the service.
    pub(super) fn change(
        path: &Path,
        entropy: &dyn EntropySource,
        change: impl FnOnce(Option<Self>) -> Self,
    ) -> Result<Self> {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let opened = File::open(folder).with_context(|| format!("cannot open the folder {}", folder.display()))?;
        opened.lock().with_context(|| format!("cannot lock the folder {}", folder.display()))?;
        let keys = change(Self::load(path)?);
        let known = fs::metadata(path).ok();
        // A new file belongs to the owner of its folder.
        let owner = known.as_ref().map_or_else(|| opened.metadata(), |known| Ok(known.clone()))?;
        let mode = known.map_or(0o600, |known| known.permissions().mode() & 0o777);
        let temporary = folder.join(format!(".{FILE_NAME}.{}", entropy.uuid()));
        let written = keys.write_to(&temporary, mode, &owner).and_then(|()| fs::rename(&temporary, path));
        if written.is_err() {
            fs::remove_file(&temporary).ok();
        }
        written.and_then(|()| opened.sync_all()).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(keys)
    }

    fn write_to(&self, path: &Path, mode: u32, owner: &Metadata) -> std::io::Result<()> {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        let own = file.metadata()?;
        if (own.uid(), own.gid()) != (owner.uid(), owner.gid()) {
            match fchown(&file, Some(owner.uid()), Some(owner.gid())) {
                // Only root gives files away. Another user who may replace this one shares its folder.
                Err(error) if error.kind() == ErrorKind::PermissionDenied => {}
                given => given?,
            }
        }
        file.set_permissions(Permissions::from_mode(mode))?;
        let text = serde_json::to_string_pretty(self)? + "\n";
        file.write_all(text.as_bytes())?;
        file.sync_all()
    }
}

fn ids_differ(keys: &[Key]) -> bool {
    keys.iter().enumerate().all(|(index, key)| keys[..index].iter().all(|earlier| earlier.id != key.id))
}

/// The parser may quote what it read, which is secret; the position is not.
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
    use std::{sync::Barrier, thread};

    use boxoffice_testkit::TestFolder;

    use super::*;
    use crate::adapters::SystemEntropy;

    fn load_or_create(folder: &TestFolder) -> Result<Keys> {
        Keys::load_or_create(folder.path(), &SystemEntropy)
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "the age of a key is in real time")]
    fn a_key_says_when_it_was_made_unless_it_was_renamed() {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
        let mut key = Key::new(&SystemEntropy);
        assert!(now.abs_diff(key.made_at_seconds().unwrap().into()) <= 1);
        key.id = "the first".to_owned();
        assert_eq!(key.made_at_seconds(), None);
    }

    #[test]
    fn keys_are_made_once_for_the_owner_alone() {
        let folder = TestFolder::create();
        let made = load_or_create(&folder).unwrap();
        assert_eq!(load_or_create(&folder).unwrap(), made);
        assert_eq!(fs::metadata(folder.join(FILE_NAME)).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(folder.names(), [FILE_NAME], "nothing temporary is left");
        assert_ne!(made.access_tokens[0].secret, made.queue_tokens[0].secret);
    }

    #[test]
    fn a_changed_file_keeps_its_owner_and_its_mode() {
        let folder = TestFolder::create();
        let made = load_or_create(&folder).unwrap();
        let path = folder.join(FILE_NAME);
        fs::set_permissions(&path, Permissions::from_mode(0o400)).unwrap();
        let is_root = fs::metadata(&path).unwrap().uid() == 0;
        let owner = if is_root { 1_234 } else { fs::metadata(&path).unwrap().uid() };
        std::os::unix::fs::chown(&path, Some(owner), None).unwrap();
        Keys::change(&path, &SystemEntropy, |keys| keys.unwrap()).unwrap();
        let changed = fs::metadata(&path).unwrap();
        assert_eq!((changed.permissions().mode() & 0o777, changed.uid()), (0o400, owner));
        if is_root {
            // Made by root in the folder of the service.
            fs::remove_file(&path).unwrap();
            std::os::unix::fs::chown(folder.path(), Some(1_234), Some(1_235)).unwrap();
            assert_ne!(load_or_create(&folder).unwrap(), made);
            let new = fs::metadata(&path).unwrap();
            assert_eq!((new.permissions().mode() & 0o777, new.uid(), new.gid()), (0o600, 1_234, 1_235));
        }
    }

    #[test]
    fn processes_that_start_together_end_with_the_same_keys() {
        for _ in 0..20 {
            let (folder, start) = (TestFolder::create(), Barrier::new(8));
            let begin = || {
                start.wait();
                load_or_create(&folder).unwrap()
            };
            let keys: Vec<_> = thread::scope(|scope| {
                let threads: Vec<_> = (0..8).map(|_| scope.spawn(begin)).collect();
                threads.into_iter().map(|thread| thread.join().unwrap()).collect()
            });
            assert!(keys.iter().all(|other| *other == keys[0]));
            assert_eq!(folder.names(), [FILE_NAME]);
        }
    }

    #[test]
    fn a_file_that_others_can_read_is_refused_with_what_to_do() {
        let folder = TestFolder::create();
        load_or_create(&folder).unwrap();
        fs::set_permissions(folder.join(FILE_NAME), fs::Permissions::from_mode(0o640)).unwrap();
        let message = format!("{:#}", load_or_create(&folder).unwrap_err());
        assert!(message.contains("640") && message.contains("chmod 600"), "{message}");
    }

    #[test]
    fn a_damaged_file_is_refused_and_kept_and_never_quoted() {
        let folder = TestFolder::create();
        load_or_create(&folder).unwrap();
        let whole = fs::read_to_string(folder.join(FILE_NAME)).unwrap();
        for damaged in [
            "",
            r#"{"access_tokens": "c2VjcmV0"}"#,
            r#"{"access_tokens": [], "queue_tokens": []}"#,
            r#"{"access_tokens": [{"id": "a", "secret": "c2VjcmV0"}], "queue_tokens": []}"#,
            &whole.replace(r#""id""#, r#""signs": false, "id""#),
        ] {
            fs::write(folder.join(FILE_NAME), damaged).unwrap();
            let message = format!("{:#}", load_or_create(&folder).unwrap_err());
            assert!(message.contains(FILE_NAME) && !message.contains("c2VjcmV0"), "{message}");
            assert!(Keys::change(&folder.join(FILE_NAME), &SystemEntropy, Option::unwrap).is_err());
            assert_eq!(fs::read_to_string(folder.join(FILE_NAME)).unwrap(), damaged);
        }
    }

    #[test]
    fn a_key_is_never_printed() {
        let key = Key { id: "a".to_owned(), secret: [7; 32], signs: true };
        let keys = Keys { access_tokens: vec![key.clone()], queue_tokens: vec![key] };
        assert_eq!(format!("{keys:?}"), "Keys { access_tokens: [Key(a, …)], queue_tokens: [Key(a, …)] }");
    }
}
