//! Changing the keys while instances run.
//!
//! Every instance must accept what any other signs. So a new key is first prepared: instances that have read the file
//! accept it, and none signs with it. When every instance has it, it is allowed to sign. When all tokens of the old keys
//! have lapsed, the old keys are dropped.

use std::path::Path;

use anyhow::Result;
use boxoffice_domain::EntropySource;

use super::keys::{Key, Keys};

/// How the keys of a file are changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rotation {
    /// Makes a key that is accepted and does not sign; otherwise the newest key signs, and is made if none was prepared.
    pub(crate) prepare: bool,
    /// How many of the newest keys that may sign are kept; `None` keeps all. A prepared one is kept too.
    pub(crate) keep: Option<usize>,
}

/// Changes the keys of a file, or makes it.
pub(crate) fn rotate(path: &Path, rotation: Rotation, entropy: &dyn EntropySource) -> Result<Keys> {
    Keys::change(path, entropy, |keys| match keys {
        Some(keys) => keys.rotated(rotation, entropy),
        None => Keys::new(entropy),
    })
}

impl Keys {
    pub(super) fn rotated(self, rotation: Rotation, entropy: &dyn EntropySource) -> Self {
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
        fs,
        os::unix::fs::PermissionsExt,
        sync::atomic::{AtomicBool, Ordering},
        thread,
    };

    use boxoffice_testkit::TestFolder;

    use super::*;
    use crate::adapters::SystemEntropy;

    const NAME: &str = "shared.json";

    fn rotate(folder: &TestFolder, prepare: bool, keep: Option<usize>) -> Keys {
        super::rotate(&folder.join(NAME), Rotation { prepare, keep }, &SystemEntropy).unwrap()
    }

    fn ids(list: &[Key]) -> Vec<&str> {
        list.iter().map(|key| key.id.as_str()).collect()
    }

    #[test]
    fn a_prepared_key_is_accepted_first_and_signs_after_the_next_rotation() {
        let folder = TestFolder::create();
        assert!(Keys::load_shared(&folder.join(NAME)).is_err());
        let first = rotate(&folder, false, None);
        assert_eq!(fs::metadata(folder.join(NAME)).unwrap().permissions().mode() & 0o777, 0o600);
        let prepared = rotate(&folder, true, None);
        assert_eq!(prepared.access_tokens.len(), 2);
        for (before, after) in
            [(&first.access_tokens, &prepared.access_tokens), (&first.queue_tokens, &prepared.queue_tokens)]
        {
            assert!(!after[0].signs && after[1] == before[0]);
            assert_eq!(Keys::signing_first(after)[0], before[0], "the old one still signs");
        }
        assert_eq!(rotate(&folder, true, None), prepared, "one is prepared already");
        let rotated = rotate(&folder, false, None);
        assert_eq!(ids(&rotated.access_tokens), ids(&prepared.access_tokens));
        assert_eq!(Keys::signing_first(&rotated.access_tokens), rotated.access_tokens);
        assert_eq!(Keys::load_shared(&folder.join(NAME)).unwrap(), rotated);
        assert_eq!(folder.names(), [NAME], "nothing temporary is left");
    }

    #[test]
    fn without_a_prepared_key_a_new_one_signs_at_once_and_old_ones_are_dropped_when_asked() {
        let folder = TestFolder::create();
        let first = rotate(&folder, false, None);
        let second = rotate(&folder, false, None);
        assert_eq!(second.access_tokens[1], first.access_tokens[0]);
        assert!(second.access_tokens[0].signs);
        let third = rotate(&folder, false, Some(2));
        assert_eq!(third.queue_tokens[1], second.queue_tokens[0]);
        assert_eq!(third.queue_tokens.len(), 2);
        // The key that signs is never dropped in favour of one that does not sign yet.
        let prepared = rotate(&folder, true, Some(1));
        assert_eq!(ids(&prepared.access_tokens)[1..], [third.access_tokens[0].id.as_str()]);
        assert_eq!(ids(&rotate(&folder, false, Some(1)).access_tokens), [prepared.access_tokens[0].id.as_str()]);
    }

    #[test]
    fn rotations_at_once_lose_no_key_and_no_reader_sees_half_a_file() {
        let folder = TestFolder::create();
        rotate(&folder, false, None);
        let done = AtomicBool::new(false);
        thread::scope(|scope| {
            let reader = scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    Keys::load_shared(&folder.join(NAME)).unwrap();
                }
            });
            let ten_times = || (0..10).for_each(|_| drop(rotate(&folder, false, None)));
            let writers: Vec<_> = (0..4).map(|_| scope.spawn(ten_times)).collect();
            for writer in writers {
                writer.join().unwrap();
            }
            done.store(true, Ordering::Relaxed);
            reader.join().unwrap();
        });
        assert_eq!(Keys::load_shared(&folder.join(NAME)).unwrap().access_tokens.len(), 41);
    }
}
