"""Manifest and rows of a cache: one state, whatever a writer does meanwhile, and numbers that make sense."""

import csv
import hashlib
import io
import json
import time
from pathlib import Path, PurePosixPath
from typing import Any, Dict, List, Optional, Tuple

from ._shard import CacheError

# Formats whose manifest, rows and shards are read; they differ in the key alone.
FORMATS = (1, 2)
SPLITS = ("train", "val", "test")
STATUSES = ("ok", "failed", "deleted")
COLUMNS = ("row", "path", "class", "label", "split", "sha256", "status")

Manifest = Dict[str, Any]
Table = Dict[int, Dict[str, str]]

# How often a state is looked at while a writer is at work, and one that does not change before it is called damaged.
_TRIES, _STEADY, _PAUSE = 100, 5, 0.01


def read_state(folder: Path) -> Tuple[Manifest, Table]:
    """The manifest, and the lines of the rows that belong to it by row number.

    The manifest names the digest of its rows. They are in rows.csv, or, where a writer was stopped at the last step, in rows.next.csv.
    """
    before, steady = None, 0
    for tried in range(1, _TRIES + 1):
        text = _text(folder / "manifest.json")
        if text is None:
            raise CacheError(f"{folder} is no cache: it has no manifest.json; `headstart features` makes one")
        steady = steady + 1 if text == before else 0
        manifest = _manifest(folder, text)
        try:
            return manifest, _rows(folder, manifest)
        except CacheError:
            if steady == _STEADY or tried == _TRIES:
                raise
        before = text
        time.sleep(_PAUSE)
    raise AssertionError("the loop ends by itself")


def _text(path: Path) -> Optional[bytes]:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as e:
        raise CacheError(f"{path}: cannot be read: {e.strerror}") from None


def _manifest(folder: Path, text: bytes) -> Manifest:
    path = folder / "manifest.json"
    wrong = CacheError(f"{path}: is damaged: put back a copy, or delete it and run `headstart features` again: it finds the shards that are there")
    try:
        manifest = json.loads(text.decode("utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError):
        raise wrong from None
    if not isinstance(manifest, dict):
        raise wrong
    if manifest.get("format") not in FORMATS:
        raise CacheError(f"{folder}: is in format {manifest.get('format')}; this version reads formats up to {FORMATS[-1]}: update the package")
    try:
        if not _makes_sense(manifest):
            raise wrong
    except (KeyError, TypeError, ValueError, AttributeError):
        raise wrong from None
    return manifest


def _is_number(value: object) -> bool:
    return type(value) is int and 0 <= value < 1 << 63


def _makes_sense(manifest: Manifest) -> bool:
    rows = manifest.get("rows_sha256")
    names: List[object] = [manifest["dataset"], *manifest["classes"], *([] if rows is None else [rows])]
    if not all(isinstance(name, str) for name in names) or not isinstance(manifest["key"], dict):
        return False
    for tap in manifest["taps"].values():
        if not tap["shape"] or not all(_is_number(n) and n > 0 for n in tap["shape"]):
            return False
    return all(_is_shard(shard, manifest["taps"]) for shard in manifest["shards"])


def _is_shard(shard: Dict[str, Any], taps: Dict[str, Any]) -> bool:
    file = PurePosixPath(shard["file"])
    inside = not file.is_absolute() and ".." not in file.parts and "\0" not in shard["file"]
    return inside and shard["tap"] in taps and _is_number(shard["view"]) and _is_number(shard["bytes"]) and isinstance(shard["sha256"], str)


def _rows(folder: Path, manifest: Manifest) -> Table:
    path = folder / "rows.csv"
    heal = "run `headstart features` again as before, or put back a copy"
    promised: Optional[str] = manifest.get("rows_sha256")

    def fits(text: Optional[bytes]) -> bool:
        return text is not None and (promised is None or hashlib.sha256(text).hexdigest() == promised)

    text = _text(path)
    is_missing = text is None
    if not fits(text):
        text = _text(folder / "rows.next.csv") if promised is not None else None
    if text is None or not fits(text):
        problem = "is missing: put back a copy" if is_missing else f"is not the one that manifest.json was written with: {heal}"
        raise CacheError(f"{path}: {problem}")
    try:
        return _lines(text.decode("utf-8"), len(manifest["classes"]))
    except (KeyError, TypeError, ValueError, csv.Error):
        raise CacheError(f"{path}: is damaged: {heal}") from None


def _lines(text: str, classes: int) -> Table:
    reader = csv.DictReader(io.StringIO(text, newline=""))
    if not set(COLUMNS) <= set(reader.fieldnames or []):
        raise ValueError
    table: Table = {}
    for line in reader:
        if None in line or any(line[column] is None for column in COLUMNS):
            raise ValueError
        row = int(line["row"])
        labels = [int(label) for label in line["label"].split("|") if label]
        known = line["split"] in SPLITS and line["status"] in STATUSES and all(0 <= label < classes for label in labels)
        if row < 0 or row in table or not known:
            raise ValueError
        table[row] = line
    return table
