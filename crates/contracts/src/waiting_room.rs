//! The contract of [`WaitingRoom`], as functions over any implementor.
//!
//! Each function takes what makes a fresh, empty waiting room under given [`Rules`] and a clock to move. Time
//! is that clock's only: nothing sleeps, and every outcome is exact. [`waiting_room_contract!`] makes a test of each
//! function.
//!
//! [`waiting_room_contract!`]: crate::waiting_room_contract

use std::{fmt, sync::Arc};

use boxoffice_domain::{fixtures::TestClock, waiting_room::WaitingRoom};

mod crowds;
mod draw;
mod expiry;
mod joining;
mod leaving;
mod limit;
mod operators;
mod polling;
mod restarts;
mod restoring;
mod sales;
mod scene;

pub use self::{
    crowds::*, draw::*, expiry::*, joining::*, leaving::*, limit::*, operators::*, polling::*, restarts::*,
    restoring::*, sales::*,
};

/// The rules under which a waiting room is tested. It admits from its first moment on.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// How many may wait in a queue.
    pub capacity: usize,
    /// How many seconds an admission lasts.
    pub admission_seconds: u32,
    /// For how many seconds an admitted account that holds nothing may be absent.
    pub no_show_seconds: u32,
    /// For how many seconds an admitted account that holds nothing may leave its admission unused; 0 for any time.
    pub idle_admission_seconds: u32,
    /// How many accounts may join a queue from one network within an hour; 0 for any number.
    pub joins_per_network_max: u32,
    /// The most seconds between two polls.
    pub poll_seconds_max: u32,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            capacity: 100_000,
            admission_seconds: 600,
            no_show_seconds: 86_400,
            idle_admission_seconds: 0,
            joins_per_network_max: 0,
            poll_seconds_max: 20,
        }
    }
}

impl Rules {
    /// As by default, and an absent account is passed over after a minute.
    pub(crate) fn passing_over() -> Self {
        Self { no_show_seconds: 60, ..Self::default() }
    }

    /// As by default, and an admission that is not used passes on after two minutes.
    pub(crate) fn passing_on() -> Self {
        Self { idle_admission_seconds: 120, ..Self::default() }
    }
}

/// A waiting room to be tested, and its clock, which stands at [`instant`](boxoffice_domain::fixtures::instant) 0.
#[derive(Clone)]
pub struct Stage {
    /// The waiting room.
    pub waiting_room: Arc<dyn WaitingRoom>,
    /// The clock that it judges time by.
    pub clock: Arc<TestClock>,
}

impl fmt::Debug for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stage").field("clock", &self.clock).finish_non_exhaustive()
    }
}

/// Makes a test of each function of the contract, in the module that calls it. The argument is an
/// `async fn(Rules) -> Stage`.
#[macro_export]
macro_rules! waiting_room_contract {
    ($stage:expr) => {
        $crate::contract_tests! { waiting_room, $stage;
            a_place_is_given_once
            places_are_given_in_order_and_never_twice
            a_thousand_concurrent_joins
            one_account_joining_a_hundred_times_at_once
            a_full_queue_refuses
            a_network_joins_only_so_often
            joins_of_one_network_at_once_are_counted_exactly
            queues_are_independent
            leaving_admits_the_next_in_order
            leaving_while_waiting_moves_up_those_behind
            spending_admits_the_next_in_order
            a_negative_number_of_free_admissions_admits_none
            raising_the_limit_admits_at_once
            expiry_admits_the_next_in_order
            who_does_not_come_is_passed_over
            a_visit_keeps_an_admission_for_as_long_as_an_account_may_be_absent
            absence_does_not_count_while_seats_are_held
            an_admission_that_is_not_used_passes_on
            an_admission_does_not_go_unused_while_seats_are_held
            held_seats_prolong_an_admission
            held_seats_given_up_end_a_prolonged_admission
            held_seats_are_nothing_to_those_not_admitted
            advancing_is_enough_for_a_queue_without_visitors
            a_known_place_is_not_restored_elsewhere
            polls_are_further_apart_at_a_distance
            the_estimate_follows_the_measured_rate
            watchers_are_woken
            none_is_dropped
            concurrent_departures_drop_none
            a_stampede_keeps_order_and_limit
            before_the_draw_none_has_an_order
            the_order_is_that_of_the_numbers
            an_opening_that_admits_none_wakes_watchers
            later_comers_stand_behind_the_draw
            equal_numbers_stand_by_account
            leaving_and_joining_again_before_the_draw_gains_nothing
            numbers_do_not_count_without_a_draw
            an_opening_can_be_moved
            ten_thousand_are_served_in_the_order_drawn
            a_paused_queue_admits_none_and_resumes_at_once
            a_queue_can_begin_paused
            a_pause_does_nothing_to_those_admitted
            a_pause_is_no_part_of_the_measure
            older_terms_do_not_undo_newer_ones
            emptying_ends_all_waiting_and_no_others
            a_queue_is_empty_if_none_waits
            the_stats_are_right
            the_oldest_wait_of_a_drawn_queue_is_the_earliest_joining
            the_census_has_the_longest_first
            while_all_seats_are_held_all_wait
            before_the_sale_opens_all_wait
            the_time_without_a_seat_is_no_part_of_the_measure
            a_queue_ends_when_nothing_is_left
            a_hold_that_is_learnt_of_late_outlasts_the_end_of_the_queue
            a_queue_ends_with_its_sale_by_itself
            a_queue_that_has_ended_goes_on_when_there_are_seats_again
            the_later_reading_of_a_sale_counts
            a_draw_waits_for_the_opening_while_all_are_held
            a_large_queue_ends_as_a_whole
        }
    };
}
