//! Where a client is.

use std::{
    convert::Infallible,
    net::{IpAddr, Ipv4Addr, SocketAddr},
};

use axum::{
    extract::{ConnectInfo, FromRequestParts, Request},
    http::request::Parts,
};
use boxoffice_domain::Network;

use super::limits::client_address;

/// The network of the client; `None` if the address of the client is not known.
pub(crate) struct ClientNetwork(pub(crate) Option<Network>);

impl<S: Sync> FromRequestParts<S> for ClientNetwork {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Infallible> {
        Ok(Self(ClientAddress::from_request_parts(parts, state).await?.network()))
    }
}

/// The address of the client, which the outermost layer finds out.
#[derive(Clone, Copy)]
pub(crate) struct ClientAddress(pub(crate) Option<IpAddr>);

impl ClientAddress {
    pub(crate) fn of(request: &Request, trust_forwarded_for: bool) -> Self {
        let connected = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|connected| connected.0.ip());
        Self(client_address(request.headers(), connected, trust_forwarded_for))
    }

    /// The network that it is in.
    pub(crate) fn network(self) -> Option<Network> {
        self.0.map(Network::of)
    }

    /// The address, or one that no client has.
    pub(crate) fn or_unspecified(self) -> IpAddr {
        self.0.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED))
    }
}

impl<S: Sync> FromRequestParts<S> for ClientAddress {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(parts.extensions.get().copied().unwrap_or(Self(None)))
    }
}
