//! Devices: what agents report, and what admins do to them.

use protocol::agent::DeviceFact;
use protocol::{DeviceId, Epoch, HostId};
use sqlx::sqlite::SqliteRow;

use super::audit::{self, Actor, Deed};
use super::column::Columns as _;
use super::{Store, StoreError, Write};
use crate::domain::device::{Device, Health, Lifecycle, Occupancy, axes};
use crate::domain::time::UnixMs;

const SELECT: &str = "SELECT d.*, l.id AS lease_id FROM devices d
     LEFT JOIN leases l ON l.device_id = d.id AND l.state <> 'released'
     WHERE d.lifecycle <> 'gone' ORDER BY d.name, d.id";
const SELECT_ONE: &str = "SELECT d.*, l.id AS lease_id FROM devices d
     LEFT JOIN leases l ON l.device_id = d.id AND l.state <> 'released' WHERE d.id = ?";

impl Store {
    /// Every device that some host has.
    pub(crate) async fn devices(&self) -> Result<Vec<Device>, StoreError> {
        sqlx::query(SELECT)
            .fetch_all(&self.read)
            .await?
            .iter()
            .map(device)
            .collect()
    }

    /// One device.
    pub(crate) async fn device(&self, id: DeviceId) -> Result<Option<Device>, StoreError> {
        let row = sqlx::query(SELECT_ONE)
            .bind(id.to_string())
            .fetch_optional(&self.read)
            .await?;
        row.as_ref().map(device).transpose()
    }

    /// Control has just started: no host is linked, so nothing is in reach, and a cleaning that no
    /// lease remembers was lost with the process before.
    ///
    /// From now on epochs of devices are given out above the milliseconds of this start. A database that was put back
    /// from a backup does not remember the epochs that were given out since, and the agents' fences tell
    /// only of those that reached them; one process gives out fewer than one per device and millisecond, so
    /// none comes twice as long as the clock is right. A database that knows no device has nothing to forget.
    pub(crate) async fn settle_devices(&self, now: UnixMs) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        sqlx::query("UPDATE generation SET since = max(since, ?) WHERE EXISTS (SELECT 1 FROM devices)")
            .bind(now.0)
            .execute(&mut *tx)
            .await?;
        sqlx::query("UPDATE devices SET health = 'offline'")
            .execute(&mut *tx)
            .await?;
        sqlx::query(
            "UPDATE devices SET occupancy = 'quarantined' WHERE occupancy = 'wiping'
             AND NOT EXISTS (SELECT 1 FROM leases l WHERE l.device_id = devices.id AND l.state <> 'released')",
        )
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(())
    }

    /// A host's link is gone: its devices are out of reach.
    pub(crate) async fn host_offline(&self, host: HostId) -> Result<(), StoreError> {
        sqlx::query("UPDATE devices SET health = 'offline' WHERE host_id = ?")
            .bind(host.to_string())
            .execute(&self.write)
            .await?;
        Ok(())
    }

    /// Notes what a host says about its devices; those that it leaves out are gone.
    pub(crate) async fn report(
        &self,
        host: HostId,
        facts: &[DeviceFact],
        now: UnixMs,
    ) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        note_facts(&mut tx, host, facts, now).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Starts the cleaning of a quarantined device under a new epoch; none when it is not quarantined.
    pub(crate) async fn reset_device(
        &self,
        id: DeviceId,
        actor: &Actor,
        now: UnixMs,
    ) -> Result<Option<(HostId, Epoch)>, StoreError> {
        let mut tx = self.begin().await?;
        let row = sqlx::query(
            "UPDATE devices SET occupancy = 'wiping', epoch = max(epoch + 1, (SELECT since FROM generation))
             WHERE id = ? AND occupancy = 'quarantined' RETURNING host_id, epoch",
        )
        .bind(id.to_string())
        .fetch_optional(&mut *tx)
        .await?;
        let Some(row) = row else { return Ok(None) };
        let cleaned = (row.parsed("host_id")?, Epoch(row.number("epoch")?));
        let deed = Deed {
            action: "device.reset",
            resource: "device",
            id: &id.to_string(),
            result: "ok",
        };
        audit::record(&mut tx, actor, deed, now).await?;
        tx.commit().await?;
        Ok(Some(cleaned))
    }

    /// Ends a cleaning that [`Self::reset_device`] started, if nothing newer happened.
    pub(crate) async fn device_was_reset(
        &self,
        id: DeviceId,
        epoch: Epoch,
        clean: bool,
    ) -> Result<(), StoreError> {
        sqlx::query("UPDATE devices SET occupancy = ? WHERE id = ? AND epoch = ? AND occupancy = 'wiping'")
            .bind(
                if clean {
                    Occupancy::Free
                } else {
                    Occupancy::Quarantined
                }
                .as_str(),
            )
            .bind(id.to_string())
            .bind(epoch.0 as i64)
            .execute(&self.write)
            .await?;
        Ok(())
    }
}

/// Writes a host's facts. A fence above our epoch means that we lost commits (an old backup, say): the
/// epoch follows it, so that the next grant is above everything that the agent has seen. A device that we took
/// for free is then not: somebody whom we forgot may be on it, and no wipe that we know of was for that epoch.
pub(super) async fn note_facts(
    tx: &mut Write,
    host: HostId,
    facts: &[DeviceFact],
    now: UnixMs,
) -> Result<(), StoreError> {
    let host = host.to_string();
    sqlx::query("UPDATE devices SET lifecycle = 'gone', health = 'offline' WHERE host_id = ?")
        .bind(&host)
        .execute(&mut **tx)
        .await?;
    for fact in facts {
        let (lifecycle, health) = axes(fact.health);
        // A serial that another id of this host has: the agent lost its folder and made new ids.
        let noted = sqlx::query(
            "INSERT INTO devices (id, host_id, name, serial, model, width, height, lifecycle, health, occupancy, epoch, seen_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, CASE WHEN ?10 > 0 THEN 'quarantined' ELSE 'free' END, ?10, ?11)
             ON CONFLICT (id) DO UPDATE SET name = excluded.name, serial = excluded.serial, model = excluded.model,
                 width = excluded.width, height = excluded.height, lifecycle = excluded.lifecycle,
                 health = excluded.health, epoch = max(epoch, excluded.epoch), seen_at = excluded.seen_at,
                 occupancy = CASE WHEN occupancy = 'free' AND excluded.epoch > epoch THEN 'quarantined' ELSE occupancy END
             WHERE host_id = excluded.host_id",
        )
        .bind(fact.id.to_string())
        .bind(&host)
        .bind(&fact.name)
        .bind(&fact.serial)
        .bind(&fact.model)
        .bind(i64::from(fact.width))
        .bind(i64::from(fact.height))
        .bind(lifecycle.as_str())
        .bind(health.as_str())
        .bind(fact.fence.0 as i64)
        .bind(now.0)
        .execute(&mut **tx)
        .await?;
        if noted.rows_affected() == 0 {
            tracing::error!(host.id = %host, device.id = %fact.id, "a host reports a device id of another host; it is left out");
        }
    }
    Ok(())
}

fn device(row: &SqliteRow) -> Result<Device, StoreError> {
    let damaged = StoreError::Damaged;
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
        lease: row.maybe_text("lease_id")?.and_then(|id| id.parse().ok()),
    })
}
