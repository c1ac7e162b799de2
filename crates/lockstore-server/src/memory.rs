//! The memory of large messages, which all connections share.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// So many bytes may be in use at once.
#[derive(Debug)]
pub(crate) struct Memory {
    left: Mutex<usize>,
    given_back: Condvar,
    most: usize,
}

/// Bytes that are in use until this is dropped.
#[derive(Debug)]
pub(crate) struct Share<'m> {
    memory: &'m Memory,
    bytes: usize,
}

impl Memory {
    pub(crate) fn new(most: usize) -> Self {
        Self { left: Mutex::new(most), given_back: Condvar::new(), most }
    }

    /// Waits until there are so many bytes. Small messages are not counted: their number is bounded by that of the
    /// connections.
    pub(crate) fn take(&self, bytes: usize) -> Share<'_> {
        let bytes = if bytes <= SMALL { 0 } else { bytes.min(self.most) };
        let mut left = self.left();
        while *left < bytes {
            left = self.given_back.wait(left).unwrap_or_else(PoisonError::into_inner);
        }
        *left -= bytes;
        Share { memory: self, bytes }
    }

    fn left(&self) -> MutexGuard<'_, usize> {
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
}
