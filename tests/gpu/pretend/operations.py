"""Every operation on the pretend device: refused as CUDA would, counted, followed, and done on the CPU."""

from __future__ import annotations

import contextlib
import functools

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_unflatten

from pretend.machine import (
    LIB,
    MACHINE,
    current_stream_id,
    finding,
    host_clock,
    host_waits,
    merge,
    place,
    suspicion,
)
from pretend.tensor import CudaTensor

#: Operations whose size or value the host has to know.
_WAITING = {
    "_local_scalar_dense": 1,
    "nonzero": 1,
    "masked_select": 1,
    "unique_consecutive": 1,
    "unique_dim": 1,
    "_unique": 1,
    "_unique2": 1,
    "bincount": 1,
    "equal": 1,
    "is_nonzero": 1,
    "allclose": 1,
    # Checks that lengths are not negative and add up.
    "segment_reduce": 2,
    "histc": 1,
    "multinomial": 1,
    "linalg_eigh": 1,
    "linalg_qr": 1,
    "linalg_inv_ex": 1,
}
#: Operations of TensorIterator that take a number of the host, a tensor of zero dimensions.
_TAKES_SCALARS = {
    "add", "sub", "rsub", "mul", "div", "true_divide", "floor_divide", "remainder", "fmod", "pow", "maximum",
    "minimum", "eq", "ne", "lt", "le", "gt", "ge", "bitwise_and", "bitwise_or", "bitwise_xor", "logical_and",
    "logical_or", "logical_xor", "where", "masked_fill", "fill", "index_put", "_index_put_impl", "copysign",
    "atan2", "addcmul", "addcdiv", "lshift", "rshift", "__lshift__", "__rshift__", "bitwise_left_shift",
    "bitwise_right_shift", "xlogy", "fmax", "fmin", "hypot", "clamp_min", "clamp_max", "clamp", "lerp",
}  # fmt: skip
#: What CUDA refuses under torch.use_deterministic_algorithms, by its documentation.
_WITHOUT_ONE_ORDER = {
    "_adaptive_avg_pool2d_backward", "_adaptive_avg_pool3d_backward", "adaptive_max_pool2d_backward",
    "avg_pool3d_backward", "grid_sampler_2d_backward", "grid_sampler_3d_backward", "histc", "max_unpool2d",
    "max_unpool3d", "nll_loss2d_forward", "put", "put_", "reflection_pad1d_backward",
    "reflection_pad2d_backward", "reflection_pad3d_backward", "upsample_bicubic2d_backward",
    "upsample_bilinear2d_backward", "upsample_linear1d_backward", "upsample_trilinear3d_backward",
}  # fmt: skip
_COPIES = {"_to_copy", "copy_", "_copy_from", "_copy_from_and_resize", "copy"}


