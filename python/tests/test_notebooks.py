"""The notebooks run from clean on what the binary wrote; where nbclient, scikit-learn and matplotlib are installed."""

import os
from pathlib import Path

import pytest
from conftest import binary

NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"


@pytest.mark.parametrize("name", sorted(p.name for p in NOTEBOOKS.glob("*.ipynb")))
def test_runs_from_clean(name: str, world: "object", sweep: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nbformat = pytest.importorskip("nbformat")
    nbclient = pytest.importorskip("nbclient")
    for needed in ("ipykernel", "sklearn", "matplotlib"):
        pytest.importorskip(needed)
    monkeypatch.setenv("HEADSTART_CACHE", str(world.folder / "cache" / "single"))  # type: ignore[attr-defined]
    monkeypatch.setenv("HEADSTART_SWEEP", str(sweep))
    monkeypatch.setenv("HEADSTART_DATA", str(world.data))  # type: ignore[attr-defined]
    monkeypatch.setenv("HEADSTART", binary())
    source = str(NOTEBOOKS.parent / "python" / "src")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [source, os.environ.get("PYTHONPATH")])))
    notebook = nbformat.read(NOTEBOOKS / name, as_version=4)
    nbclient.NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(NOTEBOOKS)}}).execute()
