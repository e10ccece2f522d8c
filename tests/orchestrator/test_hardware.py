"""What the report says of the machine."""

from __future__ import annotations

from pathlib import Path

from kfold_hs.orchestrator.hardware import hardware


def test_the_model_of_the_processor_is_read(tmp_path: Path) -> None:
    info = tmp_path / "cpuinfo"
    info.write_text("processor\t: 0\nmodel name\t: A fine one @ 2 GHz\n\nmodel name\t: other\n")
    found = hardware(info)
    assert found["processor"] == "A fine one @ 2 GHz"
    assert found["cores"] >= 1
    assert found["memory_gib"] > 0
    assert hardware(tmp_path / "none")["processor"]
