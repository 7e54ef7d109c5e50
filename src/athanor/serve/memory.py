"""How much memory this process may use: the limit of its control group, else what the machine has."""

from __future__ import annotations

from pathlib import Path

LIMIT_FILES = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
UNLIMITED_BYTES = 2**60  # the first version of control groups writes a huge number for "no limit"


def memory_limit_bytes(limit_files: tuple[str, ...] = LIMIT_FILES, meminfo: str = "/proc/meminfo") -> int:
    """Bytes; 4 GiB where neither can be read."""
    total = _machine_bytes(Path(meminfo))
    for path in limit_files:
        try:
            text = Path(path).read_text(encoding="ascii").strip()
        except OSError:
            continue
        if text.isdecimal() and int(text) < UNLIMITED_BYTES:
            return min(total, int(text))
    return total


def _machine_bytes(meminfo: Path) -> int:
    try:
        for line in meminfo.read_text(encoding="ascii").splitlines():
            if line.startswith("MemTotal:"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError, IndexError):
        pass
    return 4 << 30
