"""Edit the source of MinkowskiEngine 0.5.4 so that it compiles with CUDA 12 and 13.

    python scripts/patch_minkowski.py FOLDER

FOLDER is the unpacked source distribution. Nothing is written unless every text to be edited is found as
often as expected. The build for CPUs needs none of this.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Edit:
    """Replace ``old`` by ``new`` in a file below src/, wherever it occurs, ``times`` times."""

    path: str
    why: str
    old: str
    new: str
    times: int = 1


_HASH_MAP = "3rdparty/concurrent_unordered_map.cuh"
_PREFETCH = """#include <thrust/execution_policy.h>

// CUDA 13 takes a location where older releases took the number of a device.
static inline cudaError_t prefetch_to_device(
  void const* memory, size_t bytes, int device, cudaStream_t stream)
{
#if CUDART_VERSION >= 13000
  cudaMemLocation place{};
  place.type = cudaMemLocationTypeDevice;
  place.id   = device;
  return cudaMemPrefetchAsync(memory, bytes, place, 0, stream);
#else
  return cudaMemPrefetchAsync(memory, bytes, device, stream);
#endif
}
"""

EDITS = (
    Edit(
        "coordinate_map_functors.cuh",
        "thrust::unary_function is gone",
        "struct find_coordinate\n"
        "    : public thrust::unary_function<uint32_t,\n"
        "                                    thrust::pair<uint32_t, uint32_t>> {",
        "struct find_coordinate {",
    ),
    Edit(
        "3rdparty/cudf/detail/nvtx/ranges.hpp",
        "the bundled NVTX wrapper does not compile; ranges only mark profiles",
        '#include "nvtx3.hpp"\n',
        "",
    ),
    Edit(
        "3rdparty/cudf/detail/nvtx/ranges.hpp",
        "as above",
        "using thread_range = ::nvtx3::domain_thread_range<libcudf_domain>;\n",
        "",
    ),
    Edit(
        "3rdparty/cudf/detail/nvtx/ranges.hpp",
        "as above",
        "#define CUDF_FUNC_RANGE() NVTX3_FUNC_RANGE_IN(cudf::libcudf_domain)",
        "#define CUDF_FUNC_RANGE()",
    ),
    # Calls first: the function that replaces them holds the old name.
    Edit(_HASH_MAP, "another signature in CUDA 13", "cudaMemPrefetchAsync(", "prefetch_to_device(", 3),
    Edit(
        _HASH_MAP,
        "thrust::device is used but its header is not included",
        "#include <thrust/count.h>\n",
        "#include <thrust/count.h>\n" + _PREFETCH,
    ),
    Edit(
        "coordinate_map_gpu.cu",
        "headers that thrust no longer includes by itself",
        "#include <thrust/sort.h>\n",
        "#include <thrust/remove.h>\n#include <thrust/sort.h>\n#include <thrust/unique.h>\n",
    ),
    Edit(
        "spmm.cu",
        "torch's headers first, and headers that thrust no longer includes by itself",
        '#include "gpu.cuh"\n',
        "#include <torch/extension.h>\n\n"
        "#include <thrust/execution_policy.h>\n"
        "#include <thrust/iterator/zip_iterator.h>\n"
        "#include <thrust/reduce.h>\n"
        "#include <thrust/sort.h>\n"
        "#include <thrust/tuple.h>\n\n"
        '#include "gpu.cuh"\n',
    ),
    Edit(
        "coordinate_map_gpu.cuh",
        "a unique_ptr with this deleter no longer turns into a shared_ptr by itself",
        "      m_map = map_type::create(\n"
        "          compute_hash_table_size(size, m_hashtable_occupancy),\n"
        "          m_unused_element, m_unused_key, m_hasher, m_equal, m_map_allocator);\n",
        "      auto created = map_type::create(\n"
        "          compute_hash_table_size(size, m_hashtable_occupancy),\n"
        "          m_unused_element, m_unused_key, m_hasher, m_equal, m_map_allocator);\n"
        "      auto deleter = created.get_deleter();\n"
        "      m_map = std::shared_ptr<map_type>(created.release(), deleter);\n",
    ),
)


def patched(source: Path, edits: tuple[Edit, ...] = EDITS) -> dict[Path, str]:
    """The new content of every file that changes; nothing is written.

    Raises:
        ValueError: if a file is missing or a text does not occur as often as it must, naming all of them.
    """
    texts: dict[Path, str] = {}
    problems = []
    for edit in edits:
        path = source / "src" / edit.path
        if path not in texts:
            if not path.is_file():
                problems.append(f"{edit.path} is missing")
                continue
            texts[path] = path.read_text(encoding="utf-8")
        found = texts[path].count(edit.old)
        if found != edit.times:
            problems.append(
                f"{edit.path} has {edit.old.splitlines()[0]!r} {found} times; expected {edit.times}"
            )
        texts[path] = texts[path].replace(edit.old, edit.new)
    if problems:
        raise ValueError(
            f"{source} is not the untouched source of MinkowskiEngine 0.5.4: {'; '.join(problems)}. "
            "Unpack a fresh copy of the source distribution from PyPI."
        )
    return texts


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    try:
        texts = patched(parser.parse_args().folder)
    except ValueError as error:
        sys.exit(f"patch_minkowski: {error}")
    for path, text in texts.items():
        path.write_text(text, encoding="utf-8")
    print(f"edited {len(texts)} files in {len(EDITS)} places for CUDA 12 and 13")


if __name__ == "__main__":
    main()
