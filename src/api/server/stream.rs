//! A TCP stream that gives up on clients who do not read, and sees what hyper does not pass on:
//! a request with both Content-Length and Transfer-Encoding, of which hyper drops the former.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep};

use super::connections::Connection;

/// How long a client may take to read anything at all.
const WRITE_WAIT: Duration = Duration::from_secs(30);

/// Bytes of a header line that tell which it is.
const NAME_BYTES: usize = 18;

#[derive(Debug)]
pub(super) struct GuardedStream {
    stream: TcpStream,
    connection: Arc<Connection>,
    heads: HeadScanner,
    /// Runs while a write cannot go on.
    stall: Option<Pin<Box<Sleep>>>,
    is_stalled: bool,
}

impl GuardedStream {
    pub(super) fn new(stream: TcpStream, connection: Arc<Connection>) -> GuardedStream {
        let heads = HeadScanner::default();
        GuardedStream { stream, connection, heads, stall: None, is_stalled: false }
    }

    /// Passes on what came of a write, or that it has been pending for too long.
    fn bounded<T>(
        &mut self,
        written: Poll<io::Result<T>>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            if self.is_stalled {
                self.is_stalled = false;
                self.connection.set_stalled(false);
            }
            return written;
        }
        let stall = self.stall.get_or_insert_with(|| Box::pin(sleep(WRITE_WAIT)));
        if !self.is_stalled {
            self.is_stalled = true;
            self.connection.set_stalled(true);
            stall.as_mut().reset(Instant::now() + WRITE_WAIT);
        }
        ready!(stall.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for GuardedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = ready!(Pin::new(&mut self.stream).poll_read(cx, buffer));
        if self.heads.scan(&buffer.filled()[before..]) {
            self.connection.saw_conflicting_lengths();
        }
        Poll::Ready(read)
    }
}

impl AsyncWrite for GuardedStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.bounded(written, cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.bounded(written, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// Looks at the lines of request heads, one head after another: requests carry no bodies here, and
/// a connection on which one does is closed after its answer.
#[derive(Debug, Default)]
struct HeadScanner {
    /// The current line's first bytes, in lower case.
    name: [u8; NAME_BYTES],
    /// How long the current line is, as far as that matters.
    length: usize,
    has_content_length: bool,
    has_transfer_encoding: bool,
}

impl HeadScanner {
    /// Whether one of the heads that these bytes go on with has both lengths.
    fn scan(&mut self, bytes: &[u8]) -> bool {
        let mut conflict = false;
        let mut lines = bytes.split(|byte| *byte == b'\n').peekable();
        while let Some(part) = lines.next() {
            let room = NAME_BYTES - self.length;
            let kept = &part[..part.len().min(room)];
            self.name[self.length..][..kept.len()].copy_from_slice(kept);
            self.length += kept.len();
            if lines.peek().is_some() {
                conflict |= self.end_line();
            }
        }
        conflict
    }

    fn end_line(&mut self) -> bool {
        let line = &mut self.name[..self.length];
        self.length = 0;
        line.make_ascii_lowercase();
        match &*line {
            b"" | b"\r" => {
                self.has_content_length = false;
                self.has_transfer_encoding = false;
            }
            line if line.starts_with(b"content-length:") => self.has_content_length = true,
            line if line.starts_with(b"transfer-encoding:") => self.has_transfer_encoding = true,
            _ => {}
        }
        self.has_content_length && self.has_transfer_encoding
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_lengths_are_seen_however_the_bytes_arrive() {
        let both =
            b"GET / HTTP/1.1\r\nContent-Length: 5\r\nhost: x\r\nTRANSFER-ENCODING: chunked\r\n\r\n";
        for cut in 0..both.len() {
            let mut scanner = HeadScanner::default();
            let (a, b) = both.split_at(cut);
            assert!(scanner.scan(a) | scanner.scan(b), "cut at {cut}");
        }
        let apart = b"GET / HTTP/1.1\r\ncontent-length: 5\r\n\r\nGET / HTTP/1.1\r\ntransfer-encoding: chunked\r\nx-content-length: 1\r\n\r\n";
        assert!(!HeadScanner::default().scan(apart));
    }
}
