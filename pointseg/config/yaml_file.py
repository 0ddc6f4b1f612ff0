"""YAML as people write it: UTF-8 with or without a byte-order mark, and no key given twice."""

from __future__ import annotations

import codecs
import copy
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from pointseg.config.model import ConfigError

#: Byte-order marks of other encodings. All text files of pointseg are UTF-8, these like the tables and lists.
_FOREIGN_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, codecs.BOM_UTF32_BE)


class _DoubledKeyError(yaml.YAMLError):
    def __init__(self, key: str, line: int, first_line: int) -> None:
        super().__init__(f"key {key!r} is given twice, first in line {first_line}; keep one of the two")
        self.line = line


class _StrictLoader(yaml.SafeLoader):
    """Plain data only, as in SafeLoader; a key that comes twice is an error, where there the last wins."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        lines: dict[Any, int] = {}
        # Before merge keys (<<) are unfolded: an own key may well repeat one of those.
        for key_node, _ in node.value:
            if not isinstance(key_node, yaml.ScalarNode) or key_node.tag == "tag:yaml.org,2002:merge":
                continue
            key, line = self.construct_object(key_node), key_node.start_mark.line + 1
            if key in lines:
                raise _DoubledKeyError(str(key), line, lines[key])
            lines[key] = line
        return super().construct_mapping(node, deep)


def parse(text: str) -> Any:
    """The value of a YAML text.

    Raises:
        yaml.YAMLError: if it is none.
    """
    return copy.deepcopy(_parsed(text))


@lru_cache(maxsize=256)
def _parsed(text: str) -> Any:
    """A study reads the same bases for each of its runs, and to parse is most of what that takes."""
    return yaml.load(text, Loader=_StrictLoader)  # noqa: S506 -- a SafeLoader


def read_mapping(path: Path) -> dict[str, Any]:
    """The mapping that a file holds; an empty file holds an empty one.

    Raises:
        ConfigError: with the file and, where it is known, the line.
        OSError: if it cannot be read.
    """
    content = path.read_bytes()
    if content and not content.strip(b"\0"):
        raise ConfigError(f"{path}: it holds zeros alone, as after a power cut; write it again.")
    if content.startswith(_FOREIGN_MARKS) or b"\0" in content[:4]:
        raise ConfigError(
            f"{path}: expected text in UTF-8; this is UTF-16 or UTF-32, as PowerShell's > writes it. "
            "Save it as UTF-8 (PowerShell: | Out-File -Encoding utf8 FILE)."
        )
    try:
        data = parse(content.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: not text in UTF-8; save it again in this encoding.") from None
    except _DoubledKeyError as error:
        raise ConfigError(f"{path}, line {error.line}: {error}.") from None
    except (yaml.YAMLError, RecursionError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else error
        raise ConfigError(f"{path}: not valid YAML: {reason}") from None
    if data is None:
        return {}
    if not isinstance(data, dict):
        raise ConfigError(f"{path}: expected a mapping at the top level; got {type(data).__name__}.")
    return data
