-- How many seats of a concert an account holds and owns: counted by every hold.
CREATE INDEX reservations_live ON reservations (account_id, concert_id, status);
