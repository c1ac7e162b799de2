"""BSON's own values where pymongo is not installed: as much as documents need to come back as they went in.

pymongo knows them by ``_type_marker``, as it knows its own.
"""

from __future__ import annotations

import decimal
import itertools
import os
import re
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from typing_extensions import disjoint_base
else:

    def disjoint_base(cls):
        return cls



class _Value:
    """Equal by what it is made of."""

    __slots__ = ()
    _type_marker: int

    def _parts(self) -> tuple[Any, ...]:
        names: tuple[str, ...] = self.__slots__
        return tuple(getattr(self, name) for name in names)

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and self._parts() == other._parts()

    def __hash__(self) -> int:
        return hash((type(self), self._parts()))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(map(repr, self._parts()))})"


class ObjectId(_Value):
    """The usual ``_id``: 12 bytes, of which the first 4 are the time in seconds."""

    __slots__ = ("binary",)
    _type_marker = 7
    _process: tuple[int, bytes] | None = None
    _count = itertools.count(int.from_bytes(os.urandom(3), "big"))

    def __init__(self, oid: ObjectId | str | bytes | None = None) -> None:
        if oid is None:
            self.binary = self._next()
        elif isinstance(oid, ObjectId):
            self.binary = oid.binary
        else:
            binary = bytes.fromhex(oid) if isinstance(oid, str) else bytes(oid)
            if len(binary) != 12:
                raise ValueError(f"an ObjectId has 12 bytes or 24 hexadecimal digits; this one is {oid!r}")
            self.binary = binary

    @classmethod
    def _next(cls) -> bytes:
        if cls._process is None or cls._process[0] != os.getpid():
            cls._process = (os.getpid(), os.urandom(5))
        seconds = int(time.time()) & 0xFFFFFFFF
        return seconds.to_bytes(4, "big") + cls._process[1] + (next(cls._count) & 0xFFFFFF).to_bytes(3, "big")

    def __str__(self) -> str:
        return self.binary.hex()

    def __repr__(self) -> str:
        return f"ObjectId({str(self)!r})"

    def __lt__(self, other: ObjectId) -> bool:
        return self.binary < other.binary


class Int64(int):
    """An int that is stored with 64 bits, however small it is."""

    __slots__ = ()
    _type_marker = 18


@disjoint_base
class Binary(bytes):
    """Bytes, and the subtype that says what they are."""

    _type_marker = 5
    subtype: int

    def __new__(cls, data: bytes, subtype: int = 0) -> Binary:
        self = super().__new__(cls, data)
        self.subtype = subtype
        return self

    def __getnewargs__(self) -> tuple[bytes, int]:  # type: ignore[override]
        return (bytes(self), self.subtype)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Binary):
            return (self.subtype, bytes(self)) == (other.subtype, bytes(other))
        return NotImplemented

    def __hash__(self) -> int:
        return hash((self.subtype, bytes(self)))


class Code(str):
    """JavaScript, which is kept and never run, and its variables."""

    _type_marker = 13
    scope: dict[str, Any] | None

    def __new__(cls, code: str, scope: dict[str, Any] | None = None) -> Code:
        self = super().__new__(cls, code)
        self.scope = scope
        return self

    def __getnewargs__(self) -> tuple[str, dict[str, Any] | None]:  # type: ignore[override]
        return (str(self), self.scope)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Code) and (str(self), self.scope) == (str(other), other.scope)

    def __hash__(self) -> int:
        return hash(str(self))


class Decimal128(_Value):
    """A decimal number of 34 digits, as the 16 bytes that BSON has for it."""

    __slots__ = ("bid",)
    _type_marker = 19

    def __init__(self, bid: bytes) -> None:
        if len(bid) != 16:
            raise ValueError(f"a Decimal128 has 16 bytes; these are {len(bid)}")
        self.bid = bid

    @classmethod
    def from_bid(cls, bid: bytes) -> Decimal128:
        return cls(bid)

    def to_decimal(self) -> decimal.Decimal:
        high = int.from_bytes(self.bid[8:], "little")
        low = int.from_bytes(self.bid[:8], "little")
        sign = high >> 63
        if high >> 58 & 0b11111 == 0b11110:
            return decimal.Decimal("-Infinity" if sign else "Infinity")
        if high >> 58 & 0b11111 == 0b11111:
            return decimal.Decimal("sNaN" if high >> 57 & 1 else "NaN")
        if high >> 61 & 0b11 == 0b11:
            return decimal.Decimal((sign, (0,), (high >> 47 & 0x3FFF) - 6176))
        digits = (high & 0x1FFFFFFFFFFFF) << 64 | low
        return decimal.Decimal((sign, tuple(map(int, str(digits))), (high >> 49 & 0x3FFF) - 6176))


class Timestamp(_Value):
    """Seconds since 1970, and a counter within the second."""

    __slots__ = ("time", "inc")
    _type_marker = 17

    def __init__(self, time: int, inc: int) -> None:
        self.time = time
        self.inc = inc


class Regex(_Value):
    """A regular expression as it is stored: MongoDB's language is not quite Python's."""

    __slots__ = ("pattern", "flags")
    _type_marker = 11

    def __init__(self, pattern: str, flags: int = 0) -> None:
        self.pattern = pattern
        self.flags = int(flags)

    def try_compile(self) -> re.Pattern[str]:
        return re.compile(self.pattern, self.flags)


class MinKey(_Value):
    """Less than all others."""

    __slots__ = ()
    _type_marker = 255


class MaxKey(_Value):
    """Greater than all others."""

    __slots__ = ()
    _type_marker = 127
