"""The `ray` executor with the cheap children of `noop_children`.  Not a test file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from searchlab.executors import Cluster, Pool, Slot
from searchlab.executors.ray import Ray


class _NoopCluster:
    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self.nodes = cluster.nodes
        self.leave = cluster.leave

    def open(self, slots: Sequence[Slot], *, entry: str, setup: Mapping[str, Any], log_folder: str) -> Pool:
        return self._cluster.open(slots, entry="noop_children:main", setup=setup, log_folder=log_folder)


class _NoopRay:
    def join(self, address: str, *, log_folder: str) -> Cluster:
        return _NoopCluster(Ray().join(address, log_folder=log_folder))

    def open(self, slots: Sequence[Slot], *, entry: str, setup: Mapping[str, Any], log_folder: str) -> Pool:
        return self.join("auto", log_folder=log_folder).open(slots, entry=entry, setup=setup, log_folder=log_folder)


EXECUTOR = _NoopRay()
