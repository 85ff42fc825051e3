DROP INDEX charges_pending ON charges;
