"""Values come back as they went in, and what is no value of BSON's is an error."""

import datetime
import decimal
import re
import subprocess
import sys
import uuid
from collections import OrderedDict
from types import MappingProxyType

import bson
import pytest
from bson.datetime_ms import DatetimeMS
from bson.raw_bson import RawBSONDocument

from lockstore.errors import DocumentError, InvalidDocument, LockStoreError

UTC = datetime.timezone.utc

VALUES = [
    None,
    True,
    0,
    -(2**31),
    bson.Int64(2**31),
    bson.Int64(2**63 - 1),
    bson.Int64(-(2**63)),
    1.5,
    float("inf"),
    "",
    "grün \U0001f512",
    "with\0zero",
    b"",
    b"\x00\xff",
    [],
    [1, [2, []]],
    {},
    {"a": {"b": [{"c": None}]}},
    datetime.datetime(1, 1, 1),
    datetime.datetime(1969, 12, 31, 23, 59, 59, 999000),
    datetime.datetime(9999, 12, 31, 23, 59, 59, 999000),
    uuid.UUID(int=5),
    bson.ObjectId("0123456789abcdef01234567"),
    bson.Decimal128(decimal.Decimal("-1.50")),
    bson.Decimal128("NaN"),
    bson.Int64(3),
    bson.Binary(b"mine", 128),
    bson.Regex("^(?>a+)b", "im"),
    bson.Timestamp(4_000_000_000, 4_000_000_001),
    bson.Code("f()"),
    bson.Code("f()", {"x": 1}),
    bson.MinKey(),
    bson.MaxKey(),
]


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_a_value_comes_back_as_it_went_in(jobs, value):
    jobs.insert_one({"_id": 1, "value": value})
    found = jobs.find_one(1)["value"]
    assert found == value or str(found) == str(value) == "NaN"
    assert type(found) is type(value)


def test_values_are_those_of_pymongo(jobs, theirs):
    document = {"_id": 1, "values": VALUES, "when": datetime.datetime(2026, 1, 1, tzinfo=UTC), "now": ("a", 1)}
    theirs_too = [value for value in VALUES if not isinstance(value, uuid.UUID)]
    jobs.insert_one({**document, "values": theirs_too})
    theirs.insert_one({**document, "_id": 2, "values": theirs_too})
    ours, written = jobs.find_one(1), jobs.find_one(2)
    assert repr({**ours, "_id": 2}) == repr(written)
    assert repr(theirs.find_one(1)) == repr(ours)


def test_dates_are_in_utc_with_or_without_a_time_zone(store, jobs):
    berlin = datetime.timezone(datetime.timedelta(hours=2))
    noon = datetime.datetime(2026, 6, 1, 12, tzinfo=berlin)
    jobs.insert_one({"_id": 1, "at": noon, "exact": datetime.datetime(2026, 6, 1, 0, 0, 0, 123456)})
    assert jobs.find_one(1)["at"] == datetime.datetime(2026, 6, 1, 10)
    assert jobs.find_one(1)["exact"].microsecond == 123000
    aware = store.collection("jobs", database="factory", tz_aware=True).find_one(1)["at"]
    assert aware == noon and aware.utcoffset() == datetime.timedelta(0)


def test_subclasses_and_other_mappings_are_documents(jobs):
    class Name(str):
        pass

    jobs.insert_one(OrderedDict(_id=1, name=Name("x"), inner=MappingProxyType({"a": 1})))
    assert jobs.find_one(1) == {"_id": 1, "name": "x", "inner": {"a": 1}}
    assert list(jobs.find_one(1)) == ["_id", "name", "inner"]


def test_old_binary_data_is_as_pymongo_writes_it(jobs, theirs):
    jobs.insert_one({"_id": "ours", "v": bson.Binary(b"xyz", 2)})
    theirs.insert_one({"_id": "theirs", "v": bson.Binary(b"xyz", 2)})
    for collection in (jobs, theirs):
        assert [found["v"] for found in collection.find()] == [bson.Binary(b"xyz", 2)] * 2


