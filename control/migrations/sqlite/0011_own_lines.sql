-- How often a control has written its line here. Only its looks around count: a host that dials writes the line too, and
-- a control that finds another number than its own knows that the database is not the one that it wrote to.
ALTER TABLE replicas ADD COLUMN looks INTEGER NOT NULL DEFAULT 0;
