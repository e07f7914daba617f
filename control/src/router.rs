//! Every address that control serves, on one page.
//!
//! The API is a table, so that a test can ask each address as a stranger, and each that changes something what it wrote
//! into the audit log: a route that is not in it does not exist.

use axum::Router;
use axum::http::Method;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{MethodRouter, delete, get, post, put};
use signaling::error::{Code, Problem, with_request_id};
use signaling::whep;
use tower_http::compression::CompressionLayer;

use crate::app::Shared;
use crate::domain::link::Event;
use crate::headers;
use crate::routes::idempotency::to_its_end;
use crate::routes::viewers::Viewers;
use crate::routes::{audit, auth, devices, health, hosts, launch, links, observers, pages};

/// Who may ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Who {
    /// Anybody; what the request brings along decides.
    Anybody,
    /// Somebody who signed in.
    Admin,
}

/// An address with one method.
struct Route {
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "a test asks every route as a stranger")
    )]
    who: Who,
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "a test asks every route by its method")
    )]
    method: Method,
    path: &'static str,
    handler: fn() -> MethodRouter<Shared>,
}

const fn route(who: Who, method: Method, path: &'static str, handler: fn() -> MethodRouter<Shared>) -> Route {
    Route {
        who,
        method,
        path,
        handler,
    }
}

/// The API, under `/api/v1`.
const API: &[Route] = &[
    route(Who::Anybody, Method::GET, "/health", || get(health::health)),
    // For people and programs that sign in.
    route(Who::Anybody, Method::POST, "/auth/login", || post(auth::login)),
    route(Who::Admin, Method::POST, "/auth/logout", || post(auth::logout)),
    route(Who::Admin, Method::GET, "/auth/me", || get(auth::me)),
    route(Who::Admin, Method::GET, "/devices", || get(devices::list)),
    route(Who::Admin, Method::GET, "/devices/{id}", || get(devices::show)),
    route(Who::Admin, Method::POST, "/devices/{id}/reset", || {
        post(devices::reset)
    }),
    route(Who::Admin, Method::PUT, "/devices/{id}/labels", || {
        put(devices::set_labels)
    }),
    route(Who::Admin, Method::GET, "/links", || get(links::list)),
    route(Who::Admin, Method::POST, "/links", || post(links::create)),
    route(Who::Admin, Method::GET, "/links/{id}", || get(links::show)),
    route(Who::Admin, Method::DELETE, "/links/{id}", || {
        delete(links::delete)
    }),
    route(Who::Admin, Method::POST, "/links/{id}/revoke", || {
        links::doing(Event::Revoke)
    }),
    route(Who::Admin, Method::POST, "/links/{id}/pause", || {
        links::doing(Event::Pause)
    }),
    route(Who::Admin, Method::POST, "/links/{id}/resume", || {
        links::doing(Event::Resume)
    }),
    route(Who::Admin, Method::POST, "/links/{id}/extend", || {
        post(links::extend)
    }),
    route(Who::Admin, Method::POST, "/sessions/{id}/observe", || {
        post(observers::observe)
    }),
    route(Who::Admin, Method::POST, "/registration-tokens", || {
        post(hosts::add_join_token)
    }),
    route(Who::Admin, Method::GET, "/audit", || get(audit::list)),
    // For people with a link.
    route(Who::Anybody, Method::POST, "/launch/describe", || {
        post(launch::describe)
    }),
    route(Who::Anybody, Method::POST, "/launch", || post(launch::launch)),
    route(Who::Anybody, Method::GET, "/launch/current", || get(launch::show)),
    route(Who::Anybody, Method::GET, "/launch/events", || {
        get(launch::events)
    }),
    route(Who::Anybody, Method::POST, "/launch/end", || post(launch::end)),
    route(Who::Anybody, Method::POST, "/launch/viewer-token", || {
        post(observers::add_viewer_token)
    }),
    route(Who::Anybody, Method::DELETE, "/launch/viewer-token", || {
        delete(observers::take_back)
    }),
];

/// Builds the router.
pub(crate) fn router(app: &Shared) -> Router {
    let pages = Router::new()
        .route("/", get(pages::page))
        .route("/l", get(pages::page))
        .route("/s/{session}", get(pages::page))
        .fallback(pages::asset)
        .layer(CompressionLayer::new());
    let api = API.iter().fold(Router::new(), |api, route| {
        api.route(route.path, (route.handler)())
    });
    let api = api
        .method_not_allowed_fallback(async || {
            Problem::new(Code::MethodNotAllowed, "This address does not take this method.")
        })
        .layer(from_fn_with_state(app.clone(), to_its_end))
        .with_state(app.clone());
    Router::new()
        .nest("/api/v1", api)
        .merge(whep::router(Viewers(app.clone())))
        .merge(pages)
        .layer(from_fn(headers::add))
        .layer(from_fn(with_request_id))
}

#[cfg(test)]
#[path = "router_tests.rs"]
mod tests;
