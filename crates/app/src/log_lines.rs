//! How errors are written into log lines: the root cause first, since it says what to do, and then what it led to.
//!
//! The formats of `tracing-subscriber` begin with the outermost error, and the one in JSON drops all others.

use std::{error::Error, fmt};

use boxoffice_domain::{Outage, OutageReason};
use serde::ser::{SerializeMap, Serializer as _};
use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    field::{MakeVisitor, VisitFmt, VisitOutput},
    fmt::{
        FmtContext, FormatEvent, FormatFields, FormattedFields,
        format::{DefaultVisitor, Writer},
        time::{FormatTime, SystemTime},
    },
    registry::LookupSpan,
};

/// An error, from its root to what it led to.
struct Causes {
    root: String,
    /// What the root led to, the outermost error last.
    led_to: Vec<String>,
    /// The name of the reason, if it is known.
    reason: Option<&'static str>,
}

impl Causes {
    fn of(error: &(dyn Error + 'static)) -> Self {
        let mut texts = Vec::new();
        for error in std::iter::successors(Some(error), |error| (*error).source()) {
            let text = error.to_string();
            // An error that only passes another one on says the same.
            if texts.last() != Some(&text) {
                texts.push(text);
            }
        }
        let root = texts.pop().unwrap_or_default();
        texts.reverse();
        Self { root, led_to: texts, reason: Outage::reason_of(error).map(OutageReason::as_str) }
    }
}

/// Lines of JSON: one object each.
pub(crate) struct JsonLines;

impl<S, N> FormatEvent<S, N> for JsonLines
where
    S: Subscriber + for<'s> LookupSpan<'s>,
    N: for<'w> FormatFields<'w> + 'static,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut at = String::new();
        SystemTime.format_time(&mut Writer::new(&mut at))?;
        let mut line = Vec::with_capacity(256);
        let mut written = || -> serde_json::Result<()> {
            let mut serializer = serde_json::Serializer::new(&mut line);
            let mut members = serializer.serialize_map(None)?;
            members.serialize_entry("timestamp", &at)?;
            members.serialize_entry("level", event.metadata().level().as_str())?;
            let mut fields = JsonFieldsOf { members, failed: None };
            event.record(&mut fields);
            let JsonFieldsOf { mut members, failed } = fields;
            if let Some(error) = failed {
                return Err(error);
            }
            members.serialize_entry("target", event.metadata().target())?;
            if let Some(span) = context.lookup_current() {
                let extensions = span.extensions();
                let fields = extensions.get::<FormattedFields<N>>().map_or("", |fields| fields.fields.as_str());
                let mut object: serde_json::Map<_, _> = serde_json::from_str(fields).unwrap_or_default();
                object.insert("name".to_owned(), span.name().into());
                members.serialize_entry("span", &object)?;
            }
            members.end()
        };
        written().map_err(|_| fmt::Error)?;
        writeln!(writer, "{}", String::from_utf8_lossy(&line))
    }
}

/// Writes the fields of an event as members.
struct JsonFieldsOf<M: SerializeMap> {
    members: M,
    failed: Option<M::Error>,
}

impl<M: SerializeMap> JsonFieldsOf<M> {
    fn write(&mut self, name: &str, value: &(impl serde::Serialize + ?Sized)) {
        if self.failed.is_none() {
            self.failed = self.members.serialize_entry(name, value).err();
        }
    }
}

