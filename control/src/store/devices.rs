//! Devices: what agents report, and what admins do to them.

use protocol::agent::DeviceFact;
use protocol::{CloseReason, DeviceId, Epoch, HostId};

use super::audit::{self, Actor, Deed};
use super::connections::unheard;
use super::leases::step_in;
use super::row::Row;
use super::statement::{args, statements};
use super::{Store, StoreError, Write, generation};
use crate::domain::device::{Device, Health, Lifecycle, Occupancy, Reset, Soiled, axes};
use crate::domain::labels::Labels;
use crate::domain::lease::Event;
use crate::domain::session::Session;
use crate::domain::time::UnixMs;

/// Everything about devices; append a WHERE.
macro_rules! device_where {
    ($tail:literal) => {
        concat!(
            "SELECT d.id, d.host_id, d.name, d.serial, d.model, d.width, d.height, d.lifecycle, d.health, d.occupancy,
                 d.epoch, d.seen_at, d.told_labels, d.own_labels, d.quarantined_at, d.quarantine_reason,
                 l.id AS lease_id, s.id AS session_id
             FROM devices d LEFT JOIN leases l ON l.device_id = d.id AND l.state <> 'released'
             LEFT JOIN sessions s ON s.lease_id = l.id WHERE ",
            $tail
        )
    };
}

pub(super) use device_where;

/// The next epoch of a row of `devices`: above its last one and above everything given out before the last start.
macro_rules! next_epoch {
    () => {
        "CASE WHEN epoch + 1 > (SELECT since FROM generation) THEN epoch + 1 ELSE (SELECT since FROM generation) END"
    };
}
pub(super) use next_epoch;

statements! {
    DEVICES() device_where!("d.lifecycle <> 'gone' ORDER BY d.name, d.id");
    DEVICE(Text) device_where!("d.id = $1");
    /// What another control is linked to is its business.
    UNLINKED_OFFLINE()
        "UPDATE devices SET health = 'offline'
         WHERE NOT EXISTS (SELECT 1 FROM host_links h WHERE h.host_id = devices.host_id)";
    /// What an operator's reset is: a cleaning that no lease asks for.
    RESETTING()
        "SELECT id, host_id, epoch FROM devices WHERE occupancy = 'wiping'
         AND NOT EXISTS (SELECT 1 FROM leases l WHERE l.device_id = devices.id AND l.state <> 'released')";
    /// Held leases of a host whose fence is above them.
    OVERTAKEN(Text)
        "SELECT l.id FROM leases l JOIN devices d ON d.id = l.device_id
         WHERE d.host_id = $1 AND l.state <> 'released' AND l.state <> 'releasing' AND d.epoch > l.epoch";
    QUARANTINED()
        "SELECT id, host_id, epoch FROM devices WHERE occupancy = 'quarantined' AND lifecycle <> 'gone'";
    START_RESET(Text)
        concat!("UPDATE devices SET occupancy = 'wiping', quarantined_at = NULL, quarantine_reason = NULL, epoch = ",
            next_epoch!(),
            " WHERE id = $1 AND occupancy = 'quarantined' RETURNING id, host_id, epoch");
    END_RESET(Text, Text, Number)
        "UPDATE devices SET occupancy = $1 WHERE id = $2 AND epoch = $3 AND occupancy = 'wiping'";
    ALL_GONE(Text) "UPDATE devices SET lifecycle = 'gone', health = 'offline' WHERE host_id = $1";
    /// Every quarantine is named in the transaction that began it.
    NAME_QUARANTINE(Number, Text)
        "UPDATE devices SET quarantined_at = $1, quarantine_reason = $2
         WHERE occupancy = 'quarantined' AND quarantined_at IS NULL RETURNING id";
    SET_OWN_LABELS(Text, Text) "UPDATE devices SET own_labels = $1 WHERE id = $2 AND lifecycle <> 'gone'";
    NOTE_FACT(Text, Text, Text, Text, Text, Number, Number, Text, Text, Number, Number, Text)
        "INSERT INTO devices (id, host_id, name, serial, model, width, height, lifecycle, health, occupancy, epoch, seen_at,
             told_labels)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, CASE WHEN $10 > 0 OR EXISTS
             (SELECT 1 FROM devices o WHERE o.host_id = $2 AND o.name = $3 AND o.id <> $1)
             THEN 'quarantined' ELSE 'free' END, $10, $11, $12)
         ON CONFLICT (id) DO UPDATE SET name = excluded.name, serial = excluded.serial, model = excluded.model,
             width = excluded.width, height = excluded.height, lifecycle = excluded.lifecycle,
             health = excluded.health, seen_at = excluded.seen_at, told_labels = excluded.told_labels,
             epoch = CASE WHEN excluded.epoch > devices.epoch THEN excluded.epoch + CASE WHEN devices.occupancy = 'free'
                 OR devices.occupancy = 'wiping' AND NOT EXISTS
                     (SELECT 1 FROM leases l WHERE l.device_id = devices.id AND l.state <> 'released')
                 THEN 1 ELSE 0 END ELSE devices.epoch END,
             occupancy = CASE WHEN excluded.epoch > devices.epoch AND (devices.occupancy = 'free'
                 OR devices.occupancy = 'wiping' AND NOT EXISTS
                     (SELECT 1 FROM leases l WHERE l.device_id = devices.id AND l.state <> 'released'))
                 THEN 'quarantined' ELSE devices.occupancy END
         WHERE devices.host_id = excluded.host_id";
}

