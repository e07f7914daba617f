//! The routes: read the request, ask the store, answer. Rules are in `domain`, SQL in `store`.

pub(crate) mod audit;
pub(crate) mod auth;
pub(crate) mod devices;
pub(crate) mod health;
pub(crate) mod hosts;
pub(crate) mod idempotency;
pub(crate) mod launch;
pub(crate) mod link_wish;
pub(crate) mod links;
pub(crate) mod observers;
pub(crate) mod pages;
pub(crate) mod request;
pub(crate) mod viewers;
