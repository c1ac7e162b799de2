"""An unmodified pymongo on the socket does what it does on MongoDB."""

import threading

import pymongo
import pytest
from bson import Binary, Decimal128, Int64, ObjectId, Regex
from pymongo import errors
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern


def test_the_driver_knows_whom_it_talks_to(client):
    assert client.server_info()["version"] == "6.0.5"
    assert client.admin.command("ping") == {"ok": 1.0}
    assert client.address[0].endswith("jobs.redb.sock")


def test_documents_come_back_as_they_went_in(jobs):
    document = {
        "_id": ObjectId(),
        "int": 1,
        "long": Int64(2),
        "double": 0.5,
        "decimal": Decimal128("1.10"),
        "text": "é\0",
        "none": None,
        "nested": {"list": [1, {"a": []}]},
        "binary": Binary(b"\0\1", 0x80),
        "pattern": Regex("^a", "i"),
        "yes": True,
    }
    assert jobs.insert_one(document).inserted_id == document["_id"]
    assert jobs.find_one({"nested.list.a": []}) == document


def test_create_read_update_delete(jobs):
    jobs.insert_many({"_id": number, "state": "new"} for number in range(10))
    taken = jobs.find_one_and_update(
        {"state": "new"},
        {"$set": {"state": "running"}, "$inc": {"tries": 1}},
        sort=[("_id", pymongo.DESCENDING)],
        return_document=pymongo.ReturnDocument.AFTER,
    )
    assert taken == {"_id": 9, "state": "running", "tries": 1}
    changed = jobs.update_many({"_id": {"$lt": 5}}, [{"$set": {"double": {"$multiply": ["$_id", 2]}}}])
    assert (changed.matched_count, changed.modified_count) == (5, 5)
    assert jobs.replace_one({"_id": 100}, {"state": "new"}, upsert=True).upserted_id == 100
    assert jobs.delete_many({"double": {"$gte": 4}}).deleted_count == 3
    assert jobs.find_one_and_delete({"_id": 0}) == {"_id": 0, "state": "new", "double": 0}
    assert jobs.count_documents({"state": "new"}) == jobs.count_documents({}) - 1 == 6
    assert jobs.estimated_document_count() == 7
    assert sorted(jobs.distinct("state")) == ["new", "running"]


def test_a_bulk_of_writes_tells_what_failed(jobs):
    writes = [
        pymongo.InsertOne({"_id": 1}),
        pymongo.InsertOne({"_id": 1}),
        pymongo.UpdateOne({"_id": 1}, {"$set": {"state": "new"}}),
        pymongo.ReplaceOne({"_id": 2}, {"state": "new"}, upsert=True),
        pymongo.DeleteOne({"_id": 1}),
    ]
    with pytest.raises(errors.BulkWriteError) as failure:
        jobs.bulk_write(writes, ordered=False)
    details = failure.value.details
    assert [error["code"] for error in details["writeErrors"]] == [11000]
    assert (details["nInserted"], details["nModified"], details["nUpserted"], details["nRemoved"]) == (1, 1, 1, 1)


def test_a_cursor_goes_on_over_batches_while_others_write(jobs):
    jobs.insert_many({"_id": number} for number in range(1_000))
    cursor = jobs.find(sort=[("_id", 1)], batch_size=7)
    seen = []
    for document in cursor:
        seen.append(document["_id"])
        if document["_id"] == 500:
            jobs.delete_many({"_id": {"$gte": 900}})
    assert seen == list(range(900))
    assert len(list(jobs.aggregate([{"$match": {}}, {"$sort": {"_id": -1}}], batchSize=10))) == 900


def test_a_cursor_that_is_closed_is_gone(jobs):
    jobs.insert_many({"_id": number} for number in range(10))
    cursor = jobs.find(batch_size=2)
    next(cursor)
    number = cursor.cursor_id
    cursor.close()
    with pytest.raises(errors.OperationFailure) as failure:
        jobs.database.command("getMore", Int64(number), collection="jobs")
    assert failure.value.code == 43


def test_indexes(jobs):
    assert jobs.create_index([("state", 1), ("_id", -1)], name="by_state") == "by_state"
    assert jobs.create_index("owner", unique=True, sparse=True) == "owner_1"
    assert set(jobs.index_information()) == {"_id_", "by_state", "owner_1"}
    jobs.insert_one({"_id": 1, "owner": "a"})
    with pytest.raises(errors.DuplicateKeyError) as failure:
        jobs.insert_one({"owner": "a"})
    assert failure.value.code == 11000
    assert failure.value.details["keyValue"] == {"owner": "a"}
    plan = jobs.find({"state": "new"}).explain()["queryPlanner"]["winningPlan"]
    assert plan["inputStage"]["indexName"] == "by_state"
    jobs.drop_index("by_state")
    assert set(jobs.index_information()) == {"_id_", "owner_1"}


def test_databases_and_collections(client, jobs):
    jobs.insert_one({})
    client.factory.create_collection("workers")
    assert sorted(client.factory.list_collection_names()) == ["jobs", "workers"]
    assert client.list_database_names() == ["factory"]
    jobs.drop()
    client.drop_database("factory")
    assert client.list_database_names() == []


def test_compact_gives_the_room_of_what_was_deleted_back(client, jobs):
    jobs.insert_many([{"_id": n, "text": "x" * 10_000} for n in range(1_000)])
    jobs.delete_many({})
    reply = client.factory.command({"compact": "jobs"})
    assert reply["ok"] == 1 and reply["bytesFreed"] > 1_000_000

    with pytest.raises(errors.OperationFailure, match="^collection does not exist") as missing:
        client.factory.command({"compact": "nothing"})
    assert missing.value.code == 26
    with pytest.raises(errors.OperationFailure, match="^Command does not support writeConcern") as refused:
        client.factory.command({"compact": "jobs", "writeConcern": {"w": 1}})
    assert refused.value.code == 72


def test_client_sessions_and_concerns_are_taken(client, jobs):
    with client.start_session() as session:
        careful = jobs.with_options(
            write_concern=WriteConcern("majority", j=True), read_concern=ReadConcern("majority")
        )
        careful.insert_one({"_id": 1}, session=session)
        assert careful.find_one({}, session=session) == {"_id": 1}


def test_a_write_that_waits_for_no_reply_is_done_before_the_next_command(jobs):
    with jobs.database.client.start_session() as session:
        hasty = jobs.with_options(write_concern=WriteConcern(w=0))
        hasty.insert_one({"_id": 1})
        assert session is not None
    # The pool has one idle connection, which serves message by message.
    assert jobs.find_one({}) == {"_id": 1}


def test_what_is_not_supported_is_an_error_of_mongodb(jobs):
    with pytest.raises(errors.OperationFailure) as failure:
        jobs.find_one({"$where": "true"})
    assert failure.value.code == 2
    with pytest.raises(errors.OperationFailure) as failure:
        jobs.database.command("shutdown")
    assert failure.value.code == 59


def test_large_batches_are_split_by_the_driver_and_served(jobs):
    text = "x" * 1_000_000
    jobs.insert_many({"_id": number, "text": text} for number in range(60))
    assert jobs.count_documents({}) == 60
    assert sum(len(job["text"]) for job in jobs.find()) == 60_000_000


def test_many_threads_take_each_job_once(jobs):
    jobs.insert_many({"_id": number, "state": "new"} for number in range(200))
    taken = []

    def work():
        while job := jobs.find_one_and_update({"state": "new"}, {"$set": {"state": "done"}}):
            taken.append(job["_id"])

    workers = [threading.Thread(target=work) for _ in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert sorted(taken) == list(range(200))
