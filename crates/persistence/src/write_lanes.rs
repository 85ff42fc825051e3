//! How writes come together into batches.
//!
//! A write lane is a bounded channel and one worker. The worker takes all that waits, up to a limit, and runs one
//! transaction for it. A batch is what arrived while the previous one was in flight, so an idle system
//! answers at once and a busy one batches by itself. A command alone is a batch of one; there is no second path.
//!
//! A second lane takes what would wait for long in the first one: while one waits for the database, the other one
//! decides. Commands for the same rows meet in the database, as those of several processes do: the rows are locked in one
//! order.
//!
//! If several processes write to one database, each gets a part of the commands, and would make as many batches of them as
//! a single process makes of all. So after a batch of several commands a worker pauses for its peers: for as long as the
//! batch took, for each of them.

use std::{
    error::Error,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use boxoffice_domain::{
    StorageError,
    sale::{Command, OtherOutcome, Outcome},
};
use boxoffice_peers::SharedError;
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::{Instant, sleep},
};
use tracing::{Instrument, Level, Span, field::Empty};

use crate::{PersistenceSettings, seat_cache::SeatCache};

/// What became of one command of a batch that was carried out. An error is about this command alone, which changed nothing.
pub(crate) type Decided = Result<Outcome, StorageError>;

/// Runs one transaction for a batch of commands.
#[async_trait]
pub(crate) trait BatchWriter: Send + Sync + 'static {
    /// The outcome of each command, in their order. An error means that none of them was carried out, or
    /// that it is not known.
    async fn write_batch(&self, commands: &[Command]) -> Result<Vec<Decided>, StorageError>;
}

/// How long a worker pauses for its peers at most.
const PAUSE_FOR_PEERS_MAX: Duration = Duration::from_millis(25);

struct Job {
    command: Command,
    answer: oneshot::Sender<Result<Outcome, StorageError>>,
    /// In which it waits; `None` if nobody asks what becomes of single commands.
    span: Option<(Span, Instant)>,
}

impl Job {
    /// Takes note of the batch that it comes into.
    fn trace(&self, batch: &Span, lane: &str, commands: usize) {
        if let Some((span, since)) = &self.span {
            span.record("lane", lane);
            span.record("batch_commands", commands);
            span.record("waited_seconds", since.elapsed().as_secs_f64());
            batch.follows_from(span);
        }
    }
}

/// The lanes of one store.
#[derive(Clone)]
pub(crate) struct WriteLanes {
    senders: Arc<[mpsc::Sender<Job>]>,
    commands_wanted: usize,
    closing: watch::Sender<bool>,
    /// Each gets a value when its worker has ended, or is dropped if the worker panicked.
    workers: Arc<Mutex<Vec<oneshot::Receiver<()>>>>,
}

impl WriteLanes {
    /// A lane for each writer.
    pub(crate) fn start(
        writers: Vec<impl BatchWriter>,
        seats: &Arc<SeatCache>,
        settings: &PersistenceSettings,
    ) -> std::io::Result<Self> {
        let (closing, _) = watch::channel(false);
        let mut workers = Vec::new();
        let mut senders = Vec::new();
        for (number, writer) in writers.into_iter().enumerate() {
            let (sender, jobs) = mpsc::channel(settings.lane_waiting_max.max(1));
            let worker = Worker {
                number,
                jobs,
                closing: closing.subscribe(),
                writer: Arc::new(writer),
                seats: Arc::clone(seats),
                commands_max: settings.batch_commands_max.max(1),
            };
            workers.push(worker.start()?);
            senders.push(sender);
        }
        Ok(Self {
            senders: senders.into(),
            commands_wanted: settings.batch_commands_wanted,
            closing,
            workers: Arc::new(Mutex::new(workers)),
        })
    }

