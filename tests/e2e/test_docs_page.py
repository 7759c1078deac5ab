"""The page of /docs in a real browser that can reach nobody but us."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from html import unescape
from typing import TYPE_CHECKING

import httpx
import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from service.lab.stack import Stack

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
# Only CI must have a browser: everything else needs Python and make.
pytestmark = pytest.mark.skipif(BROWSER is None and "CI" not in os.environ, reason="there is no Chromium")


def browse(address: str, directory: Path) -> tuple[str, str, list[str]]:
    """Open a page; returns what it became, what the browser complained of, and what it asked for."""
    assert BROWSER is not None
    network = directory / "network.json"
    done = subprocess.run(  # noqa: S603 (our own command)
        [
            BROWSER,
            *("--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"),
            "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
            f"--user-data-dir={directory / 'profile'}",
            f"--log-net-log={network}",
            *("--enable-logging=stderr", "--virtual-time-budget=10000", "--dump-dom", address),
        ],
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    complaints = "\n".join(line for line in done.stderr.splitlines() if "CONSOLE" in line)
    # The browser asks for things of its own; a page's requests name where it came from.
    origin = "/".join(address.split("/")[:3])
    events = json.loads(network.read_text())["events"]
    asked = [one["params"]["url"] for one in events if one.get("params", {}).get("initiator") == origin]
    return done.stdout, complaints, asked


def test_it_shows_every_operation_and_asks_nobody_else(stack: Stack, tmp_path: Path) -> None:
    document = httpx.get(f"{stack.url}/openapi.json", trust_env=False).json()
    described = {
        (method, path) for path, item in document["paths"].items() for method in item if method != "parameters"
    }

    page, complaints, asked = browse(f"{stack.url}/docs#/appointments/requestAppointment", tmp_path)

    blocks = re.findall(r'class="opblock opblock-(\w+).*?data-path="([^"]+)"', page, re.DOTALL)
    assert {(method, unescape(path)) for method, path in blocks} == described
    assert "Scope: <code>write</code>" in page
    assert "Idempotency-Key" in page
    assert complaints == ""
    assert f"{stack.url}/openapi.json" in asked
    assert [url for url in asked if not url.startswith(f"{stack.url}/")] == []


def test_its_parts_may_be_kept_for_ever_and_itself_may_not(stack: Stack) -> None:
    with httpx.Client(base_url=stack.url, trust_env=False) as client:
        page = client.get("/docs")
        assert page.headers["Cache-Control"] == "no-cache"
        assert "unsafe" not in page.headers["Content-Security-Policy"]
        parts = re.findall(r'(?:src|href)="(/docs/[^"]+)"', page.text)
        assert len(parts) == 4
        for part in parts:
            answer = client.get(part)
            assert answer.status_code == 200, part
            assert "immutable" in answer.headers["Cache-Control"]
        assert client.get(parts[0].replace("/docs/", "/docs/x")).status_code == 404
        assert client.get(parts[0].rpartition("/")[0] + "/start.py").status_code == 404


def test_the_document_is_sent_once_while_it_stays_the_same(stack: Stack) -> None:
    with httpx.Client(base_url=stack.url, trust_env=False) as client:
        first = client.get("/openapi.json")
        again = client.get("/openapi.json", headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["ETag"] == first.headers["ETag"]
