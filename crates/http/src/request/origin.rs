//! Which request it is, and where it comes from: what the outermost layer finds out.

use std::{
    convert::Infallible,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
};

use axum::{
    extract::{ConnectInfo, FromRequestParts, Request},
    http::{Extensions, request::Parts},
};
use boxoffice_application::{Identity, Staff};
use boxoffice_domain::Network;

use super::limits::client_address;

/// Which request it is, and where it comes from.
#[derive(Clone)]
pub(crate) struct Origin {
    id: Arc<str>,
    client: Option<IpAddr>,
}

impl Origin {
    /// Takes note of the origin of a request.
    pub(crate) fn note(request: &mut Request, id: Arc<str>, trust_forwarded_for: bool) -> Option<IpAddr> {
        let connected = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|connected| connected.0.ip());
        let client = client_address(request.headers(), connected, trust_forwarded_for);
        request.extensions_mut().insert(Self { id, client });
        client
    }
}

/// The id that the outermost layer gave the request, or that the client chose.
#[derive(Clone)]
pub(crate) struct RequestId(pub(crate) Arc<str>);

impl RequestId {
    /// That of the request with these extensions; empty outside of the outermost layer.
    pub(crate) fn of(extensions: &Extensions) -> Self {
        Self(extensions.get::<Origin>().map_or_else(|| "".into(), |origin| Arc::clone(&origin.id)))
    }

    /// An account that acts by this request.
    pub(crate) fn staff(&self, identity: Identity) -> Staff {
        Staff { identity, request_id: Some(self.0.to_string()) }
    }
}

impl<S: Sync> FromRequestParts<S> for RequestId {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self::of(&parts.extensions))
    }
}

/// The address of the client.
#[derive(Clone, Copy)]
pub(crate) struct ClientAddress(pub(crate) Option<IpAddr>);

impl ClientAddress {
    /// That of the request with these extensions.
    pub(crate) fn of(extensions: &Extensions) -> Self {
        Self(extensions.get::<Origin>().and_then(|origin| origin.client))
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
        Ok(Self::of(&parts.extensions))
    }
}

/// The network of the client; `None` if the address of the client is not known.
pub(crate) struct ClientNetwork(pub(crate) Option<Network>);

impl<S: Sync> FromRequestParts<S> for ClientNetwork {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self(ClientAddress::of(&parts.extensions).network()))
    }
}
