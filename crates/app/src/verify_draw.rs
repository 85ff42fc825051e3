//! Checking a draw that has been held, with nothing but what is public and a list of who was admitted when.
//!
//! The list is in CSV or in JSON lines, one account a line, in the order in which they were admitted. CSV may begin with
//! a line of names; without one its columns are `account_id,draw_number`. What is known of an account: `account_id`, and
//! if it was noted `draw_number`, `position` (in a line that nobody left since) and `admitted_at`. Accounts that were
//! admitted at the same instant may stand in any order among each other; where that is not noted, in none but theirs.

use std::{
    collections::{HashMap, hash_map::Entry},
    fmt,
    fs::File,
    io::{self, BufRead, BufReader, Read},
    path::Path,
};

use anyhow::{Context, anyhow, bail};
use boxoffice_application::draw;
use boxoffice_domain::{
    AccountId,
    waiting_room::{Draw, DrawNumber},
};
use chrono::{DateTime, Utc};
use serde::Deserialize;
use uuid::Uuid;

use crate::{exit::Exit, output};

/// The most bytes of a line; longer ones are no accounts.
const LINE_BYTES_MAX: u64 = 64 * 1024;

/// What is to be checked.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct VerifyDrawOptions {
    /// The hash that the concert showed before the draw: 64 hexadecimal digits
    #[arg(long, value_name = "HASH", value_parser = bytes)]
    seed_hash: Bytes,
    /// The seed that the concert shows since its sale has opened: 64 hexadecimal digits
    #[arg(long, value_name = "SEED", value_parser = bytes)]
    seed: Bytes,
    /// The accounts in the order in which they were admitted, in CSV or JSON lines; `-` for the standard input
    file: String,
}

/// 32 bytes that were given as text.
#[derive(Clone, Copy, Debug)]
struct Bytes([u8; 32]);

fn bytes(text: &str) -> Result<Bytes, &'static str> {
    draw::from_hexadecimal(text).map(Bytes).ok_or("it must have 64 hexadecimal digits")
}

/// Checks a draw, and prints what came of that.
pub(crate) fn run(options: &VerifyDrawOptions) -> anyhow::Result<Exit> {
    let draw = Draw::new(options.seed.0);
    let Some(accounts) = read(&options.file, |list| verify(&options.seed_hash.0, &draw, list))? else {
        return Ok(Exit::Refused);
    };
    output::print_line(&format!("the seed has the published hash, and {accounts} accounts are in the order drawn"))?;
    Ok(Exit::Success)
}

/// How many accounts are in order; `None` where a breach was found and printed.
fn read(
    file: &str,
    verify: impl FnOnce(&mut dyn BufRead) -> anyhow::Result<Result<usize, Breach>>,
) -> anyhow::Result<Option<usize>> {
    let verified = if file == "-" {
        verify(&mut io::stdin().lock()).context("cannot check the standard input")?
    } else {
        let opened = File::open(Path::new(file)).with_context(|| format!("cannot read {file}"))?;
        verify(&mut BufReader::new(opened)).with_context(|| format!("cannot check {file}"))?
    };
    match verified {
        Ok(accounts) => Ok(Some(accounts)),
        Err(breach) => {
            output::print_line(&breach.to_string())?;
            Ok(None)
        }
    }
}

/// The first thing that is not as the draw has it. Lines are counted from 1.
#[derive(Debug, PartialEq, Eq)]
enum Breach {
    Seed { hash: String },
    Number { line: usize, account_id: AccountId, noted: u64, drawn: u64 },
    Twice { line: usize, account_id: AccountId, first: usize },
    NotAdmittedInOrder { line: usize, account_id: AccountId },
    Order { line: usize, account_id: AccountId, drawn: u64, before: Lot },
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Seed { hash } => write!(f, "seed: its hash is {hash}, which is not the published one"),
            Self::Number { line, account_id, noted, drawn } => {
                write!(f, "line {line}: the account {account_id} has drawn {drawn}, not {noted}")
            }
            Self::Twice { line, account_id, first } => {
                write!(f, "line {line}: the account {account_id} is on line {first} too")
            }
            Self::NotAdmittedInOrder { line, account_id } => {
                write!(f, "line {line}: the account {account_id} was not admitted after the one before")
            }
            Self::Order { line, account_id, drawn, before } => {
                let Lot { number, account_id: other } = before;
                write!(
                    f,
                    "line {line}: the account {account_id}, which has drawn {drawn}, was admitted after {other}, which has \
                     drawn {}",
                    number.get()
                )
            }
        }
    }
}

/// Where an account stands in the draw.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Lot {
    number: DrawNumber,
    account_id: AccountId,
}

/// One line of the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
struct Listed {
    account_id: Uuid,
    #[serde(default)]
    draw_number: Option<u64>,
    #[serde(default)]
    position: Option<u64>,
    #[serde(default)]
    admitted_at: Option<DateTime<Utc>>,
}

