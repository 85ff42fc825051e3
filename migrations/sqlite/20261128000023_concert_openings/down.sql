DROP INDEX concerts_opening;
