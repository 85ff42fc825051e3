DROP INDEX reservations_by_account ON reservations;
