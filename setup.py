"""The one part of the build that pyproject.toml cannot say: a C extension that may fail to build.

Without a compiler the package installs all the same and convolves in plain torch; `pointseg doctor` says so.
"""

from setuptools import Extension, setup

FOLDER = "pointseg/sparse/native"

setup(
    ext_modules=[
        Extension(
            "pointseg.sparse._native",
            sources=[
                f"{FOLDER}/{name}.c" for name in ("module", "maps", "portable", "avx2", "avx512", "amx")
            ],
            depends=[
                f"{FOLDER}/{name}"
                for name in (
                    "kernels.h",
                    "maps.h",
                    "kernels.inc.c",
                    "instruction_set.inc.c",
                    "bfloat16.inc.c",
                )
            ],
            # The instruction sets are chosen inside the files, so that one binary runs on any processor.
            extra_compile_args=["-O3", "-std=gnu11", "-pthread", "-ffp-contract=fast", "-fvisibility=hidden"],
            extra_link_args=["-pthread"],
            optional=True,
        )
    ]
)
