//! The memory of large messages, which all connections share.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// So many bytes may be in use at once.
#[derive(Debug)]
pub(crate) struct Memory {
    /// Below 0 when replies have taken what was not there.
    left: Mutex<i64>,
    given_back: Condvar,
    most: i64,
}

/// Bytes that are in use until this is dropped.
#[derive(Debug)]
pub(crate) struct Share<'m> {
    memory: &'m Memory,
    bytes: i64,
}

impl Memory {
    pub(crate) fn new(most: usize) -> Self {
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        Self { left: Mutex::new(most), given_back: Condvar::new(), most }
    }

    /// Waits until there are so many bytes, for a request. Small messages are not counted: their number is bounded by that of
    /// the connections.
    pub(crate) fn take(&self, bytes: usize) -> Share<'_> {
        let bytes = counted(bytes).min(self.most);
        let mut left = self.left();
        while bytes > 0 && *left < bytes {
            left = self.given_back.wait(left).unwrap_or_else(PoisonError::into_inner);
        }
        *left -= bytes;
        Share { memory: self, bytes }
    }

    /// Takes so many bytes at once, for a reply that is there already. Large requests wait then, and who is slow to read is not
    /// waited for: [`Memory::is_short`].
    pub(crate) fn overdraw(&self, bytes: usize) -> Share<'_> {
        let bytes = counted(bytes);
        *self.left() -= bytes;
        Share { memory: self, bytes }
    }

    /// Whether more is in use than there should be.
    pub(crate) fn is_short(&self) -> bool {
        *self.left() < 0
    }

    fn left(&self) -> MutexGuard<'_, i64> {
        self.left.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Share<'_> {
    fn drop(&mut self) {
        if self.bytes > 0 {
            *self.memory.left() += self.bytes;
            self.memory.given_back.notify_all();
        }
    }
}

fn counted(bytes: usize) -> i64 {
    if bytes <= SMALL { 0 } else { i64::try_from(bytes).unwrap_or(i64::MAX) }
}

/// Messages up to this size are small.
const SMALL: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_messages_take_turns_and_small_ones_do_not() {
        let memory = Memory::new(1 << 20);
        let first = memory.take(1 << 20);
        let _small = memory.take(SMALL);
        std::thread::scope(|scope| {
            let second = scope.spawn(|| memory.take(usize::MAX).bytes);
            drop(first);
            assert_eq!(
                second.join().unwrap(),
                1 << 20,
                "one that is larger than all is let in alone"
            );
        });
        assert_eq!(*memory.left(), 1 << 20);
    }

    #[test]
    fn replies_never_wait_and_what_they_take_is_missed() {
        let memory = Memory::new(1 << 20);
        let first = memory.overdraw(1 << 20);
        assert!(!memory.is_short());
        let second = memory.overdraw(1 << 20);
        assert!(memory.is_short());
        drop(second);
        drop(first);
        assert_eq!(*memory.left(), 1 << 20);
    }
}
