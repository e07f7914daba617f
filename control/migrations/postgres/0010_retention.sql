-- What is long over is found by when it was over, and a lease that goes must not read every connection.
CREATE INDEX leases_released ON leases (released_at) WHERE state = 'released';
CREATE INDEX connections_closed ON connections (closed_at) WHERE state = 'closed';
CREATE INDEX connections_lease ON connections (lease_id);
CREATE INDEX audit_log_refused ON audit_log (at) WHERE action = 'auth.login' AND result = 'refused';
