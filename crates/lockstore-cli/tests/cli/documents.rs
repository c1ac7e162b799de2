//! `doc find`, `get`, `count`, `aggregate`, `insert`, `update` and `delete`.

use serde_json::json;

use crate::support::{Running, Sandbox, read, stderr, stdout};

/// A store with three orders.
fn shop() -> Sandbox {
    let sandbox = Sandbox::new();
    let orders = [
        "{_id: 1, item: 'tea', price: 3, at: {$date: '2024-05-01T12:00:00Z'}}",
        "{_id: 2, item: 'oil', price: 9, lines: [{n: 1}, {n: 2}]}",
        "{_id: {$oid: '65f0c0ffee65f0c0ffee65f0'}, item: 'tea', price: 5}",
    ];
    let inserted = sandbox.ok(&["doc", "insert", "shop.orders", orders[0], orders[1], orders[2]]);
    assert_eq!(inserted, "1\n2\n{\"$oid\":\"65f0c0ffee65f0c0ffee65f0\"}\n");
    sandbox
}

#[test]
fn find_prints_a_document_a_line() {
    let sandbox = shop();
    let find = |more: &[&str]| sandbox.ok(&[&["doc", "find", "shop.orders"], more].concat());
    let tea =
        "{\"_id\":1,\"item\":\"tea\",\"price\":3,\"at\":{\"$date\":\"2024-05-01T12:00:00Z\"}}\n";
    assert_eq!(find(&["--limit", "1"]), tea);
    assert_eq!(find(&[]).lines().count(), 3);
    let ids = ["--projection", "{price: 1, _id: 0}"];
    let by_price = [&ids[..], &["--sort", "{price: -1}"]].concat();
    assert_eq!(find(&by_price), "{\"price\":9}\n{\"price\":5}\n{\"price\":3}\n");
    let second = [&by_price[..], &["--skip", "1", "--limit", "1"]].concat();
    assert_eq!(find(&second), "{\"price\":5}\n");
    let dear = [&ids[..], &["--filter", "{price: {$gte: 5}, item: 'tea'}"]].concat();
    assert_eq!(find(&dear), "{\"price\":5}\n");
    let canonical = [&dear[..], &["--canonical"]].concat();
    assert_eq!(find(&canonical), "{\"price\":{\"$numberInt\":\"5\"}}\n");
    let pretty = [&dear[..], &["--pretty"]].concat();
    assert_eq!(find(&pretty), "{\n  \"price\": 5\n}\n");
    assert_eq!(find(&["--filter", "{item: 'cola'}"]), "");
    assert_eq!(sandbox.ok(&["doc", "find", "nothing", "--db", "nowhere"]), "");
    let hint = ["doc", "find", "shop.orders", "--hint", "item_1"];
    sandbox.fails_with(1, &hint, &["the hint 'item_1' does not correspond"]);
    sandbox.ok(&["doc", "create-index", "shop.orders", "{item: 1}"]);
    for hint in ["item_1", "{item: 1}", "{$natural: -1}"] {
        assert_eq!(find(&["--hint", hint]).lines().count(), 3);
    }
}

#[test]
fn get_finds_a_document_by_its_id() {
    let sandbox = shop();
    sandbox.ok(&["doc", "insert", "shop.orders", "{_id: 'order-17'}", "{_id: '17'}", "{_id: -17}"]);
    let get = |id: &str| sandbox.ok(&["doc", "get", "shop.orders", id]);
    assert_eq!(get("order-17"), "{\"_id\":\"order-17\"}\n");
    assert_eq!(get("\"17\""), "{\"_id\":\"17\"}\n");
    assert_eq!(get("-17"), "{\"_id\":-17}\n");
    let by_id = get("65f0c0ffee65f0c0ffee65f0");
    assert_eq!(by_id, get("{\"$oid\": \"65f0c0ffee65f0c0ffee65f0\"}"));
    let told = ["shop.orders has no document with the _id 17"];
    sandbox.fails_with(1, &["doc", "get", "shop.orders", "17"], &told);
    sandbox.fails_with(2, &["doc", "get", "shop.orders", "{$oid: 'x'}"], &["24-character"]);
    let order =
        sandbox.json(&["doc", "get", "orders", "2", "--db", "shop", "--projection", "{item: 1}"]);
    assert_eq!(order, json!({ "_id": 2, "item": "oil" }));
}

