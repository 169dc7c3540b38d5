"""State dicts as torchvision and PyTorch write them, and what the network makes of them.

    python make_files.py        needs torch, torchvision, numpy, safetensors

`files/shufflenet_v2_x0_5.{zip.pth,legacy.pth,safetensors}.gz` hold the same weights; their values repeat with a period of 1,009, so that they
compress to a few kilobytes. `files/shufflenet_v2_x0_5.golden.safetensors` holds taps of formula images. tests/parity.rs reads them.
"""

import gzip
import io
from pathlib import Path

import numpy as np
import torch
import torchvision
from safetensors.numpy import save_file
from safetensors.torch import save

from formula import images, spread, values
from make_backbones import MEAN, paths
from make_backbones import values as taps_of

NAME, SIZE, PERIOD = "shufflenet_v2_x0_5", 64, 1009


def periodic(module):
    """Fills every tensor with the formula's values of its first 1,009 elements, again and again."""
    with torch.no_grad():
        for name, tensor in module.state_dict().items():
            if tensor.is_floating_point():
                low, width = spread(name, list(tensor.shape))
                unit = values("linear.bias", [PERIOD]) * 10 + np.float32(0.5)
                flat = np.resize(np.roll(np.float32(low) + np.float32(width) * unit, len(name)), tensor.numel())
                tensor.copy_(torch.from_numpy(flat.reshape(tuple(tensor.shape))))
    return module


def main():
    folder = Path(__file__).parent / "files"
    folder.mkdir(exist_ok=True)
    model = periodic(getattr(torchvision.models, NAME)(weights=None).eval())
    state = model.state_dict()
    written = {"safetensors": save({k: v.contiguous() for k, v in state.items()})}
    for kind, modern in (("zip.pth", True), ("legacy.pth", False)):
        buffer = io.BytesIO()
        torch.save(state, buffer, _use_new_zipfile_serialization=modern)
        written[kind] = buffer.getvalue()
    for kind, content in written.items():
        path = folder / f"{NAME}.{kind}.gz"
        path.write_bytes(gzip.compress(content, 9, mtime=0))
        print(path.name, len(content), "->", path.stat().st_size)
    golden = taps_of(model.double(), SIZE, {"gap": ("conv5", MEAN), **paths("stage3")})
    kept = {tap: np.ascontiguousarray(value[:, :256].astype(np.float32)) for tap, value in golden.items()}
    for tap, value in golden.items():
        print(tap, value.shape, "rms", np.sqrt((value**2).mean()), "between", np.sqrt(((value - value.mean(0)) ** 2).mean()))
    save_file(kept, folder / f"{NAME}.golden.safetensors")


if __name__ == "__main__":
    main()
