DROP INDEX reservations_by_account;
