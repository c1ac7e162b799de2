"""What a store tells about locks. Lengths of time are in seconds, points in time in seconds since 1970-01-01 00:00 UTC."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["BreakRecord", "Event", "HolderInfo", "LockInfo"]


@dataclass(frozen=True)
class HolderInfo:
    """One holder of a lock."""

    holder: str
    #: The fencing token of its grant.
    token: int
    #: Whether the grant ends with the process that holds it.
    session: bool
    #: When it was granted.
    since: float
    #: How long its lease was granted for; ``None`` when it has no end.
    ttl: float | None
    #: How long it is held yet; ``None`` when it has no end.
    remaining: float | None


@dataclass(frozen=True)
class LockInfo:
    """A lock that is held, as of the last commit."""

    key: str
    #: ``"exclusive"`` or ``"shared"``.
    mode: str
    #: How many callers wait to acquire it.
    waiters: int
    #: One if it is exclusive; in the order of holders if it is shared.
    holders: tuple[HolderInfo, ...]


@dataclass(frozen=True)
class BreakRecord:
    """A lock that was broken, as it was recorded in the same commit."""

    #: The number of the record; rises.
    number: int
    key: str
    #: Whose grant was broken.
    holder: str
    #: The token of that grant.
    token: int
    #: Why, in the words of who did it.
    reason: str
    at: float


@dataclass(frozen=True)
class Event:
    """Something that has become durable."""

    #: ``"granted"``, ``"renewed"``, ``"ended"``, ``"waiting"``, ``"left"``, ``"session_opened"``, ``"session_closed"``,
    #: ``"clock_went_backwards"``, or ``"gap"``: events are missing here, look at the state again.
    kind: str
    #: The batch that carried it; rises, and all events of one batch share it.
    sequence: int
    #: The lock; ``None`` where it is about none.
    key: str | None = None
    holder: str | None = None
    token: int | None = None
    #: Of ``"granted"``: ``"exclusive"`` or ``"shared"``.
    mode: str | None = None
    #: Of ``"ended"``: ``"released"``, ``"expired"``, ``"broken"``, ``"session ended"``; of ``"left"``: ``"free"``,
    #: ``"timed out"``, ``"cancelled"``, ``"session ended"``.
    cause: str | None = None
    #: How long the lease lasts from now; ``None`` when it has no end, or is over.
    remaining: float | None = None
