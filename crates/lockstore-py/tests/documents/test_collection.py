"""A collection does what pymongo's does: each call is made on both, on a collection of its own, and the results compared."""

import pickle

import pymongo
import pytest
from pymongo import errors as theirs_errors

import lockstore
from lockstore import bulk, errors


@pytest.fixture
def both(store, client):
    """Two collections with the same documents: ours, and pymongo's."""
    pair = store.collection("ours", database="factory"), client.factory.theirs
    for collection in pair:
        collection.insert_many([{"_id": n, "n": n, "odd": n % 2 == 1, "tags": ["a", "b"][: n % 3]} for n in range(10)])
    return pair


# What is called, and what of its result is compared.
CALLS = {
    "find": lambda c: list(c.find({"n": {"$gt": 3}}, {"n": 1}, sort=[("n", -1)], skip=1, limit=3)),
    "find chained": lambda c: list(c.find({"odd": True}).sort("n", -1).skip(1).limit(2).batch_size(1)),
    "find names": lambda c: list(c.find({}, ["n"]).sort(["odd", ("n", -1)])),
    "find nothing of it": lambda c: list(c.find({"n": 1}, [])),
    "find by id": lambda c: c.find_one(3),
    "find with let": lambda c: c.find_one({"$expr": {"$eq": ["$n", "$$x"]}}, let={"x": 4}),
    "find with hint": lambda c: c.find({"n": 3}).hint([("_id", 1)]).to_list(),
    "find between": lambda c: list(c.find().min([("_id", 2)]).max([("_id", 4)]).hint("_id_")),
    "find in batches": lambda c: [d["_id"] for d in c.find(batch_size=3)],
    "find a few": lambda c: c.find(sort={"n": 1}).to_list(4),
    "find none": lambda c: (c.find_one({"n": 99}), list(c.find({"n": 99}))),
    "count": lambda c: (c.count_documents({"odd": True}), c.count_documents({}, skip=2, limit=5), c.count_documents({"n": 99})),
    "estimate": lambda c: c.estimated_document_count(),
    "distinct": lambda c: (c.distinct("tags"), c.distinct("n", {"n": {"$lt": 3}}), c.find({"odd": True}).distinct("tags")),
    "aggregate": lambda c: list(c.aggregate([{"$group": {"_id": "$odd", "n": {"$sum": "$n"}}}, {"$sort": {"_id": 1}}])),
    "options": lambda c: (
        len(list(c.aggregate([{"$unwind": "$tags"}], batchSize=2, allowDiskUse=True, hint="_id_", comment="x"))),
        c.count_documents({}, hint=[("_id", 1)], maxTimeMS=60_000),
        c.distinct("odd", maxTimeMS=60_000, comment="x"),
        c.find_one_and_update({}, {"$set": {"x": 1}}, maxTimeMS=60_000, hint="_id_", let={"x": 1}),
    ),
    "insert": lambda c: (c.insert_one({"_id": "x"}).inserted_id, c.insert_many([{"_id": "y"}, {"_id": "z"}]).inserted_ids),
    "update": lambda c: update(c.update_one({"odd": True}, {"$inc": {"n": 100}})),
    "update many": lambda c: update(c.update_many({"odd": True}, [{"$set": {"n": {"$add": ["$n", 1]}}}])),
    "update nothing": lambda c: update(c.update_one({"n": 99}, {"$set": {"x": 1}})),
    "update same": lambda c: update(c.update_one({"n": 1}, {"$set": {"n": 1}})),
    "upsert": lambda c: update(c.update_one({"_id": "new"}, {"$set": {"x": 1}}, upsert=True)),
    "update with filters": lambda c: update(c.update_many({}, {"$set": {"tags.$[t]": "c"}}, array_filters=[{"t": "b"}])),
    "replace": lambda c: update(c.replace_one({"n": 1}, {"x": 1})),
    "delete": lambda c: (c.delete_one({"odd": True}).deleted_count, c.delete_many({"odd": True}).deleted_count, c.delete_many({"n": 99}).deleted_count),
    "find and update": lambda c: (
        c.find_one_and_update({"odd": True}, {"$inc": {"n": 1}}, sort=[("n", -1)]),
        c.find_one_and_update({"odd": True}, [{"$set": {"x": "$n"}}], {"x": 1}, [("n", 1)], return_document=True),
        c.find_one_and_update({"n": 99}, {"$set": {"x": 1}}),
    ),
    "find and upsert": lambda c: c.find_one_and_update({"_id": 77}, {"$set": {"x": 1}}, upsert=True, return_document=lockstore.ReturnDocument.AFTER),
    "find and replace": lambda c: c.find_one_and_replace({"n": 1}, {"x": 1}, return_document=True),
    "find and delete": lambda c: (c.find_one_and_delete({"odd": True}, ["n"], sort=[("n", -1)]), c.find_one_and_delete({"n": 99})),
    "indexes": lambda c: (
        c.create_index("n"),
        c.create_index([("odd", 1), ("n", -1)], unique=True, background=True),
        c.create_index(["tags", "n"], name="mine", sparse=True),
        c.drop_index("n_1"),
        {name: {**index, "background": None} for name, index in sorted(c.index_information().items())},
        c.drop_indexes(),
        sorted(c.index_information()),
    ),
    "drop": lambda c: (c.drop(), c.drop(), c.find_one(), c.drop_indexes(), c.index_information(), list(c.list_indexes())),
}


