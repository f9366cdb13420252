"""Tell numbers about each row of a table."""

from __future__ import annotations

from searchlab.tasks import Task
from searchlab.tasks._regression import Regression
from searchlab.tasks._table import Table

TASK: Task = Regression({"table": Table})