    /// Sends a command into its lane and waits for its outcome. A full lane refuses at once. The command is
    /// carried out even if the caller stops waiting.
    #[tracing::instrument(
        level = "debug",
        name = "persistence.command",
        skip_all,
        fields(lane = Empty, batch_commands = Empty, waited_seconds = Empty)
    )]
    pub(crate) async fn submit<T>(&self, command: Command) -> Result<T, StorageError>
    where
        T: TryFrom<Outcome, Error = OtherOutcome>,
    {
        let (answer, outcome) = oneshot::channel();
        let span = tracing::span_enabled!(Level::DEBUG).then(|| (Span::current(), Instant::now()));
        self.lane().try_send(Job { command, answer, span }).map_err(|refused| match refused {
            mpsc::error::TrySendError::Full(_) => StorageError::Busy,
            mpsc::error::TrySendError::Closed(_) => StorageError::Unavailable("the server is stopping".into()),
        })?;
        let outcome = outcome.await.unwrap_or_else(|_| Err(StorageError::failed("a lane gave no answer")))?;
        T::try_from(outcome).map_err(|other| StorageError::Failed(other.into()))
    }

    /// The first lane whose next batch is still small; if none is, the one in which the fewest commands wait.
    fn lane(&self) -> &mpsc::Sender<Job> {
        let waiting = |lane: &&mpsc::Sender<Job>| lane.max_capacity() - lane.capacity();
        let small = self.senders.iter().find(|lane| waiting(lane) < self.commands_wanted);
        small.or_else(|| self.senders.iter().min_by_key(waiting)).unwrap_or(&self.senders[0])
    }

    /// Takes no more commands, and waits until those that were taken have been answered.
    pub(crate) async fn shutdown(&self) {
        self.closing.send_replace(true);
        let workers = std::mem::take(&mut *self.workers.lock().unwrap_or_else(PoisonError::into_inner));
        for worker in workers {
            if worker.await.is_err() {
                tracing::error!("the worker of a lane panicked");
            }
        }
    }
}

struct Worker<W> {
    number: usize,
    jobs: mpsc::Receiver<Job>,
    closing: watch::Receiver<bool>,
    writer: Arc<W>,
    seats: Arc<SeatCache>,
    commands_max: usize,
}