#[test]
fn count_counts() {
    let sandbox = shop();
    let count = |more: &[&str]| sandbox.ok(&[&["doc", "count", "shop.orders"], more].concat());
    assert_eq!(count(&[]), "3\n");
    assert_eq!(count(&["--filter", "{item: 'tea'}"]), "2\n");
    assert_eq!(count(&["--skip", "1", "--limit", "5"]), "2\n");
    assert_eq!(count(&["--filter", "{item: 'tea'}", "--hint", "_id_", "--limit", "1"]), "1\n");
    assert_eq!(sandbox.json(&["doc", "count", "shop.none", "--json"]), json!({ "count": 0 }));
}

#[test]
fn aggregate_prints_what_a_pipeline_makes() {
    let sandbox = shop();
    let stages = "[{$group: {_id: '$item', paid: {$sum: '$price'}}}, {$sort: {_id: 1}}]";
    let sums = sandbox.ok(&["doc", "aggregate", "shop.orders", stages]);
    assert_eq!(sums, "{\"_id\":\"oil\",\"paid\":9}\n{\"_id\":\"tea\",\"paid\":8}\n");
    let unknown = ["doc", "aggregate", "shop.orders", "[{$paint: 1}]"];
    sandbox.fails_with(1, &unknown, &["there is no stage '$paint'"]);
    let none = ["doc", "aggregate", "shop.orders", "{$match: {}}"];
    sandbox.fails_with(2, &none, &["an array such as [{...}] was expected, not a document"]);
}

#[test]
fn an_insertion_ends_at_the_first_document_that_is_refused() {
    let sandbox = shop();
    let insert = ["doc", "insert", "shop.orders", "{_id: 7}", "{_id: 1}", "{_id: 8}"];
    let told = ["E11000", "that is document 2 of 3; those before it were inserted"];
    sandbox.fails_with(1, &insert, &told);
    assert_eq!(sandbox.ok(&["doc", "count", "shop.orders"]), "4\n");
    let first = ["doc", "insert", "shop.orders", "{_id: 1}", "{_id: 8}"];
    sandbox.fails_with(1, &first, &["document 1 of 2; none was inserted"]);
    let json = sandbox.json(&["doc", "insert", "shop.orders", "{_id: {a: 1}}", "{}", "--json"]);
    assert_eq!(json["inserted_ids"][0], json!({ "a": 1 }));
    assert!(json["inserted_ids"][1]["$oid"].is_string());
}

