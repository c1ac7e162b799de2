"""Replies of MongoDB's commands, and the errors that they tell of."""

from __future__ import annotations

from typing import Any, NoReturn

from lockstore import errors

Document = dict[str, Any]


def checked(reply: Document) -> Document:
    """The reply, unless the command or its one write has failed."""
    if reply["ok"] != 1:
        fail(reply)
    if failed := reply.get("writeErrors"):
        fail(failed[0])
    if concern := reply.get("writeConcernError"):
        fail(concern)
    return reply


def fail(failed: Document) -> NoReturn:
    """Raises the error that a reply, or one of its ``writeErrors``, tells of."""
    message, code = failed.get("errmsg", "a failure without a reason"), failed.get("code")
    if of_store := _STORE_ERRORS.get(failed.get("codeName", "")):
        raise of_store(message)
    raise _ERRORS.get(code, errors.DocumentError)(message, code, failed)


_ERRORS: dict[int | None, type[errors.DocumentError]] = {
    50: errors.ExecutionTimeout,
    11000: errors.DuplicateKeyError,
}

_STORE_ERRORS = {
    "StoreBusy": errors.StoreBusy,
    "StoreClosed": errors.StoreClosed,
    "StoreOutcomeUnknown": errors.OutcomeUnknown,
    "StoreUnreachable": errors.ServerUnavailable,
    "StoreUnresponsive": errors.ServerUnresponsive,
}
