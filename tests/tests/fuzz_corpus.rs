//! The committed cases of the fuzz targets, run again by what the targets run.

use std::fs;
use std::path::Path;
use std::sync::Mutex;

use lockstore_tests::decode_row::decode_row;
use lockstore_tests::fuzz_commands::command;
use lockstore_tests::fuzz_documents::{filter, key, pipeline, update};
use lockstore_tests::journal_bytes::journal_bytes;
use lockstore_tests::open_bytes::{let_redb_panic, open_bytes};

/// What has panicked, other than redb.
static PANICS: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// One test, because a panic that the store has caught is seen by the hook of the whole process only.
#[test]
fn every_found_case_passes() {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        PANICS.lock().expect("nobody panics with it").push(panic.to_string());
        before(panic);
    }));
    let_redb_panic();
    replay("decode_row", decode_row);
    replay("open_bytes", open_bytes);
    replay("journal_bytes", journal_bytes);
    replay("filter", filter);
    replay("update", update);
    replay("pipeline", pipeline);
    replay("key_encoding", key);
    replay("command", command);
}

fn replay(target: &str, run: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(target);
    let mut files = 0;
    for entry in fs::read_dir(&folder).expect("a folder of cases") {
        let file = entry.expect("a case").path();
        // The test's output is shown when it fails, and the last file named in it is the one.
        println!("{}", file.display());
        run(&fs::read(&file).expect("a case"));
        let panics = PANICS.lock().expect("nobody panics with it");
        assert!(panics.is_empty(), "{}: {panics:?}", file.display());
        files += 1;
    }
    assert!(files > 0, "{} holds no case", folder.display());
}
