"""Commands for API keys."""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import click
from cryptography.fernet import Fernet

from service.cli.context import Duration, open_engine
from service.cli.listing import json_option, show
from service.cli.strictness import Group
from service.config import AccountSettings
from service.postgres.engine import transaction
from service.postgres.queries import api_keys
from service.usecases.access.api_keys import SCOPES, create_key
from service.usecases.access.stored_tokens import rotate_tokens

if TYPE_CHECKING:
    from service.postgres.models import ApiKey


@click.group(cls=Group)
def keys() -> None:
    """Create, list and revoke API keys."""


@keys.command()
@click.option("--name", required=True, help="Who or what uses the key.")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    required=True,
    type=click.Choice(SCOPES),
    help="Repeat it for several scopes.",
)
@click.option("--expires-in", type=Duration(), help="Such as 90d, 12h, 30m or 2w; without it, the key does not expire.")
def create(name: str, scopes: tuple[str, ...], expires_in: timedelta | None) -> None:
    """Create a key and print it, alone, on standard output. It cannot be shown again."""
    click.echo(create_key(open_engine(), name=name, scopes=scopes, expires_in=expires_in))


@keys.command("list")
@json_option
def list_keys(*, as_json: bool) -> None:
    """List the keys by id and name; the secrets are never shown."""
    columns = ("id", "name", "scopes", "state", "created_at", "expires_at", "last_used_at")
    with transaction(open_engine()) as session:
        rows = [
            {name: _state(key) if name == "state" else getattr(key, name) for name in columns}
            for key in api_keys.list_keys(session)
        ]
    show(columns, rows, as_json=as_json)


@keys.command()
@click.argument("key_id")
def revoke(key_id: str) -> None:
    """Revoke a key permanently, from the next request on."""
    with transaction(open_engine()) as session:
        revoked = api_keys.revoke(session, key_id, now=datetime.now(UTC))
    if not revoked:
        sys.exit(f"there is no valid key {key_id} to revoke; `keys list` shows all")


@keys.group(invoke_without_command=True)
@click.pass_context
def encryption(context: click.Context) -> None:
    """Print a new key for ENCRYPTION_KEYS, or rotate to one."""
    if context.invoked_subcommand is None:
        context.invoke(new)


@encryption.command()
def new() -> None:
    """Print a new key for ENCRYPTION_KEYS."""
    click.echo(Fernet.generate_key().decode())


@encryption.command()
def rotate() -> None:
    """Encrypt every stored access token with the first of ENCRYPTION_KEYS, so that the others can be retired.

    Every process must know that key beforehand; it may be second in their ENCRYPTION_KEYS. The command may run while
    the service runs, and again. It exits with 1 as long as some token needs another key.
    """
    settings = AccountSettings.from_env()
    found = rotate_tokens(open_engine(settings), settings)
    click.echo(f"{found.rotated} re-encrypted, {found.already} had the first key already, {len(found.left)} left")
    if found.left:
        sys.exit(f"ENCRYPTION_KEYS: none of them decrypts the access token of {', '.join(found.left)}")


def _state(key: ApiKey) -> str:
    if key.revoked_at:
        return "revoked"
    return "expired" if key.expires_at and key.expires_at <= datetime.now(UTC) else "valid"


COMMANDS = (keys,)
