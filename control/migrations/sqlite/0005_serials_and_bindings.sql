-- Emulators and containers of one image all have the same serial number: a device is known by its id, which its agent
-- keeps.
DROP INDEX devices_serial_unique;

-- What was granted for a cookie is looked up in the writers' turn, also when it is long over.
CREATE INDEX leases_link_binding ON leases (link_id, binding_hash);

-- The tokens of a lease are counted in the writers' turn.
CREATE INDEX viewer_tokens_lease ON viewer_tokens (lease_id);
