"""Has a process live in another hour: its wall clock, and what it takes for the time of the machine's start.

That is what a process sees on a machine whose clock was set after other processes had begun.  Not a test file.
"""

import os
import time

SHIFT = float(os.environ.get("FAULT_CLOCK_SHIFT") or 0.0)

if SHIFT:
    import psutil

    _time, _time_ns, _boot = time.time, time.time_ns, psutil._pslinux.boot_time
    time.time = lambda: _time() + SHIFT
    time.time_ns = lambda: _time_ns() + int(SHIFT * 1e9)
    psutil._pslinux.boot_time = lambda: _boot() + SHIFT
