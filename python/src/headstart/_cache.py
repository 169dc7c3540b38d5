"""Features of a cache as NumPy arrays, joined with their labels."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, List, Optional, Tuple, Union

import numpy as np

from ._checked import check
from ._shard import CacheError, damaged, read, widened
from ._state import SPLITS, read_state

if TYPE_CHECKING:
    import pandas

PathLike = Union[str, Path]


@dataclass(frozen=True)
class Meta:
    """What is known of the rows of `X` and `y`, in their order, and of how they were made."""

    rows: "np.ndarray[Any, Any]"
    """Row numbers, `[n]`: what `rows.csv` calls them."""
    paths: List[str]
    """Path of each image below the data set's root."""
    splits: List[str]
    """Split of each image."""
    labels: List[List[int]]
    """Class indices of each image."""
    classes: List[str]
    """Class names; labels are indices into them."""
    tap: str
    """Where in the network the features were taken."""
    view: int
    """Which augmented reading of the images; 0 is the plain one."""
    dataset: str
    """The data set's name."""
    key: Dict[str, Any] = field(repr=False)
    """Everything that decided the values: backbone, digest of the weights, preprocess, …"""
    groups: Optional[List[str]] = None
    """Group of each image (patient, burst, video), empty where it has none; None for data without groups."""


def load_features(
    cache: PathLike,
    split: Optional[str] = None,
    tap: Optional[str] = None,
    view: int = 0,
    mmap: bool = True,
) -> Tuple["np.ndarray[Any, Any]", "np.ndarray[Any, Any]", Meta]:
    """Features, labels and what is known of them, by ascending row number.

    `X` is `[n, D]`, or `[n, C, H, W]` for a map, in the stored type (bf16 as float32). `y` is `[n]` of class indices, or, in a cache with images of
    several classes or none, `[n, classes]` of 0 and 1. With `mmap`, only the rows asked for are read, and `X` is a read-only view of the file where they
    lie together in one. What is read for the first time is compared with its digests; that is remembered in the cache's folder, where it can be written.

    Raises `CacheError` where there is no cache, no such tap, view or split, or a damaged shard.
    """
    folder = _folder(Path(cache))
    if split is not None and split not in SPLITS:
        raise CacheError(f"split `{split}`: there are {', '.join(SPLITS)}, or None for all")
    manifest, table = read_state(folder)
    tap = _tap(folder, manifest, tap)
    shards = [s for s in manifest["shards"] if s["tap"] == tap and s["view"] == view]
    if not shards:
        views = sorted({s["view"] for s in manifest["shards"] if s["tap"] == tap})
        raise CacheError(f"{folder}: tap `{tap}` has no view {view}, only {views}")

    check(folder, shards)
    shape = manifest["taps"][tap]["shape"]
    usable = {row: line for row, line in table.items() if line["status"] == "ok"}
    numbers: List["np.ndarray[Any, Any]"] = []
    parts: List["np.ndarray[Any, Any]"] = []
    for shard in shards:
        rows, features, is_bf16 = read(folder / shard["file"], mmap)
        if list(features.shape[1:]) != shape:
            raise damaged(folder / shard["file"], "is not the shard that the manifest describes")
        chosen = [i for i, row in enumerate(rows.tolist()) if row in usable and split in (None, usable[row]["split"])]
        features = _take(features, chosen)
        numbers.append(rows[chosen])
        parts.append(widened(features) if is_bf16 else features)
    found = np.concatenate(numbers)
    if len(found) == 0:
        raise CacheError(f"{folder}: tap `{tap}`, view {view} has no features of {'any image' if split is None else f'the split `{split}`'}")
    filled = [p for p in parts if len(p)]
    X = filled[0] if len(filled) == 1 else np.concatenate(filled)
    # Shards follow each other by row but for images that were deleted and came back.
    if np.any(found[1:] < found[:-1]):
        order = np.argsort(found, kind="stable")
        found, X = found[order], X[order]

    lines = [usable[row] for row in found.tolist()]
    classes: List[str] = manifest["classes"]
    labels = [[int(label) for label in line["label"].split("|") if label] for line in lines]
    several = any(len([label for label in line["label"].split("|") if label]) != 1 for line in usable.values())
    meta = Meta(
        rows=found,
        paths=[line["path"] for line in lines],
        splits=[line["split"] for line in lines],
        labels=labels,
        classes=classes,
        tap=tap,
        view=view,
        dataset=manifest["dataset"],
        key=manifest["key"],
        groups=[line["group"] for line in lines] if lines and "group" in lines[0] else None,
    )
    return X, _targets(labels, len(classes), several), meta


