//! Changing the keys while instances run.
//!
//! What one instance signs, every other one must accept. So a new key is first prepared: it is accepted by whoever has
//! read the file, and signs nothing yet. When every instance has it, it is let sign; and when all that the old keys
//! signed has lapsed, they are dropped.

use std::{
    fs::{self, File},
    path::Path,
};

use anyhow::{Context, Result};
use boxoffice_domain::EntropySource;

use super::keys::{FILE_NAME, Key, Keys};

/// How the keys of a file are changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rotation {
    /// Makes a key that is accepted and does not sign; otherwise the newest key signs, and is made where none was
    /// prepared.
    pub(crate) prepare: bool,
    /// How many of the newest keys are kept that may sign; none for all. A prepared one is kept too.
    pub(crate) keep: Option<usize>,
}

/// Changes the keys of a file, or makes it. It is replaced whole, so that who reads it sees the keys of before or of
/// after. Two changes at once come one after the other.
pub(crate) fn rotate(path: &Path, rotation: Rotation, entropy: &dyn EntropySource) -> Result<Keys> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let opened = File::open(folder).with_context(|| format!("cannot open the folder {}", folder.display()))?;
    opened.lock().with_context(|| format!("cannot lock the folder {}", folder.display()))?;
    let keys = match Keys::load(path)? {
        Some(keys) => keys.rotated(rotation, entropy),
        None => Keys { access_tokens: vec![Key::new(entropy)], queue_tokens: vec![Key::new(entropy)] },
    };
    let temporary = folder.join(format!(".{FILE_NAME}.{}", entropy.uuid()));
    let written = keys.write_to(&temporary).and_then(|()| fs::rename(&temporary, path));
    if written.is_err() {
        fs::remove_file(&temporary).ok();
    }
    written.and_then(|()| opened.sync_all()).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(keys)
}

impl Keys {
    fn rotated(self, rotation: Rotation, entropy: &dyn EntropySource) -> Self {
        Self {
            access_tokens: rotated(self.access_tokens, rotation, entropy),
            queue_tokens: rotated(self.queue_tokens, rotation, entropy),
        }
    }
}

fn rotated(mut list: Vec<Key>, rotation: Rotation, entropy: &dyn EntropySource) -> Vec<Key> {
    let is_prepared = list.first().is_some_and(|key| !key.signs);
    if !is_prepared {
        list.insert(0, Key::new(entropy));
    }
    list[0].signs = !rotation.prepare;
    let prepared = usize::from(rotation.prepare);
    list.truncate(rotation.keep.map_or(usize::MAX, |keep| keep.max(1).saturating_add(prepared)));
    list
}

#[cfg(test)]
mod tests {
    use std::{
        os::unix::fs::PermissionsExt,
        path::PathBuf,
        sync::atomic::{AtomicBool, Ordering},
        thread,
    };

    use super::*;
    use crate::adapters::SystemEntropy;

    struct Folder(PathBuf);

    impl Folder {
        fn new() -> Self {
            let path = std::env::temp_dir().join(format!("boxoffice-rotation-{}", SystemEntropy.uuid()));
            fs::create_dir(&path).unwrap();
            Self(path)
        }

        fn file(&self) -> PathBuf {
            self.0.join("shared.json")
        }

        fn rotate(&self, prepare: bool, keep: Option<usize>) -> Keys {
            rotate(&self.file(), Rotation { prepare, keep }, &SystemEntropy).unwrap()
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).ok();
        }
    }

    fn ids(list: &[Key]) -> Vec<&str> {
        list.iter().map(|key| key.id.as_str()).collect()
    }

    #[test]
    fn a_prepared_key_is_accepted_first_and_signs_after_the_next_rotation() {
        let folder = Folder::new();
        assert!(Keys::load_shared(&folder.file()).is_err());
        let first = folder.rotate(false, None);
        assert_eq!(fs::metadata(folder.file()).unwrap().permissions().mode() & 0o777, 0o600);
        let prepared = folder.rotate(true, None);
        assert_eq!(prepared.access_tokens.len(), 2);
        for (before, after) in
            [(&first.access_tokens, &prepared.access_tokens), (&first.queue_tokens, &prepared.queue_tokens)]
        {
            assert!(!after[0].signs && after[1] == before[0]);
            assert_eq!(Keys::signing_first(after)[0], before[0], "the old one still signs");
        }
        assert_eq!(folder.rotate(true, None), prepared, "one is prepared already");
        let rotated = folder.rotate(false, None);
        assert_eq!(ids(&rotated.access_tokens), ids(&prepared.access_tokens));
        assert_eq!(Keys::signing_first(&rotated.access_tokens), rotated.access_tokens);
        assert_eq!(Keys::load_shared(&folder.file()).unwrap(), rotated);
        let names = fs::read_dir(&folder.0).unwrap().count();
        assert_eq!(names, 1, "nothing temporary is left");
    }

    #[test]
    fn without_a_prepared_key_a_new_one_signs_at_once_and_old_ones_are_dropped_when_asked() {
        let folder = Folder::new();
        let first = folder.rotate(false, None);
        let second = folder.rotate(false, None);
        assert_eq!(second.access_tokens[1], first.access_tokens[0]);
        assert!(second.access_tokens[0].signs);
        let third = folder.rotate(false, Some(2));
        assert_eq!(third.queue_tokens[1], second.queue_tokens[0]);
        assert_eq!(third.queue_tokens.len(), 2);
        // The key that signs is never dropped for one that does not sign yet.
        let prepared = folder.rotate(true, Some(1));
        assert_eq!(ids(&prepared.access_tokens)[1..], [third.access_tokens[0].id.as_str()]);
        assert_eq!(ids(&folder.rotate(false, Some(1)).access_tokens), [prepared.access_tokens[0].id.as_str()]);
    }

    #[test]
    fn rotations_at_once_lose_no_key_and_no_reader_sees_half_a_file() {
        let folder = Folder::new();
        folder.rotate(false, None);
        let done = AtomicBool::new(false);
        thread::scope(|scope| {
            let reader = scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    Keys::load_shared(&folder.file()).unwrap();
                }
            });
            let writers: Vec<_> = (0..4)
                .map(|_| {
                    scope.spawn(|| {
                        for _ in 0..10 {
                            folder.rotate(false, None);
                        }
                    })
                })
                .collect();
            for writer in writers {
                writer.join().unwrap();
            }
            done.store(true, Ordering::Relaxed);
            reader.join().unwrap();
        });
        assert_eq!(Keys::load_shared(&folder.file()).unwrap().access_tokens.len(), 41);
    }

    #[test]
    fn a_damaged_file_is_not_written_over() {
        let folder = Folder::new();
        fs::write(folder.file(), "{}").unwrap();
        fs::set_permissions(folder.file(), fs::Permissions::from_mode(0o600)).unwrap();
        assert!(rotate(&folder.file(), Rotation { prepare: false, keep: None }, &SystemEntropy).is_err());
        assert_eq!(fs::read_to_string(folder.file()).unwrap(), "{}");
    }
}
