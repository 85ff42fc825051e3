DROP INDEX reservations_due;
