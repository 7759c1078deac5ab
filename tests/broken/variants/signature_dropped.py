"""Any text in the header counts as a signature."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType


def believe_everybody(signing: ModuleType) -> None:
    def believe(_raw: bytes, signature: str | None, _secrets: Sequence[str]) -> bool:
        return signature is not None

    signing.verify = believe  # type: ignore[attr-defined]


BREAKS = {"service.cobalt.signing": believe_everybody}
