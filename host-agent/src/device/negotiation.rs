//! Offers and patches of viewers: checked against the fence here, decided by the gateway.
//!
//! ```text
//!   offer ── fence raised ──► gateway ── answer ──► asker      refused ──► no such connection
//!   patch ── not below it ─────► gateway ── done ────► asker
//! ```
//!
//! The gateway's answer is waited for on a task of its own, so that the device goes on meanwhile; at most
//! [`NEGOTIATIONS_MAX`] at once. It does not know SDP.

use protocol::ConnectionId;
use protocol::agent::{PatchKind, RefusalCode, Reply, Role, WhepOffer, WhepPatch};

use crate::asker::Asker;
use crate::fence::FenceError;
use crate::refusals::{offer_refusal, patch_refusal, refuse};

use super::{Device, DeviceEvent};

/// Offers and patches that the gateway works on for one device. One more is told `Busy`.
const NEGOTIATIONS_MAX: usize = 16;

impl Device {
    /// Has the gateway decide about an offer whose epoch the fence has reached.
    pub(super) async fn negotiate(&mut self, offer: WhepOffer, asker: Asker) {
        let connection = offer.connection;
        if self.negotiations.len() >= NEGOTIATIONS_MAX {
            asker.refuse(RefusalCode::Busy, &"too many offers at once");
            return self.not_connected(connection).await;
        }
        let (gateway, events) = (self.common.gateway.clone(), self.common.events.clone());
        self.negotiations.spawn(async move {
            let offer = gateway::Offer {
                connection,
                device: offer.device,
                epoch: offer.epoch,
                role: match offer.role {
                    Role::Controller => gateway::Role::Controller,
                    Role::Observer => gateway::Role::Spectator,
                },
                sdp: offer.sdp,
            };
            match gateway.offer(offer).await {
                Ok(answer) => asker.reply(Reply::Answer {
                    sdp: answer.sdp,
                    etag: answer.etag.trim_matches('"').to_owned(),
                }),
                Err(error) => {
                    asker.refuse(offer_refusal(&error), &error);
                    // The agent is gone when nobody takes it, and its table with it.
                    let _ = events.send(DeviceEvent::NotConnected(connection)).await;
                }
            }
        });
    }

    pub(super) fn patch(&mut self, patch: WhepPatch, asker: Asker) {
        let fence = self.pass.borrow().epoch;
        if patch.epoch < fence {
            return refuse(
                asker,
                &FenceError::Stale {
                    asked: patch.epoch,
                    fence,
                },
            );
        }
        if patch.kind == PatchKind::Restart {
            return asker.refuse(
                RefusalCode::BadSdp,
                &"this host answers no ICE restart: offer anew",
            );
        }
        if self.negotiations.len() >= NEGOTIATIONS_MAX {
            return asker.refuse(RefusalCode::Busy, &"too many patches at once");
        }
        let gateway = self.common.gateway.clone();
        self.negotiations.spawn(async move {
            match gateway.patch(patch.connection, patch.fragment).await {
                Ok(()) => asker.reply(Reply::Patched {
                    fragment: None,
                    etag: None,
                }),
                Err(error) => asker.refuse(patch_refusal(&error), &error),
            }
        });
    }

    pub(super) async fn not_connected(&self, connection: ConnectionId) {
        let _ = self
            .common
            .events
            .send(DeviceEvent::NotConnected(connection))
            .await;
    }
}
