//! What a program prints, within a bound: a hundred megabytes neither block it nor stay with us. And what it is given to
//! read, which it need not.

use std::collections::VecDeque;
use std::os::fd::AsFd;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::ChildStdin;

/// A stream within its bound: its head, its tail, and how much between them was left out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Captured {
    head: Vec<u8>,
    tail: VecDeque<u8>,
    dropped: u64,
    half: usize,
}

impl Captured {
    /// An empty stream that will keep at most `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self {
            half: (limit / 2).max(1),
            ..Self::default()
        }
    }

    /// Everything that was kept, lossily decoded, with a line that says what is missing.
    pub fn text(&self) -> String {
        let mut bytes = self.head.clone();
        if self.dropped > 0 {
            let note = format!("\n[... truncated: {} bytes left out ...]\n", self.dropped);
            bytes.extend_from_slice(note.as_bytes());
        }
        bytes.extend(&self.tail);
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// The same as bytes, with nothing said of what is missing.
    pub fn bytes(&self) -> Vec<u8> {
        let tail = self.tail.iter().copied();
        self.head.iter().copied().chain(tail).collect()
    }

    /// Whether bytes were left out.
    pub fn truncated(&self) -> bool {
        self.dropped > 0
    }

    /// Bytes kept.
    pub fn len(&self) -> usize {
        self.head.len() + self.tail.len()
    }

    /// Whether nothing was printed.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds what was read.
    pub fn push(&mut self, bytes: &[u8]) {
        let free = self.half.saturating_sub(self.head.len()).min(bytes.len());
        let (to_head, rest) = bytes.split_at(free);
        self.head.extend_from_slice(to_head);
        let kept = &rest[rest.len().saturating_sub(self.half)..];
        let over = (self.tail.len() + kept.len()).saturating_sub(self.half);
        self.tail.drain(..over);
        self.tail.extend(kept);
        self.dropped += (over + rest.len() - kept.len()) as u64;
    }
}

/// How much of a stream is read after the end of the child: more than any pipe holds.
const LAST_DRAIN: usize = 2 * 1024 * 1024;

/// One captured stream. `fill` is cancel safe: a read either happened or did not.
pub(super) struct Stream<R> {
    from: Option<R>,
    pub(super) kept: Captured,
    buffer: Vec<u8>,
}

impl<R: AsyncRead + AsFd + Unpin> Stream<R> {
    pub(super) fn new(from: Option<R>, limit: usize) -> Self {
        Self {
            from,
            kept: Captured::new(limit),
            buffer: vec![0; 16 * 1024],
        }
    }

    pub(super) fn open(&self) -> bool {
        self.from.is_some()
    }

    pub(super) async fn fill(&mut self) {
        let Some(from) = &mut self.from else { return };
        match from.read(&mut self.buffer).await {
            Ok(n) if n > 0 => self.kept.push(&self.buffer[..n]),
            _ => self.from = None,
        }
    }

    /// What the child wrote before its end is in the pipe now; what others still hold open is not waited for.
    /// The descriptor does not block, and is asked directly, since readiness may not have been told to us yet.
    pub(super) fn drain(&mut self) {
        let Some(from) = self.from.take() else { return };
        let mut total = 0;
        while total < LAST_DRAIN {
            match rustix::io::read(from.as_fd(), self.buffer.as_mut_slice()) {
                Ok(n) if n > 0 => self.kept.push(&self.buffer[..n]),
                Err(rustix::io::Errno::INTR) => {}
                _ => return,
            }
            total += self.buffer.len();
        }
    }
}

/// What a program is given to read.
pub(super) struct Input {
    to: Option<ChildStdin>,
    data: Vec<u8>,
    done: usize,
}

impl Input {
    pub(super) fn new(to: Option<ChildStdin>, data: Vec<u8>) -> Self {
        Self { to, data, done: 0 }
    }

    pub(super) fn open(&self) -> bool {
        self.to.is_some()
    }

    pub(super) async fn feed(&mut self) {
        let Some(to) = &mut self.to else { return };
        if self.done < self.data.len() {
            match to.write(&self.data[self.done..]).await {
                Ok(n) if n > 0 => self.done += n,
                // A program need not read its input.
                _ => self.done = self.data.len(),
            }
        }
        if self.done >= self.data.len() {
            self.to = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_is_kept_for_any_split() {
        let mut kept = Captured::new(10);
        for chunk in ["abc", "defgh", "ijklmnop", "q", "", "rs"] {
            kept.push(chunk.as_bytes());
        }
        assert_eq!(
            kept.text(),
            "abcde\n[... truncated: 9 bytes left out ...]\nopqrs"
        );
        assert_eq!(kept.len(), 10);
    }
}
