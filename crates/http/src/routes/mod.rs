//! The operations of the API: a folder for each capability, and a file for each operation.

pub(crate) mod accounts;
pub(crate) mod catalog;
pub(crate) mod history;
pub(crate) mod operations;
pub(crate) mod payments;
pub(crate) mod queue_control;
pub(crate) mod reservations;
pub(crate) mod waiting_room;
pub(crate) mod wallet;
pub(crate) mod webhooks;

use boxoffice_domain::{SellingRules, text::CHARACTER_UNITS_MAX};
use utoipa::ToSchema;

/// The most bytes of a character in JSON: decomposed, and each UTF-16 code unit an escape such as `\u1112`.
const CHARACTER_BYTES_MAX: usize = 6 * CHARACTER_UNITS_MAX;
/// Room for all of a body that is neither a text nor an entry of a list.
const FIELDS_BYTES_MAX: usize = 1_024;
/// Room for an entry of a list beside its texts, on lines that are indented by four spaces for each level.
const ENTRY_BYTES_MAX: usize = 120;

/// The label of a seat: the names of its section and row, and its number.
#[derive(ToSchema)]
#[schema(as = SeatLabel, value_type = String, example = "A-1-12", pattern = r"^[\t-\r \x85]*[^\x00-\x1f\x7f-\x9f-]+-[^\x00-\x1f\x7f-\x9f-]+-[1-9][0-9]{0,8}[\t-\r \x85]*$")]
struct SeatLabelText(#[expect(dead_code, reason = "it only describes")] String);

/// The longest body that an operation, given by its name, promises to take, in bytes. It takes that much even if the
/// operator has set a lower limit for bodies.
pub(crate) fn promised_bytes(operation: &str, rules: &SellingRules) -> usize {
    match operation {
        "accounts_sign_in" => accounts::sign_in::BODY_BYTES_MAX,
        "accounts_sign_up" => accounts::sign_up::BODY_BYTES_MAX,
        "accounts_change_password" => accounts::change_password::BODY_BYTES_MAX,
        "accounts_erase" => accounts::erase::BODY_BYTES_MAX,
        "accounts_begin_second_factor" | "accounts_remove_second_factor" | "accounts_remove_email" => {
            accounts::second_factor::BODY_BYTES_MAX
        }
        "accounts_begin_email" => accounts::email::BODY_BYTES_MAX,
        "accounts_begin_password_reset" => accounts::password_reset::BEGIN_BODY_BYTES_MAX,
        "accounts_complete_password_reset" => accounts::password_reset::BODY_BYTES_MAX,
        "catalog_publish_concert" | "catalog_update_concert" => catalog::publish_concert::BODY_BYTES_MAX,
        "catalog_publish_performance" => catalog::publish_performance::BODY_BYTES_MAX,
        "catalog_publish_venue" => catalog::publish_venue::BODY_BYTES_MAX,
        "reservations_hold" => reservations::hold::body_bytes_max(rules.seats_per_reservation_max.get()),
        "webhooks_create" | "webhooks_change" => webhooks::BODY_BYTES_MAX,
        _ => 0,
    }
}
