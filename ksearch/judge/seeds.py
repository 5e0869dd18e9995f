"""Seeds of inputs: secret and drawn after the candidate is fixed, unless a job asks to see a failure again."""

from __future__ import annotations

import hashlib
import secrets


class Seeds:
    """One master seed for a job; each call's seed follows from it and from where the call stands."""

    def __init__(self, given: int | None) -> None:
        self.master = secrets.randbits(63) if given is None else given
        self.secret = given is None

    def of(self, *place: object) -> int:
        digest = hashlib.sha256(repr((self.master, *place)).encode()).digest()
        return int.from_bytes(digest[:8], "little") >> 1
