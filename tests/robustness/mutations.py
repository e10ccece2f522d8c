"""What can happen to a file: name -> its bytes before -> its bytes after, drawn by a generator."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any

Mutation = Callable[[bytes, random.Random], bytes]
DEEP, HUGE_DIGITS, MANY = 100_000, 6_000, 300_000


def mutations(name: str, n_flips: int) -> dict[str, Mutation]:
    """Those that make sense for a file of this name."""
    found: dict[str, Mutation] = {f"flip {i + 1}": flip for i in range(n_flips)}
    found |= {"cut in half": half, "last byte cut": shorter, "empty": empty, "more behind": longer}
    suffix = name.rsplit(".", 1)[-1]
    if suffix in {"json", "yaml", "csv", "rows"}:
        found |= {"UTF-16": utf16, "latin-1": latin1}
    if suffix in {"json", "rows"}:
        found |= {"deep JSON": deep, "huge JSON": huge, "huge number": huge_number}
    if suffix == "json":
        found |= {"array": array, "other types": other_types, "key lost": key_lost}
    if suffix == "yaml":
        found |= {"deep YAML": deep, "aliases": aliases, "huge number": huge_number_yaml,
                  "other types": list_in_yaml}  # fmt: skip
    if suffix == "csv":
        found |= {"other types": words_in_csv, "column lost": column_lost, "row twice": row_twice}
    return found


def flip(raw: bytes, rng: random.Random) -> bytes:
    if not raw:
        return b"x"
    changed, at = bytearray(raw), rng.randrange(len(raw))
    changed[at] ^= 1 << rng.randrange(8)
    return bytes(changed)


def half(raw: bytes, rng: random.Random) -> bytes:
    return raw[: len(raw) // 2]


def shorter(raw: bytes, rng: random.Random) -> bytes:
    return raw[:-1]


def longer(raw: bytes, rng: random.Random) -> bytes:
    return raw + rng.randbytes(100)


def empty(raw: bytes, rng: random.Random) -> bytes:
    return b""


def utf16(raw: bytes, rng: random.Random) -> bytes:
    return raw.decode(errors="replace").encode("utf-16")


def latin1(raw: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(raw) + 1)
    return raw[:at] + "é".encode("latin-1") + raw[at:]


def deep(raw: bytes, rng: random.Random) -> bytes:
    return b"[" * DEEP + b"]" * DEEP


def huge(raw: bytes, rng: random.Random) -> bytes:
    return json.dumps(list(range(MANY))).encode()


def huge_number(raw: bytes, rng: random.Random) -> bytes:
    return b'{"schema": ' + b"9" * HUGE_DIGITS + b"}"


def huge_number_yaml(raw: bytes, rng: random.Random) -> bytes:
    return raw + b"more: " + b"9" * HUGE_DIGITS + b"\n"


def array(raw: bytes, rng: random.Random) -> bytes:
    return b"[1, 2]"


def other_types(raw: bytes, rng: random.Random) -> bytes:
    """Something else in place of some value, at any depth."""
    content = json.loads(raw)
    place, key = rng.choice(list(_places(content)) or [([0], 0)])
    place[key] = rng.choice(["text", 1e300, -1, None, [], {}, True, [["x"]]])
    return json.dumps(content).encode()


def key_lost(raw: bytes, rng: random.Random) -> bytes:
    content = json.loads(raw)
    place, key = rng.choice(list(_places(content)) or [([0], 0)])
    del place[key]
    return json.dumps(content).encode()


def aliases(raw: bytes, rng: random.Random) -> bytes:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 9)]
    return raw + "\n".join(lines).encode() + b"\n"


def list_in_yaml(raw: bytes, rng: random.Random) -> bytes:
    lines = raw.decode().splitlines()
    at = rng.choice([i for i, line in enumerate(lines) if ": " in line])
    lines[at] = lines[at].split(": ", 1)[0] + ": [1, {a: b}]"
    return "\n".join(lines).encode()


def words_in_csv(raw: bytes, rng: random.Random) -> bytes:
    lines = raw.decode().splitlines()
    row = rng.randrange(1, len(lines))
    cells = lines[row].split(",")
    cells[rng.randrange(len(cells))] = "word"
    lines[row] = ",".join(cells)
    return "\n".join(lines).encode()


def column_lost(raw: bytes, rng: random.Random) -> bytes:
    rows = [line.split(",") for line in raw.decode().splitlines()]
    at = rng.randrange(len(rows[0]))
    return "\n".join(",".join(row[:at] + row[at + 1 :]) for row in rows).encode()


def row_twice(raw: bytes, rng: random.Random) -> bytes:
    lines = raw.decode().splitlines()
    return "\n".join([*lines, lines[-1]]).encode()


def _places(content: Any) -> Any:
    inside = content.items() if isinstance(content, dict) else enumerate(content)
    for key, value in inside:
        yield content, key
        if isinstance(value, dict | list):
            yield from _places(value)
