//! The contracts of the ports that are kept in a storage, as functions over any implementor of all of them.
//!
//! Each function takes a [`Stage`] over an empty storage. Time is the stage's clock only, and every outcome is
//! exact. [`storage_contract!`] makes a test of each function, and asks [`Stage::assert_sound`] afterwards.
//!
//! [`storage_contract!`]: crate::storage_contract

pub mod accounts;
pub mod audit;
pub mod bookings;
pub mod catalog;
pub mod catalog_import;
pub mod catalog_search;
pub mod charge_refunds;
pub mod emails;
pub mod event_log;
pub mod history;
pub mod import_rules;
pub mod leases;
pub mod mails;
pub mod maintenance;
pub mod password_resets;
pub mod payments;
mod promises;
pub mod races;
pub mod reservations;
pub mod retention;
pub mod second_factor;
pub mod sessions;
mod show;
pub mod staff;
mod stage;
mod stocks;
pub mod wallet;
pub mod webhooks;

use std::{fmt, sync::Arc};

use boxoffice_domain::{
    accounts::{AccountEmails, AccountRecords, Accounts, PasswordResets, SecondFactors, Sessions},
    audit::{Audit, Readiness},
    catalog::{Catalog, CatalogImport},
    events::{EventLog, Outbox},
    gateway::GatewayInbox,
    history::History,
    mail::MailQueue,
    maintenance::Maintenance,
    payments::Payments,
    reservations::Reservations,
    retention::Retention,
    wallet::Wallets,
    webhooks::{WebhookDeliveries, Webhooks},
};
use boxoffice_peers::leases::Leases;

pub use self::{
    show::{
        PRICE_A, PRICE_B, SHOW_SEATS, Show, charge_request, concert, credentials, label, name, new_performance,
        other_request, part, pay_request, plan, points, unavailable, venue,
    },
    staff::layout,
    stage::{Begun, Cancelled, Held, Paid, RefundBegun, Stage},
};
pub use crate::crowd::{Dice, at_once};

