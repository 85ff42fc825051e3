//! The pages that are made from measurements.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context;
use serde::{Deserialize, Serialize};

use crate::{machine::Run, report::Section, targets};

const RESULTS: &str = "results.json";
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
    /// The latest run.
    latest: Option<Run>,
}

impl Results {
    /// Reads the results of earlier runs from a folder.
    pub(crate) fn load(folder: &Path) -> anyhow::Result<Self> {
        let file = folder.join(RESULTS);
        let parts: Vec<Part> = if file.exists() {
            serde_json::from_str(&fs::read_to_string(&file)?)
                .with_context(|| format!("{} has another format; remove it", file.display()))?
        } else {
            Vec::new()
        };
        let latest = parts.iter().map(|part| &part.run).max_by(|one, other| one.date.cmp(&other.date)).cloned();
        Ok(Self { folder: folder.to_owned(), parts, latest })
    }

    /// Replaces a part, and writes all pages, so that the part is kept if a later one fails.
    pub(crate) fn add(&mut self, run: &Run, section: Section, order: &[String]) -> anyhow::Result<()> {
        self.parts.retain(|part| part.section.key != section.key);
        self.parts.push(Part { run: run.clone(), section });
        self.parts.sort_by_key(|part| order.iter().position(|key| *key == part.section.key).unwrap_or(order.len()));
        self.latest = Some(run.clone());
        self.write()
    }

    /// Writes the pages, the pictures and the results.
    pub(crate) fn write(&self) -> anyhow::Result<()> {
        fs::create_dir_all(&self.folder)?;
        for Part { section, .. } in &self.parts {
            if let Some(picture) = section.picture()? {
                fs::write(self.folder.join(picture_of(section)), picture)?;
            }
        }
        let mut json = serde_json::to_string_pretty(&self.parts)?;
        json.push('\n');
        fs::write(self.folder.join(RESULTS), json)?;
        let readme = self.folder.join("README.md");
        let text = fs::read_to_string(&readme).with_context(|| format!("cannot read {}", readme.display()))?;
        fs::write(&readme, put_between(&text, &self.markdown())?)?;
        Ok(())
    }

    fn markdown(&self) -> String {
        let sections: Vec<_> = self.parts.iter().map(|part| &part.section).collect();
        let mut text = String::new();
        if let Some(run) = &self.latest {
            let _ = writeln!(text, "{}\n\n{}\n", run.machine_text(), run.text());
        }
        let _ = writeln!(text, "### Targets\n\n{}", targets::markdown(&sections));
        for Part { run: measured, section } in &self.parts {
            let mut part = section.markdown();
            if section.curve.is_some() || !section.rows.is_empty() {
                let _ = write!(part, "\n![{}]({})\n", section.title, picture_of(section));
            }
            if self.latest.as_ref() != Some(measured) {
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

/// Replaces the text between the marks.
fn put_between(text: &str, new: &str) -> anyhow::Result<String> {
    let (before, rest) = text.split_once(START).context("the mark of the start is missing")?;
    let (_, after) = rest.split_once(END).context("the mark of the end is missing")?;
    Ok(format!("{before}{START}\n\n{new}\n\n{END}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_around_the_results_stays() {
        let text = format!("# Before\n{START}\nold\n{END}\n# After\n");
        let put = put_between(&text, "new").unwrap();
        assert_eq!(put, format!("# Before\n{START}\n\nnew\n\n{END}\n# After\n"));
        assert_eq!(put_between(&put, "new").unwrap(), put);
        assert!(put_between("nothing", "new").is_err());
    }

    #[test]
    fn the_committed_results_have_a_measurement_for_every_target() {
        let results = Results::load(&crate::workspace().join("docs/performance")).unwrap();
        assert!(!results.markdown().contains("not measured"), "{}", results.markdown());
    }
}
