DROP INDEX reservations_due ON reservations;
