"""The unit of a LAS file's positions, from the coordinate system that it may carry.

Source: LAS 1.4 R15, 2.6 (GeoTIFF keys, record 34735; OGC WKT, record 2112), and the GeoTIFF 1.1 keys
1024 (model type), 3072 (projected system), 3076 (linear unit) and 4099 (vertical unit).
"""

from __future__ import annotations

import re
import struct
from typing import Any

_GEO_KEYS, _WKT = 34735, 2112
_MODEL_TYPE, _LINEAR_UNIT, _VERTICAL_UNIT = 1024, 3076, 4099
_GEOGRAPHIC = 2
FOOT_M, US_FOOT_M = 0.3048, 1200 / 3937
#: EPSG codes of units of length -> metres.
_UNITS_M = {9001: 1.0, 9002: FOOT_M, 9003: US_FOOT_M, 9036: 1000.0}
#: A unit of length in WKT, version 1 or 2; angles have factors too, but other names.
_UNIT = re.compile(r'(?:LENGTHUNIT|UNIT)\s*\[\s*"([^"]*)"\s*,\s*([0-9.eE+-]+)', re.IGNORECASE)
_VERTICAL = re.compile(r"VERT_CS|VERTCRS|VERTICALCRS", re.IGNORECASE)


def metres_per_unit(header: Any) -> tuple[float, float, float] | None:
    """By which x, y and z become metres; None where the header does not say it.

    Raises:
        ValueError: if positions are degrees.
    """
    records = {int(vlr.record_id): bytes(vlr.record_data_bytes()) for vlr in header.vlrs}
    across = up = None
    if _WKT in records:
        across, up = _from_wkt(records[_WKT].rstrip(b"\0").decode("utf-8", "replace"))
    elif _GEO_KEYS in records:
        across, up = _from_geo_keys(records[_GEO_KEYS])
    if across is None:
        return None
    return across, across, across if up is None else up


def _degrees() -> ValueError:
    return ValueError(
        "its coordinate system is geographic: x and y are degrees; metres are expected. Project it, such as "
        "with `pdal translate IN OUT reprojection --filters.reprojection.out_srs=EPSG:326ZZ`, ZZ the UTM zone"
    )


def _from_wkt(text: str) -> tuple[float | None, float | None]:
    across, *up = _VERTICAL.split(text, maxsplit=1)
    if not re.search(r"PROJCS|PROJCRS|PROJECTEDCRS|LOCAL_CS|ENGCRS|GEOCCS", across, re.IGNORECASE):
        if re.search(r"GEOGCS|GEOGCRS|GEODCRS|GEOGRAPHICCRS", across, re.IGNORECASE):
            raise _degrees()
        return None, None
    return _last_length(across), _last_length(up[0]) if up else None


def _last_length(text: str) -> float | None:
    """The last unit is that of the outermost system; the first ones belong to its parts."""
    lengths = [
        float(factor)
        for name, factor in _UNIT.findall(text)
        if not re.search("deg|rad|grad|gon|scale|unity", name, re.IGNORECASE)
    ]
    return lengths[-1] if lengths else None


def _from_geo_keys(data: bytes) -> tuple[float | None, float | None]:
    shorts = struct.unpack(f"<{len(data) // 2}H", data[: len(data) // 2 * 2])
    keys = {shorts[i]: shorts[i + 3] for i in range(4, len(shorts) - 3, 4)}
    if keys.get(_MODEL_TYPE) == _GEOGRAPHIC:
        raise _degrees()
    return _UNITS_M.get(keys.get(_LINEAR_UNIT, 0)), _UNITS_M.get(keys.get(_VERTICAL_UNIT, 0))
