"""A pretend CUDA device for the CPU build of torch: what mixes devices, waits or races on a GPU does so here.

``install()`` comes before anything else imports torch. Afterwards ``torch.device("cuda")`` names a device
whose tensors are :class:`CudaTensor`: a wrapper that says it lies on ``cuda:N`` around a tensor of the CPU
that has the numbers. Every operation goes through ``operations.dispatch``, which

- refuses tensors of different devices, as CUDA does (numbers of zero dimensions excepted where CUDA excepts
  them), generators of another device, ``numpy()`` of a CUDA tensor and pinning of one;
- counts where the host would wait (``MACHINE.waits``, by kind, place and thread);
- follows vector clocks of streams, events and host threads, and notes (``MACHINE.findings``) what is read
  before it is made, written while it is read, or freed while another stream still uses it;
- lists every operation and type that ran (``MACHINE.operations``).

Faithful: dispatch keys (autocast of CUDA, autograd of CUDA, the backward pass in a thread of the device),
pinned memory, generators, device indices, streams. Not seen: kernels of CUDA themselves (speed, precision,
types they lack, order of sums), cuDNN, allocator, NCCL, SyncBatchNorm, asynchronous errors; ``module.to``
makes new parameters instead of changing the old ones in place.

Needs the library made of guard.cpp, named by ``PRETEND_CUDA_LIB``; ``test_on_a_pretend_gpu.py`` makes it.
"""

# ruff: noqa: E402

import sys

assert "torch" not in sys.modules, "the pretend device has to be imported before torch"

# First of all the guard: torch asks for it when it is loaded.
from pretend.machine import MACHINE

# A dispatch mode loads it, and it must find torch.cuda as it was made.
import torch._dynamo  # noqa: F401  # isort: skip

from pretend.cuda import install, report
from pretend.engines import pretend_triton, quick_reference_engine
from pretend.tensor import CudaTensor

__all__ = ["MACHINE", "CudaTensor", "install", "pretend_triton", "quick_reference_engine", "report"]
