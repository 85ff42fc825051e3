//! Reading a list of accounts, as people's programs write it.

use anyhow::{Context, bail};
use chrono::{DateTime, Utc};
use csv::{ReaderBuilder, StringRecord};
use serde::Deserialize;
use uuid::Uuid;

/// What stands between the fields of a line, the usual one first. Spreadsheets use the one of the language of the system.
const SEPARATORS: [char; 3] = [',', ';', '\t'];
const ACCOUNT_ID: &str = "account_id";

/// One account of the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub(super) struct Listed {
    pub(super) account_id: Uuid,
    pub(super) draw_number: Option<u64>,
    pub(super) position: Option<u64>,
    pub(super) admitted_at: Option<DateTime<Utc>>,
}

/// An account with the number of its line, counted from 1; or what is wrong with a line.
pub(super) type Entry = anyhow::Result<(usize, Listed)>;

/// The accounts of a list in CSV or in JSON lines.
pub(super) fn accounts(text: &str) -> Box<dyn Iterator<Item = Entry> + '_> {
    if text.trim_start().starts_with('{') { Box::new(of_json_lines(text)) } else { Box::new(of_csv(text)) }
}

fn of_json_lines(text: &str) -> impl Iterator<Item = Entry> {
    let lines = text.lines().zip(1..).filter(|(text, _)| !text.trim().is_empty());
    lines.map(|(text, line)| {
        let listed = serde_json::from_str(text).with_context(|| format!("line {line} is not an account"))?;
        Ok((line, listed))
    })
}

fn of_csv(text: &str) -> impl Iterator<Item = Entry> {
    let (separator, begin) = separator(text);
    let mut reader = ReaderBuilder::new();
    reader.has_headers(false).flexible(true).delimiter(u8::try_from(separator).unwrap_or(b','));
    let records = reader.from_reader(&text.as_bytes()[begin..]).into_records();
    let (mut lines, mut columns) = (Lines { text, read: 0, line: 1 }, None);
    records.filter_map(move |record| {
        let record = match record.context("the list is not CSV") {
            Ok(record) => record,
            Err(error) => return Some(Err(error)),
        };
        let start = record.position().map_or(0, csv::Position::byte);
        let line = lines.line_at(begin.saturating_add(usize::try_from(start).unwrap_or(usize::MAX)));
        let fields = fields(&record);
        // Spreadsheets write empty lines of separators alone.
        if fields.is_empty() {
            return None;
        }
        if columns.is_none() && fields.iter().any(|name| name.eq_ignore_ascii_case(ACCOUNT_ID)) {
            columns = Some(fields.iter().map(|name| name.to_ascii_lowercase()).collect());
            return None;
        }
        let columns = columns.get_or_insert_with(|| vec![ACCOUNT_ID.to_owned(), "draw_number".to_owned()]);
        let listed = account_of(columns, &fields).with_context(|| format!("line {line} is not an account"));
        Some(listed.map(|listed| (line, listed)))
    })
}

/// What separates the fields, and where the list begins: some programs name the separator in a separate line, such as
/// `sep=;`. Otherwise it is the one that the first line has most of, outside of quotes.
fn separator(text: &str) -> (char, usize) {
    let begin = text.len() - text.trim_start().len();
    let first = text[begin..].lines().next().unwrap_or_default();
    let named = first.trim_start_matches('"').strip_prefix("sep=");
    if let Some(named) = named.and_then(|named| named.chars().next()).filter(char::is_ascii) {
        return (named, begin + first.len());
    }
    let mut is_quoted = false;
    let outside: Vec<char> = first
        .chars()
        .filter(|character| {
            is_quoted ^= *character == '"';
            !is_quoted
        })
        .collect();
    let count = |separator: char| outside.iter().filter(|character| **character == separator).count();
    // Of several with as many, the first.
    let most = SEPARATORS.into_iter().rev().max_by_key(|separator| count(*separator));
    (most.unwrap_or(','), 0)
}

/// The lines of a text, counted as it is read.
struct Lines<'t> {
    text: &'t str,
    read: usize,
    line: usize,
}

impl Lines<'_> {
    /// The line of a record that was read from this place on: empty lines before it are not part of it.
    fn line_at(&mut self, place: usize) -> usize {
        let bytes = self.text.as_bytes();
        let place = place.min(bytes.len());
        let empty = bytes[place..].iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
        let place = place + empty;
        let passed = &bytes[self.read.min(place)..place];
        // A line ends with LF, CR LF, or CR alone.
        let ends = passed.iter().zip(passed.iter().skip(1).chain([&0])).filter(|pair| match pair {
            (b'\n', _) => true,
            (b'\r', next) => **next != b'\n',
            _ => false,
        });
        self.line += ends.count();
        self.read = place;
        self.line
    }
}

