"""What is in the repository: nothing of the machine it was made on, locks with hashes, numbered migrations."""

from __future__ import annotations

import json
import re
import subprocess
import tomllib
from datetime import date
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
LINES = 300
TYPESCRIPT = PROJECT / "tests" / "e2e" / "typescript"
LOCKS = ("requirements.txt", "requirements-dev.txt")
HOSTS = r"https?://(?:[\w.-]*pypi[\w.-]*|[\w.-]*artifactory[\w.-]*|registry\.[\w.-]+|[^\s/]+/simple)"
FOREIGN = re.compile(
    rf"--(?:extra-)?index[-]url|--trusted[-]host|--find[-]links|{HOSTS}"
    r"|(?<![\w.$}/-])/(?:root|home|Users|work|mnt|private)/\w"
)


def tracked_files() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],  # noqa: S607
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    return [PROJECT / name for name in listed if (PROJECT / name).is_file()]


def test_no_file_names_an_index_or_a_path_of_somebodys_machine() -> None:
    found = [
        f"{path.relative_to(PROJECT)}: {match[0]}"
        for path in tracked_files()
        for match in FOREIGN.finditer(path.read_text(encoding="utf-8", errors="replace"))
    ]
    assert found == []


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def locked(lock: str) -> dict[str, str]:
    """Package -> everything that the lock says about it."""
    text = (PROJECT / lock).read_text().replace("\\\n", " ")
    entries = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return {canonical(re.split(r"[=\[;\s]", entry)[0]): entry for entry in entries}


def named(group: str | None = None) -> set[str]:
    """The dependencies that pyproject.toml names, with those of the extras that an extra names."""
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    wanted = list(project["dependencies"] if group is None else extras[group])
    names = set()
    for requirement in wanted:
        name = canonical(re.split(r"[<>=~!;\[\s]", requirement)[0])
        if name == project["name"]:
            for extra in re.findall(r"\[(.*)]", requirement):
                names |= named(extra)
        else:
            names.add(name)
    return names


@pytest.mark.parametrize("lock", LOCKS)
def test_every_locked_package_has_one_version_and_hashes(lock: str) -> None:
    for name, entry in locked(lock).items():
        assert re.match(r"[\w.-]+(\[[\w,-]+])?==[\w.!+]+", entry), name
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", entry), name


def test_every_named_dependency_is_locked() -> None:
    assert named() <= set(locked("requirements.txt"))
    assert named() | named("dev") <= set(locked("requirements-dev.txt"))


def test_both_locks_pin_the_same_versions() -> None:
    run, develop = locked("requirements.txt"), locked("requirements-dev.txt")
    versions = {name: entry.split()[0] for name, entry in develop.items()}
    assert {name: entry.split()[0] for name, entry in run.items()}.items() <= versions.items()


def test_migrations_are_numbered_and_each_follows_the_one_before() -> None:
    files = sorted((PROJECT / "migrations" / "versions").glob("[0-9]*.py"))
    before = None
    for number, path in enumerate(files, start=1):
        assert re.fullmatch(rf"{number:04}_[a-z0-9_]+\.py", path.name)
        text = path.read_text()
        revision = re.search(r'^revision(?:: \S+)? = "(\w+)"$', text, re.MULTILINE)
        follows = re.search(r'^down_revision(?:: [^=]+)? = (?:"(\w+)"|None)$', text, re.MULTILINE)
        assert revision is not None
        assert follows is not None
        assert (revision[1], follows[1]) == (f"{number:04}", before)
        before = revision[1]
    assert files


def test_the_lock_of_npm_names_versions_and_hashes_and_no_registry() -> None:
    named = json.loads((TYPESCRIPT / "package.json").read_text())["devDependencies"]
    locked = json.loads((TYPESCRIPT / "package-lock.json").read_text())["packages"]
    assert locked.pop("")["devDependencies"] == named
    assert all(re.fullmatch(r"[\d.]+", version) for version in named.values())
    for name, package in locked.items():
        assert package["integrity"].startswith("sha512-"), name
        assert "resolved" not in package, name


KINDS = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


def test_the_changelog_is_one() -> None:
    lines = (PROJECT / "CHANGELOG.md").read_text().splitlines()
    assert lines[0] == "# Changelog"
    versions = [line for line in lines if line.startswith("## ")]
    assert versions[0] == "## [Unreleased]"
    dates = []
    for version in versions[1:]:
        match = re.fullmatch(r"## \[\d+\.\d+\.\d+] - (\d{4}-\d\d-\d\d)", version)
        assert match, version
        dates.append(date.fromisoformat(match[1]))
    assert dates == sorted(dates, reverse=True)
    assert {line.removeprefix("### ") for line in lines if line.startswith("### ")} <= KINDS


def test_every_file_of_the_service_can_be_read_in_one_go() -> None:
    too_long = {
        str(path.relative_to(PROJECT)): lines
        for path in (PROJECT / "service").rglob("*.py")
        if (lines := path.read_text().count("\n")) > LINES
    }
    assert not too_long, "split it by what its parts are about"


def test_every_module_stands_in_a_room() -> None:
    assert {path.name for path in (PROJECT / "service").glob("*.py")} == {"__init__.py", "errors.py"}


def test_the_hooks_run_what_make_check_runs() -> None:
    recipe = (PROJECT / "Makefile").read_text().partition("\ncheck: ")[2].partition("\n\n")[0]
    steps = [line.strip().replace("$(BIN)", ".venv/bin") for line in recipe.splitlines()[1:]]
    hooks = (PROJECT / ".pre-commit-config.yaml").read_text()
    assert re.findall(r"^ +entry: (.+)$", hooks, re.MULTILINE) == steps
    assert set(re.findall(r"repo: (.+)$", hooks, re.MULTILINE)) == {"local"}