def update(result):
    return result.matched_count, result.modified_count, result.upserted_id, result.did_upsert


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_a_call_gives_what_pymongo_gives(both, call):
    ours, theirs = both
    assert call(ours) == call(theirs)
    assert list(ours.find()) == list(theirs.find())


FAILURES = {
    "duplicate": (lambda c: c.insert_one({"_id": 1}), errors.DuplicateKeyError, KeyError),
    "duplicate by update": (lambda c: (c.create_index("n", unique=True), c.update_one({"n": 1}, {"$set": {"n": 2}})), errors.DuplicateKeyError, KeyError),
    "bad filter": (lambda c: c.find_one({"n": {"$bad": 1}}), errors.DocumentError, RuntimeError),
    "bad update": (lambda c: c.update_one({}, {"$bad": {"n": 1}}), errors.DocumentError, RuntimeError),
    "bad stage": (lambda c: list(c.aggregate([{"$bad": 1}])), errors.DocumentError, RuntimeError),
    "bad hint": (lambda c: c.find_one({}, hint="nothing"), errors.DocumentError, RuntimeError),
    "another index of that name": (lambda c: (c.create_index("n", name="x"), c.create_index("odd", name="x")), errors.DocumentError, RuntimeError),
    "no such index": (lambda c: c.drop_index("nothing"), errors.DocumentError, RuntimeError),
}


@pytest.mark.parametrize("call, ours_is, builtin", FAILURES.values(), ids=FAILURES)
def test_a_failure_has_the_code_of_mongodb(both, call, ours_is, builtin):
    ours, theirs = both
    with pytest.raises(theirs_errors.OperationFailure) as expected:
        call(theirs)
    with pytest.raises(ours_is) as failed:
        call(ours)
    assert failed.value.code == expected.value.code
    assert isinstance(failed.value, builtin) and isinstance(failed.value, lockstore.LockStoreError)
    copy = pickle.loads(pickle.dumps(failed.value))
    assert (type(copy), str(copy), copy.code, copy.details) == (ours_is, str(failed.value), failed.value.code, failed.value.details)


@pytest.mark.parametrize(
    "call",
    [
        lambda c: c.update_one({}, {"n": 1}),
        lambda c: c.update_one({}, {}),
        lambda c: c.replace_one({}, {"$set": {"n": 1}}),
        lambda c: c.find_one_and_update({}, {"n": 1}),
        lambda c: c.find_one_and_replace({}, {"$set": {"n": 1}}),
    ],
)
def test_an_update_is_no_replacement(both, call):
    for collection in both:
        with pytest.raises(ValueError):
            call(collection)


@pytest.mark.parametrize("ordered", [True, False])
def test_a_bulk_of_writes_tells_what_failed_as_pymongo_does(both, ordered):
    ours, theirs = both
    results = []
    for collection, module, error in ((ours, bulk, errors.BulkWriteError), (theirs, pymongo, theirs_errors.BulkWriteError)):
        requests = [
            module.InsertOne({"_id": "a"}),
            module.UpdateOne({"_id": "b"}, {"$set": {"x": 1}}, upsert=True),
            module.UpdateMany({"odd": True}, {"$set": {"y": 1}}),
            module.InsertOne({"_id": "c"}),
            module.ReplaceOne({"n": 1}, {"n": -1}),
            module.DeleteOne({"n": 2}),
            module.DeleteMany({"odd": True}),
        ]
        done = collection.bulk_write(requests, ordered=ordered)
        results.append((done.inserted_count, done.matched_count, done.modified_count, done.deleted_count, done.upserted_count, done.upserted_ids))
        with pytest.raises(error) as failed:
            collection.bulk_write([module.InsertOne({"_id": "d"}), module.InsertOne({"_id": "a"}), module.DeleteMany({})], ordered=ordered)
        details = failed.value.details
        results[-1] += ([(e["index"], e["code"]) for e in details["writeErrors"]], details["nInserted"], details["nRemoved"], failed.value.code)
    assert results[0] == results[1]
    assert list(ours.find()) == list(theirs.find())


