"""Sessions, retryable writes and transactions of an unmodified pymongo."""

import socket
import threading
import uuid

import pymongo
import pymongo.server_api
import pytest
from bson import SON, Binary, Int64, decode
from pymongo import errors
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern


class Forgetful:
    """A socket in front of the server's that takes a request to the server, and loses the reply of what `loses` says."""

    def __init__(self, server, path):
        self.server, self.loses = server, lambda command: False
        self.lost = []
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(path))
        self.listener.listen()
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            client, _ = self.listener.accept()
            threading.Thread(target=self.serve, args=(client,), daemon=True).start()

    def serve(self, client):
        server = socket.socket(socket.AF_UNIX)
        server.connect(self.server)
        with client, server:
            while request := message(client):
                server.sendall(request)
                reply = message(server)
                if self.loses(request):
                    self.lost.append(reply)
                    return
                client.sendall(reply)


def message(stream):
    header = read(stream, 4)
    return header and header + read(stream, int.from_bytes(header, "little") - 4)


def read(stream, length):
    data = b""
    while len(data) < length:
        part = stream.recv(length - len(data))
        if not part:
            return b""
        data += part
    return data


def once(*words):
    """Loses the first message that has all words in it."""
    left = [1]

    def loses(request):
        if left and all(word in request for word in words):
            left.pop()
            return True
        return False

    return loses


@pytest.fixture
def forgetful(served, tmp_path):
    return Forgetful(str(tmp_path / "jobs.redb.sock"), tmp_path / "proxy.sock")


@pytest.fixture
def hopeful(forgetful, tmp_path):
    address = str(tmp_path / "proxy.sock").replace("/", "%2F")
    with pymongo.MongoClient(f"mongodb://{address}/?directConnection=true") as client:
        yield client


def run(client, database, name, target, **fields):
    """Runs a command with just these fields: the driver adds no session."""
    command = SON([(name, target), *fields.items()])
    with client._conn_for_reads(pymongo.ReadPreference.PRIMARY, None, operation=name) as (connection, _):
        return connection.command(database, command, check=False)


def lsid():
    return {"id": Binary(uuid.uuid4().bytes, 4)}


def test_the_driver_sees_a_replica_set_of_one(client, served, tmp_path):
    hello = client.admin.command("hello")
    path = str(tmp_path / "jobs.redb.sock")
    assert hello["setName"] == "lockstore"
    assert hello["hosts"] == [path] and hello["me"] == hello["primary"] == path
    assert hello["isWritablePrimary"] and not hello["secondary"]
    assert "topologyVersion" not in hello and "$clusterTime" not in hello
    assert client.topology_description.topology_type_name == "Single"


def test_a_client_that_looks_for_the_set_finds_it(served, tmp_path):
    # Drivers write the names of hosts in small letters.
    if str(tmp_path) != str(tmp_path).lower():
        pytest.skip("the folder's name has large letters")
    address = str(tmp_path / "jobs.redb.sock").replace("/", "%2F")
    with pymongo.MongoClient(f"mongodb://{address}/?replicaSet=lockstore", serverSelectionTimeoutMS=10_000) as client:
        client.factory.jobs.insert_one({"_id": 1})
        assert client.factory.jobs.count_documents({}) == 1
        assert client.topology_description.topology_type_name == "ReplicaSetWithPrimary"


@pytest.mark.parametrize(
    "word, write",
    [
        (b"insert", lambda jobs: jobs.insert_one({"_id": 5})),
        (b"update", lambda jobs: jobs.update_one({"_id": 1}, {"$inc": {"times": 1}})),
        (b"update", lambda jobs: jobs.update_one({"_id": 7}, {"$inc": {"times": 1}}, upsert=True)),
        (b"delete", lambda jobs: jobs.delete_one({"state": "new"})),
        (b"findAndModify", lambda jobs: jobs.find_one_and_update({"_id": 1}, {"$inc": {"times": 1}})),
        (b"findAndModify", lambda jobs: jobs.find_one_and_delete({"state": "new"})),
    ],
)
def test_a_write_whose_reply_is_lost_is_done_once(forgetful, hopeful, jobs, word, write):
    def fill():
        jobs.drop()
        jobs.insert_many({"_id": number, "state": "new"} for number in range(3))

    fill()
    expected = write(jobs)
    content = list(jobs.find())
    fill()
    forgetful.loses = once(word + b"\0\5\0\0\0jobs", b"txnNumber")
    done = write(hopeful.factory.jobs)
    assert len(forgetful.lost) == 1
    assert list(jobs.find()) == content
    if isinstance(expected, dict):
        assert done == expected
    elif hasattr(expected, "matched_count"):
        assert (done.matched_count, done.modified_count, done.upserted_id) == (
            expected.matched_count,
            expected.modified_count,
            expected.upserted_id,
        )


