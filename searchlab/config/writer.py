"""Plain values to YAML that `read_text` reads back as the same values (PyYAML alone would leave '1e-4' unquoted)."""

from __future__ import annotations

from typing import Any

import yaml

from searchlab.config.resolution import resolve


class _Dumper(yaml.SafeDumper):
    """YAML 1.2: text that would read as something else is quoted; nothing is written as an alias."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    try:
        is_text = isinstance(resolve(text), str)
    except ValueError:
        is_text = False
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=None if is_text else '"')


_Dumper.add_representer(str, _text)


def to_yaml(content: Any) -> str:
    """`content` (dicts, lists, scalars) as YAML, keys in their order."""
    text: str = yaml.dump(content, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110)
    return text
