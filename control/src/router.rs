//! Every address that control serves, on one page.

use axum::Router;
use axum::middleware::from_fn;
use axum::routing::{get, post, put};
use signaling::error::{Code, Problem, with_request_id};
use signaling::whep;
use tower_http::compression::CompressionLayer;

use crate::app::Shared;
use crate::domain::link::Event;
use crate::headers;
use crate::routes::viewers::Viewers;
use crate::routes::{audit, auth, devices, health, hosts, launch, links, observers, pages};

/// Builds the router.
pub(crate) fn router(app: &Shared) -> Router {
    let pages = Router::new()
        .route("/", get(pages::page))
        .route("/l", get(pages::page))
        .route("/s/{session}", get(pages::page))
        .fallback(pages::asset)
        .layer(CompressionLayer::new());
    let api = Router::new()
        .route("/health", get(health::health))
        // For people and programs that sign in.
        .route("/auth/login", post(auth::login))
        .route("/auth/logout", post(auth::logout))
        .route("/auth/me", get(auth::me))
        .route("/devices", get(devices::list))
        .route("/devices/{id}", get(devices::show))
        .route("/devices/{id}/reset", post(devices::reset))
        .route("/devices/{id}/labels", put(devices::set_labels))
        .route("/links", get(links::list).post(links::create))
        .route("/links/{id}", get(links::show).delete(links::delete))
        .route("/links/{id}/revoke", links::doing(Event::Revoke))
        .route("/links/{id}/pause", links::doing(Event::Pause))
        .route("/links/{id}/resume", links::doing(Event::Resume))
        .route("/links/{id}/extend", post(links::extend))
        .route("/sessions/{id}/observe", post(observers::observe))
        .route("/registration-tokens", post(hosts::add_join_token))
        .route("/audit", get(audit::list))
        // For people with a link.
        .route("/launch/describe", post(launch::describe))
        .route("/launch", post(launch::launch))
        .route("/launch/current", get(launch::show))
        .route("/launch/events", get(launch::events))
        .route("/launch/end", post(launch::end))
        .route("/launch/viewer-token", post(observers::add_viewer_token))
        .method_not_allowed_fallback(async || {
            Problem::new(Code::MethodNotAllowed, "This address does not take this method.")
        })
        .with_state(app.clone());
    Router::new()
        .nest("/api/v1", api)
        .merge(whep::router(Viewers(app.clone())))
        .merge(pages)
        .layer(from_fn(headers::add))
        .layer(from_fn(with_request_id))
}
