"""The signature under an approval: only the gate's key makes one, and the executor accepts nothing else.

HMAC-SHA256 (RFC 2104) over the message's own MessagePack array with an empty signature field. The array begins with
the class name, so a signed cancel can never be read as a signed order, and every field is covered: quantity, price,
times, snapshot version. Whether an approval is too old is not asked here: see `actors/rules/orders.py: refusal`.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import TypeVar

import msgspec

from actors.messages.orders import CancelApproved, OrderApproved

Approval = TypeVar("Approval", OrderApproved, CancelApproved)

MIN_KEY_BYTES = 16


def sign(approval: Approval, key: bytes) -> Approval:
    """The same approval with its signature filled in (64 hex digits). `ValueError` when the key is too short."""
    return msgspec.structs.replace(approval, signature=signature_of(approval, key))


def verify(approval: OrderApproved | CancelApproved, key: bytes) -> bool:
    """True when this very message was signed with `key`; compared in constant time. Never raises on a bad signature."""
    given = approval.signature.encode("utf-8", "replace")
    return hmac.compare_digest(given, signature_of(approval, key).encode("ascii"))


def signature_of(approval: OrderApproved | CancelApproved, key: bytes) -> str:
    """HMAC-SHA256 over `canonical(approval)`, as hex."""
    if len(key) < MIN_KEY_BYTES:
        raise ValueError(f"the approval key has {len(key)} bytes; at least {MIN_KEY_BYTES} are needed")
    return hmac.new(key, canonical(approval), hashlib.sha256).hexdigest()


def canonical(approval: OrderApproved | CancelApproved) -> bytes:
    """What is signed: the wire form (fixed field order, decimals as text) without the signature itself."""
    return msgspec.msgpack.encode(msgspec.structs.replace(approval, signature=""))