/// Makes a test of each function of the contracts, in the module that calls it.
///
/// The first argument is the path of an `async fn()` that gives a [`Stage`](crate::storage::Stage) over an empty storage, or a
/// value that has one: it has the methods `stage(&self) -> &Stage`, and `async close(self)`, which is called after a test
/// that passes. The path is as the calling module sees it.
///
/// Without more arguments the storage implements every port. An adapter of some of them names the parts that it keeps:
///
/// ```text
/// storage_contract!(open, catalog payments races reservations);
/// ```
///
/// | Part | Ports that it needs |
/// | --- | --- |
/// | `accounts` | `Accounts`, `Sessions`, `SecondFactors`, `AccountEmails`, `PasswordResets` |
/// | `audit` | all but `CatalogImport`, `Sessions` and `Leases`, and [`Corrupt`](crate::storage::audit::Corrupt) |
/// | `catalog`, `payments`, `races`, `reservations` | `Catalog`, `Payments`, `Reservations` |
/// | `catalog_import` | these and `CatalogImport` |
/// | `history` | `Accounts`, `Catalog`, `CatalogImport`, `History` |
/// | `leases` | `Leases` |
/// | `mails` | all but `CatalogImport` and `Leases`, and [`Corrupt`](crate::storage::audit::Corrupt) |
/// | `retention` | all but `CatalogImport` and `Leases`, and [`Corrupt`](crate::storage::audit::Corrupt) |
/// | `wallet` | `Accounts`, `AccountRecords`, `Catalog`, `Payments`, `Reservations`, `Wallets` |
/// | `charge_refunds` | as `wallet`, and `GatewayInbox` |
/// | `event_log` | as `catalog`, and `EventLog`, `Outbox`, `Retention` |
/// | `webhooks` | `Accounts`, `Webhooks`, `WebhookDeliveries` |
///
/// With the names of functions after a semicolon, it makes tests of those alone:
///
/// ```text
/// storage_contract! { open; races { everything_at_once_breaks_nothing } }
/// ```
#[macro_export]
macro_rules! storage_contract {
    (@ accounts $open:path) => {
        $crate::storage_contract! { $open; accounts {
            an_account_is_found_by_its_id_and_by_its_login_id
            one_of_fifty_at_once_gets_the_login_id
            a_login_id_is_one_however_it_is_typed
            an_account_is_changed_by_login_id_as_far_as_is_asked
            an_erased_account_leaves_its_bare_id
            accounts_of_the_demonstration_are_marked_and_counted
        } sessions {
            a_session_is_found_as_it_is_with_its_account
            a_refresh_secret_is_exchanged_once
            a_session_that_ended_or_lapsed_or_never_was_is_not_refreshed
            one_of_twenty_rotations_at_once_is_made
            a_session_that_was_refreshed_meanwhile_does_not_end_for_a_spent_secret
            the_sessions_of_an_account_are_those_that_go_on
            one_session_too_many_ends_the_oldest
            sessions_are_ended_by_their_account_alone
            what_was_revoked_is_read_from_an_instant_on
            a_locked_account_has_no_sessions
            an_erased_account_has_no_sessions
            another_password_ends_the_sessions_of_the_account
            the_holder_changes_the_password_and_keeps_one_session
            a_hash_is_renewed_once_and_the_sessions_go_on
            a_sign_in_that_is_under_way_does_not_outlive_another_password
        } second_factor {
            a_factor_is_begun_until_it_is_confirmed
            confirming_a_factor_ends_the_other_sessions
            a_code_is_taken_once
            no_more_codes_are_tried_at_once_than_may_be
            a_factor_is_removed_by_its_holder_and_by_the_operator
        } emails {
            an_address_is_verified_by_its_code_once
            one_of_twenty_right_codes_at_once_verifies
            no_more_codes_of_mails_are_tried_at_once_than_may_be
            no_more_mails_go_to_an_account_or_an_address_than_may
            an_address_is_removed_with_the_password_alone
            a_language_is_kept_with_or_without_an_address
        } password_resets {
            a_reset_changes_the_password_once_and_ends_all_sessions
            one_of_a_hundred_uses_of_a_token_at_once_wins
            a_reset_is_begun_for_a_verified_address_alone
            no_more_resets_are_begun_in_an_hour_than_may_be
            a_token_is_void_after_its_time_or_another_password
        } }
    };
    (@ audit $open:path) => {
        $crate::storage_contract! { @broken $open; audit {
            an_audit_finds_every_corruption
            an_audit_finds_every_corruption_of_a_wallet
            an_audit_finds_every_corruption_of_a_catalog
        } }
        $crate::storage_contract! { $open; audit {
            a_hall_of_two_hundred_thousand_rows_is_audited
        } }
    };
    (@ catalog $open:path) => {
        $crate::storage_contract! { $open; catalog {
            a_venue_is_published_once_under_its_key
            the_largest_venue_with_the_longest_names_is_kept
            a_concert_is_published_once_under_its_key
            a_performance_is_published_once_under_its_key
            twenty_publications_at_once_under_one_key_make_one
            concerts_are_paged_in_the_order_of_their_publication
            only_bookable_concerts_are_listed_when_asked
            performances_are_paged_by_their_start
            performances_without_a_seat_to_be_had_are_left_out_when_asked
            seats_come_in_the_order_of_the_plan
            lapsed_holds_count_as_available
            a_stock_is_what_is_left_of_performances_to_come
            no_map_shows_less_than_was_answered_before
            a_seat_map_follows_every_act_and_the_time
            a_concert_is_changed_only_from_the_version_that_was_read
            a_draw_a_pause_and_an_emptying_are_kept
            what_is_unknown_is_none
        } staff {
            a_venue_keeps_its_layout
            venues_are_listed_newest_first
            concerts_are_listed_for_those_who_manage_them
        } bookings {
            a_venue_has_one_performance_at_a_time
            one_of_twenty_publications_at_once_takes_the_venue
            a_performance_starts_in_time_for_its_sale
            an_opening_and_a_performance_before_it_do_not_both_come
        } }
        $crate::storage_contract! { $open; catalog_search {
            words_are_found_in_every_script_and_form
            each_order_and_filter_is_that_of_the_rule
            concerts_that_are_published_meanwhile_neither_hide_nor_repeat_others
            a_change_is_found_at_once
            a_concert_has_its_prices_and_dates
        } }
    };
    (@ catalog_import $open:path) => {
        $crate::storage_contract! { $open; catalog_import {
            a_second_import_creates_nothing
            a_new_price_counts_from_the_moment_a_seat_is_free
            an_import_that_is_refused_writes_nothing
            an_import_never_changes_a_draw_or_a_pause
            two_imports_at_once_make_one_catalog
            what_is_absent_stays_as_it_is
            a_dry_run_reports_and_writes_nothing
        } import_rules {
            a_key_is_unique_for_its_owner
            what_has_no_owner_is_adopted
            a_concert_is_adopted_with_its_performances
            a_sold_performance_is_moved_only_if_harm_is_allowed_and_is_refunded_then
            what_is_no_longer_named_is_reported_and_taken_from_sale_when_asked
            an_import_has_to_do_with_performances_that_it_did_not_make
            an_import_takes_a_venue_once_at_a_time
            an_import_keeps_to_the_times_that_can_be
        } }
    };
    (@ history $open:path) => {
        $crate::storage_contract! { $open; history {
            acts_are_written_down_with_what_they_do
            an_import_writes_down_what_it_did
            a_changed_account_is_written_down_once
        } }
    };
    (@ leases $open:path) => {
        $crate::storage_contract! { $open; leases {
            one_of_fifty_at_once_gets_a_lease
            a_lease_is_released_by_its_holder_alone
        } maintenance {
            a_notice_stays_until_it_is_taken_back
        } }
    };
    (@ mails $open:path) => {
        $crate::storage_contract! { $open; mails {
            a_mail_waits_once_until_it_has_ended
            a_code_comes_before_everything_else
            a_mail_is_postponed_until_it_is_due_again
            a_mail_knows_its_account_as_it_is_when_it_is_due
            accounts_with_a_verified_address_are_reachable
            a_ticket_is_what_was_reserved
            the_tickets_of_a_performance_are_paged
            old_mail_is_removed
            another_password_is_an_event
            a_sign_in_from_elsewhere_is_an_event
        } }
    };
    (@ payments $open:path) => {
        $crate::storage_contract! { $open; payments {
            fifty_identical_payments_debit_once
            fifty_payments_of_one_reservation_debit_once
            each_refusal_of_a_payment_has_its_cause
            a_repeated_payment_gets_the_first_answer
            payments_are_found_by_their_owner_alone
            a_place_is_spent_by_the_payment_of_the_last_hold
            a_replayed_receipt_says_what_is_held_now
            what_was_paid_outside_moves_no_points
        } }
    };
    (@ races $open:path) => {
        $crate::storage_contract! { $open; races {
            a_payment_is_in_time_until_the_last_microsecond
            a_payment_and_a_sweep_at_the_end_of_the_hold_agree
            a_payment_and_a_cancellation_at_once_leave_no_point_behind
            one_of_twenty_cancellations_at_once_refunds
            a_hold_and_the_sweep_of_the_former_one_agree
            a_lapsed_seat_sells_again_without_a_sweep
            a_lapsed_hold_whose_seat_was_taken_is_not_paid
            holds_that_end_unpaid_make_the_account_wait
            holds_and_sweeps_at_once_count_each_lapsed_hold_once
            what_an_account_holds_at_once_is_covered_by_its_wallet
            everything_at_once_breaks_nothing
        } }
    };
    (@ reservations $open:path) => {
        $crate::storage_contract! { $open; reservations {
            a_hold_has_its_seats_its_sum_and_its_end
            each_refusal_of_a_hold_has_its_cause
            a_repeated_hold_gets_the_first_answer
            one_of_five_hundred_gets_the_seat
            overlapping_holds_neither_share_nor_split_seats
            ten_holds_at_once_of_one_account_give_its_limit
            the_limit_counts_every_performance_of_the_concert
            owned_seats_count_against_the_limit
            cancelling_a_hold_frees_its_seats
            each_refusal_of_a_cancellation_has_its_cause
            a_repeated_cancellation_gets_the_first_answer
            a_paid_reservation_is_cancelled_only_before_the_performance_starts
            reservations_are_listed_newest_first_by_what_they_are_shown_as
            the_sweep_takes_the_oldest_first_and_no_more_than_asked
        } }
    };
    (@ retention $open:path) => {
        // They check which events are left, and which reservations.
        $crate::storage_contract! { @broken $open; retention {
            sessions_are_removed_some_time_after_their_end
            what_was_never_paid_is_removed_after_its_performance_and_the_rest_stays
            what_is_removed_is_not_counted_any_more
            events_are_removed_and_what_they_were_about_is_sound
            a_reservation_is_removed_before_its_events
            an_audit_still_finds_what_was_not_removed
            removing_and_selling_at_once_breaks_nothing
        } }
    };
    (@ wallet $open:path) => {
        $crate::storage_contract! { $open; wallet {
            creating_an_account_again_makes_no_second_wallet
            points_for_one_of_two_reservations_pay_exactly_one
            a_payment_without_points_leaves_the_hold
            a_refund_brings_the_points_back
            a_thousand_charges_at_once_add_up
            charges_and_payments_at_once_add_up
            a_charge_completed_fifty_times_is_credited_once
            charges_in_progress_count_against_the_limit
            a_declined_charge_credits_nothing
            a_repeated_charge_is_begun_once
            pending_charges_come_oldest_first_and_no_more_than_asked
            entries_are_paged_newest_first
            a_charge_is_found_by_its_owner_alone
        } accounts {
            an_account_in_use_is_not_erased
            everything_that_is_stored_of_an_account_is_read_page_by_page
        } }
    };
    (@ event_log $open:path) => {
        $crate::storage_contract! { $open; event_log {
            batches_get_positions_once_and_are_read_in_their_order
            acts_of_the_staff_are_events_of_their_concert
            one_of_many_gives_positions_at_a_time
            a_reader_goes_on_where_it_was
            an_opening_is_noted_once
        } }
        $crate::storage_contract! { @broken $open; event_log {
            what_a_reader_has_not_had_is_kept_for_longer
        } }
    };
    (@ charge_refunds $open:path) => {
        $crate::storage_contract! { $open; charge_refunds {
            a_charge_that_requires_action_is_credited_later
            a_refused_refund_gives_the_points_back
            fifty_refunds_at_once_give_back_what_there_is
            a_repeated_refund_is_begun_once
            pending_refunds_come_oldest_first
            charges_are_paged_by_their_ids
            a_notification_is_kept_once
        } }
    };
    (@ webhooks $open:path) => {
        $crate::storage_contract! { $open; webhooks {
            a_webhook_is_kept_listed_changed_and_removed
            one_too_many_webhooks_of_an_account_are_refused
            webhooks_of_staff_in_good_standing_are_active
            an_erased_account_leaves_no_webhook
            a_delivery_is_added_once_and_due_until_it_is_recorded
            attempts_change_what_a_webhook_is
            one_failure_turns_no_webhook_off_that_had_no_events_for_long
            deliveries_are_listed_newest_first_by_status
            deliveries_are_sent_again_one_or_a_span
            old_deliveries_are_removed
        } }
    };
    (@broken $open:path; $module:ident { $($name:ident)* }) => {$(
        #[test]
        fn $name() {
            $crate::run(2, async {
                let home = $open().await;
                $crate::storage::$module::$name(home.stage()).await;
                home.close().await;
            });
        }
    )*};
    ($open:path) => {
        $crate::storage_contract! { $open,
            accounts audit catalog catalog_import charge_refunds event_log history leases mails payments races reservations
            retention wallet webhooks
        }
    };
    ($open:path, $($part:ident)+) => {
        $($crate::storage_contract! { @ $part $open })+
    };
    ($open:path; $($module:ident { $($name:ident)* })*) => {$($(
        #[test]
        fn $name() {
            $crate::run(2, async {
                let home = $open().await;
                $crate::storage::$module::$name(home.stage()).await;
                home.stage().assert_sound().await;
                home.close().await;
            });
        }
    )*)*};
}

