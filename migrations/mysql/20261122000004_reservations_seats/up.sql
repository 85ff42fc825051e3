-- JSON: the labels and prices of the seats, in the order in which they were asked for. Written once and read whole.
ALTER TABLE reservations ADD COLUMN seats MEDIUMTEXT NOT NULL;
