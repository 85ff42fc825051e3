//! The network that a client is in.

use std::{convert::Infallible, net::SocketAddr};

use axum::{
    extract::{ConnectInfo, FromRequestParts},
    http::request::Parts,
};
use boxoffice_domain::Network;

use super::account_limits::client_address;
use crate::api::Api;

/// The network of the client; `None` if the address of the client is not known.
pub(crate) struct ClientNetwork(pub(crate) Option<Network>);

impl FromRequestParts<Api> for ClientNetwork {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Infallible> {
        let connected = parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|connected| connected.0.ip());
        let address = client_address(&parts.headers, connected, api.settings.trust_forwarded_for);
        Ok(Self(address.map(Network::of)))
    }
}
