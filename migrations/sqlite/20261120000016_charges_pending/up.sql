-- The charges without a verdict, the oldest first: what the worker asks the gateway about again.
CREATE INDEX charges_pending ON charges (status, created_at);