impl Store {
    /// Every device that some host has.
    pub(crate) async fn devices(&self) -> Result<Vec<Device>, StoreError> {
        self.read.all(&DEVICES, []).await?.iter().map(device).collect()
    }

    /// One device.
    pub(crate) async fn device(&self, id: DeviceId) -> Result<Option<Device>, StoreError> {
        let row = self.read.maybe(&DEVICE, args![id]).await?;
        row.as_ref().map(device).transpose()
    }

    /// Control has just started: what no other control is linked to is out of reach, and a generation of epochs begins.
    pub(crate) async fn settle_devices(&self, now: UnixMs) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        tx.run(&generation::BEGIN, args![now]).await?;
        tx.run(&UNLINKED_OFFLINE, []).await?;
        unheard(&mut tx).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Notes what a host says about its devices; those that it leaves out are gone. The sessions that are over because a
    /// fence is above them: nobody else's word would end them.
    pub(crate) async fn report(
        &self,
        host: HostId,
        facts: &[DeviceFact],
        now: UnixMs,
    ) -> Result<Vec<Session>, StoreError> {
        let mut tx = self.begin().await?;
        note_facts(&mut tx, host, facts, now).await?;
        let mut over = Vec::new();
        for row in tx.all(&OVERTAKEN, args![host]).await? {
            let end = Event::End(CloseReason::HostLost);
            over.extend(step_in(&mut tx, row.parsed("id")?, end, &Actor::SYSTEM, now).await?);
        }
        tx.commit().await?;
        Ok(over)
    }

    /// Starts the cleaning of a quarantined device under a new epoch; none when it is not quarantined.
    pub(crate) async fn reset_device(
        &self,
        id: DeviceId,
        actor: &Actor,
        now: UnixMs,
    ) -> Result<Option<Reset>, StoreError> {
        let mut tx = self.begin().await?;
        let row = tx.maybe(&START_RESET, args![id]).await?;
        let Some(row) = row else { return Ok(None) };
        let order = reset(&row)?;
        let deed = Deed {
            action: "device.reset",
            resource: "device",
            id: &id.to_string(),
            result: "ok",
        };
        audit::record(&mut tx, actor, deed, now).await?;
        tx.commit().await?;
        Ok(Some(order))
    }

    /// Every cleaning that [`Self::reset_device`] started and that did not come to its end.
    pub(crate) async fn resetting(&self) -> Result<Vec<Reset>, StoreError> {
        self.read.all(&RESETTING, []).await?.iter().map(reset).collect()
    }

    /// Every device that is quarantined and that its host has, under its epoch.
    pub(crate) async fn quarantined(&self) -> Result<Vec<Reset>, StoreError> {
        self.read.all(&QUARANTINED, []).await?.iter().map(reset).collect()
    }

    /// Ends a cleaning that [`Self::reset_device`] started, if nothing newer happened.
    pub(crate) async fn device_was_reset(
        &self,
        id: DeviceId,
        epoch: Epoch,
        cleaned: Result<(), Soiled>,
        now: UnixMs,
    ) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        let (occupancy, result) = match cleaned {
            Ok(()) => (Occupancy::Free, "ok"),
            Err(why) => (Occupancy::Quarantined, why.as_str()),
        };
        if tx.run(&END_RESET, args![occupancy.as_str(), id, epoch]).await? == 1 {
            let deed = Deed {
                action: "device.clean",
                resource: "device",
                id: &id.to_string(),
                result,
            };
            audit::record(&mut tx, &Actor::SYSTEM, deed, now).await?;
        }
        if let Err(why) = cleaned {
            name_quarantine(&mut tx, why, &Actor::SYSTEM, now).await?;
        }
        tx.commit().await
    }

    /// Sets the labels that an admin gives to a device. False when there is no such device.
    pub(crate) async fn set_own_labels(
        &self,
        id: DeviceId,
        labels: &Labels,
        actor: &Actor,
        now: UnixMs,
    ) -> Result<bool, StoreError> {
        let mut tx = self.begin().await?;
        if tx.run(&SET_OWN_LABELS, args![labels.to_json(), id]).await? != 1 {
            return Ok(false);
        }
        let deed = Deed {
            action: "device.label",
            resource: "device",
            id: &id.to_string(),
            result: "ok",
        };
        audit::record(&mut tx, actor, deed, now).await?;
        tx.commit().await?;
        Ok(true)
    }
}

