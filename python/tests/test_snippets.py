"""Every piece of code in README and docs runs, on small noise and random weights; what cannot run here is listed with its reason."""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT, binary, png
from snippets import Snippet, commands, snippets

# Commands that are not run, and why. A line counts where the expression is found in it.
NOT_RUN = {
    r"^cargo install|^pip install": "installs into the user's environment",
    r"--dtype f16": "computes on a GPU",
    r"^headstart demo mnist": "fetches a package",
    r"^python3? benches/peers/|^make speedup-peers": "needs Keras and PyTorch, and runs for hours",
    r"SWEEPDIR\|BUNDLE|--npz FILE \| ": "is a synopsis",
}

# Commands that run where Python packages are there.
NEEDS = {r"examples/raw_pixels.py": ["numpy", "PIL", "sklearn"], r"examples/cat_noncat.py": ["PIL"]}

# What is written and what runs instead: folders that are made here, placeholders, flags in brackets, and smaller networks.
INSTEAD = {
    r"\bCACHE\b": "cache/ready/*@*",
    r"\bSWEEPDIR\b": "sweeps/photos",
    r"\bFOLDER\b": "photos",
    r"cache/photos/efficientnet_lite0@[0-9a-f]{12}": "cache/photos/*@*",
    r"photos/val/(cats|dogs)/\w+\.\d+\.jpg": r"photos/val/\1/00.png",
    r"--data cats-dogs-160\b": "--data cats-dogs",
    r"data/cats-dogs/train/cats data/flowers": "many/cats many/others",
    r" \[[^\]]*\]": "",
    r"HEADSTART_ISA=\S+ ": "",
    r"\bvgg16\b|\bresnet50\b|\bxception\b": "squeezenet1_1",
    r"\bmobilenet_v2_keras\b": "mobilenet_v2",
    # Nothing is built: the target and its variables have to be there.
    r"^make ": f"make --dry-run -C {ROOT} ",
}

# Sweeps train for so many epochs, unless the line says itself.
EPOCHS = 2

SNIPPETS = snippets()


def script(snippet: Snippet) -> "tuple[str, list[str]]":
    """What runs instead of a snippet, and the reasons why lines of it do not."""
    lines, reasons = [], []
    for line in snippet.text.splitlines():
        reason = next((why for pattern, why in NOT_RUN.items() if re.search(pattern, line)), None)
        missing = [m for pattern, modules in NEEDS.items() if re.search(pattern, line) for m in modules if not importlib.util.find_spec(m)]
        if reason or missing:
            reasons.append(f"{line.strip()}: {reason or 'needs ' + ', '.join(missing)}")
            continue
        for pattern, instead in INSTEAD.items():
            line = re.sub(pattern, instead, line)
        lines.append(line)
    return "\n".join(lines), reasons


