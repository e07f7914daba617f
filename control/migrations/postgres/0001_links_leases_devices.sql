-- The first tables: who signs in, which hosts and devices there are, who holds which device.
--
-- The same tables as SQLite's, in PostgreSQL's words. Ids are UUID text. Times are milliseconds since 1970, UTC.
-- Secrets are SHA-256 hashes of 256-bit random values, or argon2id for passwords: nothing here lets a reader in.
-- Constraints have names, because the code maps some of them to answers.

CREATE TABLE users (
    id            TEXT    NOT NULL CONSTRAINT users_pk PRIMARY KEY,
    login         TEXT    NOT NULL CONSTRAINT users_login_unique UNIQUE,
    password_hash TEXT    NOT NULL,
    role          TEXT    NOT NULL CONSTRAINT users_role_known CHECK (role IN ('admin')),
    created_at    BIGINT  NOT NULL
);

CREATE TABLE auth_sessions (
    token_hash   BYTEA   NOT NULL CONSTRAINT auth_sessions_pk PRIMARY KEY,
    user_id      TEXT    NOT NULL CONSTRAINT auth_sessions_user_fk REFERENCES users (id) ON DELETE CASCADE,
    created_at   BIGINT  NOT NULL,
    last_used_at BIGINT  NOT NULL,
    expires_at   BIGINT  NOT NULL
);

CREATE TABLE hosts (
    id                  TEXT    NOT NULL CONSTRAINT hosts_pk PRIMARY KEY,
    name                TEXT    NOT NULL,
    key_hash            BYTEA   NOT NULL CONSTRAINT hosts_key_unique UNIQUE,
    state               TEXT    NOT NULL CONSTRAINT hosts_state_known CHECK (state IN ('enrolled', 'retired')),
    certificate_ends_at BIGINT  NOT NULL,
    last_seen_at        BIGINT,
    created_at          BIGINT  NOT NULL
);

CREATE TABLE join_tokens (
    token_hash BYTEA   NOT NULL CONSTRAINT join_tokens_pk PRIMARY KEY,
    created_at BIGINT  NOT NULL,
    expires_at BIGINT  NOT NULL,
    used_at    BIGINT
);

-- A device's epoch only ever rises. `occupancy` follows the live lease and is what a claim tests.
CREATE TABLE devices (
    id        TEXT    NOT NULL CONSTRAINT devices_pk PRIMARY KEY,
    host_id   TEXT    NOT NULL CONSTRAINT devices_host_fk REFERENCES hosts (id),
    name      TEXT    NOT NULL,
    serial    TEXT    NOT NULL,
    model     TEXT    NOT NULL,
    width     BIGINT  NOT NULL,
    height    BIGINT  NOT NULL,
    lifecycle TEXT    NOT NULL CONSTRAINT devices_lifecycle_known CHECK (lifecycle IN ('booting', 'ready', 'gone')),
    health    TEXT    NOT NULL CONSTRAINT devices_health_known CHECK (health IN ('healthy', 'degraded', 'offline')),
    occupancy TEXT    NOT NULL CONSTRAINT devices_occupancy_known
        CHECK (occupancy IN ('free', 'reserved', 'leased', 'wiping', 'quarantined')),
    epoch     BIGINT  NOT NULL CONSTRAINT devices_epoch_positive CHECK (epoch >= 0),
    seen_at   BIGINT  NOT NULL
);

CREATE UNIQUE INDEX devices_serial_unique ON devices (host_id, serial) WHERE lifecycle <> 'gone';

CREATE FUNCTION devices_epoch_rises() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'devices_epoch_rises';
END;
$$;

CREATE TRIGGER devices_epoch_rises BEFORE UPDATE OF epoch ON devices
    FOR EACH ROW WHEN (new.epoch < old.epoch) EXECUTE FUNCTION devices_epoch_rises();

