"""A folder of images to a feature matrix, the way a PyTorch user writes it: DataLoader, Pillow, torchvision's transforms, the GPU in bf16.

Prints one JSON object; held against `headstart features --device cuda --dtype bf16` on the same folder.

    python extract_cuda.py resnet50 FOLDER --out features.npy
"""

import argparse
import json
import os
import time

import numpy
import torch
import torchvision
from torchvision import transforms

from forward_cuda import pooled


def main():
    args = argparse.ArgumentParser(description=__doc__)
    args.add_argument("backbone")
    args.add_argument("folder")
    args.add_argument("--batch", type=int, default=256)
    args.add_argument("--workers", type=int, default=os.cpu_count())
    args.add_argument("--out", default=os.devnull)
    a = args.parse_args()
    steps = [transforms.Resize(256), transforms.CenterCrop(224), transforms.ToTensor()]
    steps.append(transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]))
    data = torchvision.datasets.ImageFolder(a.folder, transforms.Compose(steps))
    net = pooled(a.backbone).cuda().to(torch.bfloat16, memory_format=torch.channels_last)
    start = time.perf_counter()
    loader = torch.utils.data.DataLoader(data, a.batch, num_workers=a.workers, pin_memory=True, persistent_workers=False)
    features = []
    with torch.inference_mode():
        for images, _ in loader:
            images = images.cuda(non_blocking=True).to(torch.bfloat16, memory_format=torch.channels_last)
            features.append(net(images).float().cpu().numpy())
    with open(a.out, "wb") as out:
        numpy.save(out, numpy.concatenate(features))
    wall = time.perf_counter() - start
    print(json.dumps({"peer": "torch DataLoader", "backbone": a.backbone, "images": len(data), "seconds": wall, "images_per_second": len(data) / wall}))


if __name__ == "__main__":
    main()