impl<M: SerializeMap> Visit for JsonFieldsOf<M> {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.write(field.name(), &value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.write(field.name(), &value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.write(field.name(), &value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.write(field.name(), &value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.write(field.name(), value);
    }

    fn record_error(&mut self, field: &Field, error: &(dyn Error + 'static)) {
        let Causes { root, led_to, reason } = Causes::of(error);
        self.write(field.name(), &root);
        if !led_to.is_empty() {
            self.write(&format!("{}_led_to", field.name()), &led_to);
        }
        if let Some(reason) = reason {
            self.write("reason", reason);
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.write(field.name(), &format!("{value:?}"));
    }
}

/// A text with its control characters escaped: a server may quote in an error what a client sent, which must neither begin
/// another line nor reach the terminal as a command.
fn on_one_line(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() {
            escaped.extend(character.escape_default());
        } else {
            escaped.push(character);
        }
    }
    escaped
}

/// Fields for a terminal, but for errors as `tracing-subscriber` writes them.
pub(crate) struct HumanFields;

impl<'w> MakeVisitor<Writer<'w>> for HumanFields {
    type Visitor = HumanVisitor<'w>;

    fn make_visitor(&self, writer: Writer<'w>) -> HumanVisitor<'w> {
        HumanVisitor(DefaultVisitor::new(writer, true))
    }
}

pub(crate) struct HumanVisitor<'w>(DefaultVisitor<'w>);

impl Visit for HumanVisitor<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.record_str(field, value);
    }

    fn record_error(&mut self, field: &Field, error: &(dyn Error + 'static)) {
        let Causes { root, led_to, .. } = Causes::of(error);
        let text = if led_to.is_empty() { root } else { format!("{root} (so: {})", led_to.join("; so: ")) };
        self.0.record_debug(field, &format_args!("{}", on_one_line(&text)));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.record_debug(field, value);
    }
}

impl VisitOutput<fmt::Result> for HumanVisitor<'_> {
    fn finish(self) -> fmt::Result {
        self.0.finish()
    }
}

impl VisitFmt for HumanVisitor<'_> {
    fn writer(&mut self) -> &mut dyn fmt::Write {
        self.0.writer()
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io,
        sync::{Arc, Mutex, PoisonError},
    };

    use boxoffice_domain::StorageError;
    use serde_json::{Value, json};
    use tracing_subscriber::fmt::MakeWriter;

    use super::*;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl Written {
        fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()).unwrap()
        }
    }

    impl io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl MakeWriter<'_> for Written {
        type Writer = Self;

        fn make_writer(&self) -> Self {
            self.clone()
        }
    }

    fn log_something() {
        let span = tracing::info_span!("request", request_id = "7", account = tracing::field::Empty);
        let _entered = span.enter();
        span.record("account", "haneul");
        let refused = StorageError::unavailable(OutageReason::Refused, "Connection refused (os error 111)");
        let (count, share, lasts) = (3_u64, 0.5, true);
        tracing::warn!(error = &refused as &dyn Error, count, share, lasts, named = ?[1], "the \"storage\" is away\n");
    }

    #[test]
    fn a_line_of_json_has_each_fact_in_a_field_and_the_root_cause_first() {
        let written = Written::default();
        let lines = tracing_subscriber::fmt().json().event_format(JsonLines).with_writer(written.clone());
        tracing::subscriber::with_default(lines.finish(), log_something);
        let text = written.text();
        assert_eq!(text.lines().count(), 1, "{text}");
        let mut line: Value = serde_json::from_str(&text).unwrap();
        let at = line["timestamp"].take();
        assert!(at.as_str().is_some_and(|at| at.ends_with('Z')), "{at}");
        assert_eq!(
            line,
            json!({
                "timestamp": null,
                "level": "WARN",
                "message": "the \"storage\" is away\n",
                "error": "Connection refused (os error 111)",
                "error_led_to": ["the connection was refused", "the storage is not available"],
                "reason": "connection_refused",
                "count": 3,
                "share": 0.5,
                "lasts": true,
                "named": "[1]",
                "target": "boxoffice::log_lines::tests",
                "span": {"name": "request", "request_id": "7", "account": "haneul"},
            })
        );
    }

    #[test]
    fn a_line_for_a_terminal_begins_with_the_root_cause() {
        let written = Written::default();
        let lines = tracing_subscriber::fmt().fmt_fields(HumanFields).with_ansi(false).with_writer(written.clone());
        tracing::subscriber::with_default(lines.finish(), log_something);
        let text = written.text();
        let error = "error=Connection refused (os error 111) (so: the connection was refused; so: the storage is not available)";
        assert!(text.contains(error) && text.contains("account=\"haneul\""), "{text}");
    }
    #[test]
    fn an_error_for_a_terminal_is_one_line_whatever_it_quotes() {
        let written = Written::default();
        let lines = tracing_subscriber::fmt().fmt_fields(HumanFields).with_ansi(false).with_writer(written.clone());
        tracing::subscriber::with_default(lines.finish(), || {
            let error = StorageError::failed("near 'x\n2026 INFO forged\u{1b}[2J'");
            tracing::error!(error = &error as &dyn Error, "it failed");
        });
        let text = written.text();
        assert_eq!(text.lines().count(), 1, "{text}");
        assert!(text.contains(r"near 'x\n2026 INFO forged\u{1b}[2J'"), "{text}");
    }
}
