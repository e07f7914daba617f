-- An operator's viewer token is good as long as the sign-in that it was made under. One from before this has none.
ALTER TABLE viewer_tokens ADD COLUMN auth_hash BYTEA;

CREATE INDEX viewer_tokens_looks ON viewer_tokens (auth_hash) WHERE user_id IS NOT NULL;