def to_pandas(
    cache: PathLike,
    split: Optional[str] = None,
    tap: Optional[str] = None,
    view: int = 0,
    features: bool = False,
) -> "pandas.DataFrame":
    """The rows of a cache, indexed by row number: path, class, label, split. With `features`, those with features, one column a value besides.

    Without `features` failed and deleted images are there too, with their status. Needs pandas.
    """
    try:
        import pandas
    except ImportError:
        raise ImportError("to_pandas needs pandas: pip install pandas") from None
    folder = _folder(Path(cache))
    if features:
        X, _, meta = load_features(folder, split, tap, view)
        frame = pandas.DataFrame(
            {
                "path": meta.paths,
                "class": ["|".join(meta.classes[label] for label in labels) for labels in meta.labels],
                "label": ["|".join(map(str, labels)) for labels in meta.labels],
                "split": meta.splits,
            },
            index=pandas.Index(meta.rows, name="row"),
        )
        if meta.groups is not None:
            frame["group"] = meta.groups
        if all(len(labels) == 1 for labels in meta.labels):
            frame["label"] = frame["label"].astype("int64")
        flat = X.reshape(len(X), -1)
        values = pandas.DataFrame(flat, index=frame.index, columns=[f"{meta.tap}_{i}" for i in range(flat.shape[1])])
        return pandas.concat([frame, values], axis=1)
    if split is not None and split not in SPLITS:
        raise CacheError(f"split `{split}`: there are {', '.join(SPLITS)}, or None for all")
    _, table = read_state(folder)
    lines = {row: line for row, line in table.items() if split in (None, line["split"])}
    columns = ["path", "class", "label", "split", "sha256", "status"]
    columns += ["group"] if any("group" in line for line in lines.values()) else []
    frame = pandas.DataFrame([[line[c] for c in columns] for line in lines.values()], columns=columns)
    frame.index = pandas.Index(list(lines), name="row")
    if all(line["label"].isdigit() for line in lines.values()):
        frame["label"] = frame["label"].astype("int64")
    return frame


def _folder(path: Path) -> Path:
    """The cache's folder, or the only cache in a data set's folder."""
    if (path / "manifest.json").is_file():
        return path
    caches = sorted(p.parent for p in path.glob("*/manifest.json"))
    if len(caches) == 1:
        return caches[0]
    if caches:
        raise CacheError(f"{path} holds several caches: give one of {', '.join(str(c) for c in caches)}")
    raise CacheError(f"{path} is no cache: it has no manifest.json; `headstart features` makes one")


def _tap(folder: Path, manifest: Dict[str, Any], tap: Optional[str]) -> str:
    taps: List[str] = list(manifest["taps"])
    if tap is None and len(taps) == 1:
        return taps[0]
    if tap is None or tap not in taps:
        asked = "choose a tap" if tap is None else f"no tap `{tap}`"
        raise CacheError(f"{folder}: {asked}: there are {', '.join(taps)}")
    return tap


def _take(features: "np.ndarray[Any, Any]", chosen: List[int]) -> "np.ndarray[Any, Any]":
    """Rows that follow each other are a view, others a copy."""
    if chosen and chosen[-1] - chosen[0] + 1 == len(chosen):
        return features[chosen[0] : chosen[-1] + 1]
    return features[chosen]


def _targets(labels: List[List[int]], classes: int, several: bool) -> "np.ndarray[Any, Any]":
    if not several:
        return np.array([label[0] for label in labels], dtype=np.int64)
    flags = np.zeros((len(labels), classes), dtype=np.uint8)
    for row, own in enumerate(labels):
        flags[row, own] = 1
    return flags
