//! The documents that are made from measurements.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context;
use serde::{Deserialize, Serialize};

use crate::{machine::Run, report::Section, targets};

const RESULTS: &str = "results.json";
const README: &str = "README.md";
const START: &str = "<!-- results:start -->";
const END: &str = "<!-- results:end -->";

/// A part, and the run in which it was measured.
#[derive(Debug, Serialize, Deserialize)]
struct Part {
    run: Run,
    section: Section,
}

/// The latest run of each part.
#[derive(Debug)]
pub(crate) struct Results {
    folder: PathBuf,
    parts: Vec<Part>,
}

impl Results {
    /// The results of earlier runs in this folder.
    pub(crate) fn of(folder: &Path) -> anyhow::Result<Self> {
        let file = folder.join(RESULTS);
        let parts = if file.exists() {
            serde_json::from_str(&fs::read_to_string(&file)?)
                .with_context(|| format!("{} is of another version; remove it", file.display()))?
        } else {
            Vec::new()
        };
        Ok(Self { folder: folder.to_owned(), parts })
    }

    /// Replaces a part, and writes everything, so that nothing is lost if a later part fails.
    pub(crate) fn add(&mut self, run: &Run, section: Section, order: &[String]) -> anyhow::Result<()> {
        self.parts.retain(|part| part.section.key != section.key);
        self.parts.push(Part { run: run.clone(), section });
        self.parts.sort_by_key(|part| order.iter().position(|key| *key == part.section.key).unwrap_or(order.len()));
        self.write(run)
    }

    /// Writes a part that is a separate document.
    pub(crate) fn write_page(&self, key: &str, page: &str) -> anyhow::Result<()> {
        Ok(fs::write(self.folder.join(format!("{key}.md")), page)?)
    }

    fn write(&self, run: &Run) -> anyhow::Result<()> {
        fs::create_dir_all(&self.folder)?;
        for Part { section, .. } in &self.parts {
            if let Some(picture) = section.picture()? {
                fs::write(self.folder.join(picture_of(section)), picture)?;
            }
        }
        let mut json = serde_json::to_string_pretty(&self.parts)?;
        json.push('\n');
        fs::write(self.folder.join(RESULTS), json)?;
        let readme = self.folder.join(README);
        let text = fs::read_to_string(&readme).with_context(|| format!("cannot read {}", readme.display()))?;
        fs::write(&readme, put_between(&text, &self.markdown(run))?)?;
        Ok(())
    }

    /// Everything, as Markdown.
    fn markdown(&self, run: &Run) -> String {
        let sections: Vec<_> = self.parts.iter().map(|part| &part.section).collect();
        let mut text = format!("{}\n\n{}\n\n", run.machine_text(), run.text());
        let _ = writeln!(text, "### Targets\n\n{}", targets::markdown(&sections));
        for Part { run: measured, section } in &self.parts {
            let mut part = section.markdown();
            if section.curve.is_some() || !section.rows.is_empty() {
                let _ = write!(part, "\n![{}]({})\n", section.title, picture_of(section));
            }
            if measured != run {
                let _ = write!(part, "\nMeasured earlier: {}. {}\n", measured.text(), measured.machine_text());
            }
            let _ = writeln!(text, "{part}");
        }
        text.trim_end().to_owned()
    }
}

fn picture_of(section: &Section) -> String {
    format!("{}.svg", section.key)
}

/// Puts something between the marks, and leaves what is around them.
fn put_between(text: &str, new: &str) -> anyhow::Result<String> {
    let (before, rest) = text.split_once(START).context("the mark of the start is missing")?;
    let (_, after) = rest.split_once(END).context("the mark of the end is missing")?;
    Ok(format!("{before}{START}\n\n{new}\n\n{END}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_around_the_results_is_left() {
        let text = format!("# Before\n{START}\nold\n{END}\n# After\n");
        let put = put_between(&text, "new").unwrap();
        assert_eq!(put, format!("# Before\n{START}\n\nnew\n\n{END}\n# After\n"));
        assert_eq!(put_between(&put, "new").unwrap(), put);
        assert!(put_between("nothing", "new").is_err());
    }
}