/// The fields without spaces and quotes around them, and without empty ones at the end.
fn fields(record: &StringRecord) -> Vec<&str> {
    let mut fields: Vec<_> = record.iter().map(|field| field.trim().trim_matches('"').trim()).collect();
    fields.truncate(fields.iter().rposition(|field| !field.is_empty()).map_or(0, |last| last + 1));
    fields
}

fn account_of(columns: &[String], fields: &[&str]) -> anyhow::Result<Listed> {
    if fields.len() > columns.len() {
        bail!("it has {} fields instead of {}", fields.len(), columns.len());
    }
    let field = |name: &str| {
        let index = columns.iter().position(|column| column == name)?;
        fields.get(index).copied().filter(|field| !field.is_empty())
    };
    let number = |name: &str| {
        let parsed = field(name).map(|text| {
            text.parse::<u64>().map_err(|_| anyhow::anyhow!("its {name} must be a whole number, not `{text}`"))
        });
        parsed.transpose()
    };
    let account_id = field(ACCOUNT_ID).context("it has no account_id")?;
    Ok(Listed {
        account_id: account_id.parse().with_context(|| format!("`{account_id}` is not the id of an account"))?,
        draw_number: number("draw_number")?,
        position: number("position")?,
        admitted_at: field("admitted_at").map(str::parse).transpose().context("its admitted_at is not a time")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> anyhow::Result<Vec<(usize, u128, Option<u64>)>> {
        let entry = |entry: Entry| entry.map(|(line, of)| (line, of.account_id.as_u128(), of.draw_number));
        accounts(text).map(entry).collect()
    }

    fn id(number: u128) -> Uuid {
        Uuid::from_u128(number)
    }

    #[test]
    fn a_list_is_read_as_spreadsheets_write_it() {
        let (one, two) = (id(1), id(2));
        let expected = [(2, 1, Some(7)), (3, 2, Some(8))];
        for text in [
            format!("account_id,draw_number\n{one},7\n{two},8\n"),
            format!("\"account_id\",\"draw_number\"\r\n\"{one}\",\"7\"\r\n\"{two}\",\"8\"\r\n"),
            format!("account_id;draw_number\r\n{one};7\r\n{two};8\r\n;\r\n;\r\n\r\n"),
            format!("Account_ID\tDraw_Number\r\n{one}\t7\r\n{two}\t8"),
            format!("\"draw_number\";\"note, of us\";\"account_id\"\n7;\"a;b\";\"{one}\"\n8;;{two}\n"),
            format!("account_id,draw_number,,\n{one},7,,\n{two},8,,\n,,,\n"),
            format!("account_id , draw_number\n {one} , \"7\" \n {two} , 8 \n  \n"),
            format!("account_id,draw_number\r{one},7\r{two},8\r"),
        ] {
            assert_eq!(read(&text).unwrap(), expected, "{text:?}");
        }
        assert_eq!(read(&format!("\n{{\"account_id\":\"{one}\"}}\r\n\r\n")).unwrap(), [(2, 1, None)]);
        let named = format!("sep=;\r\naccount_id;draw_number\r\n{one};7\r\n\r\n{two};8\r\n");
        assert_eq!(read(&named).unwrap(), [(3, 1, Some(7)), (5, 2, Some(8))]);
        assert_eq!(read(&format!("{one}\n\n{two}\n")).unwrap(), [(1, 1, None), (3, 2, None)]);
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        let one = id(1);
        for (text, expected) in [
            (format!("account_id;draw_number\r\n\r\n{one};9.1E+14\r\n"), "line 3 is not an account: its draw_number"),
            (format!("account_id\n{one}\nnoone\n"), "line 3 is not an account: `noone` is not the id"),
            (format!("account_id,position\n,7\n{one}\n"), "line 2 is not an account: it has no account_id"),
            (format!("{one},7,8\n"), "line 1 is not an account: it has 3 fields instead of 2"),
            (format!("account_id,admitted_at\n{one},01.12.2030 19:00\n"), "line 2 is not an account: its admitted_at"),
            (format!("{{\"account_id\":\"{one}\"}}\n\n{{}}\n"), "line 3 is not an account"),
        ] {
            let error = format!("{:#}", read(&text).unwrap_err());
            assert!(error.starts_with(expected), "{text:?}: {error}");
        }
    }
}
