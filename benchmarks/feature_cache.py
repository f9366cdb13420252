"""What sharing the features of a frozen backbone is worth: one head study with and without it, side by side.

    python -m benchmarks.feature_cache [--images 600] [--size 96] [--trials 20] [--epochs 5] [--backbone mobilenet_v2]

The backbone's weights are drawn once and kept in a file, since their values do not matter to the time; the images are
drawn from fonts.  The same trials are trained both ways; what is printed are seconds of the whole command, imports,
data and features included, and how far the trials' values are apart.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import searchlab

STUDY = """
study: {name}
data:
  source: glyphs
  characters: digits
  examples: {examples}
  size: {size}
  split: {{by: stratified, validation: 0.2, test: 0.2, seed: 0}}
task: image_classification
space:
  model:
    transfer:
      backbone: "{backbone}:backbone.weights.h5"
      dropout: {{low: 0.0, high: 0.6}}
      l2: {{low: 1e-7, high: 1e-2, log: true}}
  optimizer:
    adam: {{learning_rate: {{low: 1e-4, high: 1e-2, log: true}}}}
search: {{sampler: random, pruner: none, trials: {trials}}}
training: {{epochs: {epochs}}}
execution: {{feature_cache: {is_cached}}}
tracking: {{enabled: false}}
seed: 0
"""

WEIGHTS = """
import sys
from searchlab.models.backbones import BACKBONES
size = int(sys.argv[2])
model = BACKBONES.get(sys.argv[1]).build("none", size, size)
inner = [layer for layer in model.layers if layer.name == model.name]
(inner[0] if inner else model).save_weights(sys.argv[3])
"""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=600)
    parser.add_argument("--size", type=int, default=96)
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--backbone", default="mobilenet_v2")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="searchlab-bench-") as place:
        folder = Path(place)
        weights = [sys.executable, "-c", WEIGHTS, arguments.backbone, str(arguments.size)]
        subprocess.run([*weights, str(folder / "backbone.weights.h5")], check=True, capture_output=True)
        seconds, values = {}, {}
        for is_cached in (True, False):
            study = folder / f"cached-{is_cached}.yaml"
            content = STUDY.format(
                name=study.stem.lower(),
                examples=arguments.images // 10,
                size=arguments.size,
                backbone=arguments.backbone,
                trials=arguments.trials,
                epochs=arguments.epochs,
                is_cached=str(is_cached).lower(),
            )
            study.write_text(content, encoding="utf-8")
            begun = time.monotonic()
            command = [
                sys.executable,
                "-m",
                "searchlab",
                "run",
                str(study),
            ]
            home = {**os.environ, "SEARCHLAB_HOME": str(folder / "home")}
            subprocess.run(command, check=True, capture_output=True, env=home)
            seconds[is_cached] = time.monotonic() - begun
            result = searchlab.load(study).run(home=folder / "home")
            values[is_cached] = {record.trial.number: record.value for record in result.study.trials}
            rate = 60 * arguments.trials / seconds[is_cached]
            words = "shared" if is_cached else "computed in each epoch"
            print(f"features {words}: {seconds[is_cached]:.1f} s, {rate:.1f} trials a minute", flush=True)
        apart = max(abs((values[True][number] or 0) - (values[False][number] or 0)) for number in values[True])
        print(f"{seconds[False] / seconds[True]:.1f} times as many; values differ by {apart:.4f} at most")


if __name__ == "__main__":
    main()