/// How many accounts are in the order drawn, or the first breach. An error is a list that cannot be read.
fn verify(seed_hash: &[u8; 32], draw: &Draw, list: &mut dyn BufRead) -> anyhow::Result<Result<usize, Breach>> {
    let hash = draw::seed_hash(draw);
    if hash != *seed_hash {
        return Ok(Err(Breach::Seed { hash: draw::hexadecimal(&hash) }));
    }
    let mut check = Check { draw, first_lines: HashMap::new(), last: None, earlier: None, together: None };
    let mut columns = None;
    let mut line = 0;
    while let Some(text) = next_line(list, line + 1)? {
        line += 1;
        let text = text.trim();
        if text.is_empty() {
            continue;
        }
        let listed = if text.starts_with('{') {
            serde_json::from_str(text).with_context(|| format!("line {line} is no account"))?
        } else if columns.is_none() && text.split(',').any(|name| name.trim() == "account_id") {
            columns = Some(text.split(',').map(|name| name.trim().to_owned()).collect::<Vec<_>>());
            continue;
        } else {
            let columns = columns.get_or_insert_with(|| vec!["account_id".to_owned(), "draw_number".to_owned()]);
            account_of(columns, text).with_context(|| format!("line {line} is no account"))?
        };
        if let Err(breach) = check.take(line, listed) {
            return Ok(Err(breach));
        }
    }
    match check.first_lines.len() {
        0 => bail!("no account is in the list"),
        accounts => Ok(Ok(accounts)),
    }
}

fn next_line(list: &mut dyn BufRead, line: usize) -> anyhow::Result<Option<String>> {
    let mut text = String::new();
    list.take(LINE_BYTES_MAX).read_line(&mut text)?;
    if text.len() as u64 == LINE_BYTES_MAX {
        bail!("line {line} is too long");
    }
    Ok(if text.is_empty() { None } else { Some(text) })
}

/// The account in a line of CSV.
fn account_of(columns: &[String], text: &str) -> anyhow::Result<Listed> {
    let fields: Vec<&str> = text.split(',').map(|field| field.trim().trim_matches('"')).collect();
    let field = |name: &str| {
        let place = columns.iter().position(|column| column.trim_matches('"') == name)?;
        fields.get(place).copied().filter(|field| !field.is_empty())
    };
    if fields.len() > columns.len() {
        bail!("it has {} fields instead of {}", fields.len(), columns.len());
    }
    Ok(Listed {
        account_id: field("account_id").ok_or_else(|| anyhow!("it has no account_id"))?.parse()?,
        draw_number: field("draw_number").map(str::parse).transpose().context("draw_number")?,
        position: field("position").map(str::parse).transpose().context("position")?,
        admitted_at: field("admitted_at").map(str::parse).transpose().context("admitted_at")?,
    })
}

/// What has been checked so far.
struct Check<'d> {
    draw: &'d Draw,
    first_lines: HashMap<AccountId, usize>,
    last: Option<Listed>,
    /// The last in the order of all who were admitted before the present instant.
    earlier: Option<Lot>,
    /// The last in the order of those who were admitted at it.
    together: Option<Lot>,
}

impl Check<'_> {
    fn take(&mut self, line: usize, listed: Listed) -> Result<(), Breach> {
        let account_id = AccountId::new(listed.account_id);
        let lot = Lot { number: draw::number(self.draw, account_id), account_id };
        let drawn = lot.number.get();
        match self.first_lines.entry(account_id) {
            Entry::Occupied(first) => return Err(Breach::Twice { line, account_id, first: *first.get() }),
            Entry::Vacant(vacant) => vacant.insert(line),
        };
        if let Some(noted) = listed.draw_number.filter(|noted| *noted != drawn) {
            return Err(Breach::Number { line, account_id, noted, drawn });
        }
        if let Some(last) = self.last.replace(listed) {
            let backwards = |rises: Option<bool>| rises == Some(false);
            let position = last.position.zip(listed.position);
            let admitted_at = last.admitted_at.zip(listed.admitted_at);
            if backwards(position.map(|(last, next)| last < next))
                || backwards(admitted_at.map(|(last, next)| last <= next))
            {
                return Err(Breach::NotAdmittedInOrder { line, account_id });
            }
            let together = admitted_at.is_some_and(|(last, next)| last == next) && position.is_none();
            if !together {
                self.earlier = self.earlier.max(self.together.take());
            }
        }
        if let Some(before) = self.earlier.filter(|before| lot < *before) {
            return Err(Breach::Order { line, account_id, drawn, before });
        }
        self.together = self.together.max(Some(lot));
        Ok(())
    }
}

#[cfg(test)]
#[path = "verify_draw_tests.rs"]
mod tests;
