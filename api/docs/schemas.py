"""Schemas of msgspec types, with one place for all that are named.

msgspec makes JSON Schema 2020-12, which is what OpenAPI 3.1 and AsyncAPI 3.0 have.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

_REF = "#/components/schemas/{name}"


class Schemas:
    """The schemas of a document's types, made at once so that each name means one thing."""

    def __init__(self, types: Iterable[Any]) -> None:
        given = [one for one in types if one is not None]
        schemas, components = msgspec.json.schema_components(given, ref_template=_REF)
        # By identity: an annotated type is often not hashable.
        self._of = {id(type_): _tidy(it) for type_, it in zip(given, schemas, strict=True)}
        self._given = given  # keeps the identities taken
        self.components: Mapping[str, Any] = {
            _short(name): _tidy(schema) for name, schema in sorted(components.items())
        }

    def of(self, type_: Any) -> Mapping[str, Any]:
        """Return the schema of one of the types, a reference where it is named."""
        schema: Mapping[str, Any] = self._of[id(type_)]
        return schema


def _short(name: str) -> str:
    """Return a name that says nothing of modules: two types that are called the same get their
    family in front."""
    *modules, own = name.split(".")
    return own if len(modules) < 2 else f"{modules[-2].capitalize()}{own}"


def _tidy(schema: Any) -> Any:
    """Return a schema with docstrings cut to their first paragraph, in one line."""
    if isinstance(schema, dict):
        tidied = {name: _tidy(value) for name, value in schema.items()}
        description, ref = tidied.get("description"), tidied.get("$ref")
        if isinstance(ref, str):
            place, _, name = ref.rpartition("/")
            tidied["$ref"] = f"{place}/{_short(name)}"
        if isinstance(description, str):
            tidied["description"] = " ".join(description.partition("\n\n")[0].split())
        return tidied
    return [_tidy(one) for one in schema] if isinstance(schema, list) else schema
