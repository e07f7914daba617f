//! sdpfrag
