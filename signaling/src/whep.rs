//! whep
