"""Energy that the processor took while an epoch was trained, where Linux lets it be read.

Intel's and AMD's processors count the energy of every package (RAPL; Linux shows it in
/sys/class/powercap as microjoules that wrap round at `max_energy_range_uj`). Since 2020 only the
superuser may read them unless an administrator allows it; virtual machines mostly have none. What
is read is of the whole package: whatever else runs is in it. Graphics cards are not read, and for
what is trained on one nothing is told.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch

POWERCAP = Path("/sys/class/powercap")


def counters(device: torch.device, root: Path = POWERCAP) -> dict[Path, int]:
    """Microjoules by package; empty where they cannot be read, or not all of them.

    Parameters
    ----------
    device : torch.device
        Where training runs: only of the CPU is all of it counted.
    root : Path
        Of the zones.
    """
    if device.type != "cpu":
        return {}
    found = {}
    for zone in sorted(root.glob("intel-rapl:*")):
        try:
            if (zone / "name").read_text(encoding="ascii").startswith("package"):
                found[zone] = int((zone / "energy_uj").read_text(encoding="ascii"))
        except (OSError, ValueError):
            return {}
    return found


def joules_since(before: Mapping[Path, int], after: Mapping[Path, int]) -> dict[str, float]:
    """Joules between two readings as a column of the history; none where either is lacking.

    A counter that fell has wrapped round, once: at 100 W that takes ten minutes and more.
    """
    if not before or set(before) != set(after):
        return {}
    total = 0
    for zone, start in before.items():
        used = after[zone] - start
        if used < 0:
            used += int((zone / "max_energy_range_uj").read_text(encoding="ascii"))
        total += used
    return {"joules": total / 1e6}
