"""A page in the browser, and waiting for what it does."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any
from urllib.parse import parse_qs

SIZES = {"desk": (1280, 800), "phone": (390, 844)}
PATIENCE_MS = 60_000

#: A page at an address of a gallery, in a window of a size.
Opener = Callable[..., AbstractContextManager[Any]]


def until(page: Any, condition: str) -> None:
    """Wait until an expression is true; the pages forbid what the browser's driver waits with."""
    for _ in range(PATIENCE_MS // 50):
        try:
            if page.evaluate(condition):
                return
        except Exception as error:
            # A page that renews itself may do so in the middle of the question.
            if "navigation" not in str(error):
                raise
        page.wait_for_timeout(50)
    raise AssertionError(f"never true: {condition}; at {page.url}")


def drawn(page: Any) -> None:
    """Wait until a page of a scene has drawn itself."""
    until(page, "Number(document.body.dataset.drawn) > 1")


def words(page: Any) -> dict[str, str]:
    """What the address of a page says, once it says anything."""
    until(page, "location.hash.length > 1")
    return {name: values[0] for name, values in parse_qs(page.evaluate("location.hash.slice(1)")).items()}
