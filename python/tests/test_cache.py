import csv
import json
import shutil

import numpy as np
import pytest

from conftest import png
from headstart import CacheError, load_features, to_pandas


def reference(cache, tap="gap", view=0):
    """Rows and features by the safetensors package."""
    load = pytest.importorskip("safetensors.numpy").load_file
    manifest = json.loads((cache / "manifest.json").read_text("utf-8"))
    shards = [load(cache / s["file"]) for s in manifest["shards"] if (s["tap"], s["view"]) == (tap, view)]
    return np.concatenate([s["rows"] for s in shards]), np.concatenate([s["features"] for s in shards])


def table(cache):
    with open(cache / "rows.csv", encoding="utf-8", newline="") as file:
        return {int(line["row"]): line for line in csv.DictReader(file)}


@pytest.mark.parametrize("mmap", [True, False])
def test_all_rows_are_those_of_the_shards(cache, mmap):
    X, y, meta = load_features(cache, tap="gap", mmap=mmap)
    rows, features = reference(cache)
    assert X.dtype == np.float32 and X.shape == (24, 1280)
    np.testing.assert_array_equal(X, features)
    np.testing.assert_array_equal(meta.rows, rows)
    assert meta.classes == ["cats", "dogs"] and meta.dataset == "photos" and meta.key["backbone"] == "efficientnet_lite0"
    lines = table(cache)
    assert [meta.classes[label] for label in y] == [lines[row]["class"] for row in rows.tolist()]
    assert meta.paths == [lines[row]["path"] for row in rows.tolist()]


def test_splits_taps_and_views(cache):
    rows, maps = reference(cache, "map", 1)
    X, y, meta = load_features(cache, split="val", tap="map", view=1)
    assert X.shape == (6,) + maps.shape[1:] and X.ndim == 4 and y.shape == (6,)
    assert set(meta.splits) == {"val"} and meta.view == 1
    np.testing.assert_array_equal(X, maps[np.isin(rows, meta.rows)])
    train, _, _ = load_features(cache, split="train", tap="map", view=1)
    assert len(train) == 18
    plain, _, _ = load_features(cache, split="val", tap="map")
    assert not np.array_equal(plain, X)


def test_rows_that_lie_together_are_a_view_of_the_file(cache):
    X, _, _ = load_features(cache, tap="gap")
    assert not X.flags.writeable and not X.flags.owndata
    X, _, _ = load_features(cache, tap="gap", mmap=False)
    assert X.flags.writeable


@pytest.mark.parametrize("kind, tolerance", [("f16", 1e-3), ("bf16", 1e-2)])
def test_smaller_types(world, cache, kind, tolerance):
    X, _, _ = load_features(world.features("small-" + kind, "--store", kind))
    want, _, _ = load_features(cache, tap="gap")
    assert X.dtype == (np.float16 if kind == "f16" else np.float32)
    np.testing.assert_allclose(X, want, rtol=tolerance, atol=tolerance * np.abs(want).max())
    assert not np.array_equal(X.astype(np.float32), want)


