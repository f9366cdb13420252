"""Tell the class of each row of a table."""

from __future__ import annotations

from searchlab.tasks import Task
from searchlab.tasks._classification import Classification
from searchlab.tasks._table import Table

TASK: Task = Classification({"table": Table})
