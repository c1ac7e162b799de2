"""What writes to a collection answer, as pymongo has it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

__all__ = ["BulkWriteResult", "DeleteResult", "InsertManyResult", "InsertOneResult", "UpdateResult"]


@dataclass(frozen=True)
class InsertOneResult:
    """One document was inserted, durably."""

    inserted_id: Any
    acknowledged: bool = True


@dataclass(frozen=True)
class InsertManyResult:
    """Documents were inserted, durably."""

    inserted_ids: list[Any]
    acknowledged: bool = True


@dataclass(frozen=True)
class UpdateResult:
    """Documents were changed, durably, or one was inserted."""

    matched_count: int
    modified_count: int
    upserted_id: Any = None
    raw_result: dict[str, Any] | None = None
    acknowledged: bool = True

    @property
    def did_upsert(self) -> bool:
        """Whether a document was inserted, because none matched."""
        return bool(self.raw_result and self.raw_result.get("upserted"))


@dataclass(frozen=True)
class DeleteResult:
    """Documents were deleted, durably."""

    deleted_count: int
    raw_result: dict[str, Any] | None = None
    acknowledged: bool = True


@dataclass(frozen=True)
class BulkWriteResult:
    """What many writes have done, durably."""

    bulk_api_result: dict[str, Any]
    acknowledged: bool = True

    @property
    def inserted_count(self) -> int:
        return self.bulk_api_result["nInserted"]

    @property
    def matched_count(self) -> int:
        return self.bulk_api_result["nMatched"]

    @property
    def modified_count(self) -> int:
        return self.bulk_api_result["nModified"]

    @property
    def deleted_count(self) -> int:
        return self.bulk_api_result["nRemoved"]

    @property
    def upserted_count(self) -> int:
        return self.bulk_api_result["nUpserted"]

    @property
    def upserted_ids(self) -> dict[int, Any]:
        """The ``_id`` of each document that was inserted because none matched, by the place of its write."""
        return {upserted["index"]: upserted["_id"] for upserted in self.bulk_api_result["upserted"]}