def dispatch(func, args, kwargs):
    name = func.overloadpacket.__name__
    flat, spec = tree_flatten((args, kwargs))
    ours = [t for t in flat if isinstance(t, CudaTensor)]
    asked = kwargs.get("device")
    to_cuda = asked is not None and torch.device(asked).type == "cuda"
    if not ours and not to_cuda:
        return func(*args, **kwargs)
    if to_cuda and torch.device(asked).index is None:
        asked = torch.device("cuda", LIB.pretend_get_device())
    if _is_composite(func):
        # In inference mode they come as they were called; on a GPU too they are made of other operations.
        with PretendMode():
            made = func.decompose(*args, **kwargs)
        if made is not NotImplemented:
            return made
    device = _common_device(name, func, flat, args, ours, asked if to_cuda else None)
    _refuse_without_one_order(name, func, args)
    generator = kwargs.get("generator")
    if generator is not None and generator.device.type != "cuda":
        raise RuntimeError(f"Expected a 'cuda' device type for generator but found '{generator.device.type}'")
    with MACHINE.lock:
        dtypes = tuple(dict.fromkeys(str(t.dtype).removeprefix("torch.") for t in ours))
        MACHINE.operations[str(func), dtypes] += 1
    _count_waits(name, func, args, kwargs, ours, flat, device)
    stream = current_stream_id(device)
    where = place() if MACHINE.races else ""
    with MACHINE.lock:
        clock = MACHINE.clock(stream)
        clock[stream] += 1
        merge(clock, host_clock())
    if MACHINE.races:
        _follow(func, args, kwargs, stream, where)
    inner_args, inner_kwargs = tree_unflatten(
        [t.inner if isinstance(t, CudaTensor) else t for t in flat], spec
    )
    inner_kwargs = dict(inner_kwargs)
    if asked is not None:
        inner_kwargs["device"] = torch.device("cpu")
    if inner_kwargs.get("pin_memory"):
        raise RuntimeError("Only dense CPU tensors can be pinned")
    if generator is None:
        out = func(*inner_args, **inner_kwargs)
    else:
        stand_in = torch.Generator()
        stand_in.set_state(generator.get_state())
        inner_kwargs["generator"] = stand_in
        out = func(*inner_args, **inner_kwargs)
        generator.set_state(stand_in.get_state())
    result_device = device
    if asked is not None and not to_cuda:
        result_device = None
    if torch.Tag.inplace_view in func.tags:
        # Shape and strides change in place: those of the wrapper too, without another dispatch.
        with torch._C._DisableTorchDispatch():
            func(*args, **kwargs)
        return args[0]
    by_inner = {id(t.inner): t for t in ours}
    outs, out_spec = tree_flatten(out)
    wrapped = []
    for value in outs:
        if isinstance(value, torch.Tensor) and id(value) in by_inner:
            value = by_inner[id(value)]
        elif isinstance(value, torch.Tensor) and any(value is t for t in flat):
            pass
        elif isinstance(value, torch.Tensor) and result_device is not None:
            # A view of a tensor that is no inference tensor is none, whatever the mode.
            plain_view = _is_view(func) and torch.is_inference_mode_enabled() and not ours[0].is_inference()
            with torch.inference_mode(False) if plain_view else contextlib.nullcontext():
                value = CudaTensor(value, result_device)
            if MACHINE.races and not _is_view(func):
                with MACHINE.lock:
                    record = MACHINE.memory[value.inner.untyped_storage()._cdata]
                    record.written = (stream, MACHINE.clock(stream)[stream], where)
        wrapped.append(value)
    for t in ours:
        if t.inner.shape != t.shape or t.inner.stride() != t.stride():
            suspicion(f"{func} at {place()} changed the shape of an argument, which is not pretended")
    return tree_unflatten(wrapped, out_spec)


@functools.cache
def _is_composite(func):
    return torch._C._dispatch_has_kernel_for_dispatch_key(func.name(), "CompositeImplicitAutograd")


@functools.cache
def _is_view(func):
    return any(a.alias_info is not None and not a.alias_info.is_write for a in func._schema.returns)


def _common_device(name, func, flat, args, ours, asked):
    """The device on which an operation runs.

    Raises:
        RuntimeError: as CUDA would, for tensors of several devices.
    """
    if name in _COPIES:
        return ours[0].device if ours else asked
    if asked is not None and not ours:
        foreign = [t for t in flat if isinstance(t, torch.Tensor)]
        if foreign and not name.startswith("new_") and not name.endswith("_like"):
            suspicion(f"{func} of a CPU tensor onto {asked} at {place()}")
        return asked
    device = ours[0].device
    for t in flat:
        if not isinstance(t, torch.Tensor) or t.device == device:
            continue
        if isinstance(t, CudaTensor):
            _refuse(func, device, t.device)
        plain = name.rstrip("_")
        if name in (
            "index",
            "index_put",
            "index_put_",
            "_index_put_impl_",
            "_unsafe_index",
            "_unsafe_index_put",
        ):
            owner = args[0]
            if not isinstance(owner, CudaTensor):
                raise RuntimeError(
                    "indices should be either on cpu or on the same device as the indexed tensor (cpu) at "
                    f"{place()}"
                )
            if any(t is index for index in args[1] if index is not None):
                host_waits("index tensor of the host", device)
                continue
        if t.dim() == 0 and (plain in _TAKES_SCALARS or plain.startswith("_foreach")):
            continue
        _refuse(func, device, t.device)
    return device


