-- The holds whose time is over, the oldest first: what the sweeper reads.
CREATE INDEX reservations_due ON reservations (status, held_until);