def test_deleted_failed_and_added_images(world, tmp_path):
    data = tmp_path / "photos"
    shutil.copytree(world.data, data)
    world.features("changing", data=data)
    (data / "train" / "dogs" / "00.png").unlink()
    png(data / "train" / "cats" / "new.png", 99)
    (data / "train" / "cats" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    cache = world.features("changing", data=data)
    X, y, meta = load_features(cache, split="train")
    assert len(X) == len(y) == 18 and "train/dogs/00.png" not in meta.paths and "train/cats/new.png" in meta.paths
    assert list(meta.rows) == sorted(meta.rows)
    statuses = [line["status"] for line in table(cache).values()]
    assert sorted(set(statuses)) == ["deleted", "failed", "ok"]


def test_several_labels_become_flags(world, tmp_path):
    listing = world.data / "several.csv"
    listing.write_text("path,label,split\ntrain/dogs/00.png,a|b,train\ntrain/cats/01.png,b,train\ntrain/dogs/02.png,a,val\n", "utf-8")
    X, y, meta = load_features(world.features("several", data=listing))
    assert y.dtype == np.uint8 and y.shape == (3, 2)
    by_path = dict(zip(meta.paths, y.tolist()))
    assert by_path == {"train/dogs/00.png": [1, 1], "train/cats/01.png": [0, 1], "train/dogs/02.png": [1, 0]}
    # A split in which every image happens to have one class has the same kind of y.
    assert load_features(world.folder / "cache" / "several", split="val")[1].shape == (1, 2)


def test_groups_come_with_the_rows(world, cache):
    listing = world.data / "grouped.csv"
    listing.write_text("path,label,split,group\ntrain/dogs/00.png,a,train,p1\ntrain/cats/01.png,b,train,\ntrain/dogs/02.png,a,val,p2\n", "utf-8")
    _, _, meta = load_features(world.features("grouped", data=listing))
    assert dict(zip(meta.paths, meta.groups)) == {"train/dogs/00.png": "p1", "train/cats/01.png": "", "train/dogs/02.png": "p2"}
    assert load_features(cache, tap="gap")[2].groups is None


def test_the_folder_above_will_do_where_it_holds_one_cache(world, cache):
    assert len(load_features(cache.parent, tap="gap")[0]) == 24
    with pytest.raises(CacheError, match="no cache"):
        load_features(world.folder)


@pytest.mark.parametrize(
    "arguments, says",
    [
        ({}, "gap, map"),
        ({"tap": "gab"}, "no tap `gab`"),
        ({"tap": "gap", "view": 2}, r"no view 2, only \[0, 1\]"),
        ({"tap": "gap", "split": "valid"}, "train, val, test"),
        ({"tap": "gap", "split": "test"}, "no features of the split `test`"),
    ],
)
def test_what_is_not_there_is_answered_with_what_is(cache, arguments, says):
    with pytest.raises(CacheError, match=says):
        load_features(cache, **arguments)


def test_damage_names_the_file(cache, tmp_path):
    copy = tmp_path / "cache"
    shutil.copytree(cache, copy)
    shard = next((copy / "features" / "gap").glob("v0-*"))
    whole = shard.read_bytes()
    for damaged in (whole[:4], whole[:50], whole[:-8]):
        shard.write_bytes(damaged)
        with pytest.raises(CacheError, match=shard.name + ".*recomputes"):
            load_features(copy, tap="gap")
    shard.unlink()
    with pytest.raises(CacheError, match="is missing"):
        load_features(copy, tap="gap")
    (copy / "rows.csv").unlink()
    with pytest.raises(CacheError, match="rows.csv"):
        load_features(copy, tap="gap")
    (copy / "manifest.json").write_text('{"format": 99}')
    with pytest.raises(CacheError, match="format 99"):
        load_features(copy, tap="gap")


def test_caches_of_the_format_before_are_read(cache, tmp_path):
    copy = tmp_path / "cache"
    shutil.copytree(cache, copy)
    manifest = json.loads((copy / "manifest.json").read_text("utf-8"))
    key = manifest["key"]
    joined = [key["preprocess"], *(f"{name}={key.pop(name)}" for name in ("orientation", "decoder", "resizer"))]
    manifest.update(format=1, key={**key, "preprocess": ";".join(joined)})
    (copy / "manifest.json").write_text(json.dumps(manifest), "utf-8")
    (before, labels, meta), (now, expected, _) = load_features(copy, tap="gap"), load_features(cache, tap="gap")
    assert meta.key["preprocess"].endswith(";resizer=pillow-convolution/1")
    np.testing.assert_array_equal(before, now)
    np.testing.assert_array_equal(labels, expected)


def test_frames(cache):
    pytest.importorskip("pandas")
    frame = to_pandas(cache)
    assert len(frame) == 24 and frame.index.name == "row" and set(frame["status"]) == {"ok"} and frame["label"].dtype == "int64"
    frame = to_pandas(cache, split="val", tap="gap", features=True)
    X, y, meta = load_features(cache, split="val", tap="gap")
    np.testing.assert_array_equal(frame[[f"gap_{i}" for i in range(1280)]].to_numpy(), X)
    assert frame["label"].tolist() == y.tolist() and frame["path"].tolist() == meta.paths
