//! Reading a list of accounts, as people's programs write it.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, anyhow, bail};
use boxoffice_http::json::{self, Fault, JsonError, Time};
use csv::{ReaderBuilder, StringRecord};
use serde::{Deserialize, de::IgnoredAny};
use uuid::Uuid;

/// What stands between the fields of a line, the usual one first. Spreadsheets use the one of the language of the system.
const SEPARATORS: [char; 3] = [',', ';', '\t'];
const ACCOUNT_ID: &str = "account_id";
const DRAW_NUMBER: &str = "draw_number";
/// What an account is listed with.
const COLUMNS: [&str; 4] = [ACCOUNT_ID, DRAW_NUMBER, "position", "admitted_at"];
/// The most columns without a use that are remembered.
const UNUSED_MAX: usize = 20;

/// One account of the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub(super) struct Listed {
    pub(super) account_id: Uuid,
    pub(super) draw_number: Option<i64>,
    pub(super) position: Option<i64>,
    pub(super) admitted_at: Option<Time>,
}

impl Listed {
    /// The account, if its numbers are such as are counted or drawn.
    fn counted(self) -> anyhow::Result<Self> {
        for (name, number) in [(DRAW_NUMBER, self.draw_number), ("position", self.position)] {
            if number.is_some_and(i64::is_negative) {
                bail!("its {name} must not be negative");
            }
        }
        Ok(self)
    }
}

/// An account with the number of its line, counted from 1; or what is wrong with a line.
pub(super) type Entry = anyhow::Result<(usize, Listed)>;

/// The columns of a list, or members of its objects, that nothing is done with: by their names.
pub(super) type Unused = BTreeSet<String>;

/// The accounts of a list in CSV or in JSON lines. What is read of it adds to `unused`.
pub(super) fn accounts<'t>(text: &'t str, unused: &'t mut Unused) -> Box<dyn Iterator<Item = Entry> + 't> {
    if text.trim_start().starts_with('{') {
        Box::new(of_json_lines(text, unused))
    } else {
        Box::new(of_csv(text, unused))
    }
}

fn note_unused<'n>(unused: &mut Unused, names: impl Iterator<Item = &'n str>) {
    for name in names.filter(|name| !name.is_empty() && !COLUMNS.contains(name)) {
        if unused.len() < UNUSED_MAX && !unused.contains(name) {
            unused.insert(name.to_owned());
        }
    }
}

fn of_json_lines<'t>(text: &'t str, unused: &'t mut Unused) -> impl Iterator<Item = Entry> + 't {
    let lines = text.lines().zip(1..).filter(|(text, _)| !text.trim().is_empty());
    lines.map(|(text, line)| {
        #[expect(clippy::zero_sized_map_values, reason = "a set is not read from an object")]
        if let Ok(members) = serde_json::from_str::<BTreeMap<String, IgnoredAny>>(text) {
            note_unused(unused, members.keys().map(String::as_str));
        }
        let listed = json::read(text.as_bytes()).map_err(wrong_json).and_then(Listed::counted);
        Ok((line, listed.with_context(|| format!("line {line} is not an account"))?))
    })
}

/// What is wrong with a line of JSON, which the message names already.
fn wrong_json(error: JsonError) -> anyhow::Error {
    match error {
        JsonError::Shape(Fault { pointer, message, .. }) if pointer.is_empty() => anyhow!("it {message}"),
        JsonError::Shape(Fault { pointer, message, .. }) => anyhow!("{pointer} {message}"),
        JsonError::CutOff { column, .. } => {
            anyhow!("its JSON ends at column {column}, before it is complete; each account is on one line")
        }
        JsonError::Syntax { column, .. } => {
            anyhow!("it is not JSON at column {column}; check the commas, quotes and brackets there")
        }
        JsonError::Empty => anyhow!("it is empty"),
    }
}

