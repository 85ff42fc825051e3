//! TLS without a proxy.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    process::Command,
    thread,
    time::Duration,
};

use boxoffice_testkit::{Authority, CertificateFiles, TestFolder};

use crate::{Server, run};

fn issue(authority: &Authority, host: &str) -> CertificateFiles {
    let files = authority.issue("server", &[host]);
    fs::set_permissions(&files.key, Permissions::from_mode(0o600)).unwrap();
    files
}

/// The response that a client gets who trusts the authority, and the version of HTTP; `None` without a response.
fn curl(authority: &Authority, url: &str, options: &[&str]) -> Option<String> {
    let mut command = Command::new("curl");
    command.args(["--silent", "--include", "--max-time", "20", "--write-out", "\nversion %{http_version}"]);
    let output = command.arg("--cacert").arg(authority.file()).args(options).arg(url).output().unwrap();
    output.status.success().then(|| String::from_utf8(output.stdout).unwrap().to_lowercase())
}

#[test]
fn a_server_with_a_certificate_speaks_tls_alone_and_takes_over_another_one() {
    let (folder, authority) = (TestFolder::create(), Authority::create());
    let files = issue(&authority, "127.0.0.1");
    let [certificate, key] = [&files.certificate, &files.key].map(|path| path.to_str().unwrap().to_owned());
    let options = ["--tls-certificate-file", &certificate, "--tls-key-file", &key];
    let server = Server::start(&folder, &options);
    let url = format!("https://{}/v1/concerts", server.address);
    for (options, version) in [
        (&["--http2"][..], "2"),
        (&["--http2", "--tls-max", "1.2"], "2"),
        (&["--http1.1", "--tlsv1.3"], "1.1"),
        (&["--http1.1", "--tls-max", "1.2"], "1.1"),
    ] {
        let answer = curl(&authority, &url, options).unwrap();
        assert!(answer.contains(" 200") && answer.ends_with(&format!("version {version}")), "{options:?}: {answer}");
        assert!(answer.contains("strict-transport-security: max-age=31536000"), "{answer}");
    }
    // Several requests of one connection, and one that is refused.
    let again = curl(&authority, &format!("{url}/[1-3]"), &["--http2"]).unwrap();
    assert_eq!(again.matches("strict-transport-security").count(), 3, "{again}");
    assert_eq!(curl(&authority, &url, &["--tls-max", "1.1"]), None);
    assert_eq!(curl(&Authority::create(), &url, &[]), None);
    assert_eq!(curl(&authority, &url.replace("https", "http"), &[]), None);

    // A certificate for another name takes its place.
    issue(&authority, "localhost");
    let (mut attempts, port) = (0, server.address.rsplit_once(':').unwrap().1);
    let renamed = format!("https://localhost:{port}/healthz");
    while curl(&authority, &renamed, &["--ipv4"]).is_none() {
        attempts += 1;
        assert!(attempts < 1_000, "the certificate is not taken over");
        thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(curl(&authority, &url, &[]), None);
    let log = server.stop();
    assert!(log.contains("the certificate of the server was changed"), "{log}");
}

#[test]
fn a_certificate_that_cannot_be_used_is_named_before_anything_is_done() {
    let (folder, authority) = (TestFolder::create(), Authority::create());
    let files = issue(&authority, "localhost");
    let [certificate, key] = [&files.certificate, &files.key].map(|path| path.to_str().unwrap().to_owned());
    let serve = |options: &[&str]| run(&folder, &[&["serve", "--listen", "127.0.0.1:0"], options].concat());
    serve(&["--tls-certificate-file", &certificate]).fails(2, &["belong together"]);
    let other = authority.issue("other", &["localhost"]).certificate.display().to_string();
    let refused = serve(&["--tls-certificate-file", &other, "--tls-key-file", &key]);
    refused.fails(2, &["cannot be used", "other.pem", "server.key"]);
    fs::set_permissions(&files.key, Permissions::from_mode(0o644)).unwrap();
    let refused = serve(&["--tls-certificate-file", &certificate, "--tls-key-file", &key]);
    refused.fails(2, &["every user of the machine may read or write", "chmod o="]);
    assert!(folder.names().is_empty());
}

#[test]
fn a_server_without_tls_warns_where_others_can_reach_it() {
    const WARNING: &str = "passwords and tokens come over the network without TLS";
    let folder = TestFolder::create();
    for (options, warns) in [
        (&["--listen", "0.0.0.0:0"][..], true),
        (&["--listen", "0.0.0.0:0", "--trust-forwarded-for"], false),
        (&["--listen", "127.0.0.1:0"], false),
    ] {
        let log = Server::start(&folder, options).stop();
        assert_eq!(log.contains(WARNING), warns, "{options:?}: {log}");
    }
}
