DROP INDEX sessions_ended ON sessions;
