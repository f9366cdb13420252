"""Where searchlab keeps things on this machine: one folder, `.searchlab` in the working folder unless told otherwise.

.searchlab/
  optuna.db                 the storage (SQLite), unless the study names another
  mlflow.db, artifacts/     the tracking store, unless the study names another
  outbox/STUDY_UID/         what MLflow has not got yet, and, compressed, what it has
  data/DIGEST/              prepared examples that trials may see
  sealed/DIGEST/            test examples, read once by the final test
  known/FINGERPRINT.json    which of these was prepared from which files
  studies/NAME/             study.yaml (resolved), study.json, weights/, checkpoints/, logs/, results.jsonl,
                            results.reserve, ledger.jsonl, champion.keras, report.html; of a classification
                            per_class.csv, confusion.csv, confusion.png, confusion.json
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from searchlab import urls
from searchlab.errors import SpecError
from searchlab.spec import NAME

VARIABLE = "SEARCHLAB_HOME"


@dataclass(frozen=True)
class Home:
    """The folder, and the places in it."""

    folder: Path

    @classmethod
    def find(cls, folder: str | Path | None = None) -> Home:
        """`folder`, else what SEARCHLAB_HOME names, else `.searchlab` in the working folder."""
        return cls(Path(folder or os.environ.get(VARIABLE) or ".searchlab").absolute())

    @property
    def storage_url(self) -> str:
        """The Optuna storage of studies that name none."""
        return urls.of_sqlite(self.folder / "optuna.db")

    @property
    def tracking_uri(self) -> str:
        """The MLflow store of studies that name none."""
        return urls.of_sqlite(self.folder / "mlflow.db")

    @property
    def known(self) -> Path:
        """Which data were prepared from which files."""
        return self.folder / "known"

    def make(self) -> Path:
        """Make the folder, for this user alone, where there is none; one that is there stays as open as it is."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return self.folder

    def study(self, name: str) -> StudyFolder:
        """The files of the study `name`.

        Raises:
            SpecError: No study can have that name, which might lead out of the folder.
        """
        if re.fullmatch(NAME, name) is None:
            allowed = "letters, digits, '.', '_' and '-', the first a letter or a digit"
            raise SpecError(f"{name!a} cannot be the name of a study: {allowed}")
        return StudyFolder(self.folder / "studies" / name)


@dataclass(frozen=True)
class StudyFolder:
    """The files of one study on this machine."""

    folder: Path

    @property
    def spec(self) -> Path:
        """The resolved study file."""
        return self.folder / "study.yaml"

    @property
    def noted(self) -> Path:
        """What the storage keeps of the study beside its trials."""
        return self.folder / "study.json"

    @property
    def weights(self) -> Path:
        """The best weights of the best trials."""
        return self.folder / "weights"

    @property
    def checkpoints(self) -> Path:
        """What trials that are lost go on from."""
        return self.folder / "checkpoints"

    @property
    def logs(self) -> Path:
        """What the children printed."""
        return self.folder / "logs"

    @property
    def ledger(self) -> Path:
        """Every opening of the seal."""
        return self.folder / "ledger.jsonl"

    @property
    def test(self) -> Path:
        """The score that the final test gave."""
        return self.folder / "test.json"

    @property
    def champion(self) -> Path:
        """The best model, raw inputs to probabilities or values."""
        return self.folder / "champion.keras"

    @property
    def confusion(self) -> Path:
        """Which classes the best trial takes for which."""
        return self.folder / "confusion.json"

    @property
    def report(self) -> Path:
        """The HTML report."""
        return self.folder / "report.html"
