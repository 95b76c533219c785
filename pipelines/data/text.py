"""Text as people wrote it, freed of what machines did to it."""

import html
import re
from collections.abc import Callable, Mapping

import ftfy
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.data.quarantine import Mask

Repair = Callable[[str], str]
"""Gives the text back unchanged where there is nothing to repair."""
Repairs = Mapping[str, Repair]
"""By the name of the rule, in the order in which they are tried."""

_ENTITY = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")
# Control characters that are no whitespace, and the byte order mark.
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\ufeff]")
# The second byte of a letter in UTF-8, read as Latin-1 or as Windows-1252.
_TAIL = f"[\u0080-\u00bf{bytes(range(0x80, 0xA0)).decode('cp1252', 'ignore')}]"
_TWICE_ENCODED = re.compile(f"[\u00c2-\u00f4]{_TAIL}|Ã\\?Â")
# "ErzÃ?Â¤hlung": encoded three times, and a control character between has become "?".
_LOST_CONTROL = re.compile(f"Ã\\?(?=Â{_TAIL})")
_UNICODE_BLANKS = r"\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000}"
_SUSPECT = (
    rf"^$|&|^ | $|  |[\x00-\x1f\x7f-\x{{a0}}\x{{feff}}{_UNICODE_BLANKS}]"
    r"|[\x{c2}-\x{f4}][^\x00-\x7f]|Ã\?Â"
)


def _without_entities(text: str) -> str:
    return _ENTITY.sub(lambda entity: html.unescape(entity[0]), text)


def _decoded(text: str) -> str:
    if not _TWICE_ENCODED.search(text):  # ftfy is slow
        return text
    return ftfy.fix_encoding(_LOST_CONTROL.sub("Ã\x83", text))


def _without_controls(text: str) -> str:
    return _CONTROL.sub("", text)


def _with_single_blanks(text: str) -> str:
    return " ".join(text.split())


TEXT: Repairs = {
    "html_entity": _without_entities,
    "twice_encoded": _decoded,
    "control_character": _without_controls,
    "whitespace": _with_single_blanks,
}


def repaired(text: str, repairs: Repairs = TEXT) -> tuple[str, frozenset[str]]:
    """
    The text after all repairs, and the rules that changed it.

    Repeats until nothing changes, since text is often escaped or encoded twice.
    """
    found, rules, before = text, set(), None
    while text != before:
        before = text
        for rule, repair in repairs.items():
            changed = repair(text)
            if changed != text:
                rules.add(rule)
            text = changed
    return text, frozenset(rules if text != found else ())


def clean_text(text: str | None) -> str | None:
    """Entities resolved, encoding and controls repaired, single blanks; empty is None."""
    return repaired(text)[0] or None if text else None


def suspect(texts: pa.Array) -> Mask:
    """Which texts `clean_text` may change; all that it does change are among them."""
    return np.asarray(pc.fill_null(pc.match_substring_regex(texts, _SUSPECT), False), bool)