/// Every port that is kept in a storage.
#[derive(Clone)]
#[expect(missing_docs, reason = "each field is the port that its type names")]
pub struct Storage {
    pub accounts: Arc<dyn Accounts>,
    pub sessions: Arc<dyn Sessions>,
    pub records: Arc<dyn AccountRecords>,
    pub factors: Arc<dyn SecondFactors>,
    pub emails: Arc<dyn AccountEmails>,
    pub resets: Arc<dyn PasswordResets>,
    pub catalog: Arc<dyn Catalog>,
    pub import: Arc<dyn CatalogImport>,
    pub reservations: Arc<dyn Reservations>,
    pub payments: Arc<dyn Payments>,
    pub wallets: Arc<dyn Wallets>,
    pub gateway_inbox: Arc<dyn GatewayInbox>,
    pub outbox: Arc<dyn Outbox>,
    pub event_log: Arc<dyn EventLog>,
    pub history: Arc<dyn History>,
    pub audit: Arc<dyn Audit>,
    pub readiness: Arc<dyn Readiness>,
    pub leases: Arc<dyn Leases>,
    pub maintenance: Arc<dyn Maintenance>,
    pub mails: Arc<dyn MailQueue>,
    pub retention: Arc<dyn Retention>,
    pub webhooks: Arc<dyn Webhooks>,
    pub webhook_deliveries: Arc<dyn WebhookDeliveries>,
}

