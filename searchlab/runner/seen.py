"""What Keras sees on this machine, as JSON: `python -m searchlab.runner.seen`, on the backend that KERAS_BACKEND names.

A process of its own, since a framework that has looked at a GPU holds on to it, and takes seconds to load.
"""

from __future__ import annotations

import json
import sys

from searchlab.training import runtime

if __name__ == "__main__":
    sys.stdout.write(json.dumps(runtime.device_names()))
