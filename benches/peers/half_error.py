"""What 16 bits cost: features in bf16 and f16 against those in f32, on the CPU; PyTorch's arithmetic, and headstart's cuda engine's by rounding.

    python benches/peers/half_error.py [--photos FOLDER] [--lite0 FILE.pth] [NAME…]      needs torch, torchvision, numpy, pillow

One JSON object a network; errors are centred (`engine::centred_error`) over eight images: ‖got − want‖ / ‖want − mean of want‖.

- `torch`: the network and the images in bf16, batch norm by itself, as `model.bfloat16()` computes.
- `bf16`, `f16`: batch norm folded, weights rounded (a depthwise convolution's are not), every map rounded that the engine keeps (behind bias, residual and
  activation; not what means over whole maps come to), biases rounded where the libraries add them (not before an activation other than ReLU), sums in f32.
  In bf16 biases make up for rounded weights by the means of one image of noise. (The engine computes networks of depthwise convolutions in f32 where
  bf16 is asked for: their figure says why.)
- `plain`: bf16 without that.
- `weights`: only the weights rounded to bf16, everything else f32.
"""

import argparse
import copy
import json
import operator
import sys
from pathlib import Path

import numpy as np
import torch
from torch import fx, nn
from torch.fx.experimental.optimization import fuse

sys.path.insert(0, str(Path(__file__).parents[2] / "tests" / "goldens"))
from formula import fill  # noqa: E402
from make_backbones import CONDITIONS, NETS, lite  # noqa: E402

IMAGES = 8
NAMES = ["resnet18", "resnet50", "vgg16", "squeezenet1_1", "mobilenet_v2", "mobilenet_v3_large", "densenet121", "googlenet"]
ACTIVATIONS = (nn.ReLU, nn.ReLU6, nn.SiLU, nn.Hardswish, nn.Hardsigmoid, nn.Sigmoid)
LAYERS = (nn.Conv2d, nn.Linear)


