//! A storage backend that lets nothing through to the file until it is told to.
//!
//! redb writes to a file as soon as it opens it: it repairs it, and marks it as in use. So it is given
//! a gate around the file. While the gate is shut, changes are held in memory in their order, and reads
//! see the file as it would be with them. The first commit opens the gate: what was held is written in
//! the same order, syncs included, and from then on everything passes straight through. Until then the
//! gate stays shut, whatever redb still writes in closing is held too, and the file is never touched:
//! not one that turns out to be no store of ours, or damaged, and not one that is only read.
//!
//! Little is held: an open changes the header and a page or two, whatever the file's length.

use std::fmt;
use std::io;
use std::ops::{Bound, Range};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use redb::{BackendError, StorageBackend};

/// The gate and whoever opens it hold clones of one.
#[derive(Clone)]
pub(super) struct Gate(Arc<Shared>);

struct Shared {
    inner: Box<dyn StorageBackend>,
    open: AtomicBool,
    /// The length as redb sees it, held changes included.
    bytes: AtomicU64,
    /// How often something was read.
    reads: AtomicU64,
    /// In the order in which they came; empty for good once the gate is open.
    held: Mutex<Vec<Change>>,
}

enum Change {
    Write { offset: u64, data: Vec<u8> },
    SetLen(u64),
    Sync,
}

impl Gate {
    /// A shut gate before `inner`.
    pub(super) fn new(inner: Box<dyn StorageBackend>) -> io::Result<Self> {
        let bytes = AtomicU64::new(inner.len()?);
        Ok(Self(Arc::new(Shared {
            inner,
            open: AtomicBool::new(false),
            bytes,
            reads: AtomicU64::new(0),
            held: Mutex::default(),
        })))
    }

    /// Writes what was held, and holds nothing from then on. After an error the gate is still shut, and
    /// the file is in one of the states in which a kill in that moment would have left it.
    pub(super) fn open(&self) -> io::Result<()> {
        if self.is_open() {
            return Ok(());
        }
        let mut held = self.held();
        for change in held.iter() {
            change.make(&*self.0.inner)?;
        }
        *held = Vec::new();
        self.0.open.store(true, Ordering::Release);
        Ok(())
    }

    /// The length in bytes.
    pub(super) fn bytes(&self) -> u64 {
        self.0.bytes.load(Ordering::Relaxed)
    }

    /// How often something was read. Who sees what was read sees it counted.
    pub(super) fn reads(&self) -> u64 {
        self.0.reads.load(Ordering::Acquire)
    }

    /// Asks for the length again. Until the file is locked, whoever has it open may change its length.
    fn measure(&self) -> io::Result<()> {
        let held = self.held();
        if !self.is_open() && held.is_empty() {
            self.0.bytes.store(self.0.inner.len()?, Ordering::Relaxed);
        }
        Ok(())
    }

    fn is_open(&self) -> bool {
        self.0.open.load(Ordering::Acquire)
    }

    fn held(&self) -> MutexGuard<'_, Vec<Change>> {
        // Each change is whole when it is pushed, so a panic elsewhere leaves nothing half done.
        self.0.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads what the file has at `offset`, or would have with what is held.
    fn look(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        if self.is_open() {
            return self.0.inner.read(offset, out);
        }
        let held = self.held();
        let range = offset..offset.saturating_add(out.len() as u64);
        if range.end > self.bytes() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let on_file = self.0.inner.len()?.clamp(range.start, range.end);
        let (there, beyond) = out.split_at_mut(within(&(range.start..on_file), range.start).end);
        if !there.is_empty() {
            self.0.inner.read(offset, there)?;
        }
        beyond.fill(0);
        for change in held.iter() {
            change.show(&range, out);
        }
        Ok(())
    }

    /// Makes the change now when the gate is open, else holds it.
    fn pass(&self, change: impl FnOnce() -> Change) -> io::Result<()> {
        let mut held = self.held();
        if self.is_open() {
            return change().make(&*self.0.inner);
        }
        held.push(change());
        Ok(())
    }
}

impl Change {
    fn make(&self, backend: &dyn StorageBackend) -> io::Result<()> {
        match self {
            Self::Write { offset, data } => backend.write(*offset, data),
            Self::SetLen(bytes) => backend.set_len(*bytes),
            Self::Sync => backend.sync_data(),
        }
    }

    /// Makes the change in `out`, which is what was read at `range`.
    fn show(&self, range: &Range<u64>, out: &mut [u8]) {
        match self {
            Self::Write { offset, data } => {
                let end = offset.saturating_add(data.len() as u64);
                let common = range.start.max(*offset)..range.end.min(end);
                if !common.is_empty() {
                    out[within(&common, range.start)]
                        .copy_from_slice(&data[within(&common, *offset)]);
                }
            }
            Self::SetLen(bytes) => {
                let cut = range.start.max(*bytes)..range.end;
                if !cut.is_empty() {
                    out[within(&cut, range.start)].fill(0);
                }
            }
            Self::Sync => {}
        }
    }
}

