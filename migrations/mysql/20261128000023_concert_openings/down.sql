DROP INDEX concerts_opening ON concerts;
