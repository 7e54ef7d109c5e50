"""The metrics page: text exposition of a registry."""

from __future__ import annotations

from athanor.model.metrics import Family, Labels, Registry
from athanor.serve.values import format_float

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8; escaping=underscores"
_HELP = str.maketrans({"\\": "\\\\", "\n": "\\n"})
_VALUE = str.maketrans({"\\": "\\\\", "\n": "\\n", '"': '\\"'})


def _labels(labels: Labels) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{name}="{value.translate(_VALUE)}"' for name, value in labels) + "}"


def _family(family: Family) -> str:
    lines = [
        f"# HELP {family.name} {family.help.translate(_HELP)}\n",
        f"# TYPE {family.name} {family.kind}\n",
    ]
    lines += [f"{family.name}{suffix}{_labels(labels)} {format_float(v)}\n" for suffix, labels, v in family.samples]
    return "".join(lines)


def exposition(registry: Registry) -> bytes:
    """The page, families sorted by name, labels in the order of their family."""
    return "".join(_family(family) for family in registry.families()).encode()
