"""Compiles the kernels for GPUs that are not here: TRITON_INTERPRET must not be set.

    python tests/sparse/triton_compile_worker.py 80 90

Prints for each kernel the instruction that multiplies, whether loads are asynchronous, and registers spilt.
"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from pointseg.sparse.backends.triton.kernel_forward import convolve_tiles
from pointseg.sparse.backends.triton.kernel_weight import sum_chunks, weight_gradient_chunks
from pointseg.sparse.backends.triton.tuning import forward_tiles, weight_tiles

FLAGS = ("HAS_SECOND", "HAS_BIAS", "HAS_RESIDUAL", "RELU", "REVERSED")
TYPES = {"partial_ptr": "*fp32"}
INDICES = {"begins_ptr": "*i64", "ends_ptr": "*i64"} | {
    f"{name}_ptr": "*i32" for name in ("table", "rows", "taps", "counts", "source", "target", "first_chunk")
}
#: Not known to be multiples of 16 at run time.
ODD = {"num_rows", "num_taps", "num_elements"}


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


def convolution(dtype, precision, tile, architecture, *, pad=0, even=True, back=False, flags=()):
    constants = dict.fromkeys(FLAGS, False) | dict.fromkeys(flags, True)
    constants |= {"PAD": pad, "EVEN_K": even, "WIDEN": False, "PRECISION": precision}
    constants |= {"BLOCK_M": tile.m, "BLOCK_N": tile.n, "BLOCK_K": tile.k}
    constants["weight_in_stride" if back else "weight_out_stride"] = 1
    return compile_kernel(convolve_tiles, dtype, tile, architecture, constants)


def weight_gradient(dtype, precision, tile, architecture):
    constants = {"WIDEN": False, "PRECISION": precision, "BLOCK_P": tile.k}
    constants |= {"BLOCK_I": tile.m, "BLOCK_O": tile.n}
    return compile_kernel(weight_gradient_chunks, dtype, tile, architecture, constants)


def spilt_bytes(compiled):
    """Bytes of stack, which is where registers go that do not fit."""
    tools = Path(triton.__file__).parent / "backends" / "nvidia" / "bin"
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(compiled.asm["cubin"])
        file.flush()
        command = [tools / "cuobjdump", "--dump-resource-usage", file.name]
        text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return int(re.search(r"STACK:(\d+)", text)[1])


def report(name, compiled):
    ptx = compiled.asm["ptx"]
    product = next((word for word in ("wgmma", "mma.sync", "fma") if word in ptx), "none")
    loads = "async" if "cp.async" in ptx else "sync"
    print(f"{name}: {product} {loads} spilt={spilt_bytes(compiled)} shared={compiled.metadata.shared}")


def main(architectures):
    for arch in architectures:
        for kind, dtype, precision in (
            ("bf16", "bf16", "ieee"),
            ("fp16", "fp16", "ieee"),
            ("tf32", "fp32", "tf32"),
            ("exact", "fp32", "ieee"),
        ):
            itemsize = 4 if dtype == "fp32" else 2
            forward, weight = (f(96, 96, itemsize)[0] for f in (forward_tiles, weight_tiles))
            report(f"sm_{arch} {kind} forward", convolution(dtype, precision, forward, arch))
            report(f"sm_{arch} {kind} weight", weight_gradient(dtype, precision, weight, arch))
        tile, stem = forward_tiles(96, 96, 2)[0], forward_tiles(32, 32, 2)[0]
        back = convolution("bf16", "ieee", tile, arch, back=True, flags=["REVERSED"])
        report(f"sm_{arch} bf16 back", back)
        every = [flag for flag in FLAGS if flag != "REVERSED"]
        report(f"sm_{arch} bf16 all", convolution("bf16", "ieee", tile, arch, even=False, flags=every))
        report(f"sm_{arch} bf16 stem", convolution("bf16", "ieee", stem, arch, pad=4))
        report(f"sm_{arch} sum", compile_kernel(sum_chunks, "bf16", tile, arch, {"BLOCK": 1024}))


if __name__ == "__main__":
    main([int(word) for word in sys.argv[1:]])