def _refuse(func, one, other):
    raise RuntimeError(
        f"Expected all tensors to be on the same device, but found at least two devices, {one} and {other}! "
        f"({func} at {place()})"
    )


def _refuse_without_one_order(name, func, args):
    if torch.are_deterministic_algorithms_enabled() and (
        name in _WITHOUT_ONE_ORDER or (name == "cumsum" and args[0].is_floating_point())
    ):
        raise RuntimeError(f"{func} does not have a deterministic implementation ({place()})")


def _count_waits(name, func, args, kwargs, ours, flat, device):
    checks = not (name == "segment_reduce" and kwargs.get("unsafe"))
    for _ in range(_WAITING.get(name, 0) if checks else 0):
        host_waits(name, device)
    if name in ("index", "index_put", "index_put_", "_index_put_impl_"):
        mask = any(isinstance(i, torch.Tensor) and i.dtype in (torch.bool, torch.uint8) for i in args[1])
        fills = name != "index" and args[2].numel() == 1
        if mask and not fills:
            host_waits(f"{name} by a mask", device)
    elif name == "repeat_interleave" and kwargs.get("output_size") is None and len(args) < 3:
        host_waits("repeat_interleave", device)
    elif name == "masked_fill" and isinstance(args[-1], CudaTensor):
        pass
    elif name == "_to_copy":
        source = args[0]
        asked = kwargs.get("device")
        if asked is None:
            return
        there = torch.device(asked).type
        if there == "cuda" and not isinstance(source, CudaTensor):
            _host_to_device(source, kwargs.get("non_blocking", False), device)
        elif there == "cpu" and isinstance(source, CudaTensor):
            if kwargs.get("non_blocking"):
                finding(f"non_blocking copy to the host, read before it is there, at {place()}")
            else:
                host_waits("copy to the host", device)
    elif name == "copy_":
        target, source = args[0], args[1]
        asynchronous = kwargs.get("non_blocking", args[2] if len(args) > 2 else False)
        if isinstance(target, CudaTensor) and not isinstance(source, CudaTensor):
            _host_to_device(source, asynchronous, device)
        elif isinstance(source, CudaTensor) and not isinstance(target, CudaTensor):
            host_waits("copy to the host", device)


def _host_to_device(source, asynchronous, device):
    if not asynchronous:
        host_waits("blocking copy to the device", device)
    elif not source.is_pinned() and source.numel():
        suspicion(f"non_blocking copy from memory that is not pinned at {place()}")


def _follow(func, args, kwargs, stream, where):
    """Reads and writes of an operation, against what other streams did to the same memory."""
    schema = func._schema.arguments
    with MACHINE.lock:
        clock = MACHINE.clock(stream)
        now = clock[stream]
        for i, argument in enumerate(schema):
            value = args[i] if i < len(args) else kwargs.get(argument.name)
            writes = argument.alias_info is not None and argument.alias_info.is_write
            values = value if isinstance(value, list | tuple) else [value]
            for t in values:
                if isinstance(t, CudaTensor):
                    touch(t, stream, now, clock, where, writes=writes, looks=not _is_view(func))


def touch(t, stream, now, clock, where, *, writes, looks=True):
    record = MACHINE.memory.get(t.inner.untyped_storage()._cdata)
    if record is None or not (looks or writes):
        return
    if record.written is not None:
        by, when, there = record.written
        if by != stream and clock.get(by, 0) < when:
            finding(f"RACE: {where} on stream {stream} uses what {there} wrote on stream {by}, unordered")
    if writes:
        for by, (when, there) in record.read.items():
            if by != stream and clock.get(by, 0) < when:
                finding(
                    f"RACE: {where} on stream {stream} writes what {there} reads on stream {by}, unordered"
                )
        record.written = (stream, now, where)
    record.read[stream] = (now, where)


class PretendMode(TorchDispatchMode):
    """Catches what has no CUDA tensor among its arguments: factories and copies to the device."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        return dispatch(func, args, kwargs or {})
