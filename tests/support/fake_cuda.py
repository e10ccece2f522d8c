"""A GPU that computes nothing: torch's fake tensors know shapes and devices, and have no values.

What a real GPU refuses is refused here too: an operation on tensors of two devices. What makes the
host wait for a real one is an error or is noted here: reading a value of a tensor (`item`, `bool`,
a mask as an index), and copies that are not asynchronous or not from pinned memory.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

import kfold_hs
from kfold_hs.learn.device import device_kind

CUDA = torch.device("cuda", 0)
_PACKAGE = Path(kfold_hs.__file__).parent


@dataclass
class FakeGpu:
    """What was seen of it.

    Parameters
    ----------
    copies : list of str
        From one device to the other, as "module:function device -> device".
    waits : list of str
        Those for which the host would wait.
    pinned : list of Tensor
        What lies in memory that a GPU copies from, and to, while the host goes on.
    """

    mode: FakeTensorMode = field(default_factory=FakeTensorMode)
    copies: list[str] = field(default_factory=list)
    waits: list[str] = field(default_factory=list)
    pinned: list[torch.Tensor] = field(default_factory=list)

    def fake(self, value: Any) -> Any:
        """In place of a tensor one of its shape and device, without values."""
        if isinstance(value, torch.Tensor) and not isinstance(value, FakeTensor):
            return self.mode.from_tensor(value)
        return value

    def note(self, source: torch.device, target: torch.device, waits: bool) -> None:
        ours = [e for e in traceback.extract_stack() if Path(e.filename).is_relative_to(_PACKAGE)]
        where = f"{Path(ours[-1].filename).stem}:{ours[-1].name}" if ours else "?"
        told = f"{where} {source.type} -> {target.type}"
        self.copies.append(told)
        if waits:
            self.waits.append(told)


class _Watch(TorchDispatchMode):
    """Sees every operation before the fake tensors do."""

    def __init__(self, gpu: FakeGpu) -> None:
        super().__init__()
        self._gpu = gpu

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        args, kwargs = tree_map(self._gpu.fake, (args, kwargs or {}))
        if str(func) == "aten._fused_adamw_.tensor_lr":  # torch has no fake one
            tensors = [each for each in tree_leaves((args, kwargs)) if torch.is_tensor(each)]
            assert {each.device for each in tensors} == {CUDA}
            return None
        out = func(*args, **kwargs)
        if kwargs.get("pin_memory"):
            self._gpu.pinned.append(out)
        if func.name() in ("aten::_to_copy", "aten::copy_"):
            into_place = func.name() == "aten::copy_"
            source, target = (args[1], args[0]) if into_place else (args[0], out)
            if source.device.type != target.device.type:
                non_blocking = kwargs.get("non_blocking", len(args) > 2 and args[2])
                on_host = source if source.device.type == "cpu" else target
                is_pinned = any(_share_memory(on_host, each) for each in self._gpu.pinned)
                self._gpu.note(source.device, target.device, not (non_blocking and is_pinned))
        return out


def _share_memory(one: torch.Tensor, other: torch.Tensor) -> bool:
    return one.untyped_storage()._cdata == other.untyped_storage()._cdata


@contextmanager
def fake_cuda(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeGpu]:
    """Inside, `CUDA` is a device, and new tensors are fake wherever they are."""
    gpu = FakeGpu()

    def pin(tensor: torch.Tensor) -> torch.Tensor:
        gpu.pinned.append(tensor.clone())
        return gpu.pinned[-1]

    with monkeypatch.context() as patch:
        patch.setattr(nn.Module, "_apply", _apply)
        patch.setattr(torch.Tensor, "backward", _backward)
        patch.setattr(torch.Tensor, "pin_memory", pin)
        patch.setattr(torch.Tensor, "__deepcopy__", _deepcopy)
        patch.setattr(torch.cuda.amp.common, "amp_definitely_not_available", lambda: False)
        patch.setattr(torch.cuda, "is_bf16_supported", lambda **_: True)
        patch.setattr(torch.cuda, "device", lambda _: nullcontext())
        patch.setattr(torch.cuda, "mem_get_info", lambda _: (2**37, 2**37))
        device_kind.cache_clear()
        with gpu.mode, _Watch(gpu):
            yield gpu
        device_kind.cache_clear()


def _apply(module: nn.Module, change: Callable[[Any], Any], recurse: bool = True) -> nn.Module:
    """As torch's own, which wants to swap a parameter's inside: not possible with fake ones."""
    for child in module.children():
        _apply(child, change)
    for name, parameter in module._parameters.items():
        if parameter is not None:
            with torch.no_grad():
                changed = nn.Parameter(change(parameter), parameter.requires_grad)
            module._parameters[name] = changed
    for name, buffer in module._buffers.items():
        if buffer is not None:
            module._buffers[name] = change(buffer)
    return module


def _deepcopy(tensor: torch.Tensor, memo: dict[int, Any]) -> torch.Tensor:
    """As torch's own, which would copy the mode that makes a tensor fake, too."""
    copy = tensor.detach().clone()
    if isinstance(tensor, nn.Parameter):
        copy = nn.Parameter(copy, tensor.requires_grad)
    memo[id(tensor)] = copy
    return copy


def _backward(loss: torch.Tensor) -> None:
    """A gradient for each leaf that the loss depends on; torch's engine wants a real device."""
    assert loss.grad_fn is not None
    seen, waiting = set(), [loss.grad_fn]
    while waiting:
        node = waiting.pop()
        if node in seen:
            continue
        seen.add(node)
        if (leaf := getattr(node, "variable", None)) is not None:
            with torch.no_grad():
                added = torch.ones_like(leaf)
                leaf.grad = added if leaf.grad is None else leaf.grad + added
        waiting.extend(each for each, _ in node.next_functions if each is not None)
