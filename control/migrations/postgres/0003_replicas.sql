-- Several controls on one database: who is there, which of them has a host's link, what they ask of one another.
--
-- Changes are told by triggers, so that none can be forgotten; a replica hears its own too and knows them by its name.

CREATE TABLE replicas (
    id        TEXT   NOT NULL CONSTRAINT replicas_pk PRIMARY KEY,
    -- The fingerprint of its certificate authority: agents know only one.
    authority BYTEA  NOT NULL,
    seen_at   BIGINT NOT NULL
);

CREATE TABLE host_links (
    host_id    TEXT NOT NULL CONSTRAINT host_links_pk PRIMARY KEY
        CONSTRAINT host_links_host_fk REFERENCES hosts (id),
    replica_id TEXT NOT NULL CONSTRAINT host_links_replica_fk REFERENCES replicas (id) ON DELETE CASCADE
);

-- Questions to an agent whose link another replica has. They live for seconds and mean nothing after a crash.
CREATE UNLOGGED TABLE calls (
    id          TEXT   NOT NULL CONSTRAINT calls_pk PRIMARY KEY,
    host_id     TEXT   NOT NULL,
    request     TEXT   NOT NULL,
    deadline_ms BIGINT NOT NULL,
    reply       TEXT,
    asked_at    BIGINT NOT NULL
);

CREATE FUNCTION tell_lease() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('farglass', 'lease ' || new.id || ' ' || current_setting('application_name'));
    RETURN NULL;
END;
$$;

CREATE TRIGGER leases_tell AFTER INSERT OR UPDATE ON leases FOR EACH ROW EXECUTE FUNCTION tell_lease();

CREATE FUNCTION tell_call() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF new.reply IS NULL THEN
        PERFORM pg_notify('farglass', 'call ' || new.id || ' ' || new.host_id);
    ELSE
        PERFORM pg_notify('farglass', 'reply ' || new.id);
    END IF;
    RETURN NULL;
END;
$$;

CREATE TRIGGER calls_tell AFTER INSERT OR UPDATE ON calls FOR EACH ROW EXECUTE FUNCTION tell_call();
