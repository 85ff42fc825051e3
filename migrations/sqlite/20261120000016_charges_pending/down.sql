DROP INDEX charges_pending;
