"""Names what schemas share: each enumeration and each free object is one component, and one type of a generated client.

Written where it is used, an enumeration becomes a type for every field that has it; generators know no better.
"""

from __future__ import annotations

from typing import Any

from service.domain.account_health import Health, Reason
from service.domain.arrivals import Source
from service.domain.failures import Category
from service.domain.states import Disposition, Status
from service.domain.submission import Submission
from service.postgres.queries.appointment_views import SORTS
from service.web.schemas.appointments import ReplayOut
from service.web.schemas.events import KEPT, WAITED_FOR
from service.web.schemas.list_query import ListQuery

Json = dict[str, Any]


def _of(field: Any) -> list[str]:  # noqa: ANN401 (marshmallow's)
    (validator,) = field.validators
    return list(validator.choices)


ENUMERATIONS: dict[str, list[str]] = {
    "Status": list(Status),
    "FailureCategory": list(Category),
    "SubmissionState": list(Submission),
    "Disposition": list(Disposition),
    "EventDisposition": KEPT,
    "WaitsFor": list(WAITED_FOR),
    "ReplayDisposition": _of(ReplayOut().fields["disposition"]),
    "Source": list(Source),
    "Discrepancy": _of(ListQuery().fields["discrepancy"]),
    "Sort": list(SORTS),
    "AccountHealth": list(Health),
    "AccountReason": list(Reason),
    "Bucket": ["hour", "day"],
    "Flag": ["true", "false"],
}
_MEMBERS = {"Sort": [f"{name.lstrip('-')}{'_descending' * name.startswith('-')}".upper() for name in SORTS]}
"""Names of the values for generators, where they cannot make good ones of the values."""
_BY_VALUES = {frozenset(map(str, values)): name for name, values in ENUMERATIONS.items()}

COMPONENTS: dict[str, Json] = {
    **{name: {"type": "string", "enum": [str(value) for value in values]} for name, values in ENUMERATIONS.items()},
    "Counts": {
        "type": "object",
        "description": "How many there are of each",
        "additionalProperties": {"type": "integer"},
    },
    "AnyObject": {"type": "object", "description": "Any JSON object", "additionalProperties": {}},
}
for _name, _members in _MEMBERS.items():
    COMPONENTS[_name]["x-enum-varnames"] = _members
_FREE = {"integer": "Counts", None: "AnyObject"}


def with_names(node: Any) -> Any:  # noqa: ANN401 (JSON)
    """Refer to a component wherever a schema in this part of the document is one that has a name."""
    if isinstance(node, list):
        return [with_names(one) for one in node]
    if not isinstance(node, dict):
        return node
    found = _find_name(node)
    if found is None:
        return {name: with_names(inner) for name, inner in _only_value(node).items()}
    said = {name: node[name] for name in ("description", "default") if name in node}
    if "example" in node:
        said["examples"] = [node["example"]]
    reference = {"$ref": f"#/components/schemas/{found}"}
    return said | ({"anyOf": [reference, {"type": "null"}]} if "null" in node["type"] else reference)


def _only_value(node: Json) -> Json:
    """Write an enumeration of one value as what it is."""
    if isinstance(node.get("enum"), list) and len(node["enum"]) == 1:
        return {name: inner for name, inner in node.items() if name != "enum"} | {"const": node["enum"][0]}
    return node


def _find_name(node: Json) -> str | None:
    if isinstance(node.get("enum"), list):
        return _BY_VALUES.get(frozenset(node["enum"]) - {None})
    if node.get("type") != "object" or "properties" in node or "anyOf" in node:
        return None
    values = node.get("additionalProperties", {})
    return _FREE.get(values.get("type")) if values.keys() <= {"type"} else None
