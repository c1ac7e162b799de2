"""The values of BSON that Python has no class for: pymongo's classes where it is installed, and otherwise our own."""

from __future__ import annotations

__all__ = [
    "Binary",
    "Code",
    "Decimal128",
    "Int64",
    "MaxKey",
    "MinKey",
    "ObjectId",
    "Regex",
    "Timestamp",
]

try:
    from bson import Binary, Code, Decimal128, Int64, MaxKey, MinKey, ObjectId, Regex, Timestamp
except ImportError:
    from lockstore._own_values import (  # type: ignore[assignment]
        Binary,
        Code,
        Decimal128,
        Int64,
        MaxKey,
        MinKey,
        ObjectId,
        Regex,
        Timestamp,
    )