/// Gives every quarantine that has just begun its reason, its time and its row in the audit log.
pub(super) async fn name_quarantine(
    tx: &mut Write,
    why: Soiled,
    actor: &Actor,
    now: UnixMs,
) -> Result<(), StoreError> {
    for row in tx.all(&NAME_QUARANTINE, args![now, why.as_str()]).await? {
        let id = row.text("id")?;
        tracing::error!(device.id = %id, why = why.as_str(), "a device is quarantined until an operator has it reset");
        let deed = Deed {
            action: "device.quarantine",
            resource: "device",
            id: &id,
            result: why.as_str(),
        };
        audit::record(tx, actor, deed, now).await?;
    }
    Ok(())
}

/// Writes a host's facts. A fence above our epoch means that we lost commits (an old backup, say): the epoch follows it,
/// so that the next grant is above everything that the agent has seen. A device that we took for free is then not, and
/// our epoch is above the fence, so that whoever is on it is cut off (`jobs/cut_off.rs`): somebody whom we forgot may be
/// on it, and no wipe that we know of was for that epoch. Nor is one that an operator had cleaned when the backup was
/// made: it was cleaned, or was not, and went on. Nor is a device that a host has under a name that it used for another
/// one: its agent may have lost what it knew of who was on it.
pub(super) async fn note_facts(
    tx: &mut Write,
    host: HostId,
    facts: &[DeviceFact],
    now: UnixMs,
) -> Result<(), StoreError> {
    tx.run(&ALL_GONE, args![host]).await?;
    for fact in facts {
        let (lifecycle, health) = axes(fact.health);
        // A serial names nobody: emulators and containers of one image all have the same. The id is kept by the agent.
        let values = args![
            fact.id,
            host,
            &fact.name,
            &fact.serial,
            &fact.model,
            fact.width,
            fact.height,
            lifecycle.as_str(),
            health.as_str(),
            fact.fence,
            now,
            told_labels(fact).to_json(),
        ];
        let noted = tx.run(&NOTE_FACT, values).await?;
        if noted == 0 {
            tracing::error!(host.id = %host, device.id = %fact.id, "a host reports a device id of another host; it is left out");
        }
    }
    name_quarantine(tx, Soiled::Forgotten, &Actor::SYSTEM, now).await
}

/// What a host's config says about a device; nothing if it says too much or in another form.
fn told_labels(fact: &DeviceFact) -> Labels {
    Labels::parse(fact.labels.clone()).unwrap_or_else(|| {
        tracing::warn!(device.id = %fact.id, "a host's labels of a device are left out: too many, too long, or no words");
        Labels::default()
    })
}

fn reset(row: &Row) -> Result<Reset, StoreError> {
    Ok(Reset {
        device: row.parsed("id")?,
        host: row.parsed("host_id")?,
        epoch: Epoch(row.number("epoch")?),
    })
}

pub(super) fn device(row: &Row) -> Result<Device, StoreError> {
    let damaged = StoreError::Damaged;
    let labels = |name| Labels::from_json(&row.text(name)?).ok_or(damaged(name));
    let why = row.maybe_text("quarantine_reason")?;
    let why = why.map(|why| Soiled::parse(&why).ok_or(damaged("quarantine_reason")));
    Ok(Device {
        id: row.parsed("id")?,
        host: row.parsed("host_id")?,
        name: row.text("name")?,
        serial: row.text("serial")?,
        model: row.text("model")?,
        width: row.number("width")?,
        height: row.number("height")?,
        lifecycle: Lifecycle::parse(&row.text("lifecycle")?).ok_or(damaged("lifecycle"))?,
        health: Health::parse(&row.text("health")?).ok_or(damaged("health"))?,
        occupancy: Occupancy::parse(&row.text("occupancy")?).ok_or(damaged("occupancy"))?,
        epoch: Epoch(row.number("epoch")?),
        seen_at: row.time("seen_at")?,
        lease: row.maybe_parsed("lease_id")?,
        session: row.maybe_parsed("session_id")?,
        told_labels: labels("told_labels")?,
        own_labels: labels("own_labels")?,
        quarantine: why.transpose()?.zip(row.maybe_time("quarantined_at")?),
    })
}

#[cfg(test)]
#[path = "written_tests.rs"]
mod written;