impl<W: BatchWriter> Worker<W> {
    /// Runs on a separate thread and runtime. A batch is some ten exchanges with the database, one after the other; among
    /// the tasks of hundreds of requests, each exchange would wait.
    fn start(self) -> std::io::Result<oneshot::Receiver<()>> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (ended, end) = oneshot::channel();
        std::thread::Builder::new().name(format!("lane-{}", self.number)).spawn(move || {
            runtime.block_on(self.run());
            // Fails if the lanes were dropped without being shut down.
            let _ = ended.send(());
        })?;
        Ok(end)
    }

    async fn run(mut self) {
        let lane = self.number.to_string();
        metrics::gauge!("boxoffice_lane_waiting", "lane" => lane.clone()).set(0);
        let mut jobs = Vec::with_capacity(self.commands_max);
        loop {
            let taken = tokio::select! {
                // Closing comes first: a lane that is never empty would put it off for ever.
                biased;
                _ = self.closing.wait_for(|closing| *closing), if !self.jobs.is_closed() => {
                    self.jobs.close();
                    continue;
                }
                taken = self.jobs.recv_many(&mut jobs, self.commands_max) => taken,
            };
            if taken == 0 {
                return;
            }
            metrics::gauge!("boxoffice_lane_waiting", "lane" => lane.clone()).set(count(self.jobs.len()));
            metrics::histogram!("boxoffice_batch_commands", "lane" => lane.clone()).record(count(taken));
            let span = tracing::debug_span!(parent: None, "persistence.batch", lane, commands = taken);
            for job in &jobs {
                job.trace(&span, &lane, taken);
            }
            let (commands, answers): (Vec<_>, Vec<_>) = jobs.drain(..).map(|job| (job.command, job.answer)).unzip();
            let commands: Arc<[Command]> = commands.into();
            let began = Instant::now();
            let outcomes = write(&self.writer, Arc::clone(&commands)).instrument(span).await;
            // Comes before the callers get their outcomes, so that no map shows less than these imply.
            self.seats.apply_batch(&commands, &outcomes);
            for (answer, outcome) in answers.into_iter().zip(outcomes) {
                // Fails if the caller has gone; what was done stays done.
                let _ = answer.send(outcome);
            }
            if taken > 1 && self.jobs.len() < self.commands_max {
                sleep((began.elapsed() * self.seats.busy_peers()).min(PAUSE_FOR_PEERS_MAX)).await;
            }
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a metric of a small number")]
fn count(number: usize) -> f64 {
    number as f64
}

async fn write<W: BatchWriter>(writer: &Arc<W>, commands: Arc<[Command]>) -> Vec<Result<Outcome, StorageError>> {
    match write_unless_it_panics(writer, Arc::clone(&commands)).await {
        Ok(outcomes) => outcomes,
        Err(StorageError::Failed(error)) if commands.len() > 1 => {
            // One command may have met damaged data; the others are still carried out.
            tracing::error!(error = &*error as &dyn Error, "a batch failed; its commands are tried one by one");
            let mut outcomes = Vec::with_capacity(commands.len());
            for command in commands.iter() {
                let alone = write_unless_it_panics(writer, Arc::new([command.clone()])).await;
                let no_outcome = || Err(StorageError::failed("a batch gave no outcome"));
                outcomes.push(alone.and_then(|mut outcomes| outcomes.pop().unwrap_or_else(no_outcome)));
            }
            outcomes
        }
        Err(error) => {
            let shared = SharedError::from(error);
            commands.iter().map(|_| Err(shared.clone().into())).collect()
        }
    }
}

/// A panic must not end the lane, nor cost the commands that came together with its cause.
async fn write_unless_it_panics<W: BatchWriter>(
    writer: &Arc<W>,
    commands: Arc<[Command]>,
) -> Result<Vec<Result<Outcome, StorageError>>, StorageError> {
    let writer = Arc::clone(writer);
    let written = tokio::spawn(async move { writer.write_batch(&commands).await }.in_current_span());
    written.await.unwrap_or_else(|panicked| Err(StorageError::Failed(panicked.into())))
}

#[cfg(test)]
mod tests {
    use boxoffice_domain::{
        ReservationId,
        fixtures::{self, TestClock},
    };
    use boxoffice_peers::MemoryPeers;
    use tokio::time::advance;

    use super::*;

    /// How long a batch takes.
    const TOOK: Duration = Duration::from_millis(4);

    /// When batches began, and of how many commands they were.
    #[derive(Default)]
    struct Batches(Mutex<Vec<(Duration, usize)>>);

    #[async_trait]
    impl BatchWriter for (Instant, Arc<Batches>) {
        async fn write_batch(&self, commands: &[Command]) -> Result<Vec<Decided>, StorageError> {
            self.1.0.lock().unwrap().push((self.0.elapsed(), commands.len()));
            sleep(TOOK).await;
            Ok(commands.iter().map(|_| Ok(Outcome::Expire(None))).collect())
        }
    }

    fn command() -> Command {
        Command::Hold(fixtures::hold_request(&fixtures::terms(), &["A-1-1"]))
    }

    /// When batches begin, in milliseconds, and of how many commands they are, if so many commands come at once and another
    /// one each millisecond after them.
    async fn batches(busy_peers: u32, at_once: usize, commands_max: usize) -> Vec<(u128, usize)> {
        let (seats, peers) =
            (Arc::new(SeatCache::new(Duration::ZERO, Arc::new(TestClock::new()))), MemoryPeers::default());
        peers.set_busy_with_seats(busy_peers);
        seats.publish_to(Arc::new(peers));
        let (batches, (sender, jobs), (_closing, closing)) =
            (Arc::new(Batches::default()), mpsc::channel(1_000), watch::channel(false));
        let send = || {
            let (answer, _) = oneshot::channel();
            sender.try_send(Job { command: command(), answer, span: None }).expect("there is room");
        };
        (0..at_once).for_each(|_| send());
        let writer = Arc::new((Instant::now(), Arc::clone(&batches)));
        let worker = Worker { number: 0, jobs, closing, writer, seats, commands_max };
        let running = tokio::spawn(worker.run());
        for _ in 0..20 {
            // What is due is done before the next command comes.
            for _ in 0..50 {
                tokio::task::yield_now().await;
            }
            advance(Duration::from_millis(1)).await;
            send();
        }
        running.abort();
        let begun = std::mem::take(&mut *batches.0.lock().unwrap());
        begun.into_iter().map(|(at, commands)| (at.as_millis(), commands)).collect()
    }

    #[test]
    fn a_lane_takes_commands_if_enough_wait_in_those_before_it() {
        let (senders, mut jobs): (Vec<_>, Vec<_>) = (0..2).map(|_| mpsc::channel(4)).unzip();
        let (closing, _) = watch::channel(false);
        let lanes = WriteLanes { senders: senders.into(), commands_wanted: 2, closing, workers: Arc::default() };
        let send =
            || lanes.lane().try_send(Job { command: command(), answer: oneshot::channel().0, span: None }).is_ok();
        let waiting = |jobs: &[mpsc::Receiver<Job>]| jobs.iter().map(mpsc::Receiver::len).collect::<Vec<_>>();
        let wanted = [[1, 0], [2, 0], [2, 1], [2, 2], [3, 2], [3, 3], [4, 3], [4, 4]];
        for wanted in wanted {
            assert!(send());
            assert_eq!(waiting(&jobs), wanted);
        }
        assert!(!send(), "all lanes are full");
        // A batch of the first lane has begun.
        while jobs[0].try_recv().is_ok() {}
        assert!(send());
        assert_eq!(waiting(&jobs), [1, 4]);
    }

    #[tokio::test(start_paused = true)]
    async fn after_a_batch_of_several_a_lane_pauses_for_its_peers() {
        let begun = batches(0, 3, 256).await;
        assert!(matches!(begun[..], [(0, 3), (4, 4), (8, 4), ..]), "{begun:?}");
        // Four milliseconds for the batch, and eight for two busy peers.
        let begun = batches(2, 3, 256).await;
        assert!(matches!(begun[..], [(0, 3), (12..=13, 12..=13), ..]), "{begun:?}");
        // A single command does not pause.
        let begun = batches(2, 1, 256).await;
        assert!(matches!(begun[..], [(0, 1), (4, 4), (16..=17, 12..=13), ..]), "{begun:?}");
        // Nor does a lane in which a whole batch waits.
        let begun = batches(2, 3, 4).await;
        assert!(matches!(begun[..], [(0, 3), (4, 4), ..]), "{begun:?}");
    }

    /// Fails a batch that has one of these commands; keeps how many commands each batch had.
    struct Damaged {
        reservations: Vec<ReservationId>,
        batches: Mutex<Vec<usize>>,
    }

    #[async_trait]
    impl BatchWriter for Damaged {
        async fn write_batch(&self, commands: &[Command]) -> Result<Vec<Decided>, StorageError> {
            self.batches.lock().unwrap().push(commands.len());
            let is_damaged = |command: &Command| match command {
                Command::Hold(request) => self.reservations.contains(&request.reservation_id),
                _ => false,
            };
            if commands.iter().any(is_damaged) {
                return Err(StorageError::failed("damaged data"));
            }
            Ok(commands.iter().map(|_| Ok(Outcome::Expire(None))).collect())
        }
    }

    #[tokio::test]
    async fn the_commands_of_a_batch_that_failed_are_tried_one_by_one_and_one_alone_is_not_tried_again() {
        let commands = [command(), command(), command()];
        let Command::Hold(damaged) = &commands[1] else { unreachable!() };
        for (commands, succeeded, batches) in
            [(&commands[..], &[true, false, true][..], &[3, 1, 1, 1][..]), (&commands[1..2], &[false], &[1])]
        {
            let reservations = vec![damaged.reservation_id];
            let writer = Arc::new(Damaged { reservations, batches: Mutex::default() });
            let outcomes = write(&writer, commands.into()).await;
            assert_eq!(outcomes.iter().map(Result::is_ok).collect::<Vec<_>>(), succeeded);
            assert_eq!(*writer.batches.lock().unwrap(), batches);
        }
    }
}