fn of_csv<'t>(text: &'t str, unused: &'t mut Unused) -> impl Iterator<Item = Entry> + 't {
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
            let names: Vec<_> = fields.iter().map(|name| name.to_ascii_lowercase()).collect();
            let mut seen = BTreeSet::new();
            if let Some(twice) = names.iter().find(|name| !name.is_empty() && !seen.insert(*name)) {
                return Some(Err(anyhow!("line {line} has the column `{twice}` twice")));
            }
            note_unused(unused, names.iter().map(String::as_str));
            columns = Some(names);
            return None;
        }
        let columns = columns.get_or_insert_with(|| vec![ACCOUNT_ID.to_owned(), DRAW_NUMBER.to_owned()]);
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
            json::whole_number(text).with_context(|| format!("its {name} must be a whole number, not `{text}`"))
        });
        parsed.transpose()
    };
    let account_id = field(ACCOUNT_ID).context("it has no account_id")?;
    if let Some(rounded) = field(DRAW_NUMBER).filter(|text| text.contains(['e', 'E'])) {
        bail!("its draw_number `{rounded}` is rounded, as spreadsheets show large numbers: write all of its digits");
    }
    let time = |text: &str| json::time(text).map_err(|wrong| anyhow!("its admitted_at `{text}` {wrong}"));
    let listed = Listed {
        account_id: account_id.parse().map_err(|_| anyhow!("`{account_id}` is not the id of an account"))?,
        draw_number: number(DRAW_NUMBER)?,
        position: number("position")?,
        admitted_at: field("admitted_at").map(time).transpose()?.map(Time),
    };
    listed.counted()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> anyhow::Result<Vec<(usize, u128, Option<i64>)>> {
        let entry = |entry: Entry| entry.map(|(line, of)| (line, of.account_id.as_u128(), of.draw_number));
        accounts(text, &mut Unused::new()).map(entry).collect()
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
    fn whole_numbers_and_times_are_read_as_those_of_requests() {
        let one = id(1);
        let at = Some(Time(json::time("2030-01-12T10:00:00.25Z").unwrap()));
        let expected = Listed { account_id: one, draw_number: Some(1_000), position: Some(20), admitted_at: at };
        let time = "2030-01-12T19:00:00.250000000+09:00";
        let json = format!(r#""account_id":"{one}","draw_number":1e3,"position":20.0,"admitted_at":"{time}""#);
        for list in
            [format!("account_id,draw_number,position,admitted_at\n{one},1000.0,2e1,{time}\n"), format!("{{{json}}}")]
        {
            let listed: Vec<_> = accounts(&list, &mut Unused::new()).map(|entry| entry.unwrap().1).collect();
            assert_eq!(listed, [expected], "{list}");
        }
    }

    #[test]
    fn what_has_no_use_is_noted_and_no_column_is_there_twice() {
        let one = id(1);
        let unused = |text: &str| {
            let mut unused = Unused::new();
            assert_eq!(accounts(text, &mut unused).flatten().count(), 1, "{text}");
            unused.into_iter().collect::<Vec<_>>()
        };
        for text in [
            format!("account_id,Postion,draw_nr,\n{one},7,8,\n"),
            format!("{{\"account_id\":\"{one}\",\"postion\":7,\"draw_nr\":8,\"position\":9}}"),
        ] {
            assert_eq!(unused(&text), ["draw_nr", "postion"], "{text}");
        }
        assert!(unused(&format!("admitted_at,POSITION,account_id,draw_number\n,,{one},\n")).is_empty());
        assert!(unused(&format!("{one},7\n")).is_empty());
        let many = (0..100).map(|number| format!("c{number}")).collect::<Vec<_>>().join(",");
        assert_eq!(unused(&format!("account_id,{many}\n{one}\n")).len(), UNUSED_MAX);
        for columns in ["account_id,position,Position", "account_id,Account_ID", "note;account_id;note"] {
            let error = read(&format!("{columns}\n{one}\n")).unwrap_err().to_string();
            assert!(error.starts_with("line 1 has the column `") && error.ends_with("` twice"), "{columns}: {error}");
        }
    }

    #[test]
    fn a_line_of_json_is_refused_in_words_for_people() {
        let one = id(1);
        let account = |members: &str| format!("\n{{\"account_id\":\"{one}\"{members}}}");
        let zone = "/admitted_at has no zone: end it with `Z` for UTC, or with an offset such as `+09:00`";
        let time = "/admitted_at must be a time with its zone, such as `2026-05-01T11:00:00Z`";
        let fine = "/admitted_at must have at most six digits after the second";
        let uuid = "/account_id must be a UUID, such as `01890a5d-ac96-774b-bcce-b302099a8057`";
        for (text, expected) in [
            (account(",\"draw_number\":1.5"), "/draw_number must be a whole number"),
            (account(",\"draw_number\":\"7\""), "/draw_number must be a whole number"),
            (account(",\"position\":-1"), "its position must not be negative"),
            (account(",\"admitted_at\":\"2030-01-12T19:00:00\""), zone),
            (account(",\"admitted_at\":\"2030-01-12T19:00:00.1234567Z\""), fine),
            (account(",\"admitted_at\":1777633200"), time),
            (account(",\"account_id\":1"), "/account_id is given twice"),
            ("\n{\"account_id\":7}".to_owned(), uuid),
            ("\n{\"account_id\":\"x\"}".to_owned(), uuid),
            ("\n{}".to_owned(), "/account_id is required"),
            (
                "\n{\"account_id\":".to_owned(),
                "its JSON ends at column 14, before it is complete; each account is on one line",
            ),
            ("\n{} x".to_owned(), "it is not JSON at column 4; check the commas, quotes and brackets there"),
            (format!("{}\n[]", &account("")[1..]), "it must be an object"),
        ] {
            let error = format!("{:#}", read(&text).unwrap_err());
            assert_eq!(error, format!("line 2 is not an account: {expected}"), "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        let one = id(1);
        for (text, expected) in [
            (
                format!("account_id;draw_number\r\n\r\n{one};9.1E+14\r\n"),
                "line 3 is not an account: its draw_number `9.1E+14` is rounded",
            ),
            (format!("account_id\n{one}\nnoone\n"), "line 3 is not an account: `noone` is not the id"),
            (format!("account_id,position\n,7\n{one}\n"), "line 2 is not an account: it has no account_id"),
            (format!("{one},7,8\n"), "line 1 is not an account: it has 3 fields instead of 2"),
            (
                format!("account_id,admitted_at\n{one},01.12.2030 19:00\n"),
                "line 2 is not an account: its admitted_at `01.12.2030 19:00` must be a time with its zone",
            ),
            (
                format!("account_id,admitted_at\n{one},2030-12-01 19:00\n"),
                "line 2 is not an account: its admitted_at `2030-12-01 19:00` has no zone",
            ),
            (format!("account_id,position\n{one},-1\n"), "line 2 is not an account: its position must not be negative"),
            (
                format!("account_id,position\n{one},1.5\n"),
                "line 2 is not an account: its position must be a whole number, not `1.5`",
            ),
            (format!("{{\"account_id\":\"{one}\"}}\n\n{{}}\n"), "line 3 is not an account: /account_id is required"),
        ] {
            let error = format!("{:#}", read(&text).unwrap_err());
            assert!(error.starts_with(expected), "{text:?}: {error}");
        }
    }
}
