"""All peers that this environment can import."""

import importlib.util

from benchmarks.peers.base import Peer


def models() -> dict[str, type[Peer]]:
    """By the name shown in tables; without LensKit outside its own environment."""
    from benchmarks.peers import implicit_models

    if importlib.util.find_spec("lenskit") is None:
        return implicit_models.MODELS
    from benchmarks.peers import lenskit_models

    return lenskit_models.MODELS | implicit_models.MODELS
