"""Users of an MLflow server with basic authentication, and what they may do with an experiment.

Through plain requests of MLflow's own client: its class for this loads the whole server, and its password hashing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from searchlab.errors import SpecError
from searchlab.lazy import lazy
from searchlab.tracking.mlflow import places

if TYPE_CHECKING:
    import mlflow.tracking._tracking_service.utils as credentials
    import mlflow.utils.rest_utils as rest
else:
    credentials = lazy("mlflow.tracking._tracking_service.utils")
    rest = lazy("mlflow.utils.rest_utils")

Permission = Literal["READ", "EDIT", "MANAGE", "DENY"]

LEAST_PASSWORD = 12
"""Characters; MLflow asks for as many."""


class Accounts:
    """The users of the server at `uri`, as an administrator sees them.

    The administrator is who `login` (name and password) says, else whom the environment names.
    """

    def __init__(self, uri: str, login: tuple[str, str] | None = None) -> None:
        places.make_polite()
        self._uri = uri
        host = credentials.get_default_host_creds(uri)
        if login is not None:
            host.username, host.password = login
        self._host = host

    def names(self) -> tuple[str, ...]:
        """All users but administrators.

        Raises:
            ServiceError: The server cannot be reached, or lets this user not see others.
        """
        users = self._ask("GET", "/api/2.0/mlflow/users/list")["users"]
        return tuple(sorted(user["username"] for user in users if not user["is_admin"]))

    def add(self, name: str, password: str) -> bool:
        """Make a user; False when there is one of that name.

        Raises:
            SpecError: The password is too short.
            ServiceError: As `names`.
        """
        if len(password) < LEAST_PASSWORD:
            raise SpecError(f"a password has at least {LEAST_PASSWORD} characters")
        if name in self.names():
            return False
        self._ask("POST", "/api/2.0/mlflow/users/create", {"username": name, "password": password})
        return True

    def let(self, name: str, permission: Permission, experiment_id: str) -> None:
        """Say what a user may do with an experiment."""
        content = {
            "username": name,
            "resource_type": "experiment",
            "resource_id": experiment_id,
            "permission": permission,
        }
        self._ask("POST", "/api/3.0/mlflow/users/permissions/grant", content)

    def _ask(self, method: str, path: str, content: dict[str, Any] | None = None) -> Any:
        with places.reaching(self._uri):
            answer = rest.http_request(self._host, path, method, **({} if content is None else {"json": content}))
            answer = rest.verify_rest_response(answer, path)
            return answer.json() if answer.content else {}
