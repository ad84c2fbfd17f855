"""What this processor has for bf16: whether `--precision bf16` pays depends on it."""

from __future__ import annotations

from pathlib import Path

BF16_UNITS = ("amx_bf16", "avx512_bf16")  # matrix tiles, and vector products


def bf16_units(cpuinfo: Path = Path("/proc/cpuinfo")) -> dict[str, bool] | None:
    """Which of BF16_UNITS the processor has; None where Linux does not say."""
    try:
        lines = cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    flags = next((line.split(":")[1].split() for line in lines if line.startswith("flags")), None)
    return None if flags is None else {name: name in flags for name in BF16_UNITS}
