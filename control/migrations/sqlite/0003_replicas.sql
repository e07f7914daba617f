-- The tables of several controls on one database. On SQLite there is one control, and they stay empty: statements have
-- one text for both databases.

CREATE TABLE replicas (
    id        TEXT    NOT NULL CONSTRAINT replicas_pk PRIMARY KEY,
    authority BLOB    NOT NULL,
    seen_at   INTEGER NOT NULL
) STRICT;

CREATE TABLE host_links (
    host_id    TEXT NOT NULL CONSTRAINT host_links_pk PRIMARY KEY
        CONSTRAINT host_links_host_fk REFERENCES hosts (id),
    replica_id TEXT NOT NULL CONSTRAINT host_links_replica_fk REFERENCES replicas (id) ON DELETE CASCADE
) STRICT;

CREATE TABLE calls (
    id          TEXT    NOT NULL CONSTRAINT calls_pk PRIMARY KEY,
    host_id     TEXT    NOT NULL,
    request     TEXT    NOT NULL,
    deadline_ms INTEGER NOT NULL,
    reply       TEXT,
    asked_at    INTEGER NOT NULL
) STRICT;
