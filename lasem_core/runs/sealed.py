"""A state in a file that vouches for itself: the SHA-256 of what follows, then what `torch.save` makes of it."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import Any

from lasem_core.common.disk import one_line_errors, replace_synced

_DIGEST_BYTES = 32


def write(path: Path, state: dict[str, Any]) -> None:
    """Replace `path` in one step; raises LasemError where it cannot be written."""
    import torch

    buffer = io.BytesIO()
    torch.save(state, buffer)
    body = buffer.getvalue()
    with one_line_errors("write", path):
        replace_synced(path, hashlib.sha256(body).digest() + body)


def read(path: Path) -> dict[str, Any] | None:
    """What `write` wrote; None where a bit of it is not as it was."""
    import torch

    data = path.read_bytes()
    digest, body = data[:_DIGEST_BYTES], data[_DIGEST_BYTES:]
    if hashlib.sha256(body).digest() != digest:
        return None
    return torch.load(io.BytesIO(body), weights_only=True, map_location="cpu")
