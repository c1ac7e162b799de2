//! A program that was started again takes up the lock that it still holds.
//!
//! `cargo run -p lockstore --example resume`

use std::time::Duration;

use lockstore::Store;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::temp_dir().join(format!("lockstore-resume-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let path = folder.join("locks.redb");

    // The first run acquires the lock and ends without releasing it. It keeps its token somewhere.
    let store = Store::open(&path)?;
    let guard = store.lock("import").holder("importer").ttl(Duration::from_secs(600)).acquire()?;
    let token = guard.leak().token;
    store.close()?;

    // Nobody else got it in between.
    let store = Store::open(&path)?;
    assert!(store.lock("import").holder("somebody else").try_acquire().is_err());

    // The second run has the same name and the same token.
    let guard = store.lock("import").holder("importer").resume(token)?;
    println!("{} holds {} again, with token {}", guard.holder(), guard.key(), guard.token());
    guard.release()?;

    store.close()?;
    std::fs::remove_dir_all(&folder)?;
    Ok(())
}
