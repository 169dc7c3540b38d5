"""Photos in train/ and val/ as a list with a test split: every second photo of val (by name, in each class) becomes test.

    python examples/test_from_val.py data/cats-dogs data/cats-dogs.csv
    headstart features --data data/cats-dogs.csv …
"""

import csv
import os
import sys
from pathlib import Path

data, out = map(Path, sys.argv[1:])
with open(out, "w", encoding="utf-8", newline="") as file:
    rows = csv.writer(file, lineterminator="\n")
    rows.writerow(["path", "label", "split"])
    for split in ("train", "val"):
        for folder in sorted(p for p in (data / split).iterdir() if p.is_dir()):
            for i, photo in enumerate(sorted(p for p in folder.iterdir() if p.is_file())):
                rows.writerow([os.path.relpath(photo, out.parent), folder.name, "test" if split == "val" and i % 2 else split])
