//! `doc collections`, `drop`, `indexes`, `create-index`, `drop-index` and `explain`.

use serde_json::json;

use crate::support::Sandbox;

#[test]
fn collections_are_listed_with_their_sizes() {
    let sandbox = Sandbox::with_store();
    assert_eq!(sandbox.ok(&["doc", "collections"]), "");
    sandbox.ok(&["doc", "insert", "shop.orders", "{}", "{}"]);
    sandbox.ok(&["doc", "insert", "orders.2024", "{}", "--db", "archive"]);
    sandbox.ok(&["doc", "create-index", "shop.orders", "{item: 1}"]);
    let table = sandbox.ok(&["doc", "collections"]);
    let rows: Vec<Vec<_>> = table.lines().map(|row| row.split_whitespace().collect()).collect();
    let expected = [
        ["COLLECTION", "DOCUMENTS", "INDEXES"],
        ["archive.orders.2024", "1", "1"],
        ["shop.orders", "2", "2"],
    ];
    assert_eq!(rows, expected);
    let of_one = sandbox.json(&["doc", "collections", "--db", "shop", "--json"]);
    let orders = json!({ "database": "shop", "name": "orders", "documents": 2, "indexes": 2 });
    assert_eq!(of_one, json!({ "collections": [orders] }));
    sandbox.fails_with(2, &["doc", "collections", "--db", "a b"], &["may not have the letter ' '"]);
}

#[test]
fn a_collection_is_dropped_by_who_says_so() {
    let sandbox = Sandbox::new();
    sandbox.ok(&["doc", "insert", "shop.orders", "{}", "{}"]);
    let drop = ["doc", "drop", "shop.orders"];
    sandbox.fails_with(2, &drop, &["nobody is there to be asked", "--yes"]);
    assert_eq!(sandbox.ok(&["doc", "count", "shop.orders"]), "2\n");
    let drop = [&drop[..], &["--yes"]].concat();
    assert_eq!(sandbox.ok(&drop), "");
    assert_eq!(sandbox.ok(&["doc", "collections"]), "");
    sandbox.fails_with(1, &drop, &["there is no collection shop.orders"]);
}

#[test]
fn an_index_is_made_used_and_dropped() {
    let sandbox = Sandbox::new();
    sandbox.ok(&["doc", "insert", "shop.orders", "{item: 'tea', price: 3}", "{item: 'tea'}"]);
    let make = ["doc", "create-index", "shop.orders", "{item: 1, price: -1}"];
    assert_eq!(sandbox.ok(&make), "item_1_price_-1\n");
    assert_eq!(sandbox.ok(&make), "item_1_price_-1\n", "it is there already");
    let unique = ["doc", "create-index", "shop.orders", "{item: 1}", "--unique"];
    sandbox.fails_with(1, &unique, &["E11000", "\"tea\""]);
    let forgotten = [
        &["doc", "create-index", "shop.orders", "{seen: 1}", "--name", "old", "--sparse"][..],
        &["--expire-after", "1h"],
    ];
    assert_eq!(sandbox.ok(&forgotten.concat()), "old\n");
    let partial = [
        &["doc", "create-index", "shop.orders", "{number: 1}", "--unique", "--hidden"][..],
        &["--partial-filter", "{number: {$gt: 0}}"],
    ];
    sandbox.ok(&partial.concat());
    let table = sandbox.ok(&["doc", "indexes", "shop.orders"]);
    for words in [
        "NAME ",
        "_id_ ",
        "{\"item\":1,\"price\":-1}",
        "sparse, expires after 1h",
        "unique, hidden, only {\"number\":{\"$gt\":0}}",
    ] {
        assert!(table.contains(words), "{words:?} in {table}");
    }
    let indexes = sandbox.json(&["doc", "indexes", "shop.orders", "--json"]);
    assert_eq!(indexes["indexes"][2]["expire_after_seconds"], 3600);
    assert_eq!(indexes["indexes"][3]["partial_filter"], json!({ "number": { "$gt": 0 } }));
    assert_eq!(indexes["indexes"][1]["keys"].to_string(), "{\"item\":1,\"price\":-1}");

    let explain = ["doc", "explain", "shop.orders", "--filter", "{item: 'tea'}"];
    let plan = &sandbox.json(&explain)["queryPlanner"]["winningPlan"];
    assert_eq!(plan["inputStage"]["indexName"], "item_1_price_-1");
    let stats = [&explain[..], &["--verbosity", "stats", "--sort", "{price: 1}", "--limit", "1"]];
    assert_eq!(sandbox.json(&stats.concat())["executionStats"]["nReturned"], 1);
    let natural =
        [&explain[..], &["--hint", "{$natural: 1}", "--projection", "{item: 1}"]].concat();
    assert!(sandbox.ok(&natural).contains("COLLSCAN"));
    let unknown = [&explain[..], &["--hint", "nope"]].concat();
    sandbox.fails_with(1, &unknown, &["the hint 'nope'"]);

    assert_eq!(sandbox.ok(&["doc", "drop-index", "shop.orders", "old"]), "");
    sandbox.ok(&["doc", "drop-index", "shop.orders", "{item: 1, price: -1}"]);
    sandbox.fails_with(1, &["doc", "drop-index", "shop.orders", "old"], &["[old]"]);
    sandbox.fails(1, &["doc", "drop-index", "shop.orders", "_id_"]);
    sandbox.fails(1, &["doc", "indexes", "shop.none"]);
    let indexes = sandbox.json(&["doc", "indexes", "shop.orders", "--json"]);
    assert_eq!(indexes["indexes"].as_array().unwrap().len(), 2);
}
