//! The scripts, what each takes, and what every step on a queue replies.

use std::sync::LazyLock;

use boxoffice_domain::{
    AccountId, StorageError, Timestamp,
    waiting_room::{JoinRequest, QueuePlace, QueueTerms, RestoreRequest},
};

use boxoffice_peers::{
    arguments,
    redis::{Argument, Reply, Script},
};

/// What the scripts of all steps begin with.
const PRELUDE: &str = concat!(
    include_str!("scripts/prelude.lua"),
    include_str!("scripts/sale.lua"),
    include_str!("scripts/advance.lua"),
);

/// The keys of a queue.
const QUEUE_KEYS: [&str; 12] = [
    "queue",
    "waiting",
    "drawn",
    "joined",
    "active",
    "ending",
    "idle",
    "ended",
    "minute",
    "left",
    "networks",
    "passed_over",
];
/// The key of the queues, by when something is due there.
pub(super) const DUE: &str = "due";
/// The key of the queues, by how many wait there.
pub(super) const LENGTHS: &str = "lengths";
/// The keys of the list of queues.
const LIST_KEYS: [&str; 4] = ["ours_since", DUE, "visited", LENGTHS];

/// The keys of the queue of a concert, as its scripts take them. What is in braces decides on which node of a cluster
/// they are: all on the same one.
pub(super) fn queue_keys(prefix: &str, concert: &str) -> Vec<String> {
    QUEUE_KEYS.iter().map(|name| format!("{prefix}:{{{concert}}}:{name}")).collect()
}

/// The keys of the list of queues, as its scripts take them.
pub(super) fn list_keys(prefix: &str) -> Vec<String> {
    LIST_KEYS.iter().map(|name| list_key(prefix, name)).collect()
}

/// One of the keys of the list of queues.
pub(super) fn list_key(prefix: &str, name: &str) -> String {
    format!("{prefix}:{{queues}}:{name}")
}

arguments! {
    /// What every step on a queue takes.
    Context {
        now: Timestamp,
        /// Since when Redis has answered this instance. The absence of an account is judged from then on.
        answered_since: Timestamp,
        capacity: u64,
        admission_micros: u64,
        no_show_micros: u64,
        /// 0 if an admission need not be used.
        idle_micros: u64,
        /// 0 for any number.
        joins_per_network_max: u32,
        reform_micros: u64,
        restorable_micros: u64,
        /// Where it is published that standings have changed.
        channel: String,
        concert: String,
    }

    Open {
        ours_since: Timestamp,
    }

    Status {
        place: QueuePlace,
        /// Whether the holder uses the admission.
        uses: bool,
    }

    KeepUntil {
        account_id: AccountId,
        held_until: Option<Timestamp>,
    }

    Spend {
        account_id: AccountId,
        /// The last place that the payment can have been made with.
        number_max: u64,
    }

    Visit {
        /// Whether the queue may be dropped if nothing is lost with it.
        may_drop: bool,
    }

    /// What an instance knows already.
    Known {
        /// When the queue was opened that it has a snapshot of, in microseconds; 0 for none.
        opened_at: u64,
        admissions_version: u64,
        /// How many have left while they waited.
        left_total: u64,
    }

    Register {
        now: Timestamp,
        concert: String,
        queues_max: u64,
    }

    Claim {
        now: Timestamp,
        claimed_until: Timestamp,
        due_max: u64,
        /// A queue was not visited for long if it was visited last before then.
        unvisited_since: Timestamp,
        unvisited_max: u64,
    }

    Visited {
        concert: String,
        /// What the list says of when something is due, unless another instance has changed it.
        claimed_until: Option<Timestamp>,
        due: Option<Timestamp>,
        /// `None` if there is no queue any more.
        waiting: Option<u64>,
    }
}

/// A step on one queue: a script after what all of them share.
pub(super) type Step<A> = Script<(Context, A)>;

macro_rules! scripts {
    ($($name:ident: $type:ty = $new:ident($file:literal);)*) => {
        $(pub(super) static $name: LazyLock<$type> = LazyLock::new(|| $new(include_str!($file)));)*

        /// Every name that a script uses and that it is not given.
        #[cfg(test)]
        fn unbound() -> Vec<String> {
            [$($name.unbound()),*].concat()
        }
    };
}

scripts! {
    OPEN: Step<Open> = step("scripts/open.lua");
    JOIN: Step<JoinRequest> = step("scripts/join.lua");
    STATUS: Step<Status> = step("scripts/status.lua");
    RESTORE: Step<RestoreRequest> = step("scripts/restore.lua");
    LEAVE: Step<QueuePlace> = step("scripts/leave.lua");
    KEEP_UNTIL: Step<KeepUntil> = step("scripts/keep_until.lua");
    SPEND: Step<Spend> = step("scripts/spend.lua");
    SET_TERMS: Step<QueueTerms> = step("scripts/set_terms.lua");
    EMPTY: Step<()> = step("scripts/empty.lua");
    VISIT: Step<Visit> = step("scripts/visit.lua");
    STATS: Step<()> = step("scripts/stats.lua");
    SNAPSHOT: Step<Known> = step("scripts/snapshot.lua");
    REGISTER: Script<Register> = of_list("scripts/register.lua");
    CLAIM: Script<Claim> = of_list("scripts/claim.lua");
    VISITED: Script<Visited> = of_list("scripts/visited.lua");
}

fn step<A: Argument>(body: &str) -> Step<A> {
    Script::new(&QUEUE_KEYS, &format!("{PRELUDE}\n{body}"))
}

fn of_list<A: Argument>(body: &str) -> Script<A> {
    Script::new(&LIST_KEYS, body)
}

/// What every step on a queue replies.
pub(super) struct StepReply {
    /// When the queue was opened, in microseconds: distinguishes it from an earlier one of the same concert.
    pub(super) opened_at: u64,
    /// Counts how often a standing has changed.
    pub(super) version: u64,
    /// When something happens next by itself.
    pub(super) due: Option<Timestamp>,
    /// The time that the queue has.
    pub(super) now: Timestamp,
    pub(super) admitted: u64,
    pub(super) no_shows: u64,
    pub(super) idle: u64,
    pub(super) expired: u64,
    /// What this step replies besides.
    pub(super) values: Reply,
}

impl StepReply {
    pub(super) fn read(mut values: Reply) -> Result<Self, StorageError> {
        Ok(Self {
            opened_at: values.take("opened_at")?,
            version: values.take("version")?,
            due: values.take("due")?,
            now: values.take("now")?,
            admitted: values.take("admitted")?,
            no_shows: values.take("no_shows")?,
            idle: values.take("idle")?,
            expired: values.take("expired")?,
            values,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_that_a_script_uses_is_one_that_it_is_given() {
        assert_eq!(unbound(), [""; 0]);
    }
}
