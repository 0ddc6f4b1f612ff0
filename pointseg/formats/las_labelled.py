"""LAS and LAZ files with new labels: everything else of the file comes along as it stands.

Coordinates are copied as the integers that they are, so that offsets and scales have no say in it; records
(VLR: the coordinate system and whatever else) are copied byte for byte.
"""

from __future__ import annotations

import copy
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pointseg.core.durable import writing
from pointseg.core.extras import Column
from pointseg.formats.las_header import variable_length_records
from pointseg.formats.text import printable

#: Points that are in memory at once.
_CHUNK = 1_000_000
#: Records that describe the points, which laspy writes anew: user, record.
_EXTRA_BYTES, _LASZIP = ("LASF_Spec", 4), ("laszip encoded", 22204)
#: Largest number of extra dimensions: each takes 192 bytes of one record.
_MAX_EXTRA = 65_535 // 192
#: Longest name and description of an extra dimension.
_MAX_NAME = 32


def label_dimension(point_format: int, raw_ids: Collection[int]) -> str:
    """The dimension that takes these ids: ``classification``, or ``label`` where they do not fit into it.

    Source: LAS 1.4 R15, 2.6: five bits in point formats 0 to 5, a byte in 6 to 10.
    """
    largest = 31 if point_format <= 5 else 255
    return "classification" if all(0 <= i <= largest for i in raw_ids) else "label"


def write_labelled_las(
    source: Path,
    target: Path,
    label: npt.NDArray[np.int32],
    raw_ids: Collection[int],
    columns: Sequence[Column] = (),
) -> None:
    """The points of a LAS or LAZ file with new labels, and all else that the file has.

    Args:
        source: the file; it has been read whole, so that no damage of it meets the decoder here.
        target: the file to write, compressed if its suffix is .laz.
        label: (P,) raw ids.
        raw_ids: all ids that there could be, which decide where labels go.
        columns: extra dimensions; one of the same name is replaced.

    Raises:
        ValueError: if the file holds what cannot be written back, or there are too many columns.
        OSError: if it cannot be written.
    """
    import laspy

    with laspy.open(source) as reader:
        header = copy.deepcopy(reader.header)
        if header.global_encoding.waveform_data_packets_internal:
            raise ValueError(
                f"{printable(source)}: it holds waveforms, which cannot be written back; write a PLY instead "
                "(-o <something>.ply)."
            )
        into = label_dimension(header.point_format.id, raw_ids)
        new: dict[str, npt.NDArray[Any]] = {} if into == "classification" else {into: label}
        meaning = {into: "predicted raw id"}
        for column in columns:
            for name, values, text in column.singles():
                new[name], meaning[name] = values, text
        _prepare_header(source, header, new, meaning)
        try:
            with (
                writing(target) as stream,
                laspy.open(
                    stream,
                    mode="w",
                    header=header,
                    do_compress=target.suffix.lower() == ".laz",
                    closefd=False,
                ) as writer,
            ):
                start = 0
                for chunk in reader.chunk_iterator(_CHUNK):
                    rows = slice(start, start + len(chunk))
                    points = laspy.ScaleAwarePointRecord.zeros(len(chunk), header=header)
                    for name in set(points.array.dtype.names) & set(chunk.array.dtype.names) - set(new):
                        points.array[name] = chunk.array[name]
                    for name, values in new.items():
                        points[name] = values[rows]
                    if into == "classification":
                        points.classification = label[rows]
                    writer.write_points(points)
                    start += len(chunk)
                if start != len(label):
                    raise ValueError(f"{printable(source)}: its points became {start:,} meanwhile.")
                if reader.header.evlrs:
                    writer.write_evlrs(reader.header.evlrs)
        except laspy.errors.LaspyException as error:
            raise ValueError(f"{printable(source)}: cannot be written back: {error}.") from None


def _prepare_header(
    source: Path, header: Any, new: dict[str, npt.NDArray[Any]], meaning: dict[str, str]
) -> None:
    """Make room for new dimensions, and have the records of the file as they stand."""
    import laspy

    own = list(header.point_format.extra_dimension_names)
    count = len(set(own) | set(new))
    if count > _MAX_EXTRA:
        raise ValueError(
            f"{printable(source)}: LAS has room for {_MAX_EXTRA} extra dimensions; these would be {count}. "
            "Save less, or write NPZ (-o <something>.npz)."
        )
    if replaced := [name for name in own if name in new]:
        header.remove_extra_dims(replaced)
    if new:
        header.add_extra_dims(
            [
                laspy.ExtraBytesParams(
                    name[:_MAX_NAME],
                    values.dtype,
                    meaning[name].encode("ascii", "replace").decode()[: _MAX_NAME - 1],
                )
                for name, values in new.items()
            ]
        )
    described = [vlr for vlr in header.vlrs if (vlr.user_id, vlr.record_id) == _EXTRA_BYTES]
    header.vlrs.clear()
    for user, record, text, data in variable_length_records(source):
        if (user, record) not in (_EXTRA_BYTES, _LASZIP):
            header.vlrs.append(laspy.VLR(user, record, text, data))
    header.vlrs.extend(described)