impl Storage {
    /// A storage that is one value.
    pub fn of<S>(store: Arc<S>) -> Self
    where
        S: Accounts
            + Sessions
            + AccountRecords
            + SecondFactors
            + AccountEmails
            + PasswordResets
            + Catalog
            + CatalogImport
            + Reservations
            + Payments
            + Wallets
            + GatewayInbox
            + Outbox
            + EventLog
            + History
            + Audit
            + Readiness
            + Leases
            + Maintenance
            + MailQueue
            + Retention
            + Webhooks
            + WebhookDeliveries
            + 'static,
    {
        Self {
            accounts: store.clone(),
            sessions: store.clone(),
            records: store.clone(),
            factors: store.clone(),
            emails: store.clone(),
            resets: store.clone(),
            catalog: store.clone(),
            import: store.clone(),
            reservations: store.clone(),
            payments: store.clone(),
            wallets: store.clone(),
            gateway_inbox: store.clone(),
            outbox: store.clone(),
            event_log: store.clone(),
            history: store.clone(),
            audit: store.clone(),
            readiness: store.clone(),
            leases: store.clone(),
            maintenance: store.clone(),
            mails: store.clone(),
            retention: store.clone(),
            webhooks: store.clone(),
            webhook_deliveries: store,
        }
    }
}

impl fmt::Debug for Storage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Storage").finish_non_exhaustive()
    }
}
