"""Forward pass of a torchvision backbone on an NVIDIA GPU up to its pooled features: PyTorch, channels last, torch.compile.

Random weights, uint8 images; prints one JSON object. `--from host`: images lie in page-locked memory and are copied batch by batch, as
`headstart bench forward --device cuda` copies them; `--from device`: they lie on the GPU already, which flatters.

    python forward_cuda.py resnet50 --batch 256 --dtype bf16
"""

import argparse
import json
import statistics
import time

import torch
import torchvision


def pooled(name):
    """The network without its classifier, ending in pooled features."""
    net = getattr(torchvision.models, name)(weights=None).eval()
    if hasattr(net, "fc"):
        net.fc = torch.nn.Identity()
        return net
    return torch.nn.Sequential(net.features, torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten())


def main():
    args = argparse.ArgumentParser(description=__doc__)
    args.add_argument("backbone")
    args.add_argument("--size", type=int, default=224)
    args.add_argument("--batch", type=int, default=256)
    args.add_argument("--dtype", choices=["f32", "bf16"], default="bf16")
    args.add_argument("--from", dest="source", choices=["host", "device"], default="host")
    args.add_argument("--eager", action="store_true", help="no torch.compile")
    args.add_argument("--repeat", type=int, default=10)
    a = args.parse_args()
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.benchmark = True
    dtype = torch.bfloat16 if a.dtype == "bf16" else torch.float32
    net = pooled(a.backbone).cuda().to(dtype, memory_format=torch.channels_last)
    scale = torch.tensor([1 / 58.4, 1 / 57.1, 1 / 57.4], device="cuda").view(1, 3, 1, 1)

    def forward(pixels):
        return net((pixels.permute(0, 3, 1, 2).float() * scale - 2.0).to(dtype, memory_format=torch.channels_last)).float()

    run = forward if a.eager else torch.compile(forward, mode="max-autotune")
    images = torch.randint(0, 256, (a.batch, a.size, a.size, 3), dtype=torch.uint8).pin_memory()
    there = images.cuda()
    streams = [torch.cuda.Stream() for _ in range(2)]

    def batches(count):
        """Two in flight: one is copied while the other is computed."""
        if a.source == "device":
            for _ in range(count):
                run(there)
        else:
            waiting = None
            for i in range(count):
                with torch.cuda.stream(streams[i % 2]):
                    on_device = images.cuda(non_blocking=True)
                    arrived = torch.cuda.Event()
                    arrived.record()
                torch.cuda.current_stream().wait_event(arrived)
                on_device.record_stream(torch.cuda.current_stream())
                features = run(on_device).clone()
                if waiting is not None:
                    waiting.cpu()
                waiting = features
            waiting.cpu()
        torch.cuda.synchronize()

    with torch.inference_mode():
        batches(8)
        rates = []
        for _ in range(a.repeat):
            start = time.perf_counter()
            batches(8)
            rates.append(8 * a.batch / (time.perf_counter() - start))
    print(json.dumps({
        "peer": f"torch {torch.__version__} {'eager' if a.eager else 'compile max-autotune'} channels_last", "backbone": a.backbone, "size": a.size,
        "batch": a.batch, "dtype": a.dtype, "images": a.source, "device": torch.cuda.get_device_name(),
        "images_per_second": {"median": statistics.median(rates), "best": max(rates)},
        "gib": torch.cuda.max_memory_allocated() / 2**30,
    }))


if __name__ == "__main__":
    main()
