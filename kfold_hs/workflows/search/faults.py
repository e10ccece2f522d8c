"""Whose fault it is when a trial of a search cannot be finished, decided by type.

ends the search   every other trial would meet it: the trial stays open, the same command goes on
tried again       it may go well the next time: the trial stays open, the others have their turn,
                  and the same command tries it again
all else          the trial's own: it counts as failed
"""

from __future__ import annotations

from kfold_hs.errors import (
    ClusterError,
    DeviceError,
    MemoryFullError,
    StorageError,
    WeightsError,
)

ENDS_THE_SEARCH = (ClusterError, DeviceError, StorageError, WeightsError)
TRIED_AGAIN = (MemoryFullError, MemoryError)


def raise_unless_its_own(error: Exception) -> None:
    """Raise what is no trial's own fault, as one of the types above.

    A fold gives its errors these types (`kfold_hs.orchestrator.worker`); predicting with models
    that are there raises torch's.
    """
    from kfold_hs.orchestrator.worker import is_device_fault, is_memory_full

    if isinstance(error, (*ENDS_THE_SEARCH, *TRIED_AGAIN)):
        raise error
    if is_memory_full(error):
        raise MemoryFullError(f"there was no memory left: {error}") from error
    if is_device_fault(error):
        raise DeviceError(f"the device failed: {error}") from error
