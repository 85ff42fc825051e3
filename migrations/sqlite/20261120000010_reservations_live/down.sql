DROP INDEX reservations_live;
