//! The operators' configurations of proxies serve over TLS, and send clients on that come without.

use boxoffice_testkit::{
    load_balancer::{LoadBalancer, SecureFront},
    nginx::Nginx,
};
use tokio::process::Command;

use crate::support::{
    client::Buyer,
    server::{PASSWORD, Server},
};

/// What a client that trusts the authority of the proxy sees: the head of the response, and the version of HTTP.
async fn curl(front: &SecureFront, url: &str, options: &[&str]) -> Option<String> {
    let mut command = Command::new("curl");
    command.args(["--silent", "--include", "--max-time", "20", "--write-out", "\nversion %{http_version}"]);
    let output = command.arg("--cacert").arg(front.authority.file()).args(options).arg(url).output();
    let output = output.await.expect("there is curl");
    output.status.success().then(|| String::from_utf8(output.stdout).expect("text").to_lowercase())
}

async fn serves_over_tls(front: &SecureFront) {
    let url = format!("https://{}/healthz", front.secure);
    for (options, version) in [(&["--http2"][..], "2"), (&["--http1.1", "--tls-max", "1.2"], "1.1")] {
        let answer = curl(front, &url, options).await.expect("an answer");
        assert!(answer.contains(" 200"), "{answer}");
        assert!(answer.contains("strict-transport-security: max-age=31536000"), "{answer}");
        assert!(answer.ends_with(&format!("version {version}")), "{answer}");
    }
    // The errors of the proxy itself say the same.
    let closed = curl(front, &format!("https://{}/metrics", front.secure), &[]).await.expect("an answer");
    assert!(closed.contains(" 404") && closed.contains("strict-transport-security: max-age=31536000"), "{closed}");
    assert_eq!(curl(front, &url, &["--tls-max", "1.1"]).await, None, "TLS 1.1 is too old");
    let plain = curl(front, &format!("http://{}/v1/concerts?limit=1", front.plain), &[]).await.expect("an answer");
    let place = "location: https://127.0.0.1";
    assert!(plain.contains(" 308") && plain.contains(place) && plain.contains("/v1/concerts?limit=1"), "{plain}");
}

/// A cookie that came through the proxy goes over TLS alone, whatever the client says of its connection, and counts in
/// requests of a page of the proxy's host.
async fn keeps_a_session(front: &SecureFront, buyer: &Buyer) {
    let origin = format!("https://{}", front.secure);
    let post = async |path: &str, body: &str, fields: &[&str]| {
        let mut options = vec!["--request", "POST", "--header", "content-type: application/json", "--data", body];
        options.extend(fields.iter().flat_map(|field| ["--header", field]));
        curl(front, &format!("{origin}{path}"), &options).await.expect("an answer")
    };
    let body = format!(r#"{{"login_id": "{}", "password": "{PASSWORD}", "cookie": true}}"#, buyer.login_id);
    let signed_in = post("/v1/sessions", &body, &["x-forwarded-proto: http"]).await;
    assert!(signed_in.contains(" 201") && signed_in.contains("samesite=strict; secure"), "{signed_in}");
    // The answers of `curl` are in lower case, and a token is not: what is shown is that the request came as far.
    let own = [&*format!("origin: {origin}"), "cookie: boxoffice_refresh=token"];
    let refused = post("/v1/sessions/refresh", "{}", &own).await;
    assert!(refused.contains(" 401") && refused.contains("unauthenticated"), "{refused}");
    let foreign = ["origin: https://evil.example", "cookie: boxoffice_refresh=token"];
    let refused = post("/v1/sessions/refresh", "{}", &foreign).await;
    assert!(refused.contains(" 403") && refused.contains("forbidden"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn haproxy_serves_over_tls_and_redirects_what_comes_without() {
    let server = Server::start(&[("TRUST_FORWARDED_FOR", "true")]).await;
    let balancer = LoadBalancer::start(&[server.address()]).await.expect("it starts");
    balancer.wait_for(0, true).await.expect("the instance is up");
    serves_over_tls(balancer.front()).await;
    keeps_a_session(balancer.front(), &Buyer::new(server.api()).await).await;
    drop(balancer);
    server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nginx_serves_over_tls_and_redirects_what_comes_without() {
    let server = Server::start(&[("TRUST_FORWARDED_FOR", "true")]).await;
    let nginx = Nginx::start(&[server.address()]).await.expect("it starts");
    serves_over_tls(nginx.front()).await;
    keeps_a_session(nginx.front(), &Buyer::new(server.api()).await).await;
    drop(nginx);
    server.finish().await;
}
