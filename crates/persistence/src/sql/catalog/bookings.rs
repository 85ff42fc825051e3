//! When venues are taken, and concerts are on.

use boxoffice_domain::{
    ConcertId, StorageError, VenueId,
    catalog::{Booking, VenueBookings},
};
use diesel::sql_types::Bool;
use diesel_async::RunQueryDsl;

use super::{
    super::{super::Connection, failure::Failure},
    rows::BookingRow,
};
use crate::statement::Statement;

/// Locks a concert until the transaction ends: no performance of it is published or moved meanwhile, and its sale is not
/// moved. Changes its row, as [`lock_venue`] does.
pub(super) async fn lock_concert(connection: &mut Connection, id: ConcertId) -> Result<(), Failure> {
    let update: Statement = Statement::new("UPDATE concerts SET changes_count = changes_count + 1 WHERE id = ");
    update.bind(id).execute(connection).await?;
    Ok(())
}

/// Locks a venue until the transaction ends, and reads how it is taken: around one booking, or at any time. Changes its
/// row, because the nodes of a cluster see each other's changes and not each other's locks.
pub(super) async fn lock_venue(
    connection: &mut Connection,
    id: VenueId,
    around: Option<Booking>,
) -> Result<VenueBookings, Failure> {
    let update: Statement = Statement::new("UPDATE venues SET changes_count = changes_count + 1 WHERE id = ");
    update.bind(id).execute(connection).await?;
    let query = Statement::<Bool>::new("SELECT overlaps_allowed FROM venues WHERE id = ").bind(id);
    let overlaps_allowed: Vec<bool> = query.load(connection).await?;
    if overlaps_allowed[..] == [true] {
        return Ok(VenueBookings { overlaps_allowed: true, bookings: Vec::new() });
    }
    let mut query = Statement::select::<BookingRow>().sql(" WHERE venue_id = ").bind(id);
    if let Some((after, before)) = around.map(|booking| booking.neighbourhood()) {
        query = query.sql(" AND starts_at > ").bind(after).sql(" AND starts_at < ").bind(before);
    }
    let query = query
        .sql(" AND (withdrawn_at IS NULL OR EXISTS (SELECT 1 FROM seats WHERE seats.performance_id = performances.id")
        .sql(" AND seats.reservation_id IS NOT NULL AND seats.held_until IS NULL))");
    let rows: Vec<BookingRow> = query.load(connection).await?;
    let bookings = rows.into_iter().map(Booking::try_from).collect::<Result<_, StorageError>>()?;
    Ok(VenueBookings { overlaps_allowed: false, bookings })
}
