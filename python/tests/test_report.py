"""The pages in headless Chromium, where there is one and Playwright is installed: `tests/python/check_report.py` says what is tried."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT, World


@pytest.fixture(scope="session")
def speedup(world: World) -> Path:
    out = world.folder / "speedup"
    arguments = ["--backbone", "efficientnet_lite0", "--weights", "random:1", "--size", 32, "--out", out, "epochs=3"]
    world.run("speedup", "--data", world.data, *arguments)
    return out


@pytest.mark.parametrize(("made", "page"), [("sweep", "report.html"), ("speedup", "speedup.html")])
def test_in_chromium(made: str, page: str, request: pytest.FixtureRequest) -> None:
    pytest.importorskip("playwright.sync_api")
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if not chromium:
        pytest.skip("there is no Chromium; name one in $CHROMIUM")
    check = [sys.executable, ROOT / "tests/python/check_report.py", request.getfixturevalue(made) / page, "--chromium", chromium]
    done = subprocess.run(check, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
