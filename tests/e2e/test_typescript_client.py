"""Types that openapi-typescript makes from the document: tsc checks them, and what a console would write with them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from service.web.app import create_app
from service.web.openapi.pages import described
from service.web.services import services_of
from tests.settings import settings_from

SOURCES = Path(__file__).parent / "typescript"
NPM = shutil.which("npm")
# Only CI must have Node.js: everything else needs Python and make.
pytestmark = pytest.mark.skipif(NPM is None and "CI" not in os.environ, reason="there is no Node.js")

STRICT = (
    *("--noEmit", "--strict", "--exactOptionalPropertyTypes", "--noUncheckedIndexedAccess", "--noUnusedLocals"),
    *("--target", "es2022", "--module", "esnext", "--moduleResolution", "bundler"),
)


def run(*command: str, directory: Path) -> str:
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False)  # noqa: S603 (ours)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_the_types_made_from_the_document_say_what_may_be_asked_and_is_answered(tmp_path: Path) -> None:
    assert NPM is not None, "CI needs Node.js"
    app = create_app(settings_from(SPOOL_DIR=str(tmp_path / "spool")))
    document = described(app).document()
    services_of(app).close()
    shutil.copytree(SOURCES, tmp_path, dirs_exist_ok=True)
    (tmp_path / "openapi.json").write_text(json.dumps(document))
    run(NPM, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline", directory=tmp_path)
    tools = tmp_path / "node_modules" / ".bin"

    run(str(tools / "openapi-typescript"), "openapi.json", "--output", "api.ts", directory=tmp_path)
    run(str(tools / "tsc"), *STRICT, "usage.ts", directory=tmp_path)

    made = (tmp_path / "api.ts").read_text()
    named = {
        one["operationId"] for item in document["paths"].values() for one in item.values() if isinstance(one, dict)
    }
    assert named
    assert all(f"    {name}: {{" in made for name in named)
