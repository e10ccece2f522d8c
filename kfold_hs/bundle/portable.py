"""Files of a bundle that need no kfold-hs: its graphs (see `graph`) as ONNX or as torch.export.

    onnx/r0-s0-f0.onnx ...    one a model: samples -> <task> (C,)
    onnx/ensemble.onnx        all of them: samples -> <task> (C,), their mean, and
                              <task>.models (n_models, C)
    onnx/r0-s0-f0.frames.onnx ...   its frame branch, where there is one: samples -> log_probs
                              (n_frames, C) of every frame's classes
    pt2/r0-s0-f0.pt2 ...      the same for torch.export.load

What a file's user has to know stands in it, as `metadata_props` or as `metadata.json`.
"""

from __future__ import annotations

import importlib.util
import io
import json
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from kfold_hs.bundle.card import card
from kfold_hs.bundle.format import CARD, Bundle, Member, sha256, write_content
from kfold_hs.bundle.graph import INPUT, FrameGraph, Graph
from kfold_hs.errors import ConfigError
from kfold_hs.files.paths import FoldId, write_bytes, write_text
from kfold_hs.learn.frames.targets import CLASSES

OPSET = 18
"""Of ONNX; what torch's exporter writes without converting."""
PEOPLE = (
    "A graph treats all people alike. For people that its models were trained on, named in "
    "certificate.json, it says too much: ask `kfold-hs predict`, which asks held-out models only."
)
AFTER_FRAMES = (
    "What comes after is not in the graph: the path of the heart cycle through the frames (a "
    "hidden semi-Markov model with these times in the states, kfold_hs.learn.frames.decoding), the "
    "numbers that are made of it (kfold_hs.predictions.cycle), and stacking."
)
ENSEMBLE = "ensemble"
_EXAMPLE_CROPS = 3.4
"""Length of the recording that graphs are traced with, in crops."""


def check_packages(kinds: Sequence[str]) -> None:
    """Refuse to make what a package is missing for.

    Raises
    ------
    ConfigError
        With what to install.
    """
    lacking = [p for p in ("onnx", "onnxscript") if importlib.util.find_spec(p) is None]
    if "onnx" in kinds and lacking:
        raise ConfigError(
            f"--onnx needs the package {' and '.join(lacking)}: pip install 'kfold-hs[onnx]'."
        )


def add_graphs(
    folder: Path,
    summary: Mapping[str, Any],
    kinds: Sequence[str],
    on_progress: Callable[[int, int], None],
) -> dict[str, Any]:
    """Write graphs into a bundle's folder, and name them in bundle.json and in its card.

    Parameters
    ----------
    folder : Path
    summary : mapping
        Of the run.
    kinds : sequence of str
        onnx, pt2.
    on_progress : callable
        Called with (graphs done, graphs in all).

    Returns
    -------
    dict
        The content of bundle.json.
    """
    bundle = Bundle.read(folder)
    features = bundle.config.features
    before = {
        "sample_rate_hz": features.sample_rate_hz,
        "band_pass_hz": features.band_pass_hz,
        "remove_spikes": features.remove_spikes,
    }
    total = len(bundle.members) * (1 + bundle.has_branch) + 1
    files = []
    for done, (name, graph, about) in enumerate(_graphs(bundle, before)):
        on_progress(done, total)
        program = _traced(graph, bundle)
        for kind in kinds:
            raw = WRITERS[kind](program, graph, about)
            path = f"{kind}/{name}.{kind}"
            write_bytes(folder / path, raw)
            files.append({"file": path, "sha256": sha256(raw)})
    content = dict(bundle.content)
    content["graphs"] = {
        "before": before,
        "min_samples": min_samples(bundle),
        "opset": OPSET if "onnx" in kinds else None,
        "files": files,
    }
    write_content(folder, content)
    write_text(folder / CARD, card(content, summary))
    on_progress(total, total)
    return content


def min_samples(bundle: Bundle) -> int:
    """Fewest samples that a graph takes."""
    return bundle.config.features.least_samples