#[test]
fn update_tells_what_it_did() {
    let sandbox = shop();
    let update = |change: &'static str, more: &[&'static str]| {
        [&["doc", "update", "shop.orders", change][..], more].concat()
    };
    let inc = "{$inc: {price: 1}}";
    let tea = ["--filter", "{item: 'tea'}"];
    assert_eq!(sandbox.ok(&update(inc, &tea)), "matched 1, modified 1\n");
    let many = [&tea[..], &["--many"]].concat();
    assert_eq!(sandbox.ok(&update(inc, &many)), "matched 2, modified 2\n");
    let none = ["--filter", "{item: 'cola'}"];
    let output = sandbox.output(&update(inc, &none));
    assert_eq!((output.status.code(), &*stdout(&output)), (Some(1), "matched 0, modified 0\n"));
    let none_of_many = [&none[..], &["--many"]].concat();
    assert_eq!(sandbox.ok(&update(inc, &none_of_many)), "matched 0, modified 0\n");
    let upsert = ["--filter", "{_id: 9}", "--upsert"];
    assert_eq!(sandbox.ok(&update(inc, &upsert)), "matched 0, modified 0, upserted 9\n");
    let upsert = ["--filter", "{_id: null}", "--upsert", "--json"];
    let expected = json!({ "matched": 0, "modified": 0, "upserted": 1, "upserted_id": null });
    assert_eq!(sandbox.json(&update(inc, &upsert)), expected);
    let pipeline = "[{$set: {double: {$multiply: ['$price', 2]}}}]";
    sandbox.ok(&update(pipeline, &["--filter", "{_id: 2}"]));
    let lines = "{$set: {'lines.$[l].done': true}}";
    sandbox.ok(&update(lines, &["--filter", "{_id: 2}", "--array-filters", "[{'l.n': 2}]"]));
    let oil = sandbox.json(&["doc", "get", "shop.orders", "2"]);
    assert_eq!(oil["double"], 18);
    assert_eq!(oil["lines"], json!([{ "n": 1 }, { "n": 2, "done": true }]));
    let refused = update("{$inc: {item: 1}}", &["--filter", "{_id: 2}", "--hint", "_id_"]);
    sandbox.fails_with(1, &refused, &["$inc applies to numbers", "'item'"]);
    sandbox.fails_with(2, &update("{item: 1}", &tea), &["an update has operators", "$set"]);
    sandbox.fails_with(2, &update(inc, &[]), &["--filter"]);
}

#[test]
fn delete_needs_a_filter() {
    let sandbox = shop();
    let delete = |more: &[&'static str]| [&["doc", "delete", "shop.orders"][..], more].concat();
    sandbox.fails_with(2, &delete(&[]), &["--filter", "lockstore doc delete --help"]);
    sandbox.fails_with(2, &delete(&["--many"]), &["--filter"]);
    assert_eq!(sandbox.ok(&delete(&["--filter", "{item: 'tea'}"])), "deleted 1\n");
    let output = sandbox.output(&delete(&["--filter", "{item: 'cola'}"]));
    assert_eq!((output.status.code(), &*stdout(&output)), (Some(1), "deleted 0\n"));
    let all = sandbox.json(&delete(&["--filter", "{}", "--many", "--json"]));
    assert_eq!(all, json!({ "deleted": 2 }));
    assert_eq!(sandbox.ok(&delete(&["--filter", "{}", "--many"])), "deleted 0\n");
}

#[test]
fn a_reader_of_documents_that_has_read_enough_is_no_failure() {
    let sandbox = large();
    let script = "{ $LOCKSTORE doc find d.large; echo $? > code; } 2> told | head -1 | wc -l
        { $LOCKSTORE doc export d.large -; echo $? >> code; } 2>> told | head -1 | wc -l";
    let output = sandbox.shell(script);
    assert_eq!(stdout(&output).split_whitespace().collect::<Vec<_>>(), ["1", "1"]);
    assert_eq!(
        (read(sandbox.path("code")), read(sandbox.path("told"))),
        ("0\n0\n".to_owned(), String::new())
    );
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = sandbox.command(&["doc", "find", "d.large"]).stdout(full).output().unwrap();
    assert_eq!(output.status.code(), Some(4), "{}", stderr(&output));
}

#[test]
fn a_slow_reader_of_documents_keeps_nobody_waiting() {
    let sandbox = large();
    let mut find = Running::start(&mut sandbox.command(&["doc", "find", "d.large"]));
    find.printed_some();
    sandbox.ok(&["acquire", "k", "--store-timeout", "1m"]);
    let output = find.ended();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(stdout(&output).lines().count(), 12);
}

/// A store with more documents than are kept in memory.
fn large() -> Sandbox {
    let sandbox = Sandbox::new();
    let store = sandbox.open();
    let documents = store.database("d").collection::<lockstore::bson::Document>("large");
    let text = "x".repeat(1 << 20);
    let large = (0..12).map(|n| lockstore::bson::doc! { "_id": n, "text": &text });
    documents.insert_many(large).run().unwrap();
    store.close().unwrap();
    sandbox
}
