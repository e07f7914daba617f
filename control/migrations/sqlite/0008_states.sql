-- Connections and sessions have every state that they can be in: an offer that was answered, a connection whose host is
-- not heard, a session whose holder is not there.
--
-- SQLite cannot change a CHECK, so both tables are made anew. Nothing refers to them.

CREATE TABLE connections_anew (
    id           TEXT    NOT NULL CONSTRAINT connections_pk PRIMARY KEY,
    lease_id     TEXT    NOT NULL CONSTRAINT connections_lease_fk REFERENCES leases (id),
    -- The hash of the cookie or token that opened it: only its owner may patch or end it.
    owner_hash   BLOB    NOT NULL,
    role         TEXT    NOT NULL CONSTRAINT connections_role_known CHECK (role IN ('controller', 'observer')),
    state        TEXT    NOT NULL CONSTRAINT connections_state_known
        CHECK (state IN ('new', 'negotiating', 'connected', 'reconnecting', 'closed')),
    etag         TEXT,
    opened_at    INTEGER NOT NULL,
    connected_at INTEGER,
    closed_at    INTEGER,
    close_reason TEXT
) STRICT;

INSERT INTO connections_anew (id, lease_id, owner_hash, role, state, etag, opened_at, connected_at, closed_at, close_reason)
SELECT id, lease_id, owner_hash, role, CASE WHEN state = 'new' AND etag IS NOT NULL THEN 'negotiating' ELSE state END,
    etag, opened_at, connected_at, closed_at, close_reason FROM connections;

DROP TABLE connections;
ALTER TABLE connections_anew RENAME TO connections;
CREATE INDEX connections_live ON connections (lease_id) WHERE state <> 'closed';

CREATE TABLE sessions_anew (
    id         TEXT    NOT NULL CONSTRAINT sessions_pk PRIMARY KEY,
    lease_id   TEXT    NOT NULL CONSTRAINT sessions_lease_fk REFERENCES leases (id) CONSTRAINT sessions_lease_unique UNIQUE,
    state      TEXT    NOT NULL CONSTRAINT sessions_state_known
        CHECK (state IN ('preparing', 'running', 'idle', 'terminating', 'terminated', 'failed')),
    created_at INTEGER NOT NULL,
    ended_at   INTEGER
) STRICT;

INSERT INTO sessions_anew (id, lease_id, state, created_at, ended_at)
SELECT s.id, s.lease_id, CASE WHEN s.state = 'running' AND l.state = 'grace' THEN 'idle' ELSE s.state END,
    s.created_at, s.ended_at FROM sessions s JOIN leases l ON l.id = s.lease_id;

DROP TABLE sessions;
ALTER TABLE sessions_anew RENAME TO sessions;
