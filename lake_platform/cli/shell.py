"""What the commands share: settings, the metastore, output, and Dagster's reload afterwards."""

from __future__ import annotations

import getpass
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

import typer
from rich.console import Console

from lake_platform import compose
from lake_platform.errors import LakeError, NoMetastoreError, NotOverApiError
from lake_platform.metastore.repository import Repository
from lake_platform.metastore.service import UseCases
from lake_platform.settings import Settings, load_settings

if TYPE_CHECKING:
    from lake_platform.remote.client import ApiClient

Home = Annotated[
    Path | None, typer.Option(help="Directory of all local state (LAKE_HOME, else .lake).")
]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON document.")]
_RELOAD_TIMEOUT_SECONDS = 30.0


@dataclass
class Shell:
    """An open metastore, and the use cases on it. Works while the API is down. `missing`: where one
    would be, while there is none. `api`: what is asked in its place."""

    settings: Settings
    metastore: Repository
    as_json: bool
    missing: str = ""
    changed: bool = False
    api: ApiClient | None = None

    @property
    def console(self) -> Console:
        """For people; beside JSON output it goes to stderr."""
        # What users wrote is text: no markup, no emoji codes.
        return Console(stderr=self.as_json, markup=False, highlight=False, emoji=False)

    @property
    def actor(self) -> str:
        return shell_actor()

    @property
    def metastore_place(self) -> str:
        """Where it is, or would be; without a password."""
        return self.missing or self.metastore.place

    def use_cases(self) -> UseCases:
        if self.api is not None:
            from lake_platform.remote.metastore import RemoteMetastore
            from lake_platform.remote.use_cases import RemoteUseCases

            store = cast(RemoteMetastore, self.metastore)
            return cast(UseCases, RemoteUseCases(self.api, store, self.settings.definitions_dir))
        return compose.build_use_cases(
            self.metastore, compose.build_kafka(self.settings), self._note, self.settings
        )

    def show(self, data: Any) -> None:
        typer.echo(json.dumps(data, default=str))

    def say(self, text: str) -> None:
        self.console.print(text, soft_wrap=True)

    def _note(self, _table: str) -> None:
        self.changed = True


@contextmanager
def open_shell(
    home: Path | None,
    *,
    as_json: bool = False,
    absent: Literal["refuse", "make", "blank"] = "refuse",
    over_api: bool = False,
) -> Iterator[Shell]:
    """Closes the metastore afterwards and, when a definition changed, has Dagster reload. `absent`:
    what becomes of a command where there is no metastore yet; `blank` gives it an empty one, which
    is kept nowhere. `over_api`: whether it can ask the API in place of the metastore, as
    LAKE_API_URL says.

    Raises: NoMetastoreError; NotOverApiError for a command that cannot.
    """
    settings = load_settings(home)
    if settings.api_url:
        with _over_api(settings, as_json, able=over_api) as remote:
            yield remote
        return
    missing = ""
    try:
        metastore = compose.build_metastore(settings, shell_actor(), make=absent == "make")
    except NoMetastoreError as error:
        if absent == "refuse":
            raise
        missing = error.where
        nowhere = settings.model_copy(update={"metastore_url": "sqlite://"})
        metastore = compose.build_metastore(nowhere, shell_actor())
    shell = Shell(settings, metastore, as_json, missing)
    try:
        yield shell
    finally:
        metastore.close()
        if shell.changed:
            _reload(shell)


@contextmanager
def _over_api(settings: Settings, as_json: bool, *, able: bool) -> Iterator[Shell]:
    """The API tells Dagster of changes by itself."""
    from lake_platform.remote.client import ApiClient
    from lake_platform.remote.metastore import RemoteMetastore

    if not able:
        raise NotOverApiError(settings.api_url)
    api = ApiClient(settings.api_url, compose.secret(settings.api_token, "LAKE_API_TOKEN"))
    try:
        yield Shell(settings, cast(Repository, RemoteMetastore(api)), as_json, api=api)
    finally:
        api.close()


def shell_actor() -> str:
    """Who the audit log names for what is done in a shell."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container user without a name
        return "shell"


def time_text(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")


def _reload(shell: Shell) -> None:
    try:
        compose.build_dagster(shell.settings, _RELOAD_TIMEOUT_SECONDS).reload()
    except LakeError as error:
        # The change itself is made; only its display waits.
        shell.say(f"note: {str(error)[:300]}")
