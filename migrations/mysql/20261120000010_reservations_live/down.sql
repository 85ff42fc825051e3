DROP INDEX reservations_live ON reservations;
