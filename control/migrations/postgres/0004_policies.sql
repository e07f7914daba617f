-- Links get policies, a begin, a pause and selectors; devices get labels and the reason of a quarantine; leases
-- count how long they were held; a repeated request finds the answer of the first.

ALTER TABLE links ALTER COLUMN device_id DROP NOT NULL;
-- One of the two: this device, or any free one with these labels (JSON).
ALTER TABLE links ADD COLUMN selector TEXT;
ALTER TABLE links ADD CONSTRAINT links_one_target CHECK ((device_id IS NULL) <> (selector IS NULL));
ALTER TABLE links DROP CONSTRAINT links_state_known;
ALTER TABLE links ADD CONSTRAINT links_state_known CHECK (state IN ('active', 'paused', 'revoked', 'deleted'));
ALTER TABLE links ADD COLUMN not_before BIGINT;
ALTER TABLE links ADD COLUMN idle_timeout_s BIGINT NOT NULL DEFAULT 300;
ALTER TABLE links ALTER COLUMN idle_timeout_s DROP DEFAULT;
ALTER TABLE links ADD COLUMN max_duration_s BIGINT;
ALTER TABLE links ADD COLUMN on_expiry TEXT NOT NULL DEFAULT 'cut'
    CONSTRAINT links_on_expiry_known CHECK (on_expiry IN ('cut', 'finish'));
ALTER TABLE links ALTER COLUMN on_expiry DROP DEFAULT;

-- JSON objects of short words.
ALTER TABLE devices ADD COLUMN told_labels TEXT NOT NULL DEFAULT '{}';
ALTER TABLE devices ADD COLUMN own_labels TEXT NOT NULL DEFAULT '{}';
-- Both are there while the device is quarantined.
ALTER TABLE devices ADD COLUMN quarantined_at BIGINT;
ALTER TABLE devices ADD COLUMN quarantine_reason TEXT;

-- How much of its greatest length was counted when it was last noted.
ALTER TABLE leases ADD COLUMN spent_ms BIGINT NOT NULL DEFAULT 0;

-- The operator who made it; none for a holder's own.
ALTER TABLE viewer_tokens ADD COLUMN user_id TEXT CONSTRAINT viewer_tokens_user_fk REFERENCES users (id);

-- Answers to requests with an Idempotency-Key. No status means that the first one is still at work.
CREATE TABLE answers (
    scope      TEXT   NOT NULL,
    key_hash   BYTEA  NOT NULL,
    body_hash  BYTEA  NOT NULL,
    status     BIGINT,
    location   TEXT,
    body       TEXT,
    created_at BIGINT NOT NULL,
    CONSTRAINT answers_pk PRIMARY KEY (scope, key_hash)
);
