//! `doc locks` and `doc unlock`.

use std::time::Duration;

use lockstore::bson::{Document, doc};
use serde_json::json;

use crate::support::Sandbox;

/// Three documents: one that another program has locked for ten minutes, one that an update has locked, and a free one.
fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    let store = sandbox.open();
    let orders = store.database("shop").collection::<Document>("orders");
    let documents = [
        doc! { "_id": 1, "item": "tea" },
        doc! { "_id": "two", "lock_id": "by \u{7} hand" },
        doc! { "_id": 3 },
    ];
    orders.insert_many(documents).run().unwrap();
    let locked = orders.lock_document(doc! { "_id": 1 }).lock_id("worker-1");
    // It goes without a word.
    std::mem::forget(locked.ttl(Duration::from_secs(600)).acquire().unwrap());
    store.close().unwrap();
    sandbox
}

#[test]
fn locked_documents_are_listed_with_who_has_locked_them() {
    let sandbox = sandbox();
    let table = sandbox.ok(&["doc", "locks", "shop.orders"]);
    let rows: Vec<_> = table.lines().collect();
    assert_eq!(rows.len(), 3, "{table}");
    let words: Vec<_> = rows[0].split("  ").map(str::trim).filter(|it| !it.is_empty()).collect();
    assert_eq!(words, ["_ID", "LOCK ID", "TOKEN", "HELD FOR", "TIME LEFT"]);
    assert!(rows[1].starts_with("1 ") && rows[1].contains("worker-1"), "{table}");
    assert!(rows[1].contains("9m ") || rows[1].contains("10m"), "{table}");
    assert!(rows[2].starts_with("\"two\" ") && rows[2].contains("by \\u{7} hand"), "{table}");
    assert!(rows[2].contains("none") && rows[2].contains("unknown"), "{table}");
    assert!(rows[2].trim_end().ends_with("no end"), "{table}");

    let listed = sandbox.json(&["doc", "locks", "orders", "--db", "shop", "--json"]);
    let [leased, by_update] = &listed["locks"].as_array().unwrap()[..] else {
        panic!("{listed}");
    };
    assert_eq!(leased["_id"], 1);
    assert_eq!(leased["lock_id"], "worker-1");
    assert!(leased["token"].as_u64().unwrap() > 0);
    let remaining = leased["remaining_seconds"].as_f64().unwrap();
    assert!(remaining > 0.0 && remaining <= 600.0, "{remaining}");
    assert!(leased["expires_at"].as_str() > leased["since"].as_str(), "{leased}");
    let expected = json!({
        "_id": "two", "lock_id": "by \u{7} hand", "since": null, "token": null,
        "expires_at": null, "remaining_seconds": null, "in_session": false,
    });
    assert_eq!(*by_update, expected);
}

#[test]
fn where_nothing_is_locked_nothing_is_listed() {
    let sandbox = Sandbox::with_store();
    assert_eq!(sandbox.ok(&["doc", "locks", "shop.none"]), "");
    assert_eq!(sandbox.json(&["doc", "locks", "shop.none", "--json"]), json!({ "locks": [] }));
    sandbox.fails_with(2, &["doc", "locks", "orders"], &["has no database in front"]);
    Sandbox::new().fails(4, &["doc", "locks", "shop.orders"]);
}

#[test]
fn documents_are_unlocked_by_force_and_that_is_recorded() {
    let sandbox = sandbox();
    let unlock = ["doc", "unlock", "shop.orders", "--filter", "{_id: 1}", "--reason", "it burnt"];
    let told = sandbox.ok(&unlock);
    assert_eq!(told, "unlocked document shop.orders { _id: 1 }, which \"worker-1\" had locked\n");
    sandbox.fails_with(1, &unlock, &["nobody has locked such a document of shop.orders"]);
    assert_eq!(
        sandbox.ok(&["doc", "find", "shop.orders", "--filter", "{_id: 1}"]),
        "{\"_id\":1,\"item\":\"tea\",\"lock_id\":null,\"lock_time\":null}\n"
    );
    let others = ["doc", "unlock", "shop.orders", "--filter", "{}", "--json"];
    let breaks = sandbox.json(&others);
    assert_eq!(breaks["breaks"].as_array().unwrap().len(), 1);
    assert_eq!(breaks["breaks"][0]["holder"], "by \u{7} hand");
    assert_eq!(sandbox.ok(&["doc", "locks", "shop.orders"]), "");
    let audit = sandbox.json(&["audit", "--json"]);
    let [last, first] = &audit["breaks"].as_array().unwrap()[..] else { panic!("{audit}") };
    assert_eq!(first["reason"], "it burnt");
    assert_eq!(first["key"], "document shop.orders { _id: 1 }");
    assert!(last["reason"].as_str().unwrap().starts_with("by "), "{audit}");
    assert_eq!(*last, breaks["breaks"][0]);
}

#[test]
fn what_cannot_be_unlocked_is_refused() {
    let sandbox = sandbox();
    let unlock = |more: &[&'static str]| [&["doc", "unlock", "shop.orders"], more].concat();
    assert_eq!(sandbox.output(&unlock(&[])).status.code(), Some(2), "a filter is required");
    sandbox.fails_with(1, &unlock(&["--filter", "{a: {$no: 1}}"]), &["$no"]);
    sandbox.fails(1, &["doc", "unlock", "shop.none", "--filter", "{}"]);
    let long = "x".repeat(100_000);
    let arguments = ["doc", "unlock", "shop.orders", "--filter", "{}", "--reason", &long];
    sandbox.fails_with(2, &arguments, &["reason"]);
    let listed = sandbox.json(&["doc", "locks", "shop.orders", "--json"]);
    assert_eq!(listed["locks"].as_array().unwrap().len(), 2, "nothing was unlocked");
}
