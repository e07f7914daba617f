//! Somebody who sees what passes between a host and a device without being in its way: a recorder.
//!
//! ```text
//!   host::Options { witness, .. } ── connect ──► packet(direction, header, what belongs to no stream)      tap.rs
//!     Host ── open ───────────────► opened(service, carrier) ─► number
//!     Stream ── read_chunk ───────► received(number, bytes)      before the reader has them
//!            ── send ─────────────► sent(number, bytes)          once they are taken for the wire
//!            ── dropped ──────────► closed(number)
//! ```
//!
//! It is asked on the path of pictures and of input, so what it does there has to be short and must not wait. Streams it
//! sees on every way to a device, packets only where we speak with the device ourselves and no adb server does.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use crate::recording::{Carrier, Passed, StreamId};

/// Sees what passes.
pub trait Witness: Send + Sync + fmt::Debug {
    /// A packet has passed, whole. Those of one connection come in the order in which the wire had them.
    fn packet(&self, packet: Passed);
    /// A stream was opened to this service; the number names it from now on. Packets know it by its carrier, where there
    /// are packets.
    fn opened(&self, service: &str, carrier: Option<Carrier>) -> StreamId;
    /// The device sent bytes.
    fn received(&self, stream: StreamId, bytes: &Bytes);
    /// The host sent bytes.
    fn sent(&self, stream: StreamId, bytes: &[u8]);
    /// Nothing more will pass on the stream.
    fn closed(&self, stream: StreamId);
}

/// A witness of one stream, for as long as the stream is held.
#[derive(Debug)]
pub(crate) struct Watch {
    witness: Arc<dyn Witness>,
    stream: StreamId,
}

impl Watch {
    pub(crate) fn new(witness: Arc<dyn Witness>, service: &str, carrier: Option<Carrier>) -> Self {
        let stream = witness.opened(service, carrier);
        Self { witness, stream }
    }

    pub(crate) fn received(&self, bytes: &Bytes) {
        self.witness.received(self.stream, bytes);
    }

    pub(crate) fn sent(&self, bytes: &[u8]) {
        self.witness.sent(self.stream, bytes);
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.witness.closed(self.stream);
    }
}
