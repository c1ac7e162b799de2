//! A thousand tasks wait for one lock, on one thread and without a runtime.
//!
//! `cargo run -p lockstore --example thousand_waiters`

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

use lockstore::Store;

/// Wakes the one thread that polls. Any executor will do; this one is the shortest.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let store = Store::in_memory()?;
    let mut tasks: Vec<Pin<Box<dyn Future<Output = u64>>>> = (0..1_000)
        .map(|_| {
            let store = store.clone();
            Box::pin(async move {
                let guard = store.lock("printer").acquire_async().await.expect("it is our turn");
                guard.token().get() // the guard is dropped here, and the next task has the lock
            }) as Pin<Box<dyn Future<Output = u64>>>
        })
        .collect();

    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut context = Context::from_waker(&waker);
    let mut tokens = Vec::new();
    while !tasks.is_empty() {
        tasks.retain_mut(|task| match pin!(task).poll(&mut context) {
            Poll::Ready(token) => {
                tokens.push(token);
                false
            }
            Poll::Pending => true,
        });
        if !tasks.is_empty() {
            thread::park();
        }
    }
    println!("{} grants, tokens {} to {}", tokens.len(), tokens[0], tokens[tokens.len() - 1]);
    assert!(tokens.is_sorted(), "first come, first served");
    Ok(())
}
