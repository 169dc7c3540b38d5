"""Trials of a sweep as an Optuna study: importances, plots, and a search that goes on where the sweep stopped."""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, List, Optional, Union

from ._shard import CacheError
from ._sweep import _lines

if TYPE_CHECKING:
    import optuna


def to_optuna(folder: Union[str, Path], metric: str = "val.acc1", goal: str = "maximize", study_name: Optional[str] = None) -> "optuna.study.Study":
    """An in-memory study with every finished trial of a sweep: settings as parameters, `metric` as value, its epochs as intermediate values.

    Numbers become ranges from the smallest to the largest that was tried, logarithmic where they span orders of magnitude; everything else is
    a choice. Trials that diverged are failed ones. Needs optuna.
    """
    if goal not in ("maximize", "minimize"):
        raise ValueError(f"goal `{goal}`: maximize or minimize")
    try:
        import optuna
    except ImportError:
        raise ImportError("to_optuna needs optuna: pip install optuna") from None
    log = Path(folder) / "trials.jsonl"
    if not log.is_file():
        raise CacheError(f"{folder} is no sweep: it has no trials.jsonl; `headstart sweep` makes one")
    records = _lines(log)
    finals = {r["trial"]: r for r in records if r.get("record") == "final"}
    epochs: Dict[Any, Dict[int, float]] = {}
    for record in records:
        if record.get("record") == "epoch" and isinstance(record.get(metric), (int, float)):
            epochs.setdefault(record["trial"], {})[record["epoch"]] = record[metric]
    if finals and not any(isinstance(r.get(metric), (int, float)) for r in finals.values()):
        names = sorted({name for r in finals.values() for name in r if name.startswith("val.")})
        raise CacheError(f"{folder}: no trial has `{metric}`: there are {', '.join(names) or 'none'}")
    tried: Dict[str, List[Any]] = {}
    for final in finals.values():
        for key, value in final["settings"].items():
            tried.setdefault(key, []).append(_plain(value))
    distributions = {key: _distribution(values) for key, values in tried.items()}

    # Optuna logs every trial that is added.
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        study = optuna.create_study(direction=goal, study_name=study_name or Path(folder).name)
        for number in sorted(finals):
            final = finals[number]
            params = {key: _plain(value) for key, value in final["settings"].items()}
            value = final.get(metric)
            usable = final["status"] != "diverged" and isinstance(value, (int, float))
            study.add_trial(
                optuna.trial.create_trial(
                    state=optuna.trial.TrialState.COMPLETE if usable else optuna.trial.TrialState.FAIL,
                    value=value if usable else None,
                    params=params,
                    distributions={key: distributions[key] for key in params},
                    intermediate_values=epochs.get(number, {}),
                    user_attrs={"trial": number, **{k: v for k, v in final.items() if k.startswith("val.")}},
                )
            )
    finally:
        optuna.logging.set_verbosity(verbosity)
    return study


def _plain(value: Any) -> Any:
    """Optuna's choices are numbers, texts and truth values."""
    return value if value is None or isinstance(value, (bool, int, float, str)) else str(value)


def _distribution(values: List[Any]) -> "optuna.distributions.BaseDistribution":
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    numbers = [v for v in values if isinstance(v, (int, float)) and not isinstance(v, bool) and math.isfinite(v)]
    if len(numbers) < len(values) or not numbers:
        return CategoricalDistribution(sorted(set(values), key=lambda v: (str(type(v)), str(v))))
    low, high = min(numbers), max(numbers)
    log = low > 0 and high / low > 30
    if all(isinstance(v, int) for v in numbers):
        return IntDistribution(int(low), int(high), log=log)
    return FloatDistribution(float(low), float(high), log=log)
