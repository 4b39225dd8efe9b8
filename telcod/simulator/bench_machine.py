"""What a machine is: the facts that a measured number means nothing without."""

import os
import platform
import shutil
import sqlite3
import time
from pathlib import Path
from statistics import median, quantiles
from typing import Any, Final

SYNCS: Final = 200
SYNC_BYTES: Final = 4_096


def facts(folder: Path) -> dict[str, Any]:
    """Cores, memory, versions, and the disk below `folder` with what a sync costs on it."""
    pages, page = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
    free = shutil.disk_usage(folder).free
    return {
        "cores": os.cpu_count(),
        "processor": _processor(),
        "memory_gb": round(pages * page / 1e9, 1),
        "busy": round(os.getloadavg()[0], 2),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "file_system": _file_system(folder),
        "disk_free_gb": round(free / 1e9, 1),
        **probe_sync(folder / "sync.probe"),
    }


def probe_sync(path: Path) -> dict[str, float]:
    """How long `fdatasync` takes after a page was appended, in milliseconds: median and p99."""
    times = []
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        for _ in range(SYNCS):
            os.write(file, bytes(SYNC_BYTES))
            begun_s = time.perf_counter()
            os.fdatasync(file)
            times.append(1_000 * (time.perf_counter() - begun_s))
    finally:
        os.close(file)
        path.unlink()
    return {
        "fsync_ms": round(median(times), 3),
        "fsync_p99_ms": round(quantiles(times, n=100)[98], 3),
    }


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _file_system(folder: Path) -> str:
    """The kind of file system, by the longest mount point above."""
    here = folder.resolve()
    found = ("", "unknown")
    for line in Path("/proc/mounts").read_text().splitlines():
        mount, kind = line.split()[1:3]
        if here.is_relative_to(mount) and len(mount) > len(found[0]):
            found = (mount, kind)
    return found[1]
