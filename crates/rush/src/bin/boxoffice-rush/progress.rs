//! Shows what the crowd is doing.

use std::{sync::Arc, time::Duration};

use boxoffice_rush::plot::{grouped, grouped_count};
use tokio::{
    task::JoinHandle,
    time::{MissedTickBehavior, interval},
};

use super::tally::{Counts, Crowd, Tally};

const SAMPLE_INTERVAL: Duration = Duration::from_millis(250);
/// A line is printed with every eighth sample.
const SAMPLES_OF_A_LINE: u32 = 8;

/// Takes samples until it is aborted, and prints a line every two seconds if `shown`.
pub(crate) fn start(tally: Arc<Tally>, shown: bool, buyers: u32) -> JoinHandle<()> {
    tokio::spawn(async move {
        let mut ticks = interval(SAMPLE_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        for sample in 1_u32.. {
            ticks.tick().await;
            let mut counts = tally.lock();
            counts.sample();
            if shown && sample % SAMPLES_OF_A_LINE == 0 {
                eprintln!("{}", line(&mut counts, buyers));
            }
        }
    })
}

fn line(counts: &mut Counts, buyers: u32) -> String {
    let recent = std::mem::take(&mut counts.recent);
    let waits = counts.waits_for.as_ref().map(|what| format!("  ({what})")).unwrap_or_default();
    if counts.began.is_none() || counts.is_over {
        let [done, all] = [counts.phase_done, buyers.into()].map(grouped_count);
        return format!("{}: {done} of {all}{waits}", counts.phase);
    }
    let Crowd { waiting, admitted, holding, seats_sold, .. } = counts.crowd;
    let refused = counts.totals.refusals.values().sum();
    let [waiting, admitted, holding, sold, refused] =
        [waiting, admitted, holding, seats_sold, refused].map(grouped_count);
    let seconds = counts.elapsed().as_secs();
    #[expect(clippy::cast_precision_loss, reason = "fewer requests than 2^53 are sent in two seconds")]
    let per_second = recent.count() as f64 / (SAMPLE_INTERVAL * SAMPLES_OF_A_LINE).as_secs_f64();
    format!(
        "{}:{:02}  waiting {waiting}  admitted {admitted}  holding {holding}  seats sold {sold}  refused {refused}  \
         {} requests/s, p99 {} ms{waits}",
        seconds / 60,
        seconds % 60,
        grouped(per_second.round()),
        recent.quantile(0.99).as_millis()
    )
}
