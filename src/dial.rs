//! Connections to Redis: every wait is bounded, and what is no Redis is recognised and named.
//!
//! Before the client library speaks, a connection of our own sends `PING`: a library that expects
//! replies of Redis says little that helps when a web server or nothing at all answers.

use std::io;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, ConnectionAddr, IntoConnectionInfo, RedisError};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// How long a connection may take to be accepted. With [`ANSWER_WAIT`] below 5 s, so that a port
/// that speaks no Redis is recognised within that.
const CONNECT_WAIT: Duration = Duration::from_secs(2);

/// How long the first answer may take.
const ANSWER_WAIT: Duration = Duration::from_secs(2);

/// Bytes of a wrong answer that are read to tell what answered.
const ANSWER_BYTES_MAX: usize = 512;

/// Requests on their way through one connection, enough for every HTTP connection of a server.
const REQUESTS_QUEUED_MAX: usize = 1024;

/// Where a Redis is and how to log in.
#[derive(Clone, Debug)]
pub struct Dialer {
    client: Client,
    address: String,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// The URL is none that we can use.
    #[error("the redis url is not usable: {reason}; write redis://[user:password@]host:port[/db]")]
    Url {
        /// What is wrong with it.
        reason: String,
    },
    /// Nobody there, or nobody who accepts.
    #[error("cannot connect to redis at {address}: {source}")]
    Unreachable {
        /// Host and port.
        address: String,
        /// What the system said.
        source: io::Error,
    },
    /// Somebody else is there.
    #[error("{address} does not speak redis: {answer}; is this the right port?")]
    NotRedis {
        /// Host and port.
        address: String,
        /// What answered, or that nothing did.
        answer: String,
    },
    /// It speaks Redis but would not have us.
    #[error("redis at {address} refuses the connection: {source}")]
    Refused {
        /// Host and port.
        address: String,
        /// What it said.
        source: RedisError,
    },
}

impl Dialer {
    /// Reads a URL, `redis://[user:password@]host:port[/db]`.
    ///
    /// # Errors
    /// [`DialError::Url`]; its text never holds the password.
    pub fn new(url: &str) -> Result<Dialer, DialError> {
        let unusable = |e: RedisError| DialError::Url { reason: e.category().to_owned() };
        let info = url.into_connection_info().map_err(unusable)?;
        let address = match info.addr() {
            ConnectionAddr::Tcp(host, port) => format!("{host}:{port}"),
            other => {
                let reason = format!("{other} is not host and port without tls");
                return Err(DialError::Url { reason });
            }
        };
        let client = Client::open(info).map_err(unusable)?;
        Ok(Dialer { client, address })
    }

    /// Host and port.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// A connection that many can share, whose replies take at most `response_wait`.
    ///
    /// # Errors
    /// Nobody there, somebody else there, or the login refused; within 5 s.
    pub async fn connect(
        &self,
        response_wait: Duration,
    ) -> Result<MultiplexedConnection, DialError> {
        self.probe().await?;
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_WAIT))
            .set_response_timeout(Some(response_wait))
            .set_pipeline_buffer_size(REQUESTS_QUEUED_MAX);
        let connecting = self.client.get_multiplexed_async_connection_with_config(&config);
        connecting
            .await
            .map_err(|source| DialError::Refused { address: self.address.clone(), source })
    }

    /// Asks whoever listens whether it is a Redis.
    ///
    /// # Errors
    /// [`DialError::Unreachable`] or [`DialError::NotRedis`].
    async fn probe(&self) -> Result<(), DialError> {
        let unreachable = |source| DialError::Unreachable { address: self.address.clone(), source };
        let mut stream = match timeout(CONNECT_WAIT, TcpStream::connect(&self.address)).await {
            Ok(connected) => connected.map_err(unreachable)?,
            Err(_) => return Err(unreachable(io::ErrorKind::TimedOut.into())),
        };
        match timeout(ANSWER_WAIT, first_line(&mut stream)).await {
            Ok(Ok(line)) if is_redis(&line) => Ok(()),
            Ok(Ok(line)) => Err(self.not_redis(describe(&line))),
            Ok(Err(e)) => Err(self.not_redis(format!("it hung up ({e})"))),
            Err(_) => {
                let seconds = ANSWER_WAIT.as_secs();
                Err(self.not_redis(format!("it accepts but says nothing for {seconds} s")))
            }
        }
    }

    fn not_redis(&self, answer: String) -> DialError {
        DialError::NotRedis { address: self.address.clone(), answer }
    }
}

/// Sends `PING` and reads one line. The blank line after it is nothing to Redis and the end of the
/// request to a web server.
async fn first_line(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    stream.write_all(b"PING\r\n\r\n").await?;
    let mut line = Vec::new();
    let mut chunk = [0; ANSWER_BYTES_MAX];
    while line.len() < ANSWER_BYTES_MAX && !line.contains(&b'\n') {
        match stream.read(&mut chunk).await? {
            0 if line.is_empty() => return Err(io::ErrorKind::UnexpectedEof.into()),
            0 => break,
            count => line.extend_from_slice(&chunk[..count]),
        }
    }
    let end = line.iter().position(|b| *b == b'\n').unwrap_or(line.len());
    line.truncate(end);
    Ok(line)
}

/// `+PONG`, or an error as Redis words them: `-NOAUTH Authentication required.`
fn is_redis(line: &[u8]) -> bool {
    match line {
        [b'+', rest @ ..] => rest.starts_with(b"PONG"),
        [b'-', first, ..] => first.is_ascii_uppercase(),
        _ => false,
    }
}

fn describe(line: &[u8]) -> String {
    let shown = line.trim_ascii_end();
    let shown = shown[..shown.len().min(80)].escape_ascii();
    let kind = if line.starts_with(b"HTTP/") { "it speaks http and answers" } else { "it answers" };
    format!("{kind} `{shown}`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_checked_without_telling_the_password() {
        for url in
            ["", "localhost:6379", "http://x", "redis://:secret@h:port", "rediss://:secret@h"]
        {
            let error = Dialer::new(url).unwrap_err().to_string();
            assert!(!error.contains("secret"), "{error}");
        }
        assert_eq!(Dialer::new("redis://h:1/2").unwrap().address(), "h:1");
    }

    #[test]
    fn answers_are_told_apart() {
        assert!(is_redis(b"+PONG\r"));
        assert!(is_redis(b"-NOAUTH Authentication required.\r"));
        for other in [&b"HTTP/1.1 400 Bad Request\r"[..], b"SSH-2.0-x", b"-", b"+OK", b"\x16\x03"] {
            assert!(!is_redis(other));
        }
        assert_eq!(describe(b"HTTP/1.0 400\r"), "it speaks http and answers `HTTP/1.0 400`");
        assert_eq!(describe(b"\0\xff"), "it answers `\\x00\\xff`");
    }
}