def test_requests_of_pymongo_are_taken_too(both):
    ours, _ = both
    done = ours.bulk_write([pymongo.ReplaceOne({"n": 1}, {"n": -1}), pymongo.UpdateOne({"n": 2}, {"$set": {"n": -2}}, hint="_id_"), pymongo.DeleteMany({"odd": True})])
    assert (done.matched_count, done.modified_count, done.deleted_count) == (2, 2, 4)
    with pytest.raises(TypeError, match="is not a valid request"):
        ours.bulk_write([{"insert": 1}])


@pytest.mark.parametrize("module", [bulk, pymongo])
@pytest.mark.parametrize(
    "name, change", [("UpdateOne", {"x": 1}), ("UpdateOne", {}), ("UpdateMany", {"x": 1}), ("ReplaceOne", {"$set": {"x": 1}})]
)
def test_an_update_is_no_replacement_in_a_bulk_either(both, module, name, change):
    ours, _ = both
    before = list(ours.find())
    with pytest.raises(ValueError):
        ours.bulk_write([module.InsertOne({"_id": "new"}), getattr(module, name)({"n": 1}, change)])
    assert list(ours.find()) == before


def test_what_a_request_has_that_is_unknown_here_is_refused(both):
    class UpdateOne(bulk.UpdateOne):
        _sort = {"n": -1}

    ours, _ = both
    before = list(ours.find())
    with pytest.raises(TypeError, match="sort"):
        ours.bulk_write([UpdateOne({}, {"$set": {"x": 1}})])
    assert list(ours.find()) == before


def test_more_than_one_message_holds_is_sent_as_several(jobs):
    text = "x" * 4_000_000
    assert len(jobs.insert_many([{"_id": n, "text": text} for n in range(30)]).inserted_ids) == 30
    assert sum(len(document["text"]) for document in jobs.find()) == 120_000_000
    with pytest.raises(errors.BulkWriteError) as failed:
        jobs.insert_many([{"_id": 100 + n if n != 25 else 0, "text": text} for n in range(30)])
    assert [error["index"] for error in failed.value.details["writeErrors"]] == [25]
    assert failed.value.details["nInserted"] == 25
    assert jobs.estimated_document_count() == 55


def test_a_document_without_an_id_is_given_one(jobs):
    document = {"n": 1}
    given = jobs.insert_one(document).inserted_id
    assert document == {"n": 1, "_id": given}
    assert jobs.find_one(given) == document
    with pytest.raises(TypeError):
        jobs.insert_many([])
    with pytest.raises(TypeError):
        jobs.insert_one([("n", 1)])


def test_an_argument_that_is_none_is_refused_and_nothing_is_written(jobs):
    for call in (
        lambda: jobs.insert_one({"_id": 1}, session=None),
        lambda: jobs.update_one({}, {"$set": {"x": 1}}, upsert=True, maxTimeMS=1),
        lambda: jobs.replace_one({}, {"x": 1}, upsert=True, array_filters=[]),
        lambda: jobs.delete_many({}, limit=1),
        lambda: jobs.find_one_and_delete({}, array_filters=[]),
        lambda: jobs.count_documents({}, let={}),
        lambda: jobs.distinct("x", hint="_id_"),
        lambda: jobs.aggregate([{"$out": "jobs"}], batch_size=1),
    ):
        with pytest.raises(TypeError, match="unexpected keyword argument"):
            call()
    assert jobs.count_documents({}) == 0


def test_a_cursor_can_be_closed_and_begun_again(jobs):
    jobs.insert_many([{"_id": n} for n in range(10)])
    with jobs.find(batch_size=2) as cursor:
        assert cursor.alive and cursor.next() == {"_id": 0}
        with pytest.raises(RuntimeError):
            cursor.limit(1)
    assert not cursor.alive and list(cursor) == []
    assert len(list(cursor.rewind())) == 10 and not cursor.alive


def test_what_takes_too_long_ends(jobs):
    jobs.insert_many([{"_id": n} for n in range(300)])
    pairs = [{"$lookup": {"from": "jobs", "pipeline": [], "as": "all"}}, {"$unwind": "$all"}, {"$count": "n"}]
    with pytest.raises(errors.ExecutionTimeout) as timeout:
        list(jobs.aggregate(pairs, maxTimeMS=1))
    assert isinstance(timeout.value, TimeoutError) and timeout.value.code == 50


def test_collections_are_equal_by_store_and_name(store, jobs):
    assert jobs == store.collection("jobs", database="factory") and hash(jobs) == hash(store.collection("jobs", database="factory"))
    assert jobs != store.collection("jobs")
    assert (jobs.name, jobs.full_name) == ("jobs", "factory.jobs")
