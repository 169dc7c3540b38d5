"""Damaged and made-up caches, and caches that a writer left between two steps: `CacheError` or the right answer, nothing else."""

import hashlib
import json
import os
import random
import shutil

import numpy as np
import pytest

from headstart import CacheError, load_features, to_pandas


@pytest.fixture
def copy(world, tmp_path):
    """A cache of its own with one tap."""
    target = tmp_path / "cache"
    shutil.copytree(world.features("damaged"), target)
    (target / ".checked.csv").unlink(missing_ok=True)
    return target


def shard_of(cache):
    return next((cache / "features" / "gap").glob("v0-*"))


def test_a_state_between_two_steps_of_a_writer_is_read(copy):
    want, y, _ = load_features(copy)
    rows = copy / "rows.csv"
    old = rows.read_bytes()
    # The manifest counts already, and its rows have not taken their place yet.
    new = old.replace(b",train,", b",val,", 1)
    manifest = json.loads((copy / "manifest.json").read_text("utf-8"))
    manifest["rows_sha256"] = hashlib.sha256(new).hexdigest()
    (copy / "manifest.json").write_text(json.dumps(manifest), "utf-8")
    with pytest.raises(CacheError, match="rows.csv.*headstart features"):
        load_features(copy)
    (copy / "rows.next.csv").write_bytes(new)
    assert load_features(copy)[2].splits.count("val") == 7
    # A cache of an earlier version names no digest.
    del manifest["rows_sha256"]
    (copy / "manifest.json").write_text(json.dumps(manifest), "utf-8")
    X, again, meta = load_features(copy)
    np.testing.assert_array_equal(X, want)
    assert meta.splits.count("val") == 6 and again.tolist() == y.tolist()


def test_a_flipped_bit_is_noticed_once_and_looked_for_once(copy, monkeypatch):
    load_features(copy)
    remembered = (copy / ".checked.csv").read_text("utf-8").splitlines()
    assert len(remembered) == 2 and remembered[1].startswith("features/gap/v0-00000.safetensors,")
    monkeypatch.setattr("headstart._checked.hashlib", None)
    load_features(copy)
    monkeypatch.undo()
    shard = shard_of(copy)
    about = os.stat(shard)
    flipped = bytearray(shard.read_bytes())
    flipped[-5] ^= 4
    shard.write_bytes(flipped)
    os.utime(shard, ns=(about.st_atime_ns, about.st_mtime_ns))
    with pytest.raises(CacheError, match=shard.name + ".*digest.*headstart features"):
        load_features(copy)


def test_what_rust_has_checked_python_believes(world, copy, monkeypatch):
    world.run("export", copy, "--npz", copy / "out.npz")
    monkeypatch.setattr("headstart._checked.hashlib", None)
    load_features(copy)


def places(value, at=()):
    yield at
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, inner in items:
        yield from places(inner, at + (name,))


def used(cache):
    """Whatever comes is features or `CacheError`."""
    for mmap in (True, False):
        try:
            X, y, meta = load_features(cache, mmap=mmap)
            assert len(X) == len(y) == len(meta.paths)
        except CacheError:
            pass
    try:
        to_pandas(cache)
    except (CacheError, ImportError):
        pass


VALUES = [0, 1, -1, 2**31, 2**62, 2**64, 1.5, None, True, "", "..", "\0", "é", "f" * 64, [], {}, [[1, 2**63]], [2**62, 8], {"a": 1}]


def test_made_up_manifests(copy, monkeypatch):
    monkeypatch.setattr("headstart._state._PAUSE", 0)
    draw = random.Random(1)
    path = copy / "manifest.json"
    good = path.read_text("utf-8")
    for _ in range(400):
        manifest = json.loads(good)
        for _ in range(draw.randint(1, 3)):
            place = draw.choice([p for p in places(manifest) if p] or [()])
            if not place:
                break
            inner = manifest
            for name in place[:-1]:
                inner = inner[name]
            if draw.random() < 0.2:
                del inner[place[-1]]
            else:
                inner[place[-1]] = draw.choice(VALUES)
        path.write_text(json.dumps(manifest), "utf-8")
        used(copy)
    for text in ("", "[]", "1", "[" * 100_000, '{"format": 1}', '{"format": 1, "taps": []}'):
        path.write_text(text, "utf-8")
        used(copy)


@pytest.mark.parametrize("name", ["rows.csv", "manifest.json", "shard"])
def test_flipped_and_cut_files(copy, name, monkeypatch):
    monkeypatch.setattr("headstart._state._PAUSE", 0)
    draw = random.Random(2)
    path = shard_of(copy) if name == "shard" else copy / name
    good = path.read_bytes()
    # With the digests out of the way, so that what lies behind them is tried too.
    honest = json.loads((copy / "manifest.json").read_text("utf-8"))
    for round in range(300):
        bad = bytearray(good)
        at = draw.randrange(min(len(bad), 1200))
        bad[at] = draw.randrange(256)
        if round % 5 == 0:
            del bad[at:]
        path.write_bytes(bad)
        if name != "manifest.json" and round % 2:
            manifest = json.loads(json.dumps(honest))
            manifest["rows_sha256"] = hashlib.sha256((copy / "rows.csv").read_bytes()).hexdigest()
            shard = shard_of(copy).read_bytes()
            manifest["shards"][0].update(bytes=len(shard), sha256=hashlib.sha256(shard).hexdigest())
            (copy / "manifest.json").write_text(json.dumps(manifest), "utf-8")
        used(copy)


def test_a_folder_that_cannot_be_read_is_said(copy):
    shard = shard_of(copy)
    shard.unlink()
    shard.mkdir()
    with pytest.raises(CacheError, match=shard.name):
        load_features(copy)