def _name(member: Member) -> str:
    return FoldId(member.repeat, member.seed, member.fold).name


def _graphs(
    bundle: Bundle, before: Mapping[str, Any]
) -> Iterator[tuple[str, Graph | FrameGraph, dict[str, str]]]:
    """Name of a file, its graph, and what it says of itself."""
    cpu = torch.device("cpu")
    groups: dict[str, tuple[Member, ...]] = {_name(each): (each,) for each in bundle.members}
    for name, members in {**groups, ENSEMBLE: bundle.members}.items():
        models = [bundle.model(each, cpu) for each in members]
        own = {
            "classes": {task.name: task.classes for task in bundle.tasks},
            "crop_pool": bundle.config.predict.crop_pool,
            "weights_sha256": [each.sha256 for each in members],
        }
        graph = Graph(bundle.config, bundle.tasks, models).eval()
        yield name, graph, _about(bundle, members, before, own)
    for name, (member,) in groups.items():
        branch, said = bundle.branch(member, cpu), member.frames
        if branch is not None and said is not None:
            own = {
                "classes": CLASSES[: branch.net.last.out_channels],
                "frame_s": said["frame_s"],
                "sojourn": said["sojourn"],
                "weights_sha256": [said["sha256"]],
                "after": AFTER_FRAMES,
            }
            graph_of_frames = FrameGraph(bundle.config, branch).eval()
            yield f"{name}.frames", graph_of_frames, _about(bundle, (member,), before, own)


def _about(
    bundle: Bundle, members: Sequence[Member], before: Mapping[str, Any], own: Mapping[str, Any]
) -> dict[str, str]:
    content = bundle.content
    values = {
        "run": content["run"],
        "sample_rate_hz": before["sample_rate_hz"],
        "before": before,
        "min_samples": min_samples(bundle),
        "models": [_name(each) for each in members],
        "people": PEOPLE,
        "digests": content["digests"],
        "opset": OPSET,
        **own,
    }
    return {k: v if isinstance(v, str) else json.dumps(v) for k, v in values.items()}


def _traced(graph: Graph | FrameGraph, bundle: Bundle) -> torch.export.ExportedProgram:
    config = bundle.config
    frame_s = config.features.frame_s
    assert frame_s is not None  # `check_graph`
    hop_samples = round(frame_s * config.features.sample_rate_hz)
    n = round(_EXAMPLE_CROPS * config.train.crop_frames) * hop_samples
    example = torch.randn(max(n, 2 * min_samples(bundle)))
    length = torch.export.Dim("n_samples", min=min_samples(bundle))
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's of its own parts
        return torch.export.export(graph, (example,), dynamic_shapes={INPUT: {0: length}})


def _onnx(
    program: torch.export.ExportedProgram, graph: Graph | FrameGraph, about: Mapping[str, str]
) -> bytes:
    import onnx

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's of its own parts
        found = torch.onnx.export(
            program, dynamo=True, opset_version=OPSET, verbose=False,
            input_names=[INPUT], output_names=list(graph.names),
        )  # fmt: skip
    assert found is not None
    outputs = set(graph.names)
    for node in found.model.graph:
        for value in node.outputs:
            if value.name in outputs and not value.is_graph_output():
                value.name += " (inner)"  # torch calls it "mean", say, and a task is called that
    proto = found.model_proto
    onnx.helper.set_model_props(proto, dict(about))
    onnx.checker.check_model(proto)
    raw: bytes = proto.SerializeToString()
    return raw


def _pt2(
    program: torch.export.ExportedProgram, graph: Graph | FrameGraph, about: Mapping[str, str]
) -> bytes:
    file = io.BytesIO()
    names = {"outputs": json.dumps(list(graph.names))}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's of its own parts
        extra = {"metadata.json": json.dumps({**about, **names})}
        torch.export.save(program, file, extra_files=extra)
    return file.getvalue()


WRITERS = {"onnx": _onnx, "pt2": _pt2}