@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize("word", [b"insert", b"update", b"delete"])
def test_a_bulk_of_writes_goes_on_where_its_reply_was_lost(forgetful, hopeful, jobs, ordered, word):
    jobs.insert_one({"_id": "a", "times": 0})
    writes = [pymongo.InsertOne({"_id": number}) for number in range(300)]
    writes += [pymongo.UpdateOne({"_id": "a"}, {"$inc": {"times": 1}}) for _ in range(20)]
    writes += [pymongo.UpdateOne({"_id": "b"}, {"$inc": {"times": 1}}, upsert=True)]
    writes += [pymongo.DeleteOne({"_id": number}) for number in range(10)]
    forgetful.loses = once(word + b"\0\5\0\0\0jobs", b"txnNumber")
    result = hopeful.factory.jobs.bulk_write(writes, ordered=ordered)
    assert len(forgetful.lost) == 1
    counts = (result.inserted_count, result.modified_count, result.upserted_count, result.deleted_count)
    assert counts == (300, 20, 1, 10)
    assert jobs.count_documents({}) == 292
    assert jobs.find_one({"_id": "a"})["times"] == 20


def test_a_key_that_is_there_twice_is_an_error_the_second_time_too(client, jobs):
    session = lsid()
    insert = dict(documents=[{"_id": 1}, {"_id": 1}, {"_id": 2}], ordered=False, lsid=session, txnNumber=Int64(1))
    first = run(client, "factory", "insert", "jobs", **insert)
    again = run(client, "factory", "insert", "jobs", **insert)
    assert first["n"] == again["n"] == 2
    assert first["writeErrors"] == again["writeErrors"]
    assert "retriedStmtIds" not in first and again["retriedStmtIds"] == [0, 2]
    with pytest.raises(errors.DuplicateKeyError):
        jobs.insert_one({"_id": 1})


def test_numbers_of_a_session_only_rise(client):
    session = lsid()

    def insert(number, **fields):
        fields = dict(documents=[{}], lsid=session, txnNumber=Int64(number)) | fields
        return run(client, "factory", "insert", "jobs", **fields)

    assert insert(5)["n"] == 1
    assert insert(5)["retriedStmtIds"] == [0]
    assert insert(5, documents=[{}, {}], stmtIds=[0, 9])["retriedStmtIds"] == [0]
    refused = insert(4)
    assert (refused["code"], refused["codeName"]) == (225, "TransactionTooOld")
    assert refused["errmsg"].startswith("Retryable write with txnNumber 4 is prohibited on session")
    many = run(
        client,
        "factory",
        "update",
        "jobs",
        updates=[{"q": {}, "u": {"$set": {"a": 1}}, "multi": True}],
        lsid=session,
        txnNumber=Int64(6),
    )
    assert many["writeErrors"][0]["code"] == 72
    find = run(client, "factory", "find", "jobs", lsid=session, txnNumber=Int64(7))
    assert find["code"] == 50768


def test_a_transaction_is_there_as_a_whole(client, jobs):
    jobs.insert_one({"_id": 1, "state": "new"})
    with client.start_session() as session, session.start_transaction(ReadConcern("snapshot"), WriteConcern("majority")):
        jobs.update_one({"_id": 1}, {"$set": {"state": "done"}}, session=session)
        jobs.insert_many([{"_id": number} for number in range(2, 200)], session=session)
        assert len(list(jobs.find({}, session=session, batch_size=7))) == 199
        assert jobs.count_documents({}) == 1
        assert jobs.find_one({"_id": 1})["state"] == "new"
    assert jobs.count_documents({}) == 199
    with client.start_session() as session:
        session.start_transaction()
        jobs.delete_many({}, session=session)
        session.abort_transaction()
    assert jobs.count_documents({}) == 199


