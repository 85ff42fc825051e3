//! The rules of selling that have numbers, which an operator chooses.

use std::num::NonZeroU32;

use crate::Points;

/// The numbers by which an installation sells.
///
/// The domain has no defaults for them: an application reads them from its settings and passes the same value to all
/// that obeys it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SellingRules {
    /// How many seconds seats are held before they must be paid.
    pub hold_seconds: NonZeroU32,
    /// How many holds of a concert an account may let end unpaid before it has to wait
    /// ([`HoldBudget`](crate::sale::HoldBudget)).
    pub unpaid_holds_free: u32,
    /// How many seats one reservation may have. At most
    /// [`SEATS_PER_RESERVATION_MAX`](crate::seats::SEATS_PER_RESERVATION_MAX).
    pub seats_per_reservation_max: NonZeroU32,
    /// How many seats of a concert one account may have, unless the concert sets another number. At most
    /// [`SEATS_PER_ACCOUNT_MAX`](crate::catalog::SEATS_PER_ACCOUNT_MAX).
    pub max_seats_per_account: NonZeroU32,
    /// How many accounts a concert admits at once, unless the concert sets another number. At most
    /// [`ACTIVE_MAX`](crate::catalog::ACTIVE_MAX).
    pub max_active: NonZeroU32,
    /// How many points one charge may add.
    pub charge_points_max: Points,
    /// The highest balance that a charge may bring a wallet to.
    pub balance_points_max: Points,
}
