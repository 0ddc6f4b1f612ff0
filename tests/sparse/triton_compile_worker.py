"""Compiles the kernels for GPUs that are not here: TRITON_INTERPRET must not be set.

    python tests/sparse/triton_compile_worker.py 80 90 120

Prints for each kernel the instruction that multiplies, whether loads are asynchronous, the number of buffers
that the loads of a loop go round, and registers spilt.
"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from pointseg.sparse.backends.triton.kernel_forward import convolve_tiles, sum_splits
from pointseg.sparse.backends.triton.kernel_weight import sum_parts, weight_gradient_parts
from pointseg.sparse.backends.triton.tuning import Tile, forward_tiles, weight_tiles

FLAGS = ("HAS_SECOND", "HAS_BIAS", "HAS_RESIDUAL", "RELU", "REVERSED")
TYPES = {"partial_ptr": "*fp32"}
INDICES = {f"{name}_ptr": "*i32" for name in ("table", "rows", "taps", "tiles", "counts")}
#: Not known to be multiples of 16 at run time.
ODD = {"num_rows", "num_tiles", "num_parts", "num_lanes", "num_taps", "num_elements"}


def compile_kernel(kernel, dtype, tile, architecture, constants):
    """The compiled kernel for 16-bit aligned tensors, as Triton would specialise it."""
    signature, aligned = {}, {}
    for place, name in enumerate(kernel.arg_names):
        if name in constants:
            signature[name] = "constexpr"
            continue
        pointer = name.endswith("_ptr")
        signature[name] = (TYPES | INDICES).get(name, f"*{dtype}" if pointer else "i32")
        if name not in ODD:
            aligned[(place,)] = [["tt.divisibility", 16]]
    return triton.compile(
        ASTSource(kernel, signature=signature, constexprs=constants, attrs=aligned),
        target=GPUTarget("cuda", architecture, 32),
        options={"num_warps": tile.warps, "num_stages": tile.stages, "enable_fp_fusion": True},
    )


def convolution(
    dtype, precision, tile, architecture, *, pad=0, even=True, back=False, flags=(), steps=2, splits=1
):
    constants = dict.fromkeys(FLAGS, False) | dict.fromkeys(flags, True)
    constants |= {"PAD": pad, "EVEN_K": even, "WIDEN": False, "PRECISION": precision}
    constants |= {"K_STEPS": steps, "SECOND_K_STEPS": 1, "GROUP": tile.group, "SPLITS": splits}
    constants |= {"BLOCK_M": tile.m, "BLOCK_N": tile.n, "BLOCK_K": tile.k}
    constants["weight_in_stride" if back else "weight_out_stride"] = 1
    return compile_kernel(convolve_tiles, dtype, tile, architecture, constants)


def weight_gradient(dtype, precision, tile, architecture):
    constants = {"WIDEN": False, "PRECISION": precision, "BLOCK_P": tile.k}
    constants |= {"BLOCK_I": tile.m, "BLOCK_O": tile.n}
    return compile_kernel(weight_gradient_parts, dtype, tile, architecture, constants)


def spilt_bytes(compiled):
    """Bytes of stack, which is where registers go that do not fit."""
    tools = Path(triton.__file__).parent / "backends" / "nvidia" / "bin"
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(compiled.asm["cubin"])
        file.flush()
        command = [tools / "cuobjdump", "--dump-resource-usage", file.name]
        text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return int(re.search(r"STACK:(\d+)", text)[1])


def buffers(compiled):
    """How many tiles of features the shared memory holds in the pipelined loop; 1 where nothing is ahead.

    Each operand of the product has a buffer of its own with the number of stages as first dimension.
    """
    rings = re.findall(r"local_alloc\b.*?memdesc<(\d+)x\d+x\d+x", compiled.asm["ttgir"])
    return min((int(ring) for ring in rings), default=1)


def report(name, compiled):
    ptx = compiled.asm["ptx"]
    product = next((word for word in ("wgmma", "mma.sync", "fma") if word in ptx), "none")
    loads = "async" if "cp.async" in ptx else "sync"
    numbers = f"buffers={buffers(compiled)} spilt={spilt_bytes(compiled)} shared={compiled.metadata.shared}"
    print(f"{name}: {product} {loads} {numbers}")


#: Name, type and precision of the products.
KINDS = (
    ("bf16", "bf16", "ieee"),
    ("fp16", "fp16", "ieee"),
    ("tf32", "fp32", "tf32"),
    ("exact", "fp32", "ieee"),
)


def main(architectures):
    for arch in architectures:
        # One second for four kernels: what differs between types is told by the first two.
        for kind, dtype, precision in KINDS if arch < 100 else KINDS[:1]:
            itemsize = 4 if dtype == "fp32" else 2
            forward, weight = (f(96, 96, itemsize)[0] for f in (forward_tiles, weight_tiles))
            report(f"sm_{arch} {kind} forward", convolution(dtype, precision, forward, arch))
            report(f"sm_{arch} {kind} weight", weight_gradient(dtype, precision, weight, arch))
        tile, stem = forward_tiles(96, 96, 2)[0], forward_tiles(32, 32, 2)[0]
        back = convolution("bf16", "ieee", tile, arch, back=True, flags=["REVERSED"])
        report(f"sm_{arch} bf16 back", back)
        every = [flag for flag in FLAGS if flag != "REVERSED"]
        report(f"sm_{arch} bf16 all", convolution("bf16", "ieee", tile, arch, even=False, flags=every))
        report(f"sm_{arch} bf16 split", convolution("bf16", "ieee", tile, arch, splits=4))
        report(f"sm_{arch} bf16 stem", convolution("bf16", "ieee", stem, arch, pad=4))
        for stages in (4, 5):
            longer = Tile(64, 64, 32, 4, stages)
            report(f"sm_{arch} staged{stages} forward", convolution("bf16", "ieee", longer, arch))
            report(f"sm_{arch} staged{stages} weight", weight_gradient("bf16", "ieee", longer, arch))
        report(f"sm_{arch} sum", compile_kernel(sum_parts, "bf16", tile, arch, {"BLOCK": 1024}))
        parts = {"HAS_BIAS": True, "HAS_RESIDUAL": True, "RELU": True}
        parts |= {"SPLITS": 8, "BLOCK_M": 16, "BLOCK_N": 128}
        report(f"sm_{arch} sum of splits", compile_kernel(sum_splits, "bf16", tile, arch, parts))


if __name__ == "__main__":
    main([int(word) for word in sys.argv[1:]])