def test_a_transaction_that_meets_another_is_run_again(served, client, jobs):
    jobs.insert_one({"_id": 1, "count": 0})

    def work():
        with pymongo.MongoClient(served) as other, other.start_session() as session:
            counter = other.factory.jobs

            def increment(session):
                count = counter.find_one({"_id": 1}, session=session)["count"]
                counter.update_one({"_id": 1}, {"$set": {"count": count + 1}}, session=session)

            for _ in range(10):
                session.with_transaction(increment)

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert jobs.find_one({"_id": 1})["count"] == 40


def test_a_conflict_has_the_label_of_mongodb(client, jobs):
    jobs.insert_one({"_id": 1})
    with client.start_session() as session:
        session.start_transaction()
        jobs.update_one({"_id": 1}, {"$set": {"a": 1}}, session=session)
        jobs.update_one({"_id": 1}, {"$set": {"a": 2}})
        with pytest.raises(errors.OperationFailure) as failure:
            session.commit_transaction()
    assert failure.value.code == 112
    assert failure.value.has_error_label("TransientTransactionError")


def test_a_commit_whose_reply_is_lost_is_done_once(forgetful, hopeful, jobs):
    jobs.insert_one({"_id": 1, "count": 0})
    forgetful.loses = once(b"commitTransaction")
    with hopeful.start_session() as session, session.start_transaction():
        hopeful.factory.jobs.update_one({"_id": 1}, {"$inc": {"count": 1}}, session=session)
    assert len(forgetful.lost) == 1
    assert jobs.find_one({"_id": 1})["count"] == 1


def test_locks_change_with_the_documents_of_a_transaction(client, forgetful, hopeful, jobs):
    """A driver's transaction takes one lock and releases another with its write, and loses the reply of its commit."""
    admin = hopeful.admin
    old = admin.command("lockAcquire", "old", holder="me")["token"]
    forgetful.loses = once(b"commitTransaction")
    with hopeful.start_session() as session, session.start_transaction():
        hopeful.factory.jobs.insert_one({"_id": 1}, session=session)
        noted = admin.command("lockAcquire", "new", holder="me", ttlMS=60_000, session=session)
        assert noted["inCommit"]
        assert admin.command("lockRelease", "old", holder="me", token=old, session=session)["inCommit"]
        assert "lock" not in client.admin.command("lockInspect", "new")
    assert len(forgetful.lost) == 1
    taken, released = decode(forgetful.lost[0][21:])["locks"]
    assert taken["ok"] == released["ok"] == 1 and taken["token"] > old
    new = client.admin.command("lockInspect", "new")["lock"]
    assert [holder["token"] for holder in new["holders"]] == [taken["token"]]
    assert "lock" not in client.admin.command("lockInspect", "old")
    assert jobs.count_documents({}) == 1


def test_a_lock_that_is_held_aborts_a_transaction(client, jobs):
    client.admin.command("lockAcquire", "held", holder="other")
    with client.start_session() as session:
        session.start_transaction()
        jobs.insert_one({"_id": 1}, session=session)
        with pytest.raises(errors.OperationFailure) as failure:
            client.admin.command("lockAcquire", "held", holder="me", session=session)
        assert failure.value.code == 100_000_001
        assert failure.value.details["heldBy"]["holder"] == "other"
        with pytest.raises(errors.OperationFailure) as failure:
            session.commit_transaction()
        assert failure.value.code == 251
    assert jobs.count_documents({}) == 0


def test_a_command_that_fails_aborts_its_transaction(client, jobs):
    jobs.insert_one({"_id": 1})
    with client.start_session() as session:
        session.start_transaction()
        jobs.insert_one({"_id": 2}, session=session)
        with pytest.raises(errors.DuplicateKeyError):
            jobs.insert_one({"_id": 1}, session=session)
        with pytest.raises(errors.OperationFailure) as failure:
            jobs.find_one({}, session=session)
        assert failure.value.code == 251
        assert failure.value.has_error_label("TransientTransactionError")
    assert jobs.count_documents({}) == 1


def test_what_a_transaction_may_not_do(client, jobs):
    session = lsid()

    def within(name, target, number, database="factory", **fields):
        fields = dict(lsid=session, txnNumber=Int64(number), autocommit=False) | fields
        return run(client, database, name, target, **fields)

    start = dict(startTransaction=True, documents=[{}])
    assert within("insert", "jobs", 1, documents=[{}])["code"] == 251
    assert within("insert", "jobs", 1, **start)["n"] == 1
    assert within("insert", "jobs", 1, **start)["code"] == 117
    assert within("drop", "jobs", 1)["code"] == 263
    assert within("find", "jobs", 1, readConcern={"level": "local"})["code"] == 72
    assert within("commitTransaction", 1, 1)["code"] == 13
    assert within("commitTransaction", 1, 1, "admin")["ok"] == 1
    assert within("commitTransaction", 1, 1, "admin")["ok"] == 1
    assert within("abortTransaction", 1, 1, "admin")["code"] == 256
    assert within("find", "jobs", 1)["code"] == 256
    assert within("insert", "jobs", 0, **start)["code"] == 225
    refused = run(client, "factory", "insert", "jobs", documents=[{}], lsid=session, txnNumber=Int64(1))
    assert refused["code"] == 217


