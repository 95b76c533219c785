"""What stays for good, left out when Python looks for cycles that nobody refers to."""

import gc

from serving.model.slot import ModelSlot, SlotObserver

YOUNG_OBJECTS = 10_000
"""How many more there may be before the collector looks at them: some megabyte."""


class SettledMemory(SlotObserver):
    """
    Tells the collector, once for each model, that what is there now is there to stay.

    Else it looks at all of it every few seconds under load: 300,000 objects, most of them made by
    imports, take it a fifth of a second, in which the worker answers nobody. What the model before
    left behind goes at the same time. Of what is younger it looks at more at a time than Python has
    it: hardly anything of a request is part of a cycle.
    """

    def __init__(self) -> None:
        self._settled: str | None = None

    def looked(self, slot: ModelSlot) -> None:
        model = slot.current
        if model is None or model.label == self._settled:
            return
        self._settled = model.label
        gc.unfreeze()
        gc.collect()
        gc.freeze()
        gc.set_threshold(YOUNG_OBJECTS)
