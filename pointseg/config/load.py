"""load_config: files, methods and overrides, laid over one another and validated."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import combinations, product
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from pointseg.config.explain import explain
from pointseg.config.layers import Layer, compose, merge, overrides_layer
from pointseg.config.model import ConfigError
from pointseg.config.shipped import find, find_base, method_name, shown
from pointseg.config.yaml_file import read_mapping

#: Key of a method file that is no part of an experiment: values worth trying, by dotted key.
SEARCH = "search"

M = TypeVar("M", bound=BaseModel)
Words = Path | str | Sequence[Path | str]


def load_config(
    model: type[M],
    recipes: Words | None,
    overrides: Sequence[str] = (),
    *,
    methods: Words = (),
    data: Mapping[str, Any] | None = None,
    source: str = "config",
) -> M:
    """Lay recipes, methods and `key.sub=value` overrides over one another, in this order, and validate.

    Args:
        model: the pydantic model to build.
        recipes: YAML files or names of shipped recipes, the first at the bottom; None to start from ``data``.
        overrides: dotted assignments; values are YAML (``optimizer.lr=0.1``, ``augment=[]``).
        methods: YAML files or names of shipped methods.
        data: a mapping to start from.
        source: where it comes from, for messages.

    Raises:
        ConfigError: with the file, the key, and the nearest known key where one is misspelt.
    """
    layers = [] if data is None else [Layer(source, data)]
    for recipe in _several(recipes or ()):
        layers += [_to_be_laid(layer) for layer in read_layers(find(recipe, "recipe"))]
    chosen = [_read_method(find(method, "method")) for method in _several(methods)]
    _check_that_they_go_together(chosen)
    layers += chosen
    if overrides:
        layers.append(overrides_layer(overrides, model))
    merged = compose(layers, model)
    try:
        return model.model_validate(merged)
    except ValidationError as error:
        raise ConfigError(explain(model, error, merged, layers)) from None


def _several(words: Words) -> Sequence[Path | str]:
    return [words] if isinstance(words, Path | str) else words


def read_layers(path: Path, _seen: tuple[Path, ...] = ()) -> list[Layer]:
    """A file and what its `base:` names, the lowest first.

    A base is a path from the folder of the file, or the name of a shipped recipe or method.
    """
    if path.resolve() in _seen:
        raise ConfigError(
            f"{path}: base files form a circle: {' -> '.join(p.name for p in (*_seen, path.resolve()))}."
        )
    data = read_mapping(path)
    bases = data.pop("base", None) or []
    names = [bases] if isinstance(bases, str) else bases
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ConfigError(f"{path}: base: expected a file, or a list of files; got {bases!r}.")
    layers: list[Layer] = []
    for name in names:
        try:
            base = find_base(name, path.parent)
        except ConfigError as error:
            raise ConfigError(f"{path}: base: {error}") from None
        layers += read_layers(base, (*_seen, path.resolve()))
    name = method_name(path)
    layers.append(Layer(shown(path), data, name))
    return layers if name is None else [_joined(layers, path, name)]


def _read_method(path: Path) -> Layer:
    return _to_be_laid(_joined(read_layers(path), path, method_name(path) or path.stem))


def _to_be_laid(layer: Layer) -> Layer:
    """A layer without what a method file says to the search of a study; a recipe has no such key."""
    if layer.method is None:
        return layer
    return replace(layer, data={key: value for key, value in layer.data.items() if key != SEARCH})


def search_space(method: Path | str) -> dict[str, list[Any]]:
    """Values worth trying that a method file names, by dotted key.

    Raises:
        ConfigError: if there is no such method, or its ``search`` is no mapping of keys to lists.
    """
    path = find(method, "method")
    space = _joined(read_layers(path), path, path.stem).data.get(SEARCH, {})
    if not isinstance(space, dict) or not all(isinstance(v, list) and v for v in space.values()):
        raise ConfigError(
            f"{shown(path)}: {SEARCH}: expected dotted keys with lists of values, such as "
            f"{{losses.main.t: [0.1, 1]}}; got {space!r}."
        )
    return space


def _joined(layers: Sequence[Layer], path: Path, name: str) -> Layer:
    """The layers of one method as one: among them, later ones win."""
    data: dict[str, Any] = {}
    for layer in layers:
        data = merge(data, layer.data)
    return Layer(shown(path), data, name)


def _check_that_they_go_together(methods: Sequence[Layer]) -> None:
    """Two methods that want different values of one setting would silently undo one another.

    Raises:
        ConfigError: with the methods and the setting.
    """
    for first, second in combinations(methods, 2):
        pairs = product(_settings(first.data), _settings(second.data))
        for (one, value), (other, rival) in pairs:
            # A value and a mapping in one place are rivals too: `log` and `{power: -1}`.
            nested = one.startswith(f"{other}.") or other.startswith(f"{one}.")
            if nested or (one == other and value != rival and one != "name"):
                raise ConfigError(
                    f"methods {first.method} and {second.method} do not go together: {first.method} sets "
                    f"{one} to {value!r}, {second.method} {'' if one == other else other + ' '}to {rival!r}. "
                    "Choose one of them, or write a method of your own with "
                    f"base: [{first.method}, {second.method}]: the later wins."
                )


def _settings(node: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in node.items():
        if isinstance(value, Mapping):
            yield from _settings(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def changed(config: M, **updates: Any) -> M:
    """The configuration with other values of some fields, validated as a whole; ``model_copy`` is not.

    Raises:
        ConfigError: where the values do not fit together.
    """
    values = {**dict(config), **updates}
    try:
        return type(config).model_validate(values)
    except ValidationError as error:
        raise ConfigError(explain(type(config), error, values, [Layer("config", values)])) from None


def dump_config(config: BaseModel) -> str:
    """The resolved configuration as YAML; loading it gives an equal model."""
    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
