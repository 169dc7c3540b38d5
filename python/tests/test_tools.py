"""What other tools read: pandas, Optuna, TensorBoard. Each test runs where its tool is installed."""

from pathlib import Path

import pytest

from headstart import CacheError, load_sweep, to_optuna


def test_pandas_reads_the_files_as_they_are(sweep: Path) -> None:
    pandas = pytest.importorskip("pandas")
    results = pandas.read_csv(sweep / "results.csv")
    assert len(results) == len(load_sweep(sweep).results)
    assert results["val.acc1"].between(0, 1).all()
    log = pandas.read_json(sweep / "trials.jsonl", lines=True)
    assert set(log["record"]) == {"epoch", "final"}
    assert (log[log["record"] == "final"]["trial"].sort_values().to_numpy() == results["trial"].to_numpy()).all()


def test_optuna_gets_every_trial(sweep: Path) -> None:
    optuna = pytest.importorskip("optuna")
    study = to_optuna(sweep)
    trials = load_sweep(sweep).results
    assert len(study.trials) == len(trials)
    assert study.best_value == load_sweep(sweep).best()["val.acc1"]
    assert {t.params["lr"] for t in study.trials} == {0.01, 0.001}
    assert list(study.trials[0].intermediate_values) == [1, 2, 3]
    # The search can go on from here.
    study.optimize(lambda trial: trial.suggest_float("lr", 0.001, 0.01), n_trials=1)
    assert len(study.trials) == len(trials) + 1
    assert optuna.logging.get_verbosity() != optuna.logging.WARNING
    with pytest.raises(CacheError, match="val.acc1"):
        to_optuna(sweep, metric="val.accuracy")
    with pytest.raises(CacheError, match="no sweep"):
        to_optuna(sweep / "best")


def test_tensorboard_loads_scalars_and_settings(sweep: Path) -> None:
    event_accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    plugin_data_pb2 = pytest.importorskip("tensorboard.plugins.hparams.plugin_data_pb2")
    records = {(e["trial"], e["epoch"]): e for e in load_sweep(sweep).epochs}
    for trial in load_sweep(sweep).results:
        events = event_accumulator.EventAccumulator(str(sweep / "tensorboard" / f"trial-{trial['trial']:04}"))
        events.Reload()
        for epoch in events.Scalars("val/acc1"):
            assert epoch.value == pytest.approx(records[trial["trial"], epoch.step]["val.acc1"])
        assert len(events.Scalars("train/loss")) == 3
        assert events.Scalars("final/loss")[-1].value == pytest.approx(trial["val.loss"])
        content = events.SummaryMetadata("_hparams_/session_start_info").plugin_data.content
        start = plugin_data_pb2.HParamsPluginData.FromString(content).session_start_info
        assert start.hparams["lr"].number_value == trial["lr"]
