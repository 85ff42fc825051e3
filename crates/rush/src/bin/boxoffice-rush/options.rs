//! The command line.

use std::{ffi::OsString, path::PathBuf, time::Duration};

use clap::Parser;
use uuid::Uuid;

const DURATION_MAX: Duration = Duration::from_hours(24);

/// Sends a crowd of buyers to a running server that was started with --demo
///
/// Each buyer joins the queue, waits, looks at the seats, holds some near the front, and pays or walks away. Shows what
/// happens, sums it up, draws it, and checks that no seat was sold twice. Runs `boxoffice audit` too, if its settings
/// name the database of the server. Exits with 1 if something is wrong, with 2 if it could not run, and with 3 if the
/// deadline came first.
#[derive(Clone, Debug, Parser)]
#[command(name = "boxoffice-rush", version)]
pub(crate) struct RushOptions {
    /// The server
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080")]
    pub(crate) url: String,
    /// Lets the server be on another machine
    #[arg(long)]
    pub(crate) allow_remote: bool,
    /// How many buyers come; the server needs as many demo accounts
    #[arg(long, value_name = "N", default_value_t = 20_000, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) buyers: u32,
    /// How many seats they want: those nearest to the front, of the first dates that have seats
    #[arg(long, value_name = "N", default_value_t = 15_002, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) seats: u32,
    /// The time within which they come, more of them at its beginning
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = duration)]
    pub(crate) arrive: Duration,
    /// The longest time that a buyer thinks before choosing and before paying
    #[arg(long, value_name = "TIME", default_value = "200ms", value_parser = duration)]
    pub(crate) think: Duration,
    /// Percentage of buyers who hold seats, cancel and leave
    #[arg(long, value_name = "PERCENT", default_value_t = 10, value_parser = clap::value_parser!(u32).range(0..=100))]
    pub(crate) walk_away: u32,
    /// The time from the start after which every buyer leaves, whatever they wait for; the rush ends half a minute later
    /// at the latest
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = duration)]
    pub(crate) deadline: Duration,
    /// How many connections they share
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = clap::value_parser!(u32).range(8..=10_000))]
    pub(crate) connections: u32,
    /// The same number makes the same buyers with the same wishes
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    pub(crate) seed: u64,
    /// The concert; without it, the bookable one with the largest hall
    #[arg(long, value_name = "ID")]
    pub(crate) concert: Option<Uuid>,
    /// Prints one JSON object, and nothing else
    #[arg(long)]
    pub(crate) json: bool,
    /// Where the picture goes
    #[arg(long, value_name = "FILE", default_value = "rush.svg")]
    pub(crate) svg: PathBuf,
    /// Draws no picture
    #[arg(long, conflicts_with = "svg")]
    pub(crate) no_svg: bool,
    /// The program whose audit checks the database; without it, the one beside this program
    #[arg(long, value_name = "PATH")]
    pub(crate) boxoffice: Option<PathBuf>,
    /// After `--`: settings for the audit, such as `--database URL`, if they are not in the environment
    #[arg(last = true, value_name = "SETTINGS")]
    pub(crate) settings: Vec<OsString>,
}

/// A time such as `200ms`, `30s` or `10m`; `0` needs no unit.
fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let duration = number.parse().ok().and_then(|number: u64| match unit {
        "ms" => Some(Duration::from_millis(number)),
        "s" => Some(Duration::from_secs(number)),
        "m" => number.checked_mul(60).map(Duration::from_secs),
        "" if number == 0 => Some(Duration::ZERO),
        _ => None,
    });
    let duration = duration.filter(|duration| *duration <= DURATION_MAX);
    duration.ok_or_else(|| "a time is a number with ms, s or m, such as 200ms, and a day at most".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        RushOptions::command().debug_assert();
    }

    #[test]
    fn times_have_a_unit() {
        assert_eq!(duration("200ms"), Ok(Duration::from_millis(200)));
        assert_eq!(duration("30s"), Ok(Duration::from_secs(30)));
        assert_eq!(duration("10m"), Ok(Duration::from_mins(10)));
        assert_eq!(duration("0"), Ok(Duration::ZERO));
        for wrong in ["", "30", "s", "-1s", "1.5s", "1h", "86401s", "99999999999999999999m"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }
}
