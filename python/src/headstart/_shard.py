"""One shard: a safetensors file with `rows` and `features`, read without a copy where NumPy knows the type."""

import json
import os
from pathlib import Path
from typing import Any, Dict, Tuple

import numpy as np

# bf16 is unknown to NumPy: read as its bits and widened.
_TYPES: Dict[str, str] = {"F32": "<f4", "F16": "<f2", "BF16": "<u2", "I64": "<i8"}


class CacheError(ValueError):
    """A cache that is not there, damaged, or without what was asked for. The message says the way out."""


def damaged(path: Path, problem: str) -> CacheError:
    return CacheError(f"{path}: {problem}; run `headstart features` again: it recomputes that shard")


def read(path: Path, mmap: bool) -> Tuple["np.ndarray[Any, Any]", "np.ndarray[Any, Any]", bool]:
    """Row numbers, features as stored, and whether these are the bits of bf16."""
    try:
        size = os.path.getsize(path)
        with open(path, "rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if size < 8 or length > size - 8:
                raise damaged(path, "is truncated")
            header = json.loads(file.read(length).decode("utf-8"))
        whole: "np.ndarray[Any, Any]" = np.memmap(path, np.uint8, "r") if mmap else np.fromfile(path, np.uint8)
    except FileNotFoundError:
        raise damaged(path, "is missing") from None
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError):
        raise damaged(path, "has no readable header") from None
    except OSError as e:
        raise damaged(path, f"cannot be read: {e.strerror}") from None
    data = whole[8 + length :]

    def tensor(name: str, types: Tuple[str, ...]) -> "np.ndarray[Any, Any]":
        try:
            about = header[name]
            start, end = about["data_offsets"]
            shape = about["shape"]
            plain = all(type(n) is int and n >= 0 for n in [start, end, *shape])
            if not plain or start > end or about["dtype"] not in types:
                raise ValueError
            values = data[start:end].view(_TYPES[about["dtype"]]).reshape(shape)
        except (KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError):
            raise damaged(path, f"has no whole tensor `{name}`") from None
        # What is left of a map without its file's name and offset is a plain array.
        return np.asarray(values)

    rows, features = tensor("rows", ("I64",)), tensor("features", ("F32", "F16", "BF16"))
    if rows.ndim != 1 or features.ndim < 2 or len(rows) != len(features):
        raise damaged(path, "has another number of rows than of features")
    return rows, features, header["features"]["dtype"] == "BF16"


def widened(bits: "np.ndarray[Any, Any]") -> "np.ndarray[Any, Any]":
    """bf16 as float32: the same number with sixteen zero bits more."""
    wide: "np.ndarray[Any, Any]" = (bits.astype("<u4") << np.uint32(16)).view("<f4")
    return wide
