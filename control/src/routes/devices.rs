//! Devices, for admins.

use axum::Json as Answer;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use protocol::DeviceId;
use serde::Serialize;
use signaling::error::{Code, Problem};

use super::request::Admin;
use crate::app::Shared;
use crate::domain::device::Device;
use crate::domain::time::UnixMs;
use crate::jobs::reset;

#[derive(Serialize)]
pub(crate) struct Shown {
    id: String,
    name: String,
    host_id: String,
    serial: String,
    model: String,
    width: u16,
    height: u16,
    status: &'static str,
    lifecycle: &'static str,
    occupancy: &'static str,
    health: &'static str,
    epoch: u64,
    seen_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    lease_id: Option<String>,
}

#[derive(Serialize)]
pub(crate) struct Items<T> {
    pub items: Vec<T>,
}

impl From<Device> for Shown {
    fn from(device: Device) -> Self {
        Self {
            id: device.id.to_string(),
            host_id: device.host.to_string(),
            status: device.status().as_str(),
            lifecycle: device.lifecycle.as_str(),
            occupancy: device.occupancy.as_str(),
            health: device.health.as_str(),
            epoch: device.epoch.0,
            seen_at: device.seen_at.rfc3339(),
            lease_id: device.lease.map(|id| id.to_string()),
            name: device.name,
            serial: device.serial,
            model: device.model,
            width: device.width,
            height: device.height,
        }
    }
}

pub(crate) async fn list(State(app): State<Shared>, _: Admin) -> Result<Answer<Items<Shown>>, Problem> {
    let items = app.store.devices().await?.into_iter().map(Shown::from).collect();
    Ok(Answer(Items { items }))
}

pub(crate) async fn show(
    State(app): State<Shared>,
    _: Admin,
    Path(id): Path<String>,
) -> Result<Answer<Shown>, Problem> {
    let device = app.store.device(parse(&id)?).await?.ok_or_else(unknown)?;
    Ok(Answer(device.into()))
}

/// Has a quarantined device cleaned and, if that succeeds, given free.
pub(crate) async fn reset(
    State(app): State<Shared>,
    admin: Admin,
    Path(id): Path<String>,
) -> Result<(StatusCode, Answer<Shown>), Problem> {
    let id = parse(&id)?;
    let device = app.store.device(id).await?.ok_or_else(unknown)?;
    let offline = || {
        Problem::new(
            Code::DeviceOffline,
            "The device's host is offline. Start its agent first.",
        )
    };
    let host = app.hosts.get(device.host).ok_or_else(offline)?;
    let (_, epoch) = app
        .store
        .reset_device(id, &admin.actor, UnixMs::now())
        .await?
        .ok_or_else(|| {
            Problem::new(
                Code::Conflict,
                "Only a quarantined device is reset by hand; end its lease instead.",
            )
        })?;
    reset::spawn(&app, host, id, epoch);
    let device = app.store.device(id).await?.ok_or_else(unknown)?;
    Ok((StatusCode::ACCEPTED, Answer(device.into())))
}

fn parse(id: &str) -> Result<DeviceId, Problem> {
    id.parse().map_err(|_| unknown())
}

fn unknown() -> Problem {
    Problem::new(
        Code::DeviceNotFound,
        "There is no such device. Look at the list of devices.",
    )
}