def test_a_session_that_is_killed_loses_its_transaction_and_its_cursors(client, jobs):
    jobs.insert_many({"_id": number} for number in range(10))
    with client.start_session() as session:
        session.start_transaction()
        jobs.insert_one({"_id": 10}, session=session)
        cursor = jobs.find({}, session=session, batch_size=2)
        next(cursor)
        client.admin.command("killSessions", [session.session_id])
        with pytest.raises(errors.OperationFailure) as failure:
            list(cursor)
        assert failure.value.code in (43, 251)
    assert jobs.count_documents({}) == 10


def test_a_session_that_has_ended_is_forgotten(client, jobs):
    session = client.admin.command("startSession")["id"]
    insert = dict(documents=[{}], lsid=session, txnNumber=Int64(1), lockRetry=True)
    assert run(client, "factory", "insert", "jobs", **insert)["n"] == 1
    assert run(client, "factory", "insert", "jobs", **insert)["retriedStmtIds"] == [0]
    client.admin.command("refreshSessions", [session])
    client.admin.command("endSessions", [session])
    refused = run(client, "factory", "insert", "jobs", **insert)
    assert refused["codeName"] == "StoreOutcomeUnknown" and refused["errorLabels"] == ["OutcomeUnknown"]
    assert jobs.count_documents({}) == 1


def test_a_causally_consistent_session_reads_what_it_has_written(client, jobs):
    with client.start_session(causal_consistency=True) as session:
        jobs.insert_one({"_id": 1}, session=session)
        for level in ("local", "majority", "linearizable"):
            careful = jobs.with_options(read_concern=ReadConcern(level))
            assert careful.find_one({"_id": 1}, session=session) == {"_id": 1}


def test_a_write_that_wants_more_members_is_done_and_told_so(jobs):
    for concern, code in ((WriteConcern(2), 100), (WriteConcern("elsewhere"), 79)):
        with pytest.raises(errors.WriteConcernError) as failure:
            jobs.with_options(write_concern=concern).insert_one({})
        assert failure.value.code == code
    assert jobs.count_documents({}) == 2


def test_a_cursor_is_its_sessions(client, jobs):
    jobs.insert_many({"_id": number} for number in range(10))
    own, other = lsid(), lsid()
    found = run(client, "factory", "find", "jobs", batchSize=2, lsid=own)["cursor"]["id"]
    more = dict(collection="jobs", batchSize=2)
    assert run(client, "factory", "getMore", Int64(found), **more)["code"] == 50737
    assert run(client, "factory", "getMore", Int64(found), **more, lsid=other)["code"] == 50738
    assert len(run(client, "factory", "getMore", Int64(found), **more, lsid=own)["cursor"]["nextBatch"]) == 2


def test_what_tools_ask_first(client):
    admin = client.admin
    assert admin.command("getParameter", featureCompatibilityVersion=1)["featureCompatibilityVersion"]["version"] == "6.0"
    assert admin.command("serverStatus")["repl"]["setName"] == "lockstore"
    assert admin.command("replSetGetStatus")["members"][0]["stateStr"] == "PRIMARY"
    assert admin.command("getLog", "startupWarnings")["log"] == []
    for command in ("getCmdLineOpts", "hostInfo", "connectionStatus", "buildInfo"):
        assert admin.command(command)["ok"] == 1
    with pytest.raises(errors.OperationFailure) as failure:
        admin.command("atlasVersion")
    assert failure.value.code == 59


def test_the_version_of_the_interface(served):
    api = pymongo.server_api.ServerApi("1", strict=True)
    with pymongo.MongoClient(served, server_api=api) as client:
        client.factory.jobs.insert_one({"_id": 1})
        with pytest.raises(errors.OperationFailure) as failure:
            client.factory.jobs.distinct("_id")
        assert failure.value.code == 323
