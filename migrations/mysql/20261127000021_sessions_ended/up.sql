-- Instances read at their start which sessions ended lately.
CREATE INDEX sessions_ended ON sessions (ended_at);
