"""Reads the features and sweeps that headstart wrote."""

from ._cache import Meta, load_features, to_pandas
from ._optuna import to_optuna
from ._shard import CacheError
from ._sweep import Sweep, load_sweep

__all__ = ["CacheError", "Meta", "Sweep", "load_features", "load_sweep", "to_optuna", "to_pandas"]
__version__ = "0.1.0"
