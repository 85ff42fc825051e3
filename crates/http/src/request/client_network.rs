//! Where a client is.

use std::{
    convert::Infallible,
    net::{IpAddr, Ipv4Addr, SocketAddr},
};

use axum::{
    extract::{ConnectInfo, FromRequestParts},
    http::request::Parts,
};
use boxoffice_domain::Network;

use super::limits::client_address;
use crate::api::Api;

/// The network of the client; `None` if the address of the client is not known.
pub(crate) struct ClientNetwork(pub(crate) Option<Network>);

impl FromRequestParts<Api> for ClientNetwork {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Infallible> {
        Ok(Self(address_of(parts, api).map(Network::of)))
    }
}

/// The address of the client.
#[derive(Clone, Copy)]
pub(crate) struct ClientAddress(Option<IpAddr>);

impl ClientAddress {
    /// The network that it is in.
    pub(crate) fn network(self) -> Option<Network> {
        self.0.map(Network::of)
    }

    /// The address, or one that no client has.
    pub(crate) fn or_unspecified(self) -> IpAddr {
        self.0.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED))
    }
}

impl FromRequestParts<Api> for ClientAddress {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Infallible> {
        Ok(Self(address_of(parts, api)))
    }
}

fn address_of(parts: &Parts, api: &Api) -> Option<IpAddr> {
    let connected = parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|connected| connected.0.ip());
    client_address(&parts.headers, connected, api.settings.trust_forwarded_for)
}
