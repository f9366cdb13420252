"""Tell the class of each sequence: measured series, tokens, or images read row by row."""

from __future__ import annotations

from searchlab.tasks import Task
from searchlab.tasks._classification import Classification
from searchlab.tasks._pictures import Rows
from searchlab.tasks._series import Series
from searchlab.tasks._tokens import Tokens

TASK: Task = Classification({"series": Series, "tokens": Tokens, "images": Rows})
