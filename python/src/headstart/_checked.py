"""Which shards were compared with their digests: done once, remembered in `.checked.csv` as long as a shard's file stays as it was."""

import csv
import hashlib
import io
import os
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

from ._shard import CacheError, damaged

_FILE = ".checked.csv"
_HEADER = ["file", "size", "mtime_ns", "ctime_ns", "sha256"]
_PIECE = 1 << 20

# Size, times and promised digest of a shard, as they stand in the file.
Stamp = Tuple[str, ...]


def check(folder: Path, shards: List[Dict[str, Any]]) -> None:
    """Compares shards with their digests, those that were compared before left out. Raises `CacheError` for the first that is damaged."""
    known = _load(folder)
    stamps = {shard["file"]: _stamp(folder, shard) for shard in shards}
    unknown = [shard for shard in shards if stamps[shard["file"]] is None or known.get(shard["file"]) != stamps[shard["file"]]]
    if not unknown:
        return
    with ThreadPoolExecutor(max_workers=2 * (os.cpu_count() or 1)) as readers:
        problems = list(readers.map(lambda shard: _problem(folder, shard), unknown))
    first: Optional[CacheError] = None
    for shard, problem in zip(unknown, problems):
        stamp = stamps[shard["file"]]
        if problem is not None:
            first = first or damaged(folder / shard["file"], problem)
            _suspect(folder / shard["file"])
        elif stamp is not None:
            known[shard["file"]] = stamp
    _save(folder, known)
    if first is not None:
        raise first


def _problem(folder: Path, shard: Dict[str, Any]) -> Optional[str]:
    digest = hashlib.sha256()
    try:
        with open(folder / shard["file"], "rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size != shard["bytes"]:
                return f"is damaged: it has {size} bytes instead of {shard['bytes']}"
            while piece := file.read(_PIECE):
                digest.update(piece)
    except FileNotFoundError:
        return "is missing"
    except OSError as e:
        return f"cannot be read: {e.strerror}"
    return None if digest.hexdigest() == shard["sha256"] else "is damaged: its digest is not the one in the manifest"


def _suspect(path: Path) -> None:
    """Makes the next `headstart features` look at it: it reads what changed after the manifest."""
    try:
        os.utime(path)
    except OSError:
        pass


def _stamp(folder: Path, shard: Dict[str, Any]) -> Optional[Stamp]:
    try:
        about = os.stat(folder / shard["file"])
    except OSError:
        return None
    changed = about.st_ctime_ns if os.name == "posix" else 0
    return (str(about.st_size), str(about.st_mtime_ns), str(changed), shard["sha256"])


def _load(folder: Path) -> Dict[str, Stamp]:
    try:
        lines = list(csv.reader(io.StringIO((folder / _FILE).read_text("utf-8"))))
    except (OSError, ValueError, csv.Error):
        return {}
    if not lines or lines[0] != _HEADER:
        return {}
    return {line[0]: tuple(line[1:]) for line in lines[1:] if len(line) == len(_HEADER)}


def _save(folder: Path, known: Dict[str, Stamp]) -> None:
    """A folder that cannot be written costs another reading next time, nothing else."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_HEADER)
    writer.writerows([file, *known[file]] for file in sorted(known) if (folder / file).is_file())
    temporary = None
    try:
        handle, temporary = tempfile.mkstemp(prefix=".tmp-", dir=folder)
        with open(handle, "w", encoding="utf-8", newline="") as file:
            file.write(text.getvalue())
        os.replace(temporary, folder / _FILE)
    except OSError:
        if temporary is not None and os.path.exists(temporary):
            try:
                os.unlink(temporary)
            except OSError:
                pass
