//! Paths and queries that are refused.

use boxoffice_http::Code;

use crate::world::{World, get};

#[tokio::test]
async fn ids_and_queries_that_cannot_be_read_are_malformed() {
    let router = World::new().await.router();
    for path in [
        "/v1/concerts/7",
        "/v1/concerts?limit=x",
        "/v1/concerts?bookable=maybe",
        "/v1/concerts?colour=red",
        "/v1/concerts?cursor=!",
        "/v1/concerts?cursor=eyJ9",
        "/v1/concerts?limit=1&limit=2",
        "/v1/concerts/%ff",
    ] {
        get(path).send(&router).await.refuses(Code::MalformedRequest);
    }
    for limit in ["0", "101", "-1", "99999999999"] {
        get(format!("/v1/concerts?limit={limit}")).send(&router).await.violates("/limit", "range");
    }
}
