-- Who works on an answer: the time at which he began is his turn. Whoever takes an abandoned one over writes his own.
ALTER TABLE answers ADD COLUMN worked_since INTEGER NOT NULL DEFAULT 0;
