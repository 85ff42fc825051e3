//! The deadline of `boxoffice-rush`, with servers that do not answer.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    process::Stdio,
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpSocket, TcpStream},
    process::Command,
    task::JoinSet,
    time::timeout,
};

/// Far more than any of these runs needs.
const PATIENCE: Duration = Duration::from_mins(2);

/// Runs the rush against a URL with a deadline of a second. Gives its exit code and its error.
async fn rush(url: &str) -> (i32, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_boxoffice-rush"));
    command.args(["--url", url, "--deadline", "1s", "--connections", "8", "--buyers", "3", "--json", "--no-svg"]);
    command.stdin(Stdio::null()).kill_on_drop(true);
    let output = timeout(PATIENCE, command.output()).await.expect("the rush ends").expect("the rush starts");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "");
    (output.status.code().expect("it was not killed"), String::from_utf8(output.stderr).expect("text"))
}

async fn assert_deadline(address: SocketAddr, waited_for: &str) {
    let (code, error) = rush(&format!("http://{address}")).await;
    assert!(error.contains(&format!("the deadline of 1 s came first: {waited_for}")), "{error}");
    assert_eq!(code, 3, "{error}");
}

/// Answers requests that begin so with this body, and no others.
async fn answer(mut stream: TcpStream, begins: &'static str, body: &'static str) -> io::Result<()> {
    let mut request = vec![0; 64 * 1_024];
    loop {
        let count = stream.read(&mut request).await?;
        if request[..count].starts_with(begins.as_bytes()) {
            let head = format!("HTTP/1.1 201 Created\r\ncontent-length: {}\r\n\r\n", body.len());
            stream.write_all(format!("{head}{body}").as_bytes()).await?;
        } else if count == 0 {
            return Ok(());
        }
    }
}

#[tokio::test]
async fn a_server_that_takes_no_connection_is_waited_for_until_the_deadline() {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
    let listener = socket.listen(0).unwrap();
    let address = listener.local_addr().unwrap();
    // These fill its backlog, and the system answers no further one.
    let mut filling = JoinSet::new();
    for _ in 0..8 {
        filling.spawn(TcpStream::connect(address));
    }
    let _first = filling.join_next().await.unwrap().unwrap().unwrap();
    assert_deadline(address, "it was still connecting").await;
}

#[tokio::test]
async fn a_server_that_takes_connections_and_answers_nothing_is_waited_for_until_the_deadline() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    assert_deadline(listener.local_addr().unwrap(), "it was still signing in").await;
}

#[tokio::test]
async fn a_server_that_stops_answering_is_waited_for_until_the_deadline() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut serving = JoinSet::new();
    let accepting = async {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            serving.spawn(answer(stream, "POST /v1/sessions ", r#"{"access_token": "token"}"#));
        }
    };
    tokio::select! {
        () = accepting => unreachable!("it accepts for ever"),
        () = assert_deadline(address, "it was still choosing a concert") => {}
    }
}

#[tokio::test]
async fn a_name_that_cannot_be_looked_up_ends_the_rush() {
    let (code, error) = rush("http://no-such-host.invalid:80").await;
    assert!(error.contains("http://no-such-host.invalid:80 cannot be"), "{error}");
    // The system may take longer than the deadline to find out.
    let is_late = error.contains("the deadline of 1 s came first: it was still looking up its address");
    assert_eq!(code, if is_late { 3 } else { 2 }, "{error}");
}
