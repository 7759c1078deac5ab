"""Commands for Cobalt's webhook configuration."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import click

from service.cli.context import open_engine
from service.cli.listing import json_option, show
from service.cli.strictness import Group
from service.cobalt import Cobalt
from service.config import CobaltSettings, is_loopback
from service.postgres.engine import transaction
from service.usecases.access.accounts import account_timezones, get_credentials
from service.usecases.access.webhook_url import judge

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from service.cobalt import Credentials


@click.group(cls=Group)
def webhook() -> None:
    """Tell Cobalt where to send events."""


_secret_file = click.option(
    "--secret-file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the secret to this new file, readable by its owner only, instead of standard output.",
)
_account = click.option("--account", help="The account to ask for; the default is the first.")


@webhook.command()
@click.argument("url")
@_account
@_secret_file
@click.option("--force", is_flag=True, help="Register the URL even if it fails the checks.")
def register(url: str, account: str | None, secret_file: Path | None, *, force: bool) -> None:
    """Register URL and print its secret, alone, for COBALT_WEBHOOK_SECRETS.

    A URL is refused if it is not https, does not lead to /webhooks/cobalt, or is answered by something other than this
    service. If nothing answers there yet, that is only a warning, because the secret comes first.
    """
    settings = CobaltSettings.from_env()
    cobalt_is_here = is_loopback(urlsplit(settings.cobalt_base_url).hostname or "")
    judgement = judge(url, cobalt_is_here=cobalt_is_here)
    if judgement.fault and not force:
        sys.exit(f"the URL {judgement.fault}; nothing was registered (--force registers it anyway)")
    for what in filter(None, (judgement.fault, judgement.doubt)):
        click.echo(f"warning: the URL {what}", err=True)
    with _giving_out(secret_file) as give_out, Cobalt(settings) as client:
        give_out(client.register_webhook(_credentials(settings, account), url))


@webhook.command("list")
@_account
@json_option
def list_webhooks(account: str | None, *, as_json: bool) -> None:
    """List the registered URLs."""
    settings = CobaltSettings.from_env()
    with Cobalt(settings) as client:
        registered = client.list_webhooks(_credentials(settings, account))
    show(("id", "url"), ({"id": one.id, "url": one.url} for one in registered), as_json=as_json)


@webhook.command()
@click.argument("webhook_id")
@_account
def remove(webhook_id: str, account: str | None) -> None:
    """Remove a registered URL."""
    settings = CobaltSettings.from_env()
    with Cobalt(settings) as client:
        client.remove_webhook(_credentials(settings, account), webhook_id)


@webhook.command()
@_account
@_secret_file
def rotate(account: str | None, secret_file: Path | None) -> None:
    """Have Cobalt replace the secret, and print the new one, alone.

    Put it before the old one in COBALT_WEBHOOK_SECRETS. Any of them may match, so no webhook is refused meanwhile.
    """
    settings = CobaltSettings.from_env()
    with _giving_out(secret_file) as give_out, Cobalt(settings) as client:
        give_out(client.rotate_webhook_secret(_credentials(settings, account)))


@contextmanager
def _giving_out(file: Path | None) -> Iterator[Callable[[str], None]]:
    """Hand out a secret once: to standard output, or to a new file that is created before Cobalt is asked.

    Cobalt shows the secret only once, so a file that cannot be written must be noticed before.
    """
    if file is None:
        yield click.echo
        return
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        sys.exit(f"--secret-file: {error.strerror}")
    written = False

    def write(secret: str) -> None:
        nonlocal written
        written = os.write(descriptor, f"{secret}\n".encode()) > 0

    try:
        yield write
    finally:
        os.close(descriptor)
        if not written:
            file.unlink()


def _credentials(settings: CobaltSettings, account: str | None) -> Credentials:
    with transaction(open_engine(settings)) as session:
        names = list(account_timezones(session, settings))
        if account is None and not names:
            raise click.UsageError("no account is set up: set COBALT_ACCOUNT or use `accounts add`")
        return get_credentials(session, settings, account or names[0])


COMMANDS = (webhook,)
