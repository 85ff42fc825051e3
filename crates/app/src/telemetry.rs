//! How log lines and metrics are made.

use std::{io::IsTerminal, panic, sync::OnceLock};

use anyhow::Context;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::{EnvFilter, Layer, layer::SubscriberExt, reload, util::SubscriberInitExt};

use crate::{
    log_lines::{HumanFields, JsonLines},
    settings::{LogFormat, Settings},
    traces::Traces,
};

/// From half a millisecond to ten seconds, when clients have given up.
const SECONDS_BUCKETS: [f64; 14] =
    [0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
const BATCH_BUCKETS: [f64; 9] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0];

/// Counters of what may be rare: the first increase of one that begins at 1 would be seen by nobody.
const COUNTED_FROM_ZERO: &[&str] = &[
    "boxoffice_charges_lapsed_total",
    "boxoffice_gateway_messages_total",
    "boxoffice_holds_expired_total",
    "boxoffice_holds_total",
    "boxoffice_payments_total",
    "boxoffice_points_charged_total",
    "boxoffice_queue_admitted_total",
    "boxoffice_queue_expired_total",
    "boxoffice_queue_idle_total",
    "boxoffice_queue_joined_total",
    "boxoffice_queue_no_shows_total",
];

/// Sends log lines to the standard error: the standard output is for what a command prints.
pub(crate) fn start_logging(settings: &Settings, traces: Option<&Traces>) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(&settings.log).context("the log directives cannot be used")?;
    match traces {
        Some(traces) => start_lines_and_traces(settings.log_format, filter, traces)?,
        None => start_lines(settings.log_format, filter)?,
    }
    panic::set_hook(Box::new(log_panic));
    Ok(())
}

fn start_lines(format: LogFormat, filter: EnvFilter) -> anyhow::Result<()> {
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // Reporting that a line could not be written would panic.
    let lines = lines.log_internal_errors(false);
    let started = match format {
        LogFormat::Human => {
            let lines =
                lines.fmt_fields(HumanFields).with_ansi(std::io::stderr().is_terminal()).with_filter_reloading();
            remember(lines.reload_handle());
            lines.try_init()
        }
        LogFormat::Json => {
            let lines = lines.json().event_format(JsonLines).with_filter_reloading();
            remember(lines.reload_handle());
            lines.try_init()
        }
    };
    started.map_err(|error| anyhow::anyhow!(error)).context("logging cannot be started")
}

/// As [`start_lines`], where lines and traces are made of different spans, which costs each span a little.
fn start_lines_and_traces(format: LogFormat, filter: EnvFilter, traces: &Traces) -> anyhow::Result<()> {
    let (filter, handle) = reload::Layer::new(filter);
    remember(handle);
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).log_internal_errors(false);
    let lines = match format {
        LogFormat::Human => {
            lines.fmt_fields(HumanFields).with_ansi(std::io::stderr().is_terminal()).with_filter(filter).boxed()
        }
        LogFormat::Json => lines.json().event_format(JsonLines).with_filter(filter).boxed(),
    };
    let started = tracing_subscriber::registry().with(lines).with(traces.layer()).try_init();
    started.context("logging cannot be started")
}

/// Changes what is logged.
type Refilter = Box<dyn Fn(EnvFilter) -> Result<(), reload::Error> + Send + Sync>;

/// How what is logged is changed. It is set when logging starts, before anything else runs.
static REFILTER: OnceLock<Refilter> = OnceLock::new();

fn remember<S: 'static>(handle: reload::Handle<EnvFilter, S>) {
    // Logging starts once.
    let _ = REFILTER.set(Box::new(move |filter| handle.reload(filter)));
}

/// From now on logs what these directives say.
pub(crate) fn change_log(directives: &str) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(directives).context("the log directives cannot be used")?;
    let refilter = REFILTER.get().context("logging was not started")?;
    refilter(filter).context("what is logged cannot be changed")
}

/// Logs a panic, which is a defect, once, whatever catches it.
fn log_panic(panic: &panic::PanicHookInfo<'_>) {
    let message = panic.payload_as_str().unwrap_or("no message");
    let location = panic.location().map(ToString::to_string);
    tracing::error!(message, location, "a panic");
}

/// Starts the metrics, and returns the handle that renders them.
pub(crate) fn start_metrics() -> anyhow::Result<PrometheusHandle> {
    let builder = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS_BUCKETS)?
        .set_buckets_for_metric(Matcher::Full("boxoffice_batch_commands".to_owned()), &BATCH_BUCKETS)?;
    let handle = builder.install_recorder().context("the metrics cannot be started")?;
    describe_metrics();
    for counted in COUNTED_FROM_ZERO {
        metrics::counter!(*counted).absolute(0);
    }
    metrics::gauge!("boxoffice_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1);
    Ok(handle)
}

