//! A product in miniature: the REST calls that the bench makes, and a page that is viewer and source
//! in one (`page.js`), served under a strict content policy.
//!
//! ```text
//!  GET /  /page.js  /page.css          the page
//!  GET /events                         one `state` event: ready; open until the page goes
//!  GET /api/v1/health /api/v1/devices  POST /api/v1/auth/login /api/v1/links  DELETE /api/v1/links/L
//! ```

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// The calls that were made, as `METHOD path body`, without those for the page.
pub(crate) type Calls = Arc<Mutex<Vec<String>>>;

/// Serves on a free port for as long as the test runs.
pub(crate) async fn serve() -> std::io::Result<(SocketAddr, Calls)> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let calls = Calls::default();
    let noted = Arc::clone(&calls);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(answer(stream, address, Arc::clone(&noted)));
        }
    });
    Ok((address, calls))
}

/// One request, one answer.
async fn answer(mut stream: TcpStream, own: SocketAddr, calls: Calls) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    let head = String::from_utf8_lossy(&head).to_ascii_lowercase();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    stream.read_exact(&mut body).await?;
    let line: Vec<&str> = head.split(' ').take(2).collect();
    let request = line.join(" ");
    if request.contains("/api/") {
        let call = format!("{request} {}", String::from_utf8_lossy(&body));
        calls.lock().expect("no test panics while it reads").push(call);
    }
    let (kind, body) = content(&request, own);
    let policy = "content-security-policy: default-src 'none'; script-src 'self'; style-src 'self'; \
                  connect-src 'self'; media-src 'self'";
    let head = format!("HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\n{policy}\r\nconnection: close\r\n");
    if kind == "text/event-stream" {
        stream.write_all(format!("{head}\r\n{body}").as_bytes()).await?;
        while stream.read(&mut [0; 64]).await? > 0 {}
        return Ok(());
    }
    stream
        .write_all(format!("{head}content-length: {}\r\n\r\n{body}", body.len()).as_bytes())
        .await
}

fn content(request: &str, own: SocketAddr) -> (&'static str, String) {
    let (kind, body) = match request {
        "get /" => ("text/html", include_str!("page.html")),
        "get /page.js" => ("text/javascript", include_str!("page.js")),
        "get /page.css" => ("text/css", include_str!("page.css")),
        "get /events" => (
            "text/event-stream",
            "event: state\ndata: {\"stage\":\"ready\"}\n\n",
        ),
        "get /api/v1/health" => ("application/json", r#"{"status":"ready","version":"9.9.9"}"#),
        "post /api/v1/auth/login" => ("application/json", r#"{"token":"t"}"#),
        "get /api/v1/devices" => (
            "application/json",
            r#"{"items":[{"id":"d1","name":"one","status":"busy"},{"id":"d2","name":"two","status":"idle"}]}"#,
        ),
        "post /api/v1/links" => {
            return (
                "application/json",
                format!(r#"{{"id":"l1","url":"http://{own}/"}}"#),
            );
        }
        _ => ("text/plain", "there is nothing else here"),
    };
    (kind, body.to_owned())
}
