"""Tell what an image shows: one of some classes."""

from __future__ import annotations

from searchlab.tasks import Task
from searchlab.tasks._classification import Classification
from searchlab.tasks._pictures import Pictures

TASK: Task = Classification({"images": Pictures})
