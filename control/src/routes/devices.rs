//! Devices, for admins.

use std::collections::BTreeMap;

use axum::Json as Answer;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use protocol::DeviceId;
use serde::{Deserialize, Serialize};
use signaling::error::{Code, Problem};

use super::idempotency::{self, IdempotencyKey};
use super::launch::OFFLINE_RETRY_S;
use super::link_wish::labels;
use super::request::{Admin, Json};
use crate::app::Shared;
use crate::domain::device::Device;
use crate::domain::time::UnixMs;
use crate::jobs::reset;
use crate::replica;
use crate::secret::Hash;

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
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    labels: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lease_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    session_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    quarantine: Option<Quarantine>,
}

#[derive(Serialize)]
struct Quarantine {
    reason: &'static str,
    since: String,
}

/// What an admin says about a device.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct OwnLabels {
    labels: BTreeMap<String, String>,
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
            labels: device.labels().pairs().clone(),
            lease_id: device.lease.map(|id| id.to_string()),
            session_id: device.session.map(|id| id.to_string()),
            quarantine: device.quarantine.map(|(why, since)| Quarantine {
                reason: why.as_str(),
                since: since.rfc3339(),
            }),
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

/// Releases a quarantined device: it is cleaned under a new epoch and, if that succeeds, given free.
pub(crate) async fn reset(
    State(app): State<Shared>,
    admin: Admin,
    key: IdempotencyKey,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let id = parse(&id)?;
    let question = key.question(admin.user.id, "devices.reset", Hash::of(&id.to_string()));
    let work = async |_| {
        let device = start_reset(&app, &admin, id).await?;
        idempotency::answer(StatusCode::ACCEPTED, None, &Shown::from(device))
    };
    let (kept, _) = idempotency::once(&app, question.as_ref(), UnixMs::now(), work).await?;
    Ok(idempotency::respond(kept))
}

async fn start_reset(app: &Shared, admin: &Admin, id: DeviceId) -> Result<Device, Problem> {
    let device = app.store.device(id).await?.ok_or_else(unknown)?;
    let offline = || {
        Problem::new(
            Code::DeviceOffline,
            "The device's host is offline. Start its agent first.",
        )
        .retry_after(OFFLINE_RETRY_S)
    };
    if !replica::linked(app).await?.contains(&device.host) {
        return Err(offline());
    }
    let order = app.store.reset_device(id, &admin.actor, UnixMs::now()).await?;
    let order = order.ok_or_else(|| {
        Problem::new(
            Code::Conflict,
            "Only a quarantined device is reset by hand; end its lease instead.",
        )
    })?;
    reset::spawn(app, order);
    app.store.device(id).await?.ok_or_else(unknown)
}

/// Sets the labels that an admin gives to a device; the rest come from its agent's config.
pub(crate) async fn set_labels(
    State(app): State<Shared>,
    admin: Admin,
    Path(id): Path<String>,
    Json(wish): Json<OwnLabels>,
) -> Result<Answer<Shown>, Problem> {
    let (id, labels) = (parse(&id)?, labels(wish.labels)?);
    let set = app.store.set_own_labels(id, &labels, &admin.actor, UnixMs::now());
    if !set.await? {
        return Err(unknown());
    }
    let device = app.store.device(id).await?.ok_or_else(unknown)?;
    Ok(Answer(device.into()))
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
