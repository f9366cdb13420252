"""Few labels: a network that has seen fonts with a new head, beside the same network from scratch, at equal budget.

    python -m benchmarks.few_labels [--seeds 5] [--labels 50] [--trials 20]

`studies/glyphs_cnn.yaml` is run once.  Then, for each seed of the split and of the study,
`studies/digits_few_labels.yaml` and a study of the same network with all weights drawn anew, with the same data,
sampler, trials and epochs; the seal of each is opened once.  What is printed are the scores on the 360 test digits.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import searchlab

SCRATCH = """
study: {name}
data:
  source: digits
  split: {{by: stratified, validation: 0.2, test: 0.2, train_examples: {labels}, seed: {seed}}}
task: image_classification
space:
  model:
    cnn:
      depth: 2
      width: 64
      convolutions: 2
      batch_norm: true
      head: {{choices: [average, flatten], default: flatten}}
      dropout: {{low: 0.0, high: 0.6, default: 0.3}}
      l2: {{low: 1e-6, high: 1e-2, log: true, default: 1e-4}}
  optimizer:
    adam: {{learning_rate: {{low: 1e-4, high: 3e-2, log: true, default: 1e-3}}}}
  schedule: {{cosine: {{}}}}
  training: {{batch_size: {{choices: [10, 25, 50], default: 25}}}}
search: {{sampler: tpe, pruner: none, trials: {trials}}}
training: {{epochs: 40}}
tracking: {{enabled: false}}
seed: {seed}
"""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--labels", type=int, default=50)
    parser.add_argument("--trials", type=int, default=20)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="searchlab-bench-") as place:
        home = Path(place, "home")
        begun = time.monotonic()
        searchlab.load("glyphs_cnn", "tracking.enabled=false").run(home=home)
        print(f"pretrained on glyphs in {time.monotonic() - begun:.0f} s", flush=True)
        differences = []
        for seed in range(arguments.seeds):
            scratch = Path(place, "scratch.yaml")
            about = {"name": f"scratch-{seed}", "labels": arguments.labels, "seed": seed, "trials": arguments.trials}
            scratch.write_text(SCRATCH.format(**about), encoding="utf-8")
            asked = [
                f"study=transfer-{seed}",
                f"seed={seed}",
                f"data.split.seed={seed}",
                f"data.split.train_examples={arguments.labels}",
                f"search.trials={arguments.trials}",
                "tracking.enabled=false",
            ]
            with_glyphs = _score(searchlab.load("digits_few_labels", *asked), home)
            anew = _score(searchlab.load(scratch), home)
            differences.append(with_glyphs[0] - anew[0])
            print(
                f"seed {seed}: transfer {with_glyphs[0]:.1%} in {with_glyphs[1]:.0f} s, from scratch {anew[0]:.1%} in "
                f"{anew[1]:.0f} s, {100 * differences[-1]:+.1f} points",
                flush=True,
            )
        wins = sum(difference > 0 for difference in differences)
        print(
            f"transfer is better in {wins} of {len(differences)} seeds, on average by "
            f"{100 * statistics.mean(differences):.1f} points "
            f"({100 * min(differences):+.1f} to {100 * max(differences):+.1f})"
        )


def _score(handle: searchlab.Handle, home: Path) -> tuple[float, float]:
    """The test accuracy of the best trial, and the seconds of the study."""
    begun = time.monotonic()
    result = handle.run(home=home)
    seconds = time.monotonic() - begun
    return result.final_test().metrics["test_accuracy"], seconds


if __name__ == "__main__":
    main()
