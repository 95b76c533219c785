"""What the service keeps in Redis, by name; no other module makes keys."""

from functools import lru_cache
from hashlib import sha256
from urllib.parse import quote

_PLACE = 12
"""Characters that say where the sessions of an account lie, all in one place of a cluster."""


def cache_key(model: str, version: str, kind: str, name: str = "") -> str:
    """
    The key of everything kept for one model version.

    The parts are percent-encoded, so no id, however written, reaches another key.

    Args:
        model: The registered model's name.
        version: `LoadedModel.label`, so that a promotion leaves old entries behind.
        kind: What is kept: `top-<length>` (readers' lists), `warm-up` or `warm-up-lock`.
        name: Which of its kind, such as a reader's id.
    """
    # What is in braces decides where in a cluster a key lies: all of one reader's in one place.
    placed = f"{{{_quoted(name)}}}" if name else ""
    return f"bookrec:{_quoted(model)}:v{version}:{kind}:{placed}"


@lru_cache(1024)
def _quoted(part: str) -> str:
    # Ids that are not valid Unicode have bytes of their own too, rather than an error.
    return quote(part, safe="", errors="surrogatepass")


def list_key(model: str, version: str, length: int, user_id: str, heard: bytes = b"") -> str:
    """
    The key of a reader's list.

    Under its length, so that a changed setting counts at once; and under what was heard of the
    reader since the model learnt, so that a list never outlives the taste it was made for.
    """
    taste = f"-{sha256(heard).hexdigest()[:16]}" if heard else ""
    return cache_key(model, version, f"top-{length}{taste}", user_id)


def reader_pattern(model: str, user_id: str) -> str:
    """What `SCAN` has to match to find all lists of a reader, whatever version made them."""
    # Encoding has left no sign in the parts that a pattern gives a meaning to.
    return cache_key(model, "*", "top-*", user_id)


def lists_pattern(model: str, version: str = "*") -> str:
    """What `SCAN` has to match to find the lists of all readers, by one version or by any."""
    return f"bookrec:{_quoted(model)}:v{version}:top-*"


def recent_key(model: str, user_id: str) -> str:
    """The key of what a reader did lately, which the model in service may not have seen."""
    return cache_key(model, "", "recent", user_id)


def session_of(name: str, own: str) -> str:
    """A session's id: where all sessions of the account lie in a cluster, and its own part."""
    return _place(name) + own


def session_key(session: str) -> str:
    """The key of a login that can be continued, and ended; `session` as `session_of` made it."""
    place, own = session[:_PLACE], session[_PLACE:]
    return f"bookrec:session:{{{quote(place, safe='')}}}:{quote(own, safe='')}"


def sessions_key(name: str) -> str:
    """The key under which the sessions of an account are listed."""
    own = quote(name, safe="", errors="surrogatepass")
    return f"bookrec:sessions:{{{_place(name)}}}:{own}"


def _place(name: str) -> str:
    return sha256(name.encode(errors="surrogatepass")).hexdigest()[:_PLACE]


def browsing_key(name: str) -> str:
    """The key of what a visitor without an account has looked at."""
    return f"bookrec:browsing:{quote(name, safe='')}"


def browsing_pattern() -> str:
    """What `SCAN` has to match to find what all such visitors have looked at."""
    return "bookrec:browsing:*"


def champion_channel(model: str) -> str:
    """The channel on which a new champion is announced."""
    return f"bookrec:{quote(model, safe='')}:champion"
