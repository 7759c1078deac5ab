"""Who may call what: an API key in ``Authorization: Bearer``, and the scope that each route asks for."""

from __future__ import annotations

from functools import wraps
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, ParamSpec

import structlog
from flask import g, request

from service.errors import ScopeMissingError
from service.usecases.access.api_keys import Caller, find_caller
from service.web.policy.context import engine, find_replica, once_more_on_primary, settings
from service.web.policy.limits import refuse_too_many
from service.web.policy.problems import problem, scope_missing

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask.typing import ResponseReturnValue

P = ParamSpec("P")


def requires(scope: str) -> Callable[[Callable[P, Any]], Callable[P, Any]]:
    """Let a view be called only with a key that has this scope.

    401 without a good key, whatever is wrong with it: nobody learns whether a key was ever valid. 403 with a
    good key of too small a scope. 429 with one that makes too many requests.
    """

    def decorate(view: Callable[P, Any]) -> Callable[P, Any]:
        @wraps(view)
        def guarded(*args: P.args, **kwargs: P.kwargs) -> Any:  # noqa: ANN401
            refusal = _refusal(scope)
            return refusal if refusal is not None else once_more_on_primary(lambda: view(*args, **kwargs))

        guarded.scope = scope  # type: ignore[attr-defined]  # a guard test looks for it on every route
        return guarded

    return decorate


def caller() -> Caller:
    """Say who calls, in a view that requires a scope."""
    found: Caller = g.caller
    return found


def sees_phi() -> bool:
    """Tell whether the caller sees MRNs and notes unmasked."""
    return "phi" in caller().scopes


def _find_caller(key: str) -> Caller | None:
    return find_caller(engine(), key, after_write=settings().read_after_write if find_replica() else None)


def _refusal(scope: str) -> ResponseReturnValue | None:
    kind, _, key = request.headers.get("Authorization", "").partition(" ")
    found = _find_caller(key.strip()) if kind.lower() == "bearer" else None
    if found is None:
        return problem(
            HTTPStatus.UNAUTHORIZED,
            "This needs an API key that is valid now: Authorization: Bearer <key>.",
            headers={"WWW-Authenticate": "Bearer"},
        )
    g.caller = found
    structlog.contextvars.bind_contextvars(key_id=found.key_id)
    too_many = refuse_too_many(found.key_id)
    if too_many is not None:
        return too_many
    if scope not in found.scopes:
        return scope_missing(ScopeMissingError(scope, f"This needs an API key with the scope `{scope}`."))
    return None
