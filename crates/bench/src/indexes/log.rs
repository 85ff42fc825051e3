//! What the server asked the database, from the database's own log.
//!
//! The log has every statement with its values put in. A value that is not text, such as an id, stands there as raw
//! bytes; it is written as hexadecimal digits, so that the statement can be sent again.

use std::fmt::Write as _;

/// A statement of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Logged {
    /// As it can be sent again.
    pub(super) sql: String,
    /// The same without its values: what all statements of a kind have in common.
    pub(super) shape: String,
}

/// The kinds of statement that are looked at; transactions and settings of sessions are not.
const VERBS: [&str; 5] = ["SELECT ", "WITH ", "INSERT ", "UPDATE ", "DELETE "];
/// The table in which the migrations are counted is not one of ours.
const MIGRATIONS: &str = "__diesel_schema_migrations";
/// A word of the schema, such as a status, is kept in a shape, and has at most so many letters.
const WORD_LETTERS_MAX: usize = 24;

impl Logged {
    /// Reads an entry of the log; `None` where it is no query about the tables.
    pub(super) fn read(argument: &[u8]) -> Option<Self> {
        let mut read = Self { sql: String::new(), shape: String::new() };
        let mut rest = argument;
        while let Some((&byte, after)) = rest.split_first() {
            rest = match byte {
                b'\'' => read.literal(after),
                b'0'..=b'9' if read.ends_a_word() => read.number(rest),
                b'`' => {
                    read.sql.push('`');
                    after
                }
                _ => {
                    let end = rest.iter().skip(1).position(|byte| matches!(byte, b'\'' | b'`' | b'0'..=b'9'));
                    let (plain, after) = rest.split_at(end.map_or(rest.len(), |end| end + 1));
                    let plain = std::str::from_utf8(plain).ok()?;
                    read.sql.push_str(plain);
                    read.shape.push_str(plain);
                    after
                }
            };
        }
        read.shape = collapsed(&read.shape);
        let verb = VERBS.iter().find(|verb| read.shape.starts_with(**verb))?;
        let of_tables = (*verb != "SELECT " || read.shape.contains(" FROM ")) && !read.shape.contains(MIGRATIONS);
        of_tables.then_some(read)
    }

    /// Whether a number may begin here, and not the rest of a name.
    fn ends_a_word(&self) -> bool {
        !self.sql.ends_with(|letter: char| letter.is_alphanumeric() || matches!(letter, '_' | '`'))
    }

    fn number<'a>(&mut self, rest: &'a [u8]) -> &'a [u8] {
        let end = rest.iter().position(|byte| !(byte.is_ascii_digit() || *byte == b'.')).unwrap_or(rest.len());
        let (digits, after) = rest.split_at(end);
        self.sql.extend(digits.iter().map(|digit| char::from(*digit)));
        self.shape.push('?');
        after
    }

    /// Reads a literal behind its first quote, and gives what follows it.
    fn literal<'a>(&mut self, mut rest: &'a [u8]) -> &'a [u8] {
        let mut value = Vec::new();
        while let Some((&byte, after)) = rest.split_first() {
            rest = after;
            match (byte, after.split_first()) {
                (b'\\', Some((&escaped, after))) => {
                    value.push(unescaped(escaped));
                    rest = after;
                }
                (b'\'', Some((b'\'', after))) => {
                    value.push(b'\'');
                    rest = after;
                }
                (b'\'', _) => break,
                _ => value.push(byte),
            }
        }
        self.value(&value);
        rest
    }

    fn value(&mut self, value: &[u8]) {
        let text = std::str::from_utf8(value).ok().filter(|text| !text.contains(char::is_control));
        match text {
            Some(text) if is_word(text) => {
                for target in [&mut self.sql, &mut self.shape] {
                    target.extend(["'", text, "'"]);
                }
            }
            Some(text) => {
                self.sql.extend(["'", &text.replace('\\', "\\\\").replace('\'', "''"), "'"]);
                self.shape.push('?');
            }
            None => {
                self.sql.push_str("X'");
                for byte in value {
                    let _ = write!(self.sql, "{byte:02X}");
                }
                self.sql.push('\'');
                self.shape.push('?');
            }
        }
    }
}

fn is_word(text: &str) -> bool {
    let letters = text.chars().all(|letter| letter.is_ascii_lowercase() || letter == '_');
    letters && text.len() <= WORD_LETTERS_MAX && !text.is_empty()
}

