"""Give MLflow's own accounts the passwords of the environment: after a restore, they are those of another `.env`.

Runs in the image `server`: `accounts.py`, with MLFLOW_AUTH_CONFIG_PATH, MLFLOW_AUTH_ADMIN_PASSWORD and
SEARCHLAB_WORKER_PASSWORD.  An account that is not there is left to whoever makes it.
"""

from __future__ import annotations

import os

from mlflow.server.auth.config import read_auth_config
from mlflow.server.auth.sqlalchemy_store import SqlAlchemyStore


def main() -> None:
    """Change what is there."""
    store = SqlAlchemyStore()
    store.init_db(read_auth_config().database_uri)
    for name, variable in (("admin", "MLFLOW_AUTH_ADMIN_PASSWORD"), ("worker", "SEARCHLAB_WORKER_PASSWORD")):
        if store.has_user(name):
            store.update_user(name, os.environ[variable])


main()
