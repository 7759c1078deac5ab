"""Commands for Cobalt's webhook configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from service.cli.context import open_engine
from service.cobalt import Cobalt
from service.config import Settings
from service.db import transaction
from service.usecases.accounts import account_names, get_credentials

if TYPE_CHECKING:
    from service.cobalt import Credentials


@click.group()
def webhook() -> None:
    """Tell Cobalt where to send events."""


_account = click.option("--account", help="On whose behalf to ask; the first account, when it is not given.")


@webhook.command()
@click.argument("url")
@_account
def register(url: str, account: str | None) -> None:
    """Register URL and print its secret, alone, for COBALT_WEBHOOK_SECRETS."""
    settings = Settings.from_env()
    with Cobalt(settings) as client:
        click.echo(client.register_webhook(_credentials(settings, account), url))


@webhook.command("list")
@_account
def list_webhooks(account: str | None) -> None:
    """List the registered URLs."""
    settings = Settings.from_env()
    with Cobalt(settings) as client:
        for registered in client.list_webhooks(_credentials(settings, account)):
            click.echo(f"{registered.id}  {registered.url}")


@webhook.command()
@click.argument("webhook_id")
@_account
def remove(webhook_id: str, account: str | None) -> None:
    """Remove a registered URL."""
    settings = Settings.from_env()
    with Cobalt(settings) as client:
        client.remove_webhook(_credentials(settings, account), webhook_id)


@webhook.command()
@_account
def rotate(account: str | None) -> None:
    """Have Cobalt replace the secret, and print the new one, alone.

    Put it in front of the old one in COBALT_WEBHOOK_SECRETS: any may match, so nothing is refused meanwhile.
    """
    settings = Settings.from_env()
    with Cobalt(settings) as client:
        click.echo(client.rotate_webhook_secret(_credentials(settings, account)))


def _credentials(settings: Settings, account: str | None) -> Credentials:
    with transaction(open_engine(settings)) as session:
        names = account_names(session, settings)
        if account is None and not names:
            raise click.UsageError("no account is set up: set COBALT_ACCOUNT or use `accounts add`")
        return get_credentials(session, settings, account or names[0])


COMMANDS = (webhook,)
