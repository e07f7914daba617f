-- Epochs are given out above the milliseconds of control's last start on a database that knew devices, so that
-- none comes twice after the database was put back from a backup: what was given out since then is below.
CREATE TABLE generation (
    id    BIGINT  NOT NULL CONSTRAINT generation_pk PRIMARY KEY CONSTRAINT generation_single CHECK (id = 1),
    since BIGINT  NOT NULL
);

INSERT INTO generation (id, since) VALUES (1, 0);
