"""Text as people wrote it, freed of what machines did to it."""

import html
import re

_ENTITY = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")
# Control characters that are no whitespace, and the byte order mark.
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\ufeff]")


def clean_text(text: str | None) -> str | None:
    """
    Entities resolved, control characters removed, runs of whitespace one blank; empty is None.

    Repeats until nothing changes, since text is often escaped twice.
    """
    while text is not None:
        resolved = _ENTITY.sub(lambda entity: html.unescape(entity[0]), text)
        cleaned = " ".join(_CONTROL.sub("", resolved).split())
        if cleaned == text:
            break
        text = cleaned
    return text or None


def clean_list(texts: list[str | None] | None) -> list[str]:
    """Cleaned texts, without empty and repeated ones, in the order found."""
    return list(dict.fromkeys(cleaned for text in texts or () if (cleaned := clean_text(text))))
