-- Connections and sessions have every state that they can be in: an offer that was answered, a connection whose host is
-- not heard, a session whose holder is not there.

ALTER TABLE connections DROP CONSTRAINT connections_state_known,
    ADD CONSTRAINT connections_state_known
        CHECK (state IN ('new', 'negotiating', 'connected', 'reconnecting', 'closed'));
UPDATE connections SET state = 'negotiating' WHERE state = 'new' AND etag IS NOT NULL;

ALTER TABLE sessions DROP CONSTRAINT sessions_state_known,
    ADD CONSTRAINT sessions_state_known
        CHECK (state IN ('preparing', 'running', 'idle', 'terminating', 'terminated', 'failed'));
UPDATE sessions SET state = 'idle' WHERE state = 'running'
    AND EXISTS (SELECT 1 FROM leases l WHERE l.id = sessions.lease_id AND l.state = 'grace');