def images(size, photos):
    """Photos, or noise over gradients as `bench forward` draws it."""
    if photos:
        from PIL import Image

        files = sorted(Path(photos).rglob("*.jpg"))
        pixels = [np.asarray(Image.open(f).convert("RGB").resize((size, size))) for f in files[:: max(1, len(files) // IMAGES)][:IMAGES]]
    else:
        random = np.random.RandomState(0)
        v, u = (np.arange(size) / size)[:, None, None], (np.arange(size) / size)[None, :, None]
        pixels = []
        for _ in range(IMAGES):
            a, b, c, d = random.uniform(0, 200, (4, 3))
            smooth = a * (1 - v) * (1 - u) + b * (1 - v) * u + c * v * (1 - u) + d * v * u
            pixels.append((smooth + random.uniform(0, 55, (size, size, 1))).astype(np.uint8))
    x = torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2).float() / 255
    return (x - torch.tensor([0.485, 0.456, 0.406])[:, None, None]) / torch.tensor([0.229, 0.224, 0.225])[:, None, None]


def error(got, want):
    got, want = got.double(), want.double()
    return float(f"{((got - want).norm() / (want - want.mean(0)).norm()).item():.2g}")


def up_to(model, path):
    """The network as a graph that ends with the output of a module."""
    if isinstance(model.get_submodule(path), nn.Sequential):
        return fx.symbolic_trace(model.get_submodule(path))
    traced = fx.symbolic_trace(model)
    for node in traced.graph.nodes:
        if node.op == "output":
            node.args = ([n for n in traced.graph.nodes if n.target == path][-1],)
    traced.graph.eliminate_dead_code()
    traced.recompile()
    return traced


def depthwise(layer):
    return isinstance(layer, nn.Conv2d) and layer.groups == layer.in_channels > 1


class Rounded(fx.Interpreter):
    """Runs a graph in f32 and rounds each value that the cuda engine would write to memory."""

    def __init__(self, graph, dtype):
        super().__init__(graph)
        self.dtype = dtype
        kinds = dict(graph.named_modules())
        module = lambda n: kinds.get(n.target) if n.op == "call_module" else None
        acts = lambda n: isinstance(module(n), ACTIVATIONS) or getattr(n.target, "__name__", n.target) in ("relu", "relu_", "silu")
        adds = lambda n: n.op == "call_function" and n.target in (operator.add, operator.iadd, torch.add)
        layer = lambda n: isinstance(module(n), LAYERS)
        last = lambda n: next(iter(n.users)) if len(n.users) == 1 else None
        within = lambda n, u: u is not None and (layer(n) and (acts(u) or adds(u)) or adds(n) and acts(u))
        self.inside = {n for n in graph.graph.nodes if within(n, last(n))}
        other = lambda u: u is not None and acts(u) and not isinstance(module(u), nn.ReLU)
        # Layers whose bias is added by a kernel of headstart's own, in f32.
        self.exact = {module(n) for n in self.inside if layer(n) and other(last(n))}

    def run_node(self, node):
        value = super().run_node(node)
        keeps = node in self.inside or node.op == "output" or not torch.is_tensor(value) or value[0].numel() == value.shape[1]
        return value if keeps else value.to(self.dtype).float()


def make_up(rounded, exact, sample):
    """Biases that make up for rounded weights, by the means of a sample."""
    means, dense = {}, {n: m for n, m in exact.named_modules() if isinstance(m, nn.Conv2d) and not depthwise(m)}
    hooks = [m.register_forward_hook(lambda m, i, o, n=n: means.__setitem__(n, i[0].mean((0, 2, 3)))) for n, m in dense.items()]
    exact(sample)
    for hook in hooks:
        hook.remove()
    for name, layer in dense.items():
        into = rounded.get_submodule(name)
        lost = (layer.weight - into.weight).sum((2, 3)).reshape(layer.groups, -1, layer.in_channels // layer.groups)
        off = (lost * means[name].reshape(layer.groups, 1, -1)).sum(2).flatten()
        into.bias = nn.Parameter(off if into.bias is None else into.bias + off)


def study(name, model, tap, size, photos):
    path, then = tap
    x = images(size, photos)
    with torch.no_grad():
        graph = up_to(model.eval(), path)
        want = then(graph(x))
        half = copy.deepcopy(graph).bfloat16().to(memory_format=torch.channels_last)
        found = {"torch": error(then(half(x.bfloat16().to(memory_format=torch.channels_last))), want)}
        folded = fuse(graph)
        for key, dtype in [("bf16", torch.bfloat16), ("plain", torch.bfloat16), ("f16", torch.float16)]:
            rounded = copy.deepcopy(folded)
            emulated = Rounded(rounded, dtype)
            for layer in [m for m in rounded.modules() if isinstance(m, LAYERS) and not depthwise(m)]:
                layer.weight.data = layer.weight.data.to(dtype).float()
            if key == "bf16":
                make_up(rounded, folded, images(size, None)[3:4].flip(3))
            for layer in [m for m in rounded.modules() if isinstance(m, LAYERS) and not depthwise(m)]:
                if layer.bias is not None and layer not in emulated.exact:
                    layer.bias.data = layer.bias.data.to(dtype).float()
            found[key] = error(then(emulated.run(x.to(dtype).float())), want)
            if key == "plain":
                found["weights"] = error(then(rounded(x)), want)
    print(json.dumps({"network": name, "images": "photos" if photos else "noise", **found}), flush=True)


def same_padding(model, size):
    """Convolutions whose padding depends on the input, as plain ones for an input of this size."""
    convs = {n: m for n, m in model.named_modules() if isinstance(m, nn.Conv2d) and type(m) is not nn.Conv2d}
    sides = {}
    hooks = [m.register_forward_hook(lambda m, i, o, n=n: sides.__setitem__(n, i[0].shape[-1])) for n, m in convs.items()]
    model.eval()(torch.zeros(1, 3, size, size))
    for hook in hooks:
        hook.remove()
    for name, m in convs.items():
        kernel, stride = m.kernel_size[0], m.stride[0]
        pad = max((-(-sides[name] // stride) - 1) * stride + kernel - sides[name], 0)
        plain = nn.Conv2d(m.in_channels, m.out_channels, kernel, stride, groups=m.groups, bias=m.bias is not None)
        plain.load_state_dict(m.state_dict())
        above = (pad // 2, pad - pad // 2)
        model.set_submodule(name, nn.Sequential(nn.ZeroPad2d(above + above), plain))
    return model


def main():
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("names", nargs="*", metavar="NAME", default=NAMES)
    args.add_argument("--photos", help="folder of JPEGs; without it, noise over gradients")
    args.add_argument("--lite0", help="the file of EfficientNet-Lite0's trained weights, which are studied on --photos")
    a = args.parse_args()
    if a.lite0:
        model = lite("efficientnet_lite0")
        model.load_state_dict(torch.load(a.lite0, map_location="cpu"))
        study("efficientnet_lite0 (trained)", same_padding(model, 224), NETS["efficientnet_lite0"][2]["gap"], 224, a.photos)
        return
    for name in a.names:
        build, sizes, taps = NETS[name]
        seed = CONDITIONS.get(name, (0, 1.0))[0]
        study(name, fill(build().eval(), seed), taps["gap"], sizes[0], a.photos)


if __name__ == "__main__":
    main()
