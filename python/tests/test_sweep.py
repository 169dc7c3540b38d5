import re
import shutil

import numpy as np
import pytest

from headstart import CacheError, load_sweep


def test_trials_epochs_predictions_and_confusion(sweep):
    loaded = load_sweep(sweep)
    assert [r["trial"] for r in loaded.results] == list(range(len(loaded.results)))
    assert {r["lr"] for r in loaded.results} == {0.01, 0.001} and {r["epoch"] for r in loaded.results} <= {1, 2, 3}
    best = loaded.best()
    assert best["val.acc1"] == max(r["val.acc1"] for r in loaded.results)
    assert loaded.best("val.loss", "minimize")["val.loss"] == min(r["val.loss"] for r in loaded.results)
    curve = loaded.curves(best["trial"])
    assert [e["epoch"] for e in curve] == list(range(1, len(curve) + 1)) and "train.loss" in curve[0]
    assert loaded.classes == ["cats", "dogs"] and loaded.confusion.shape == (2, 2)
    val = [p for p in loaded.predictions if p["split"] == "val"]
    assert len(val) == 6 and all(p["correct"] in (0, 1) for p in val)
    assert np.trace(loaded.confusion) == sum(p["correct"] for p in val)
    with pytest.raises(CacheError, match="val.acc1"):
        loaded.best("val.accuracy")


def test_an_interrupted_sweep_loads_as_far_as_it_came(sweep, tmp_path):
    copy = tmp_path / "sweep"
    shutil.copytree(sweep, copy)
    log = copy / "trials.jsonl"
    lines = log.read_text("utf-8").splitlines(keepends=True)
    log.write_text("".join(lines[:2]) + lines[2][:20], "utf-8")
    for name in ("results.csv", "confusion.csv", "predictions.csv"):
        (copy / name).unlink()
    loaded = load_sweep(copy)
    assert len(loaded.epochs) == 2 and loaded.results == [] and loaded.confusion is None
    log.write_text(lines[0][:20] + "\n" + lines[1], "utf-8")
    with pytest.raises(CacheError, match="trials.jsonl:1"):
        load_sweep(copy)
    with pytest.raises(CacheError, match="no sweep"):
        load_sweep(tmp_path)


def test_a_changed_digit_in_the_log_is_noticed_and_a_log_without_checksums_read(sweep, tmp_path):
    copy = tmp_path / "sweep"
    shutil.copytree(sweep, copy)
    log = copy / "trials.jsonl"
    lines = log.read_text("utf-8").splitlines(keepends=True)
    assert all(re.search(r',"check":"[0-9a-f]{16}"}$', line.rstrip("\n")) for line in lines)
    whole = load_sweep(copy)
    assert all("check" not in epoch for epoch in whole.epochs)
    log.write_text("".join([lines[0], lines[1].replace('"epoch":', '"epoch":1', 1)] + lines[2:]), "utf-8")
    with pytest.raises(CacheError, match="trials.jsonl:2"):
        load_sweep(copy)
    log.write_text("".join(re.sub(r',"check":"[0-9a-f]{16}"', "", line) for line in lines), "utf-8")
    assert load_sweep(copy).epochs == whole.epochs


def test_frames(sweep):
    pytest.importorskip("pandas")
    loaded = load_sweep(sweep)
    assert loaded.to_pandas()["val.acc1"].between(0, 1).all()
    assert len(loaded.to_pandas("epochs")) == len(loaded.epochs)
    with pytest.raises(ValueError):
        loaded.to_pandas("everything")
