"""Memory of a study of many images: resident bytes of the supervisor and of the training process, from start to end.

    python -m benchmarks.image_memory [--images 10000] [--size 224] [--engine fit --engine fused] [--trials 2]

Made-up photographs (noise and a shape that tells the class) are written as JPEGs; a small CNN is trained for an epoch a
trial; then the study is run again under another name, which must not decode a second time.  10,000 images of
224 × 224 × 3 are 1.4 GiB as bytes and 5.6 GiB as float32: neither process may grow by anything like it.
"""

from __future__ import annotations

import argparse
import contextlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import psutil
from PIL import Image, ImageDraw

MIB = 1 << 20
SIDE = 256
CLASSES = ("round", "square")
STUDY = """\
study: {name}
data: {{source: image_folder, path: photos, size: {size}, duplicates: {duplicates}}}
task: image_classification
space:
  model: {{cnn: {{depth: 2, width: 8}}}}
  optimizer: {{adam: {{learning_rate: {{low: 1.0e-4, high: 1.0e-3, log: true}}}}}}
  training: {{batch_size: 32}}
search: {{sampler: random, pruner: none, trials: {trials}}}
training: {{epochs: 1, engine: {engine}}}
execution: {{workers: 1, executor: local}}
tracking: {{enabled: false}}
"""


@dataclass
class Course:
    """Resident bytes over the time of a study."""

    supervisor: list[tuple[float, int]] = field(default_factory=list)
    child: list[tuple[float, int]] = field(default_factory=list)
    prepared: float = 0.0
    seconds: float = 0.0

    def line(self) -> str:
        """All figures of a study, in MiB and seconds."""
        before = [size for when, size in self.supervisor if when <= self.prepared]
        after = [size for when, size in self.supervisor if when > self.prepared]
        trained = [size for when, size in self.child if when > self.prepared and size]
        return (
            f"supervisor: start {before[0] / MIB:.0f}, peak while it prepares {max(before) / MIB:.0f}, "
            f"afterwards {max(after, default=0) / MIB:.0f} | child: peak {max(trained, default=0) / MIB:.0f} | "
            f"prepared after {self.prepared:.0f} s, whole {self.seconds:.0f} s"
        )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--trials", type=int, default=2)
    parser.add_argument("--engine", action="append", help="may be given several times; default: fit, fused")
    parser.add_argument("--duplicates", default="warn", help="what is done about copies: ignore, warn, fail, together")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="searchlab-bench-") as place:
        folder = Path(place)
        begun = time.monotonic()
        with ThreadPoolExecutor() as pool:
            list(pool.map(lambda number: _photograph(folder / "photos", number), range(arguments.images)))
        whole = arguments.images * arguments.size**2 * 3
        print(
            f"{arguments.images} JPEGs in {time.monotonic() - begun:.0f} s; {whole / MIB:.0f} MiB as bytes", flush=True
        )
        for engine in arguments.engine or ("fit", "fused"):
            for turn in ("first", "again"):
                name = f"{engine}-{turn}"
                study = STUDY.format(
                    name=name,
                    size=arguments.size,
                    trials=arguments.trials,
                    engine=engine,
                    duplicates=arguments.duplicates,
                )
                (folder / "study.yaml").write_text(study, encoding="utf-8")
                print(f"{engine}, {turn}: MiB; {_run(folder, folder / f'home-{engine}', name).line()}", flush=True)


def _photograph(folder: Path, number: int) -> None:
    """Write photograph `number`."""
    generator = np.random.default_rng(number)
    coarse = Image.fromarray(generator.integers(256, size=(16, 16, 3), dtype=np.uint8))
    image = coarse.resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    kind = CLASSES[number % len(CLASSES)]
    x, y, width = (int(place) for place in generator.integers(20, 100, size=3))
    shape = ImageDraw.Draw(image)
    colour = tuple(int(level) for level in generator.integers(256, size=3))
    (shape.ellipse if kind == "round" else shape.rectangle)((x, y, x + width, y + width), fill=colour)
    place = folder / kind / f"{number:06d}.jpg"
    place.parent.mkdir(parents=True, exist_ok=True)
    image.save(place, quality=85)


def _run(folder: Path, home: Path, name: str) -> Course:
    """Run the study `name` in `folder`, and look at its processes five times a second."""
    course, begun = Course(), time.monotonic()
    call = [sys.executable, "-m", "searchlab", "--home", str(home), "run", str(folder / "study.yaml")]
    with (folder / "log").open("w", encoding="utf-8") as log:
        with subprocess.Popen(call, stdout=log, stderr=subprocess.STDOUT) as process:
            while process.poll() is None:
                now = time.monotonic() - begun
                with contextlib.suppress(psutil.Error):
                    course.supervisor.append((now, psutil.Process(process.pid).memory_info().rss))
                    course.child.append((now, max(_children(process.pid), default=0)))
                if not course.prepared and (home / "studies" / name / "data.json").exists():
                    course.prepared = now
                time.sleep(0.2)
    course.seconds = time.monotonic() - begun
    if process.returncode:
        raise SystemExit((folder / "log").read_text(encoding="utf-8"))
    return course


def _children(pid: int) -> Iterator[int]:
    """Resident bytes of each process below."""
    for child in psutil.Process(pid).children(recursive=True):
        with contextlib.suppress(psutil.Error):
            yield child.memory_info().rss


if __name__ == "__main__":
    main()
