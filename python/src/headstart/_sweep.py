"""The directory that `headstart sweep` leaves."""

import csv
import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, List, Optional, Tuple, Union

import numpy as np

from ._shard import CacheError

if TYPE_CHECKING:
    import pandas


@dataclass(frozen=True)
class Sweep:
    """Trials of a sweep, and what its best head answered."""

    folder: Path
    """The sweep's folder."""
    results: List[Dict[str, Any]]
    """One trial each, by number: `trial`, `status`, `epoch` (the one whose weights count), its settings, its metrics as `val.acc1`. Empty cells are `None`."""
    epochs: List[Dict[str, Any]]
    """One epoch of a trial each: `trial`, `epoch`, `lr`, `train.loss`, `val.acc1`, …"""
    predictions: List[Dict[str, Any]]
    """The best head's answer to each image of val and test: `path`, `split`, `class`, `predicted`, `correct`, `probability`, …"""
    classes: List[str]
    """Class names, in the order of `confusion`."""
    confusion: "Optional[np.ndarray[Any, Any]]"
    """`[class, answer]` counts; `None` where the sweep has not finished."""

    def best(self, metric: str = "val.acc1", goal: str = "maximize") -> Dict[str, Any]:
        """The trial with the best value of a metric."""
        if goal not in ("maximize", "minimize"):
            raise ValueError(f"goal `{goal}`: maximize or minimize")
        scored = [r for r in self.results if isinstance(r.get(metric), (int, float))]
        if not scored:
            metrics = sorted({name for r in self.results for name in r if name.startswith("val.")})
            raise CacheError(f"{self.folder}: no trial has `{metric}`: there are {', '.join(metrics) or 'none'}")
        choose = max if goal == "maximize" else min
        return choose(scored, key=lambda r: r[metric])

    def curves(self, trial: int) -> List[Dict[str, Any]]:
        """The epochs of one trial, in order."""
        return sorted((e for e in self.epochs if e["trial"] == trial), key=lambda e: e["epoch"])

    def to_pandas(self, what: str = "results") -> "pandas.DataFrame":
        """`results`, `epochs` or `predictions` as a frame. Needs pandas."""
        if what not in ("results", "epochs", "predictions"):
            raise ValueError(f"`{what}`: results, epochs or predictions")
        try:
            import pandas
        except ImportError:
            raise ImportError("to_pandas needs pandas: pip install pandas") from None
        return pandas.DataFrame(getattr(self, what))


def load_sweep(folder: Union[str, Path]) -> Sweep:
    """Reads a sweep's directory. One that is still running, or was interrupted, gives the epochs so far and what else is there.

    Raises `CacheError` where there is no sweep or a file of it is damaged.
    """
    folder = Path(folder)
    if not (folder / "trials.jsonl").is_file():
        raise CacheError(f"{folder} is no sweep: it has no trials.jsonl; `headstart sweep` makes one")
    # The same epoch stands twice where a trial was interrupted and trained again: the last counts.
    epochs: Dict[Any, Dict[str, Any]] = {}
    for record in _lines(folder / "trials.jsonl"):
        if record.get("record") == "epoch":
            epochs[record["trial"], record["epoch"]] = {k: v for k, v in record.items() if k != "record"}
    classes, confusion = _confusion(folder / "confusion.csv")
    return Sweep(
        folder=folder,
        results=_rows(folder / "results.csv"),
        epochs=[epochs[key] for key in sorted(epochs)],
        predictions=_rows(folder / "predictions.csv", text=("path", "split", "class", "predicted")),
        classes=classes,
        confusion=confusion,
    )


# A line's checksum: the first digits of the SHA-256 of what stands before it.
_CHECK = re.compile(rb',"check":"([0-9a-f]{16})"}$')


def _lines(path: Path) -> List[Dict[str, Any]]:
    lines = path.read_bytes().split(b"\n")
    checks = [_CHECK.search(line) for line in lines]
    records = []
    for number, (line, check) in enumerate(zip(lines, checks), 1):
        if not line:
            continue
        try:
            if check:
                if hashlib.sha256(line[: check.start()]).hexdigest()[:16].encode() != check[1]:
                    raise ValueError("checksum")
                line = line[: check.start()] + b"}"
            elif any(checks):
                raise ValueError("no checksum")
            record = json.loads(line)
            if not isinstance(record, dict):
                raise ValueError("no record")
            records.append(record)
        except ValueError:
            # A kill leaves at most one broken line, the last.
            if number < len(lines):
                raise CacheError(f"{path}:{number}: is damaged; `headstart sweep`, started again as before, trains its trial again") from None
    return records


def _confusion(path: Path) -> "Tuple[List[str], Optional[np.ndarray[Any, Any]]]":
    if not path.is_file():
        return [], None
    with open(path, encoding="utf-8", newline="") as file:
        header, *lines = csv.reader(file)
    return header[1:], np.array([line[1:] for line in lines], dtype=np.int64)


def _texts(path: Path) -> List[Dict[str, str]]:
    if not path.is_file():
        return []
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _rows(path: Path, text: Tuple[str, ...] = ()) -> List[Dict[str, Any]]:
    return [{k: v if k in text else _value(v) for k, v in row.items()} for row in _texts(path)]


def _value(text: str) -> Any:
    if text == "":
        return None
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return {"true": True, "false": False}.get(text, text)