/// `range` counted from `origin`: an index into a buffer that starts there.
fn within(range: &Range<u64>, origin: u64) -> Range<usize> {
    let index = |offset: u64| usize::try_from(offset - origin).expect("a buffer is in memory");
    index(range.start)..index(range.end)
}

impl StorageBackend for Gate {
    fn len(&self) -> io::Result<u64> {
        if self.is_open() {
            return self.0.inner.len();
        }
        Ok(self.bytes())
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let read = self.look(offset, out);
        // Now, and not before: whoever counts between the two would take it for what was there already.
        self.0.reads.fetch_add(1, Ordering::AcqRel);
        read
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        if self.is_open() {
            self.0.inner.set_len(len)?;
        } else {
            self.pass(|| Change::SetLen(len))?;
        }
        self.0.bytes.store(len, Ordering::Relaxed);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        if self.is_open() {
            return self.0.inner.sync_data();
        }
        self.pass(|| Change::Sync)
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        if self.is_open() {
            return self.0.inner.write(offset, data);
        }
        self.pass(|| Change::Write { offset, data: data.to_vec() })
    }

    fn close(&self) -> io::Result<()> {
        self.0.inner.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        let locked = self.0.inner.try_lock_range(start, end)?;
        self.measure()?;
        Ok(locked)
    }

    fn try_lock_shared_range(
        &self,
        start: Bound<u64>,
        end: Bound<u64>,
    ) -> Result<bool, BackendError> {
        let locked = self.0.inner.try_lock_shared_range(start, end)?;
        self.measure()?;
        Ok(locked)
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.0.inner.lock_range(start, end)?;
        Ok(self.measure()?)
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.0.inner.lock_shared_range(start, end)?;
        Ok(self.measure()?)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.0.inner.unlock_range(start, end)
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.0.inner.query_lock_range(start, end)
    }
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gate")
            .field("inner", &self.0.inner)
            .field("open", &self.is_open())
            .field("bytes", &self.bytes())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use redb::backends::InMemoryBackend;

    #[derive(Clone, Debug)]
    enum Step {
        Write(u64, Vec<u8>),
        SetLen(u64),
        Sync,
        Open,
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let data = prop::collection::vec(1..=255_u8, 0..20);
        let step = prop_oneof![
            6 => (0..80_u64, data).prop_map(|(offset, data)| Step::Write(offset, data)),
            3 => (0..100_u64).prop_map(Step::SetLen),
            1 => Just(Step::Sync),
            1 => Just(Step::Open),
        ];
        prop::collection::vec(step, 0..20)
    }

    fn content(backend: &dyn StorageBackend) -> Vec<u8> {
        let mut bytes = vec![0; usize::try_from(backend.len().unwrap()).unwrap()];
        backend.read(0, &mut bytes).unwrap();
        bytes
    }

    fn filled(bytes: &[u8]) -> InMemoryBackend {
        let backend = InMemoryBackend::new();
        backend.set_len(bytes.len() as u64).unwrap();
        backend.write(0, bytes).unwrap();
        backend
    }

    proptest! {
        /// Through the gate, shut or open, a file looks as if there were none; behind it, nothing is
        /// changed before it is opened, and everything after.
        #[test]
        fn a_gate_is_not_seen_from_before_it(start: Vec<u8>, steps in steps(), offset in 0..100_u64) {
            let plain = filled(&start);
            let gate = Gate::new(Box::new(filled(&start))).unwrap();
            for step in steps {
                match step {
                    Step::Write(offset, data) => {
                        if offset + data.len() as u64 <= plain.len().unwrap() {
                            plain.write(offset, &data).unwrap();
                            gate.write(offset, &data).unwrap();
                        }
                    }
                    Step::SetLen(len) => {
                        plain.set_len(len).unwrap();
                        gate.set_len(len).unwrap();
                    }
                    Step::Sync => gate.sync_data().unwrap(),
                    Step::Open => gate.open().unwrap(),
                }
                prop_assert_eq!(content(&gate), content(&plain));
                prop_assert_eq!(gate.bytes(), plain.len().unwrap());
                let (mut seen, mut expected) = ([0; 7], [0; 7]);
                prop_assert_eq!(gate.read(offset, &mut seen).is_ok(), plain.read(offset, &mut expected).is_ok());
                prop_assert_eq!(seen, expected);
                if !gate.is_open() {
                    prop_assert_eq!(content(&*gate.0.inner), start.clone());
                }
            }
            gate.open().unwrap();
            prop_assert_eq!(content(&*gate.0.inner), content(&plain));
        }
    }
}
