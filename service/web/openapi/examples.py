"""Examples made from schemas: from each field's own example, else from what its schema allows."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]

_BY_TYPE: dict[str, Any] = {"integer": 1, "number": 1.5, "boolean": False, "string": "text", "null": None}
_BY_FORMAT = {"date-time": "2025-01-01T15:00:00Z", "date": "2025-01-01"}


def example_of(schema: Json, schemas: Json) -> Any:  # noqa: ANN401 (JSON)
    """Make an example of a schema.

    Args:
        schema: A schema of the document, or a reference to one.
        schemas: The document's component schemas.
    """
    given = [schema[name] for name in ("example", "const", "default") if name in schema]
    given += [*schema.get("examples", ()), *schema.get("enum", ())]
    if given:
        return given[0]
    if "$ref" in schema:
        return example_of(schemas[schema["$ref"].rpartition("/")[2]], schemas)
    for name in ("allOf", "anyOf", "oneOf"):
        if schema.get(name) and "properties" not in schema:
            return example_of(schema[name][0], schemas)
    return _made(schema, schemas)


def _made(schema: Json, schemas: Json) -> Any:  # noqa: ANN401 (JSON)
    kinds = schema.get("type", "object")
    kind = kinds if isinstance(kinds, str) else kinds[0]
    if kind == "object":
        return {name: example_of(inner, schemas) for name, inner in schema.get("properties", {}).items()}
    if kind == "array":
        return [example_of(schema["items"], schemas)] if schema.get("items") else []
    return _BY_FORMAT.get(schema.get("format", ""), schema.get("minimum", _BY_TYPE[kind]))
