//! Two workers want to write the same report; one does, and its storage refuses who comes too late.
//!
//! `cargo run -p lockstore --example nightly_report`

use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use lockstore::{AcquireError, Store, Token};

/// What the lock protects. It remembers the highest token it has seen: a worker that was paused past its
/// lease comes with a lower one, and is refused.
#[derive(Default)]
struct Report {
    highest: Mutex<Option<Token>>,
}

impl Report {
    fn write(&self, token: Token, line: &str) -> Result<(), &'static str> {
        let mut highest = self.highest.lock().expect("no writer panics");
        if highest.is_some_and(|highest| token < highest) {
            return Err("somebody has taken over");
        }
        *highest = Some(token);
        println!("token {token}: {line}");
        Ok(())
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::temp_dir().join(format!("nightly-report-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let store = Store::open(folder.join("locks.redb"))?;
    let report = Report::default();
    thread::scope(|scope| {
        for worker in ["worker-1", "worker-2"] {
            let (store, report) = (&store, &report);
            scope.spawn(move || {
                let request = store.lock("nightly-report").holder(worker);
                match request.ttl(Duration::from_secs(30)).try_acquire() {
                    Ok(guard) => {
                        guard.keep_alive(); // renewed in the background for as long as the guard lives
                        report.write(guard.token(), worker).expect("nobody came later");
                        thread::sleep(Duration::from_millis(100));
                        guard.release().expect("it is held");
                    }
                    Err(AcquireError::Held { by, .. }) => println!("{worker}: held {by}"),
                    Err(error) => println!("{worker}: {error}"),
                }
            });
        }
    });
    store.close()?;
    std::fs::remove_dir_all(&folder)?;
    Ok(())
}
