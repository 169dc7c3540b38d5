"""Caches and a sweep that the Rust binary writes: $HEADSTART, or what cargo built last."""

import json
import os
import struct
import subprocess
import zlib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def binary() -> str:
    if "HEADSTART" in os.environ:
        return os.environ["HEADSTART"]
    built = [p for p in (ROOT / "target" / kind / "headstart" for kind in ("release", "debug")) if p.is_file()]
    if not built:
        pytest.exit("there is no headstart binary: `cargo build`, or name one in $HEADSTART", returncode=2)
    return str(max(built, key=lambda p: p.stat().st_mtime))


def png(path: Path, seed: int, size: int = 24) -> None:
    """An RGB image that differs for each seed."""
    pixels = bytes((x * 7 + y * (seed + 3) + c * 50 + seed * 31) % 256 for y in range(size) for x in range(size) for c in range(3))
    lines = b"".join(b"\0" + pixels[y * size * 3 : (y + 1) * size * 3] for y in range(size))
    chunk = lambda kind, data: struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))  # noqa: E731
    header = struct.pack(">IIBBBBB", size, size, 8, 2, 0, 0, 0)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b""))


class World:
    """A folder of photos and the caches of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.data = folder / "photos"
        for i in range(24):
            split = "val" if i >= 18 else "train"
            png(self.data / split / ("cats" if i % 2 else "dogs") / f"{i:02}.png", i)

    def run(self, *arguments: object) -> str:
        done = subprocess.run([binary(), *map(str, arguments)], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def features(self, name: str, *more: object, data: object = None) -> Path:
        out = self.run(
            "--json", "features", "--data", data or self.data, "--backbone", "efficientnet_lite0", "--weights", "random:1", "--size", 32,
            "--name", name, "--cache", self.folder / "cache", *more,
        )  # fmt: skip
        return Path(json.loads(out.splitlines()[-1])["cache"])


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="session")
def cache(world: World) -> Path:
    """Two taps, two views."""
    return world.features("photos", "--tap", "gap", "--tap", "map", "--views", 2, "--augment", "flip")


@pytest.fixture(scope="session")
def sweep(world: World, cache: Path) -> Path:
    single = world.features("single")
    out = world.folder / "sweep"
    world.run("sweep", single, "--out", out, "epochs=3", "lr=0.01,0.001")
    return out