def test_dates_by_number_and_raw_documents_are_values(jobs, theirs):
    raw = RawBSONDocument(bson.encode({"a": {"b": 1}}))
    jobs.insert_one({"_id": 1, "when": DatetimeMS(1000), "raw": raw})
    assert theirs.find_one(1) == {"_id": 1, "when": datetime.datetime(1970, 1, 1, 0, 0, 1), "raw": {"a": {"b": 1}}}


def test_a_dict_of_another_class_has_the_items_that_it_tells(jobs):
    class Doubled(dict):
        def items(self):
            return [(name, value * 2) for name, value in super().items()]

    ordered = OrderedDict(a=1, b=2)
    ordered.move_to_end("a")
    jobs.insert_one({"_id": 1, "v": Doubled(n=1), "o": ordered})
    assert jobs.find_one(1)["v"] == {"n": 2}
    assert list(jobs.find_one(1)["o"]) == ["b", "a"]


def test_a_scope_without_end_is_refused(jobs):
    scope = {}
    scope["again"] = bson.Code("x", scope)
    scope["again"].scope["again"] = scope["again"]
    with pytest.raises(InvalidDocument, match="levels"):
        jobs.insert_one({"_id": 1, "v": scope["again"]})


def test_a_pattern_is_a_regular_expression(jobs):
    jobs.insert_many([{"_id": "Apple"}, {"_id": "pear"}])
    assert jobs.find_one({"_id": re.compile("^a", re.IGNORECASE)}) == {"_id": "Apple"}
    jobs.insert_one({"_id": 1, "pattern": re.compile("^a", re.IGNORECASE)})
    assert jobs.find_one(1)["pattern"].try_compile() == re.compile("^a", re.IGNORECASE)


CYCLE: list = []
CYCLE.append(CYCLE)


@pytest.mark.parametrize(
    "value, says",
    [
        (object(), "cannot encode object"),
        ({1, 2}, "cannot encode object"),
        (2**63, "8-byte ints"),
        ({1: 2}, "only string keys, key was 1"),
        ({"a\0b": 1}, "NULL"),
        (CYCLE, "at most 200 levels"),
        (bson.Regex("a\0b"), "NULL|null"),
        (b"x" * 50_000_000, "47868928 bytes"),
    ],
    ids=["object", "set", "int", "key", "name", "cycle", "regex", "length"],
)
def test_what_is_no_value_is_refused(jobs, value, says):
    with pytest.raises(InvalidDocument, match=says) as refused:
        jobs.insert_one({"_id": 1, "value": value})
    assert isinstance(refused.value, ValueError) and isinstance(refused.value, LockStoreError)
    assert jobs.find_one(1) is None


def test_what_mongodb_refuses_has_its_code(jobs):
    with pytest.raises(DocumentError) as refused:
        jobs.insert_one({"_id": 1, "value": "x" * 17_000_000})
    assert refused.value.code in (2, 10334)


def test_without_pymongo_values_are_our_own(path):
    """In a process that cannot import pymongo."""
    script = f"""
import sys
sys.modules["bson"] = sys.modules["pymongo"] = None
import lockstore, pickle
from lockstore.values import *
jobs = lockstore.Store({str(path)!r}).collection("jobs")
values = [ObjectId(), Int64(3), Binary(b"x", 128), Regex("^a", 2), Timestamp(1, 2), Code("f()"), Code("g()", {{"x": 1}}), MinKey(), MaxKey()]
jobs.insert_one({{"_id": 1, "values": values}})
found = jobs.find_one(1)["values"]
assert found == values and list(map(type, found)) == list(map(type, values)), found
assert pickle.loads(pickle.dumps(values)) == values
given = jobs.insert_one({{}}).inserted_id
assert type(given) is ObjectId and ObjectId(str(given)) == given and given < ObjectId()
decimals = jobs.aggregate([{{"$limit": 1}}, {{"$project": {{"d": [{{"$toDecimal": text}} for text in ("1.50", "-0.001", "NaN", "Infinity", "-12345678901234567890123456789")]}}}}])
print(*[d.to_decimal() for d in next(decimals)["d"]])
"""
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.split() == ["1.50", "-0.001", "NaN", "Infinity", "-12345678901234567890123456789"]
