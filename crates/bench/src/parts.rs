//! The parts of the report. Each compares within itself, in rounds that alternate.

mod compare;
mod events;
mod growth;
mod holds;
mod instances;
mod lone;
mod money;
mod purchase;
mod queue;
mod reads;
mod search;
mod start;

use anyhow::{bail, ensure};

use crate::{options::Bench, report::Section, server::Backend};

/// What can be measured alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Holds(Backend),
    Lone,
    Money(Backend),
    Purchase(Backend),
    Instances,
    Events,
    Webhooks,
    Reads,
    Search,
    Queue,
    Growth,
    Start,
}

impl Part {
    /// In the order of the report.
    pub(crate) const ALL: [Self; 18] = [
        Self::Holds(Backend::MariaDb),
        Self::Holds(Backend::Sqlite),
        Self::Holds(Backend::MySql),
        Self::Lone,
        Self::Money(Backend::MariaDb),
        Self::Money(Backend::Sqlite),
        Self::Money(Backend::MySql),
        Self::Purchase(Backend::MariaDb),
        Self::Purchase(Backend::Sqlite),
        Self::Purchase(Backend::MySql),
        Self::Instances,
        Self::Events,
        Self::Webhooks,
        Self::Reads,
        Self::Search,
        Self::Queue,
        Self::Growth,
        Self::Start,
    ];

    /// The name on the command line and of the picture.
    pub(crate) fn key(self) -> String {
        let of = |word: &str, backend: Backend| format!("{word}-{}", backend.name().to_lowercase());
        match self {
            Self::Holds(backend) => of("holds", backend),
            Self::Lone => of("lone", Backend::MariaDb),
            Self::Money(backend) => of("money", backend),
            Self::Purchase(backend) => of("purchase", backend),
            Self::Instances => of("instances", Backend::MariaDb),
            Self::Events => of("events", Backend::MariaDb),
            Self::Webhooks => of("webhooks", Backend::MariaDb),
            Self::Reads => "reads".to_owned(),
            Self::Search => "search".to_owned(),
            Self::Queue => "queue".to_owned(),
            Self::Growth => "growth".to_owned(),
            Self::Start => "start".to_owned(),
        }
    }

    /// The parts that the options name by their keys or by the first words of their keys; all if they name none.
    pub(crate) fn chosen(bench: &Bench) -> anyhow::Result<Vec<Self>> {
        let names = &bench.only;
        let is = |part: Self, name: &String| {
            let key = part.key();
            key == *name || key.split('-').next() == Some(name)
        };
        if let Some(unknown) = names.iter().find(|name| !Self::ALL.iter().any(|part| is(*part, name))) {
            bail!("there is no part `{unknown}`; --list lists them");
        }
        let mut parts = Self::ALL.to_vec();
        parts.retain(|part| names.is_empty() || names.iter().any(|name| is(*part, name)));
        if bench.compares() {
            parts.retain(|part| compare::can_compare(bench, *part));
            ensure!(!parts.is_empty(), "these parts cannot be compared");
        }
        Ok(parts)
    }

    pub(crate) async fn measure(self, bench: &Bench) -> anyhow::Result<Section> {
        let mut section = match self {
            Self::Holds(_) | Self::Money(_) | Self::Purchase(_) if bench.compares() => {
                compare::run(bench, self).await?
            }
            Self::Holds(backend) => holds::run(bench, backend).await?,
            Self::Lone => lone::run(bench).await?,
            Self::Money(backend) => money::run(bench, backend).await?,
            Self::Purchase(backend) => purchase::run(bench, backend).await?,
            Self::Instances => instances::run(bench).await?,
            Self::Events => events::to_broker(bench).await?,
            Self::Webhooks => events::to_webhooks(bench).await?,
            Self::Reads => reads::run(bench).await?,
            Self::Search => search::run(bench).await?,
            Self::Queue => queue::run(bench).await?,
            Self::Growth => growth::run(bench).await?,
            Self::Start => start::run(bench).await?,
        };
        section.key = self.key();
        Ok(section)
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    fn chosen(arguments: &[&str]) -> anyhow::Result<Vec<Part>> {
        Part::chosen(&Bench::parse_from([&["boxoffice-bench"], arguments].concat()))
    }

    #[test]
    fn parts_are_named_by_their_keys_or_first_words() {
        assert_eq!(chosen(&[]).unwrap().len(), Part::ALL.len());
        assert_eq!(chosen(&["--only", "holds"]).unwrap().len(), 3);
        assert_eq!(chosen(&["--only", "start,holds-sqlite"]).unwrap(), [Part::Holds(Backend::Sqlite), Part::Start]);
        assert!(chosen(&["--only", "hold"]).is_err());
    }

    #[test]
    fn only_parts_that_can_be_compared_are_compared() {
        assert_eq!(chosen(&["--against", "other"]).unwrap().len(), 9);
        assert_eq!(chosen(&["--steady", "64", "--only", "holds-mysql,money"]).unwrap(), [Part::Holds(Backend::MySql)]);
        assert!(chosen(&["--live-holds", "5,15", "--only", "reads"]).is_err());
    }
}
