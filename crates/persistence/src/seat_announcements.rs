//! What a batch has changed of seats, as it is told to the other processes.

use boxoffice_domain::{
    AccountId, PerformanceId, ReservationId, Timestamp,
    reservations::{SeatLabel, SeatState},
};
use chrono::DateTime;
use serde::{Deserialize, Serialize};

use crate::seat_boards::News;

/// What one command has changed.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Announced {
    performance: PerformanceId,
    reservation: ReservationId,
    /// Whose command it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    account: Option<AccountId>,
    now: Now,
    seats: Vec<SeatLabel>,
}

/// What the seats are now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Now {
    /// Held until then, in microseconds since 1970.
    Held(i64),
    Sold,
    Free,
}

/// One piece of news: the performance, the account whose command it was, and what has changed.
pub(crate) type Told = (PerformanceId, Option<AccountId>, News);

/// What there is to tell. What was found out rather than done is of no use to others.
pub(crate) fn write<'n>(news: impl Iterator<Item = (PerformanceId, Option<AccountId>, &'n News)>) -> Option<String> {
    let announced: Vec<_> = news.filter_map(|(id, account, news)| announced(id, account, news)).collect();
    if announced.is_empty() { None } else { serde_json::to_string(&announced).ok() }
}

fn announced(performance: PerformanceId, account: Option<AccountId>, news: &News) -> Option<Announced> {
    let (reservation, now, seats) = match news {
        News::Taken { by, state, seats } => {
            let now = match state {
                SeatState::Held { until, .. } => Now::Held(until.timestamp_micros()),
                SeatState::Sold { .. } => Now::Sold,
                SeatState::Free => return None,
            };
            (*by, now, seats)
        }
        News::Freed { from, labels } => (*from, Now::Free, labels),
        News::Unavailable { .. } | News::TakenBefore { .. } | News::FreedBefore { .. } => return None,
    };
    Some(Announced { performance, reservation, account, now, seats: seats.clone() })
}

/// Reads what another process has told; `None` where it makes no sense, as from a process of another version.
pub(crate) fn read(text: &str) -> Option<Vec<Told>> {
    let announced: Vec<Announced> = serde_json::from_str(text).ok()?;
    announced.into_iter().map(told).collect()
}

fn told(announced: Announced) -> Option<Told> {
    let Announced { performance, reservation, account, now, seats } = announced;
    let news = match now {
        Now::Held(micros) => {
            let until: Timestamp = DateTime::from_timestamp_micros(micros)?;
            News::Taken { by: reservation, state: SeatState::Held { by: reservation, until }, seats }
        }
        Now::Sold => News::Taken { by: reservation, state: SeatState::Sold { to: reservation }, seats },
        Now::Free => News::Freed { from: reservation, labels: seats },
    };
    Some((performance, account, news))
}

#[cfg(test)]
mod tests {
    use boxoffice_domain::fixtures::instant;
    use uuid::Uuid;

    use super::*;

    #[test]
    fn what_is_told_is_heard_as_it_was() {
        let (id, account) = (PerformanceId::new(Uuid::from_u128(1)), AccountId::new(Uuid::from_u128(2)));
        let by = ReservationId::new(Uuid::from_u128(3));
        let labels = |texts: &[&str]| texts.iter().map(|text| SeatLabel::new(text).unwrap()).collect::<Vec<_>>();
        let told = [
            (
                id,
                Some(account),
                News::Taken {
                    by,
                    state: SeatState::Held { by, until: instant(300) },
                    seats: labels(&["A-1-1", "A-1-2"]),
                },
            ),
            (id, Some(account), News::Taken { by, state: SeatState::Sold { to: by }, seats: labels(&["B-2-7"]) }),
            (id, None, News::Freed { from: by, labels: labels(&["A-1-2"]) }),
        ];
        let found_out = News::Unavailable { seats: Vec::new() };
        let all = told.iter().map(|(id, account, news)| (*id, *account, news));
        let text = write(all.chain([(id, None, &found_out)])).unwrap();
        assert_eq!(read(&text).unwrap(), told);
        assert_eq!(write([(id, None, &found_out)].into_iter()), None);
    }

    #[test]
    fn what_makes_no_sense_is_not_heard() {
        let one = r#"{"performance":"00000000-0000-0000-0000-000000000001","reservation":"00000000-0000-0000-0000-000000000002","now":"sold","seats":["A-1-1"]}"#;
        assert_eq!(read(&format!("[{one}]")).unwrap().len(), 1);
        let label = one.replace("A-1-1", "no seat");
        let time = one.replace(r#""sold""#, r#"{"held":9223372036854775807}"#);
        for text in ["", "[", "{}", "[[]]", &format!("[{label}]"), &format!("[{time}]"), &"[".repeat(100_000)] {
            assert_eq!(read(text), None, "{}", &text[..text.len().min(100)]);
        }
    }
}
