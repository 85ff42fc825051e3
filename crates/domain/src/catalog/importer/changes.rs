//! What an import changes of an entry, in words.

use std::fmt::Display;

use super::super::{
    import::{ImportedChange, Named},
    layout::Layout,
};
use crate::{AccountId, Timestamp, history::FieldChange, rfc3339};

/// What changes of one entry.
pub(super) struct Changes {
    named: Named,
    pub(super) list: Vec<ImportedChange>,
}

impl Changes {
    pub(super) fn of(named: Named) -> Self {
        Self { named, list: Vec::new() }
    }

    pub(super) fn field(&mut self, field: impl Into<String>, before: impl Display, after: impl Display) {
        self.text(field, &before.to_string(), &after.to_string());
    }

    pub(super) fn text(&mut self, field: impl Into<String>, before: &str, after: &str) {
        if before != after {
            let (named, before, after) = (self.named.clone(), before.to_owned(), after.to_owned());
            self.list.push(ImportedChange { named, field: field.into(), before, after });
        }
    }

    pub(super) fn time(&mut self, field: &str, before: Timestamp, after: Timestamp) {
        self.text(field, &rfc3339(before), &rfc3339(after));
    }

    /// A layout is described, not quoted: it has as many entries as there are sections.
    pub(super) fn layout(&mut self, before: Option<&Layout>, after: Option<&Layout>) {
        if before != after {
            let (named, before, after) = (self.named.clone(), Layout::said(before), Layout::said(after));
            self.list.push(ImportedChange { named, field: "layout".to_owned(), before, after });
        }
    }

    /// The changes, as the history has them.
    pub(super) fn fields(&self) -> Vec<FieldChange> {
        let field = |change: &ImportedChange| {
            let ImportedChange { field, before, after, .. } = change.clone();
            FieldChange { field, before: Some(before), after: Some(after) }
        };
        self.list.iter().map(field).collect()
    }

    pub(super) fn owner(&mut self, before: Option<AccountId>, after: Option<AccountId>) {
        let name = |owner: Option<AccountId>| owner.map_or_else(|| "operator".to_owned(), |owner| owner.to_string());
        self.text("owner", &name(before), &name(after));
    }
}
