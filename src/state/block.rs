//! The form of a file: a preamble, then blocks, each with checksums of its head and its body.
//!
//! A head's checksum goes on from that of the head before, so a block that is missing, doubled or
//! out of its place is found as surely as a changed byte. Heads are checked before their bodies
//! are read: a wrong length is not believed.

use std::io::{self, Read, Write};

use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use super::Unusable;

const MAGIC: [u8; 8] = *b"viewtide";

/// Raised when anything in a file changes its meaning, packed rows among it.
pub(super) const VERSION: u32 = 3;

/// Kind, length of the body, its checksum, and the checksum of all of these.
const HEAD: usize = 1 + 4 + 8 + 8;
/// What of a head its own checksum covers.
const SUMMED: usize = HEAD - 8;

/// What a block holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Header,
    Rows,
    Trailer,
}

impl Kind {
    fn byte(self) -> u8 {
        match self {
            Kind::Header => b'H',
            Kind::Rows => b'R',
            Kind::Trailer => b'T',
        }
    }

    fn of_byte(byte: u8) -> Option<Kind> {
        [Kind::Header, Kind::Rows, Kind::Trailer].into_iter().find(|kind| kind.byte() == byte)
    }
}

/// Writes blocks.
pub(super) struct BlockWriter<W> {
    to: W,
    /// Checksum of the last head.
    last: u64,
    written: u64,
}

impl<W: Write> BlockWriter<W> {
    /// Begins with the preamble.
    pub(super) fn new(mut to: W) -> io::Result<BlockWriter<W>> {
        let preamble = preamble();
        to.write_all(&preamble)?;
        Ok(BlockWriter { to, last: xxh3_64(&preamble), written: preamble.len() as u64 })
    }

    /// Adds a block.
    pub(super) fn write(&mut self, kind: Kind, body: &[u8]) -> io::Result<()> {
        let length = u32::try_from(body.len()).map_err(|_| io::ErrorKind::FileTooLarge)?;
        let mut head = [0; HEAD];
        head[0] = kind.byte();
        head[1..5].copy_from_slice(&length.to_le_bytes());
        head[5..SUMMED].copy_from_slice(&xxh3_64(body).to_le_bytes());
        self.last = xxh3_64_with_seed(&head[..SUMMED], self.last);
        head[SUMMED..].copy_from_slice(&self.last.to_le_bytes());
        self.to.write_all(&head)?;
        self.to.write_all(body)?;
        self.written += (HEAD + body.len()) as u64;
        Ok(())
    }

    /// Bytes written so far.
    pub(super) fn written(&self) -> u64 {
        self.written
    }

    pub(super) fn into_inner(self) -> W {
        self.to
    }
}

/// Reads blocks back.
pub(super) struct BlockReader<R> {
    from: R,
    last: u64,
    /// Where the next block begins.
    at: u64,
    body: Vec<u8>,
}

impl<R: Read> BlockReader<R> {
    /// Checks the preamble.
    pub(super) fn new(mut from: R) -> Result<BlockReader<R>, Unusable> {
        let mut found = [0; 12];
        fill(&mut from, &mut found, 0)?;
        let (magic, version) = found.split_at(MAGIC.len());
        if magic != MAGIC {
            return Err(Unusable::NotOurs);
        }
        let version = u32::from_le_bytes(version.try_into().unwrap_or_default());
        if version != VERSION {
            return Err(Unusable::Version { found: version });
        }
        Ok(BlockReader { from, last: xxh3_64(&found), at: found.len() as u64, body: Vec::new() })
    }

    /// The next block.
    pub(super) fn read(&mut self) -> Result<(Kind, &[u8]), Unusable> {
        let mut head = [0; HEAD];
        fill(&mut self.from, &mut head, self.at)?;
        let number = |range| {
            let bytes: &[u8] = &head[range];
            u64::from_le_bytes(bytes.try_into().unwrap_or_default())
        };
        let damaged = Unusable::Damaged { at: self.at };
        let sum = xxh3_64_with_seed(&head[..SUMMED], self.last);
        let (true, Some(kind)) = (sum == number(SUMMED..HEAD), Kind::of_byte(head[0])) else {
            return Err(damaged);
        };
        let length = u32::from_le_bytes([head[1], head[2], head[3], head[4]]) as usize;
        self.body.resize(length, 0);
        fill(&mut self.from, &mut self.body, self.at + HEAD as u64)?;
        if xxh3_64(&self.body) != number(5..SUMMED) {
            return Err(damaged);
        }
        self.last = sum;
        self.at += (HEAD + length) as u64;
        Ok((kind, &self.body))
    }

    /// Where the next block begins.
    pub(super) fn at(&self) -> u64 {
        self.at
    }

    /// Whether nothing follows.
    pub(super) fn is_at_end(&mut self) -> Result<bool, Unusable> {
        Ok(read_up_to(&mut self.from, &mut [0])? == 0)
    }
}

fn preamble() -> [u8; 12] {
    let mut preamble = [0; 12];
    preamble[..MAGIC.len()].copy_from_slice(&MAGIC);
    preamble[MAGIC.len()..].copy_from_slice(&VERSION.to_le_bytes());
    preamble
}

/// Fills a buffer from what begins at byte `at`.
fn fill(from: &mut impl Read, buffer: &mut [u8], at: u64) -> Result<(), Unusable> {
    let read = read_up_to(from, buffer)?;
    if read < buffer.len() {
        return Err(Unusable::CutOff { at: at + read as u64 });
    }
    Ok(())
}

/// Fills a buffer as far as there is anything.
fn read_up_to(from: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match from.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}
