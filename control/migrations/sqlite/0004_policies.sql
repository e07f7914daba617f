-- no-transaction
-- Links get policies, a begin, a pause and selectors; devices get labels and the reason of a quarantine; leases
-- count how long they were held; a repeated request finds the answer of the first.
--
-- SQLite cannot take NOT NULL or a CHECK back, so `links` is made anew. That needs foreign keys off, which cannot be
-- switched inside of a transaction: this file begins and ends its own.
PRAGMA foreign_keys = OFF;
BEGIN IMMEDIATE;

CREATE TABLE links_anew (
    id              TEXT    NOT NULL CONSTRAINT links_pk PRIMARY KEY,
    name            TEXT    NOT NULL,
    token_hash      BLOB    NOT NULL CONSTRAINT links_token_unique UNIQUE,
    token_hint      TEXT    NOT NULL,
    -- One of the two: this device, or any free one with these labels (JSON).
    device_id       TEXT    CONSTRAINT links_device_fk REFERENCES devices (id),
    selector        TEXT,
    package         TEXT,
    activity        TEXT,
    state           TEXT    NOT NULL CONSTRAINT links_state_known CHECK (state IN ('active', 'paused', 'revoked', 'deleted')),
    not_before      INTEGER,
    expires_at      INTEGER,
    max_uses        INTEGER,
    uses            INTEGER NOT NULL CONSTRAINT links_uses_within CHECK (uses >= 0 AND (max_uses IS NULL OR uses <= max_uses)),
    max_connections INTEGER NOT NULL,
    idle_timeout_s  INTEGER NOT NULL,
    max_duration_s  INTEGER,
    on_expiry       TEXT    NOT NULL CONSTRAINT links_on_expiry_known CHECK (on_expiry IN ('cut', 'finish')),
    created_by      TEXT    NOT NULL CONSTRAINT links_creator_fk REFERENCES users (id),
    created_at      INTEGER NOT NULL,
    CONSTRAINT links_one_target CHECK ((device_id IS NULL) <> (selector IS NULL))
) STRICT;

INSERT INTO links_anew (id, name, token_hash, token_hint, device_id, package, activity, state, expires_at, max_uses,
    uses, max_connections, idle_timeout_s, on_expiry, created_by, created_at)
SELECT id, name, token_hash, token_hint, device_id, package, activity, state, expires_at, max_uses,
    uses, max_connections, 300, 'cut', created_by, created_at FROM links;

DROP TABLE links;
ALTER TABLE links_anew RENAME TO links;

-- JSON objects of short words.
ALTER TABLE devices ADD COLUMN told_labels TEXT NOT NULL DEFAULT '{}';
ALTER TABLE devices ADD COLUMN own_labels TEXT NOT NULL DEFAULT '{}';
-- Both are there while the device is quarantined.
ALTER TABLE devices ADD COLUMN quarantined_at INTEGER;
ALTER TABLE devices ADD COLUMN quarantine_reason TEXT;

-- How much of its greatest length was counted when it was last noted.
ALTER TABLE leases ADD COLUMN spent_ms INTEGER NOT NULL DEFAULT 0;

-- The operator who made it; none for a holder's own.
ALTER TABLE viewer_tokens ADD COLUMN user_id TEXT CONSTRAINT viewer_tokens_user_fk REFERENCES users (id);

-- Answers to requests with an Idempotency-Key. No status means that the first one is still at work.
CREATE TABLE answers (
    scope      TEXT    NOT NULL,
    key_hash   BLOB    NOT NULL,
    body_hash  BLOB    NOT NULL,
    status     INTEGER,
    location   TEXT,
    body       TEXT,
    created_at INTEGER NOT NULL,
    CONSTRAINT answers_pk PRIMARY KEY (scope, key_hash)
) STRICT;

COMMIT;
PRAGMA foreign_keys = ON;
