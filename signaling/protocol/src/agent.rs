//! Messages of the link between control and an agent.
