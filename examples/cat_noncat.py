"""A set like the course's cat / not-cat from photos of your own: 209 + 50 images of 64×64, the middle square of each photo, as PNG.

    python examples/cat_noncat.py CATS OTHERS OUT

CATS and OTHERS are folders of photos, subfolders included. Same folders, same set. Needs pillow.
"""

import random
import sys
from pathlib import Path

from PIL import Image, ImageOps

COUNTS = {"train": {"cat": 72, "non-cat": 137}, "test": {"cat": 33, "non-cat": 17}}
KINDS = {".jpg", ".jpeg", ".png", ".webp", ".bmp"}

cats, others, out = map(Path, sys.argv[1:])
for name, folder in (("cat", cats), ("non-cat", others)):
    photos = sorted(p for p in folder.rglob("*") if p.suffix.lower() in KINDS)
    needed = sum(counts[name] for counts in COUNTS.values())
    if len(photos) < needed:
        sys.exit(f"{folder}: holds {len(photos)} photos, and {needed} are needed")
    chosen = iter(random.Random(0).sample(photos, needed))
    for split, counts in COUNTS.items():
        (out / split / name).mkdir(parents=True, exist_ok=True)
        for i in range(counts[name]):
            photo = Image.open(next(chosen)).convert("RGB")
            ImageOps.fit(photo, (64, 64), Image.Resampling.BICUBIC).save(out / split / name / f"{i:03}.png")
