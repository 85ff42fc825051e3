//! Folders for tests.

use std::{
    fs,
    path::{Path, PathBuf},
};

use boxoffice_domain::{EntropySource, fixtures::TestEntropy};

/// A folder that belongs to one test, and is removed when it is dropped.
#[derive(Debug)]
pub struct TestFolder(PathBuf);

impl TestFolder {
    pub fn create() -> Self {
        let path = std::env::temp_dir().join(format!("boxoffice-test-{}", TestEntropy.uuid().simple()));
        fs::create_dir(&path).expect("the folder is new");
        Self(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    pub fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Writes a file, and returns its path.
    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.join(name);
        fs::write(&path, text).expect("the file is written");
        path
    }

    /// The names of its entries.
    pub fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.0).expect("the folder is there");
        entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect()
    }
}

impl Drop for TestFolder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok();
    }
}