@pytest.fixture(scope="session")
def ready(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with everything that the pages speak of."""
    folder = tmp_path_factory.mktemp("snippets")
    for name in ["photos", "cats-dogs", *(f"data/{set_}" for set_ in ("cat-noncat", "cats-dogs", "digits", "dog-breeds", "flowers", "my-cats"))]:
        for i in range(32):
            split = "test" if i >= 28 else "val" if i >= 20 else "train"
            png(folder / name / split / ("cats" if i % 2 else "dogs") / f"{i:02}.png", i)
        for label in ("cats", "dogs"):
            png(folder / name / "val" / label / "00.png", ord(label[0]))
    for label, count in (("cats", 105), ("others", 154)):
        for i in range(count):
            png(folder / "many" / label / f"{i:03}.png", i)
    for name in ("photo.jpg", "new-photo.jpg"):
        shutil.copy(folder / "photos/train/cats/01.png", folder / name)
    for name in ("examples", "benches"):
        (folder / name).symlink_to(ROOT / name)
    (folder / "head.yaml").write_text("method: grid\nparameters:\n  head: {value: linear}\n  lr: {value: 0.01}\n")

    # The weights in the pages' words cannot all be fetched: random ones, and small inputs.
    programs = folder / "programs"
    programs.mkdir()
    (programs / "headstart").write_text(WRAPPER.format(python=sys.executable, headstart=os.path.abspath(binary()), epochs=EPOCHS))
    # A link to the interpreter would not find the packages beside it.
    (programs / "python3").write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    for program in programs.iterdir():
        program.chmod(0o755)

    run(folder, "headstart features --data photos --backbone efficientnet_lite0 --tap gap --tap map --views 8 --augment flip --name ready")
    run(folder, "headstart features --data photos --backbone efficientnet_lite0")
    run(folder, "headstart sweep cache/photos/*@* --out sweeps/photos")
    return folder


WRAPPER = """#!{python}
import os, sys
words = sys.argv[1:]
verb = words[0]
if verb in ("features", "speedup") or words[:2] == ["bench", "forward"]:
    for flag, value in [("--weights", "random:1"), ("--size", "64"), ("--batch", "8")]:
        if flag in words:
            words[words.index(flag) + 1] = value
        elif flag != "--batch":
            words += [flag, value]
if verb == "sweep" and not any(w.startswith("epochs=") for w in words):
    words += ["epochs={epochs}"]
words = [w if not w.startswith("epochs=") else "epochs={epochs}" for w in words]
os.execv("{headstart}", ["headstart", *words])
"""


def run(folder: Path, text: str) -> None:
    environment = {**os.environ, "PATH": f"{folder / 'programs'}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(["bash", "-euo", "pipefail", "-c", text], cwd=folder, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, f"{text}\n{done.stdout}{done.stderr}"


@pytest.fixture
def world(ready: Path, tmp_path: Path) -> Path:
    """A copy of what is ready: a snippet may change it."""
    folder = tmp_path / "world"
    shutil.copytree(ready, folder, symlinks=True)
    return folder


def of_kind(kind: str) -> "list[object]":
    return [pytest.param(s, id=str(s)) for s in SNIPPETS if s.kind == kind]


# Lines of one page build on each other: a page's commands run as one script.
PAGES_WITH_COMMANDS = sorted({s.page for s in SNIPPETS if s.kind == "sh"})


@pytest.mark.parametrize("page", PAGES_WITH_COMMANDS)
def test_commands_run(page: str, world: Path) -> None:
    scripts = [script(s) for s in SNIPPETS if s.kind == "sh" and s.page == page]
    for reason in (reason for _, reasons in scripts for reason in reasons):
        print(f"not run: {reason}")
    run(world, "\n".join(text for text, _ in scripts))


@pytest.mark.parametrize("snippet", of_kind("python"))
def test_python_runs(snippet: Snippet, world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("numpy")
    pytest.importorskip("safetensors")
    monkeypatch.chdir(world)
    (cache,) = (world / "cache/photos").glob("*@*")
    text = re.sub(r"efficientnet_lite0@[0-9a-f]{12}", cache.name, snippet.text)
    for line in text.splitlines():
        needs = re.search(r"# needs (\w+)", line)
        if needs and not importlib.util.find_spec(needs[1]):
            text = text.replace(line, "")
    names: "dict[str, object]" = {}
    exec(compile(text, str(snippet), "exec"), names)
    # Whatever a snippet loads it calls X and y, or x and y; all or the training images of `photos`.
    x, y = names.get("X", names.get("x")), names["y"]
    assert len(x) == len(y) in (34, 20), f"{snippet}: {len(x)} rows, {len(y)} labels"  # type: ignore[arg-type]


@pytest.mark.parametrize("snippet", of_kind("yaml"))
def test_sweep_files_run(snippet: Snippet, world: Path) -> None:
    (world / "sweep.yaml").write_text(snippet.text, "utf-8")
    run(world, "headstart sweep cache/photos/*@* --config sweep.yaml --out sweeps/snippet run_cap=3")


@pytest.mark.parametrize("snippet", of_kind("rust"))
def test_rust_is_the_example_that_cargo_compiles(snippet: Snippet) -> None:
    compiled = {line.removeprefix("//!").strip() for line in (ROOT / "src/lib.rs").read_text("utf-8").splitlines() if line.startswith("//!")}
    missing = [line for line in snippet.text.splitlines() if line.strip() and line.strip() not in compiled]
    assert not missing, f"{snippet}: not in the example of src/lib.rs: {missing}"


@pytest.mark.parametrize("snippet", of_kind("toml"))
def test_cargo_features_exist(snippet: Snippet) -> None:
    features = re.search(r"^\[features\]\n(.*?)(?=^\[)", (ROOT / "Cargo.toml").read_text("utf-8"), flags=re.M | re.S)
    named = [word for names in re.findall(r"features = \[([^]]*)\]", snippet.text) for word in re.findall(r'"([^"]+)"', names)]
    assert features and named
    assert not [name for name in named if not re.search(rf"^{name} = ", features[1], flags=re.M)], f"{snippet}: {named}"


def test_every_block_is_of_a_kind_that_is_tested() -> None:
    kinds = {"sh", "python", "yaml", "rust", "toml"}
    assert {s.kind for s in SNIPPETS} <= kinds, [str(s) for s in SNIPPETS if s.kind not in kinds]
    assert len(SNIPPETS) > 30


def test_nothing_is_listed_that_is_not_there() -> None:
    lines = [line for s in SNIPPETS for line in s.text.splitlines()]
    for pattern in [*NOT_RUN, *NEEDS, *INSTEAD]:
        assert any(re.search(pattern, line) for line in lines), f"`{pattern}` stands in no page any more"


def test_commands_are_told_from_what_they_print() -> None:
    assert commands("$ headstart features --data d\n2,000 images\n$ ls", "console") == "headstart features --data d\nls"
    assert commands("cache=$(headstart features)\nphotos/cats/*.jpg\nA=1 make sweep", "") == "cache=$(headstart features)\nA=1 make sweep"