/// Describes the metrics, but for those that the waiting room and the Redis link describe.
fn describe_metrics() {
    use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};
    describe_counter!("http_requests_total", "Requests answered, by method, route and status.");
    describe_histogram!("http_request_duration_seconds", Unit::Seconds, "How long requests took, by method and route.");
    describe_counter!("boxoffice_refusals_total", "Requests refused, by the code of the problem.");
    describe_counter!("boxoffice_holds_total", "Reservations that were held.");
    describe_counter!("boxoffice_payments_total", "Reservations that were paid.");
    describe_counter!("boxoffice_points_charged_total", "Points that were charged.");
    describe_histogram!("boxoffice_batch_commands", Unit::Count, "How many commands a transaction took, by lane.");
    describe_histogram!("boxoffice_commit_seconds", Unit::Seconds, "How long the commit of a batch took.");
    describe_counter!("boxoffice_write_retries_total", "Transactions that were retried, by reason.");
    describe_gauge!("boxoffice_pool_connections", "Connections to the database, by pool and state.");
    describe_gauge!("boxoffice_pool_connections_max", "How many connections a pool may have.");
    describe_counter!("boxoffice_pool_timeouts_total", "Waits for a connection that timed out, by pool.");
    describe_gauge!("boxoffice_lane_waiting", "Commands that wait, by write lane.");
    describe_gauge!("boxoffice_queue_waiting", "Accounts that wait in the queue of a concert.");
    describe_gauge!("boxoffice_queue_active", "Accounts that are admitted to a concert.");
    describe_gauge!("boxoffice_queue_admitted", "Accounts that were admitted to a concert since its queue began.");
    describe_counter!("boxoffice_holds_ended_total", "Holds that ended, by concert, paid or not.");
    describe_counter!("boxoffice_holds_expired_total", "Lapsed holds that were marked as expired.");
    describe_gauge!(
        "boxoffice_charge_refunds_pending",
        "Refunds of charges that the payment gateway did not decide when asked again."
    );
    describe_counter!("boxoffice_gateway_messages_total", "Notifications of the payment gateway that were worked off.");
    describe_counter!("boxoffice_events_delivered_total", "Events that a reader has taken, by reader.");
    describe_counter!("boxoffice_event_delivery_failures_total", "Deliveries that a reader did not take, by reader.");
    describe_gauge!("boxoffice_event_batches_behind", "Batches of events that a reader has yet to get, by reader.");
    describe_gauge!(
        "boxoffice_events_behind_seconds",
        Unit::Seconds,
        "How long ago the oldest event happened that a reader has yet to get, by reader."
    );
    describe_gauge!(
        "boxoffice_outbox_unread_seconds_max",
        Unit::Seconds,
        "How long events are kept that a reader has yet to get."
    );
    describe_counter!("boxoffice_mails_total", "Mails that have ended, by outcome, and attempts that were postponed.");
    describe_gauge!("boxoffice_mails_waiting", "Mails that wait to be sent.");
    describe_gauge!("boxoffice_charges_pending", "Charges that the payment gateway did not decide when asked again.");
    describe_counter!("boxoffice_charges_lapsed_total", "Charges without a verdict that were declined.");
    describe_counter!("boxoffice_connections_cut_total", "Connections that the server closed, by reason.");
    describe_gauge!("boxoffice_event_streams", "Queue streams that are open.");
    describe_gauge!("boxoffice_key_made_timestamp_seconds", Unit::Seconds, "When the signing key was made, by tokens.");
    describe_gauge!("boxoffice_keys_accepted", "How many keys are accepted, by tokens.");
    describe_gauge!("boxoffice_build_info", "Always 1; its label is the version.");
    describe_counter!("boxoffice_cache_hits_total", "Reads that were answered from memory, by cache.");
    describe_counter!("boxoffice_cache_misses_total", "Reads that needed the storage, by cache.");
    describe_counter!("boxoffice_worker_failures_total", "Ticks of a background worker that failed, by worker.");
    describe_gauge!("boxoffice_worker_lease_held", "1 if this instance holds the lease of a worker, by worker.");
    describe_counter!("boxoffice_rows_removed_total", "Old rows that were removed, by kind.");
    describe_counter!("boxoffice_webhook_deliveries_total", "Attempts to send events to webhooks, by outcome.");
    describe_gauge!("boxoffice_webhook_deliveries_due", "Events that are to be sent to webhooks now.");
    describe_gauge!("boxoffice_webhooks_turned_off", "Webhooks that were turned off since they failed or are gone.");
    describe_gauge!("boxoffice_storage_ready", "Whether the database serves: 1 or 0.");
    describe_gauge!("boxoffice_clock_skew_seconds", Unit::Seconds, "How far this clock is ahead of another one.");
    describe_gauge!("boxoffice_maintenance", "1 during maintenance.");
    describe_counter!("boxoffice_trace_spans_total", "Spans of traces that were made.");
    describe_counter!("boxoffice_trace_spans_sent_total", "Spans of traces that the collector took.");
    describe_counter!("boxoffice_announcements_lost_total", "Announcements that could not be sent to the peers.");
}