CREATE TABLE links (
    id              TEXT    NOT NULL CONSTRAINT links_pk PRIMARY KEY,
    name            TEXT    NOT NULL,
    token_hash      BYTEA   NOT NULL CONSTRAINT links_token_unique UNIQUE,
    token_hint      TEXT    NOT NULL,
    device_id       TEXT    NOT NULL CONSTRAINT links_device_fk REFERENCES devices (id),
    package         TEXT,
    activity        TEXT,
    state           TEXT    NOT NULL CONSTRAINT links_state_known CHECK (state IN ('active', 'revoked', 'deleted')),
    expires_at      BIGINT,
    max_uses        BIGINT,
    uses            BIGINT  NOT NULL CONSTRAINT links_uses_within CHECK (uses >= 0 AND (max_uses IS NULL OR uses <= max_uses)),
    max_connections BIGINT  NOT NULL,
    created_by      TEXT    NOT NULL CONSTRAINT links_creator_fk REFERENCES users (id),
    created_at      BIGINT  NOT NULL
);

CREATE TABLE leases (
    id            TEXT    NOT NULL CONSTRAINT leases_pk PRIMARY KEY,
    device_id     TEXT    NOT NULL CONSTRAINT leases_device_fk REFERENCES devices (id),
    link_id       TEXT    NOT NULL CONSTRAINT leases_link_fk REFERENCES links (id),
    epoch         BIGINT  NOT NULL,
    -- The epoch that the release carries; known once the lease is releasing.
    release_epoch BIGINT,
    state         TEXT    NOT NULL CONSTRAINT leases_state_known
        CHECK (state IN ('preparing', 'active', 'grace', 'releasing', 'released')),
    -- When the present state ends by itself; only preparing and grace do.
    until_at      BIGINT,
    reason        TEXT,
    left_as       TEXT    CONSTRAINT leases_left_known CHECK (left_as IN ('clean', 'quarantined')),
    binding_hash  BYTEA   NOT NULL,
    acquired_at   BIGINT  NOT NULL,
    released_at   BIGINT,
    CONSTRAINT leases_epoch_unique UNIQUE (device_id, epoch)
);

CREATE UNIQUE INDEX leases_one_live_per_device ON leases (device_id) WHERE state <> 'released';
CREATE INDEX leases_link ON leases (link_id, state);

CREATE TABLE sessions (
    id         TEXT    NOT NULL CONSTRAINT sessions_pk PRIMARY KEY,
    lease_id   TEXT    NOT NULL CONSTRAINT sessions_lease_fk REFERENCES leases (id) CONSTRAINT sessions_lease_unique UNIQUE,
    state      TEXT    NOT NULL CONSTRAINT sessions_state_known
        CHECK (state IN ('preparing', 'running', 'terminating', 'terminated', 'failed')),
    created_at BIGINT  NOT NULL,
    ended_at   BIGINT
);

CREATE TABLE viewer_tokens (
    token_hash BYTEA   NOT NULL CONSTRAINT viewer_tokens_pk PRIMARY KEY,
    lease_id   TEXT    NOT NULL CONSTRAINT viewer_tokens_lease_fk REFERENCES leases (id),
    role       TEXT    NOT NULL CONSTRAINT viewer_tokens_role_known CHECK (role IN ('controller', 'observer')),
    created_at BIGINT  NOT NULL
);

CREATE TABLE connections (
    id           TEXT    NOT NULL CONSTRAINT connections_pk PRIMARY KEY,
    lease_id     TEXT    NOT NULL CONSTRAINT connections_lease_fk REFERENCES leases (id),
    -- The hash of the cookie or token that opened it: only its owner may patch or end it.
    owner_hash   BYTEA   NOT NULL,
    role         TEXT    NOT NULL CONSTRAINT connections_role_known CHECK (role IN ('controller', 'observer')),
    state        TEXT    NOT NULL CONSTRAINT connections_state_known CHECK (state IN ('new', 'connected', 'closed')),
    etag         TEXT,
    opened_at    BIGINT  NOT NULL,
    connected_at BIGINT,
    closed_at    BIGINT,
    close_reason TEXT
);

CREATE INDEX connections_live ON connections (lease_id) WHERE state <> 'closed';

CREATE TABLE audit_log (
    id            BIGINT  NOT NULL GENERATED BY DEFAULT AS IDENTITY CONSTRAINT audit_log_pk PRIMARY KEY,
    at            BIGINT  NOT NULL,
    actor_kind    TEXT    NOT NULL,
    actor_id      TEXT,
    action        TEXT    NOT NULL,
    resource_type TEXT    NOT NULL,
    resource_id   TEXT    NOT NULL,
    result        TEXT    NOT NULL,
    request_id    TEXT    NOT NULL,
    ip            TEXT
);