fn unescaped(escaped: u8) -> u8 {
    match escaped {
        b'0' => 0,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'b' => 8,
        b'Z' => 26,
        itself => itself,
    }
}

/// The shape with lists, rows and alternatives of any length looking the same.
fn collapsed(shape: &str) -> String {
    let mut text = shape.split_whitespace().collect::<Vec<_>>().join(" ");
    if let Some(values) = text.find(" VALUES (") {
        let after = text.find(" ON DUPLICATE").map(|after| text.split_off(after)).unwrap_or_default();
        text.truncate(values);
        let columns = text.find(" (").unwrap_or(text.len());
        return format!("{} (…) VALUES (…){after}", &text[..columns]);
    }
    text = lists_collapsed(&text);
    while let Some(shorter) = without_an_alternative(&text) {
        text = shorter;
    }
    text
}

/// `IN (?, ?, …)` of any length as `IN (…)`.
fn lists_collapsed(text: &str) -> String {
    let mut shorter = String::new();
    let mut rest = text;
    while let Some(start) = rest.find("IN (?") {
        let (before, list) = rest.split_at(start + "IN (".len());
        shorter.push_str(before);
        let end = list.find(')').unwrap_or(list.len());
        shorter.push('…');
        rest = &list[end..];
    }
    shorter + rest
}

/// The text without the first `OR (…)` that repeats what stands before it.
fn without_an_alternative(text: &str) -> Option<String> {
    text.match_indices(" OR (").find_map(|(at, _)| {
        let alternative = &text[at + " OR ".len()..];
        let group = &alternative[..=alternative.find(')')?];
        let repeated = text[..at].ends_with(group);
        repeated.then(|| format!("{}{}", &text[..at], &alternative[group.len()..]))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(argument: &[u8]) -> (String, String) {
        let logged = Logged::read(argument).unwrap();
        (logged.sql, logged.shape)
    }

    #[test]
    fn ids_become_digits_and_words_of_the_schema_stay() {
        let (sql, shape) =
            read(b"SELECT `a`.`id` FROM `a` WHERE `id` = '\x01\\\xe7\\0''' AND status = 'held' LIMIT 21");
        assert_eq!(sql, "SELECT `a`.`id` FROM `a` WHERE `id` = X'01E70027' AND status = 'held' LIMIT 21");
        assert_eq!(shape, "SELECT a.id FROM a WHERE id = ? AND status = 'held' LIMIT ?");
    }

    #[test]
    fn a_query_over_definitions_is_one_too() {
        let (sql, shape) = read(b"WITH a AS (SELECT '$[*]' AS b FROM c) SELECT b FROM a");
        assert_eq!(sql, "WITH a AS (SELECT '$[*]' AS b FROM c) SELECT b FROM a");
        assert_eq!(shape, "WITH a AS (SELECT ? AS b FROM c) SELECT b FROM a");
    }

    #[test]
    fn lists_of_any_length_have_one_shape() {
        let (_, one) = read(b"SELECT a FROM t WHERE id IN ('x1') ORDER BY id FOR UPDATE");
        let (_, two) = read(b"SELECT a FROM t WHERE id IN ('x1', 'x2') ORDER BY id FOR UPDATE");
        assert_eq!(one, "SELECT a FROM t WHERE id IN (…) ORDER BY id FOR UPDATE");
        assert_eq!(one, two);
        let (_, pairs) =
            read(b"SELECT a FROM t WHERE (b = 1 AND c = 'x1') OR (b = 2 AND c = 'x2') OR (b = 3 AND c = 'x')");
        assert_eq!(pairs, "SELECT a FROM t WHERE (b = ? AND c = ?) OR (b = ? AND c = 'x')");
    }

    #[test]
    fn rows_of_any_number_have_one_shape() {
        let (_, shape) =
            read(b"INSERT INTO t (a, b2) VALUES (1, 'x'), (2, NULL) ON DUPLICATE KEY UPDATE a = VALUES(a)");
        assert_eq!(shape, "INSERT INTO t (…) VALUES (…) ON DUPLICATE KEY UPDATE a = VALUES(a)");
        assert_eq!(Logged::read(b"START TRANSACTION"), None);
        assert_eq!(Logged::read(b"SELECT @@version"), None);
    }
}
