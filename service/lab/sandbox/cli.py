"""The sandbox's command line."""

import errno
import os
import secrets
import socket
import sys
from collections.abc import Callable
from functools import partial
from typing import IO, Any

import click
from click.core import ParameterSource

from service.lab.sandbox.app import create_app
from service.lab.sandbox.events import new_secret
from service.lab.sandbox.faults import RATES, Faults
from service.lab.sandbox.outcomes import trigger_table
from service.lab.sandbox.replies import is_web_address
from service.lab.sandbox.server import Server
from service.lab.sandbox.settings import (
    ERROR_SHAPES,
    EVENT_CLOCKS,
    REPLY_SHAPES,
    ROW_IDS,
    ROW_SHAPES,
    STAFF_SHAPES,
    WEBHOOK_SHAPES,
    Settings,
)

# click keeps the lines of a paragraph that starts with \b.
EPILOG = "\b\nWhat is asked for decides the outcome:\n" + trigger_table()


def _accounts(context: click.Context, option: click.Parameter, pairs: tuple[str, ...]) -> dict[str, str]:
    """Read accounts: access token -> reference."""
    typed = context.get_parameter_source(str(option.name)) is ParameterSource.COMMANDLINE
    file: IO[str] | None = context.params.get("accounts_file")
    if file and not typed:
        pairs = tuple(file.read().split())
    accounts = {}
    for pair in pairs:
        reference, separator, token = pair.partition("=")
        if typed and separator:
            raise click.BadParameter("a token does not belong on the command line: use --accounts-file")
        if not reference or (separator and not token):
            raise click.BadParameter("an account is written REFERENCE=TOKEN")  # its value may be a secret
        token = token or f"token_{reference}"
        if token in accounts:
            raise click.BadParameter("two accounts have the same token")
        accounts[token] = reference
    return accounts


def _secret(_context: click.Context, option: click.Parameter, file: IO[str] | None) -> str | None:
    """Read a secret from a file; or else from the environment, under the option's name without `_FILE`."""
    if file is None:
        return os.environ.get(f"SANDBOX_{str(option.name).removesuffix('_file').upper()}")
    return file.read().strip()


def _urls(_context: click.Context, _option: click.Parameter, urls: tuple[str, ...]) -> tuple[str, ...]:
    for url in urls:
        if not is_web_address(url):
            raise click.BadParameter(f"{url!r} is not a URL")
    return urls


def _rates(command: Callable[..., Any]) -> Callable[..., Any]:
    """One option for each fault."""
    for name, what in reversed(RATES.items()):
        option = click.option(
            "--" + name.replace("_", "-"),
            name,
            type=click.FloatRange(0, 1),
            default=0.0,
            metavar="RATE",
            help=f"How often {what}.",
        )
        command = option(command)
    return command


@click.command(
    epilog=EPILOG,
    context_settings={"auto_envvar_prefix": "SANDBOX", "show_default": True, "max_content_width": 110},
)
@click.option("--host", default="127.0.0.1", help="The address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), default=8001, help="0 takes any free one.")
@click.option("--client-id", default="ci_sandbox")
@click.option("--client-secret-file", type=click.File(), callback=_secret, help="Without it the secret is cs_sandbox.")
@click.option(
    "--accounts-file",
    type=click.File(),
    is_eager=True,
    help="An access_token_reference_id and its access_token on each line: REFERENCE=TOKEN.",
)
@click.option(
    "--account",
    "accounts",
    multiple=True,
    default=("clinic_1",),
    metavar="REFERENCE",
    callback=_accounts,
    envvar="SANDBOX_ACCOUNT",
    help="An access_token_reference_id; its token is token_REFERENCE. May be repeated.",
)
@click.option(
    "--webhook-url",
    "webhook_urls",
    multiple=True,
    callback=_urls,
    envvar="SANDBOX_WEBHOOK_URL",
    metavar="URL",
    help="Registered from the start; may be repeated.",
)
@click.option(
    "--webhook-secret-file",
    type=click.File(),
    callback=_secret,
    help="Signs the webhooks; without it a random one does.",
)
@click.option("--reply-shape", type=click.Choice(REPLY_SHAPES), default="seed", help="The reply to a create.")
@click.option(
    "--webhook-shape",
    type=click.Choice(WEBHOOK_SHAPES),
    default="seed",
    help="later: with job_id, reasons, conflict_details and UTC times.",
)
@click.option("--row-shape", type=click.Choice(ROW_SHAPES), default="b", help="A row of GET /webhook-events.")
@click.option(
    "--row-ids",
    type=click.Choice(ROW_IDS),
    default="same",
    help="Whether a row in shape b has the id of its webhook, or its own.",
)
@click.option("--error-shape", type=click.Choice(ERROR_SHAPES), default="success", help="The reply to a bad call.")
@click.option(
    "--staff-shape",
    type=click.Choice(STAFF_SHAPES),
    default="webhook",
    help="sync: what staff made is told as EHR sync does, with data.id, patient_mrn and datetime.",
)
@click.option("--event-clock", type=click.Choice(EVENT_CLOCKS), default="seconds", help="Of `created`.")
@click.option("--catalogue", is_flag=True, help="List two providers, two locations and three visit types.")
@click.option("--strict-time", is_flag=True, help='Refuse "10:00": a separate time must be h:mm am/pm.')
@click.option(
    "--seed",
    default=lambda: secrets.token_hex(8),
    show_default="random",
    help="The same seed makes the same faults and delays.",
)
@click.option(
    "--delay",
    type=click.FloatRange(0, 3600),
    default=Faults.delay,
    metavar="SECONDS",
    help="From a call to its webhook, give or take a half.",
)
@_rates
def main(host: str, port: int, seed: str, delay: float, **rest: Any) -> None:
    """Stand in for Cobalt, as its documentation describes it, with webhooks, on this machine.

    Every option can also be given in the environment, as SANDBOX_ and its name: SANDBOX_PORT,
    SANDBOX_LOSE_WEBHOOK. Values that may be repeated are separated by spaces there. Secrets may stand there
    themselves, in SANDBOX_CLIENT_SECRET, SANDBOX_WEBHOOK_SECRET and SANDBOX_ACCOUNT (REFERENCE=TOKEN); on
    the command line, where every user of the machine sees them, only the files do that hold them.
    """
    faults = Faults(delay=delay, **{name: rest.pop(name) for name in RATES})
    client_secret, webhook_secret, _ = (
        rest.pop(f"{name}_file") for name in ("client_secret", "webhook_secret", "accounts")
    )
    settings = Settings(
        client_secret=client_secret or "cs_sandbox", webhook_secret=webhook_secret or new_secret(), **rest
    )
    listener = _listen(host, port)
    bound_port = listener.getsockname()[1]
    shown = f"[{host}]" if ":" in host else host
    ready = f"sandbox listening on http://{shown}:{bound_port}/v1"
    Server(partial(create_app, settings, faults, seed), listener, ready).run()


def _listen(host: str, port: int) -> socket.socket:
    """A listening socket; ends the process with one line when there can be none.

    gunicorn's own would try for five seconds and log a line each time.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=1024)
    except OSError as problem:
        reason = "the port is taken" if problem.errno == errno.EADDRINUSE else problem.strerror
        click.echo(f"sandbox: cannot listen on {host}:{port}: {reason}", err=True)
        sys.exit(1)
