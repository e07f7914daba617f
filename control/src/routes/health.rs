//! Whether this control can do its job.

use axum::Json as Answer;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;

use crate::app::Shared;
use crate::domain::device::{Health, Lifecycle};
use crate::replica;

#[derive(Serialize)]
pub(crate) struct Report {
    status: &'static str,
    version: &'static str,
    devices: Count,
    hosts: Online,
}

#[derive(Serialize)]
struct Count {
    ready: usize,
    total: usize,
}

#[derive(Serialize)]
struct Online {
    online: usize,
}

/// Ready: the database answers, a host is up, and every device of the hosts that are up is ready.
pub(crate) async fn health(State(app): State<Shared>) -> (StatusCode, Answer<Report>) {
    let alive = app.store.is_alive().await;
    let devices = if alive {
        app.store.devices().await.unwrap_or_default()
    } else {
        Vec::new()
    };
    let (mut ready, mut total) = (0, 0);
    let hosts = replica::linked(&app).await.unwrap_or_default();
    for device in devices.iter().filter(|device| hosts.contains(&device.host)) {
        total += 1;
        ready += usize::from(device.lifecycle == Lifecycle::Ready && device.health != Health::Offline);
    }
    let online = hosts.len();
    let fine = alive && online > 0 && ready == total;
    let report = Report {
        status: if fine { "ready" } else { "starting" },
        version: env!("CARGO_PKG_VERSION"),
        devices: Count { ready, total },
        hosts: Online { online },
    };
    (
        if fine {
            StatusCode::OK
        } else {
            StatusCode::SERVICE_UNAVAILABLE
        },
        Answer(report),
    )
}
