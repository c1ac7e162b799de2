//! The threads on which the driver runs.

use std::future::Future;
use std::io;
use std::mem;
use std::sync::mpsc::sync_channel;

use lockstore::StoreError;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::task::JoinHandle;

/// Threads of the driver's own. Callers are never run on them, and never run the driver's work themselves: they may be in a
/// runtime of theirs, where nothing may block.
#[derive(Debug)]
pub(crate) struct Threads {
    /// `None` once it is dropped.
    runtime: Option<Runtime>,
    handle: Handle,
}

impl Threads {
    pub(crate) fn start() -> io::Result<Self> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(WORKERS)
            .thread_name("lockstore-mongo")
            .enable_all()
            .build()?;
        let handle = runtime.handle().clone();
        Ok(Self { runtime: Some(runtime), handle })
    }

    /// Does `work` on these threads, and blocks the caller's until it is done.
    pub(crate) fn run<F>(&self, work: F) -> Result<F::Output, StoreError>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        let (tell, told) = sync_channel(1);
        self.handle.spawn(async move {
            // Whoever has asked waits for it.
            let _ = tell.send(work.await);
        });
        told.recv().map_err(|_| {
            let what = "a call to the replica set ended without an answer".into();
            StoreError::Internal { what }
        })
    }

    /// Leaves them alone, in a forked child, which has inherited what they work with and none of them.
    pub(crate) fn forget(&mut self) {
        mem::forget(self.runtime.take());
    }

    /// Does `work` on these threads, behind the caller's back.
    pub(crate) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
        self.handle.spawn(work)
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        // Without waiting: the last handle may be dropped on one of these threads, or in somebody's runtime.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// One sends and receives; the other decodes what has come.
const WORKERS: usize = 2;
