"""The zip of label images that servers of image benchmarks want: written, and checked.

One PNG of one channel for each image, of its size, named like it, with raw ids.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from pointseg.core.image import ImageScene
from pointseg.core.labels import LabelSpace
from pointseg.formats.archive import BAD_ARCHIVE, BAD_MEMBER, foreign_method, is_unsafe, write_archive
from pointseg.formats.submission import SubmissionCheck, count_ids, existing_zip, foreign_archive
from pointseg.formats.submission_problems import Findings

#: kind -> (what is wrong, what to do), most fundamental first.
IMAGE_KINDS: dict[str, tuple[str, str]] = {
    "not_a_zip": ("This is no readable zip archive", "Make a .zip with `pointseg submit`."),
    "too_many_files": ("The archive holds far too many files", "One PNG for each image, and nothing else."),
    "unsafe_name": (
        "A file name leads out of the archive's folder",
        "Names must be plain: no '..', drive, leading '/', backslash or link.",
    ),
    "compression": (
        "A file is compressed in a way that a server need not read",
        "Make the archive again with plain deflate compression, or none.",
    ),
    "corrupt": ("A file cannot be unpacked or read as PNG", "Make the archive again."),
    "too_large": ("A file is absurdly large for its image", "One channel of ids; no scores."),
    "enclosing_folder": ("The files lie in a folder of the archive", "Put them at its root: `zip -j`."),
    "other_file": ("Other files are in the archive", "Leave them out."),
    "extra_image": (
        "Images that are not expected are in the archive",
        "Predict the split that the server scores, and name each file like its image.",
    ),
    "several_files": ("There are several files for one image", "Write one PNG for each image."),
    "missing_image": ("Expected images are missing", "Predict every image of the split."),
    "not_one_channel": (
        "An image has several channels",
        "Write ids in one channel of grey or palette, not the colours of the classes.",
    ),
    "image_size": (
        "An image has another size than the one it belongs to",
        "Predict at full resolution: scale the logits, or the ids without interpolation.",
    ),
    "train_indices": (
        "These look like train indices, not raw ids",
        "Turn them into the ids of the benchmark (LabelSpace.decode).",
    ),
    "unlabelled": (
        "Pixels carry an id that means 'no label'",
        "It counts as a miss of the true class; give every pixel the best class.",
    ),
    "invalid_ids": ("Ids are not classes of the benchmark", "Write its raw ids only."),
}
#: A file may take this many bytes where the size of its image is not known.
_MAX_BYTES = 64_000_000

Size = tuple[int, int]


@dataclass(frozen=True)
class ImageRules:
    """What a server asks for, beyond one PNG for each image.

    Args:
        stem: pattern of file names without suffix; the first group is the image's name. Files may lie in
            folders then. None: at the root, named exactly like the image.
        size: (height, width) of all images, if it is the same for all.
        num_images: how many there are in the test split.
    """

    stem: str | None = None
    size: Size | None = None
    num_images: int | None = None


def write_image_submission(path: Path, predictions: Iterable[tuple[str, npt.NDArray[np.int32]]]) -> None:
    """Write the archive; the same predictions give the same bytes, and the file is whole or absent.

    Args:
        path: the zip file.
        predictions: (image, (H, W) raw ids) pairs, consumed one by one.

    Raises:
        ValueError: for a name that is no plain file name or comes twice, and for ids outside 0..65535.
    """
    write_archive(path, ((f"{name}.png", _png(name, raw)) for name, raw in predictions), compress=False)


def _png(name: str, raw: npt.NDArray[np.int32]) -> bytes:
    if raw.min() < 0 or raw.max() > 65_535:
        raise ValueError(f"{name}: a PNG holds ids 0..65535; got {raw.min()}..{raw.max()}.")
    with io.BytesIO() as buffer:
        picture = Image.fromarray(raw.astype(np.uint8 if raw.max() < 256 else np.uint16))
        picture.save(buffer, "PNG", compress_level=9)
        return buffer.getvalue()


def check_image_submission(
    path: Path, label_space: LabelSpace, expected: Mapping[str, Size] | None, rules: ImageRules
) -> SubmissionCheck:
    """Find what is wrong with an archive; nothing is unpacked to disk.

    Args:
        path: the zip file.
        label_space: the classes that may occur.
        expected: (height, width) of each image that must be there; None if they are not known.
        rules: what the server asks for.

    Raises:
        FileNotFoundError: if there is no such file.
    """
    path = existing_zip(path)
    findings = Findings(IMAGE_KINDS)
    counts: Counter[int] = Counter()
    num_read = 0
    try:
        with zipfile.ZipFile(path) as archive:
            for name, member in _sort(archive.infolist(), expected, rules, findings).items():
                size = rules.size if expected is None else expected[name]
                raw = _read(archive, member, size, findings)
                if raw is not None:
                    num_read += 1
                    counts.update(count_ids([raw]))
    except BAD_ARCHIVE as error:
        findings.add("not_a_zip", foreign_archive(path) or str(error))
    _diagnose(counts, label_space, findings)
    return SubmissionCheck(
        findings.problems(),
        label_space,
        rules.num_images if expected is None else len(expected),
        id_counts=dict(sorted(counts.items())),
        num_scenes=num_read,
        members="images",
        unit=ImageScene.unit,
    )


def _sort(
    members: Sequence[zipfile.ZipInfo],
    expected: Mapping[str, Size] | None,
    rules: ImageRules,
    findings: Findings,
) -> dict[str, zipfile.ZipInfo]:
    """Image -> its member; everything else becomes a finding."""
    num_expected = rules.num_images if expected is None else len(expected)
    if num_expected is not None and len(members) > 10 * num_expected + 100:
        findings.add("too_many_files", f"{len(members):,} files for {num_expected:,} images")
        return {}
    images: dict[str, zipfile.ZipInfo] = {}
    for member in members:
        path = PurePosixPath(member.filename)
        match = re.fullmatch(rules.stem or "(.+)", path.stem)
        if is_unsafe(member):
            findings.add("unsafe_name", member.filename)
        elif rules.stem is not None and member.is_dir():
            continue
        elif path.suffix != ".png" or path.name.startswith(".") or path.parts[0] == "__MACOSX":
            findings.add("other_file", member.filename)
        elif match is None or (expected is not None and match[1] not in expected):
            findings.add("extra_image", member.filename)
        elif match[1] in images:
            findings.add("several_files", f"{images[match[1]].filename} and {member.filename}")
        else:
            images[match[1]] = member
            if rules.stem is None and len(path.parts) > 1:
                findings.add("enclosing_folder", member.filename)
    if expected is None and num_expected is not None and len(images) != num_expected:
        findings.add("missing_image", f"{len(images):,} of {num_expected:,} are there")
    for name in expected or ():
        if name not in images:
            findings.add("missing_image", f"{name}.png")
    return images


def _read(
    archive: zipfile.ZipFile, member: zipfile.ZipInfo, size: Size | None, findings: Findings
) -> npt.NDArray[np.int64] | None:
    """(H, W) ids of a member, or None and a finding."""
    name = member.filename
    if method := foreign_method(member):
        findings.add("compression", f"{name} ({method})")
    limit = _MAX_BYTES if size is None else 4 * size[0] * size[1] + 65_536
    try:
        # The declared size may lie; reading stops at the limit, not where the data ends.
        with archive.open(member) as handle:
            content = handle.read(limit + 1)
        if len(content) > limit:
            findings.add("too_large", f"{name}: more than {limit:,} bytes")
            return None
        with Image.open(io.BytesIO(content), formats=["PNG"]) as opened:
            found = (opened.height, opened.width)
            # Before anything is decoded: a few bytes can claim to be a picture of gigabytes.
            if size is not None and found != size:
                findings.add("image_size", f"{name} is {found[1]} x {found[0]}, not {size[1]} x {size[0]}")
                return None
            if len(opened.getbands()) > 1:
                findings.add("not_one_channel", f"{name} has {'+'.join(opened.getbands())}")
                return None
            return np.array(opened).astype(np.int64)
    except Image.DecompressionBombError as error:
        findings.add("too_large", f"{name}: {error}")
    except (*BAD_MEMBER, SyntaxError, UnidentifiedImageError) as error:
        findings.add("corrupt", f"{name}: {error}")
    return None


def _diagnose(id_counts: Mapping[int, int], label_space: LabelSpace, findings: Findings) -> None:
    used, valid = set(id_counts), set(label_space.raw_ids)
    invalid = sorted(used - valid)
    if not invalid:
        return
    share = sum(id_counts[i] for i in invalid) / sum(id_counts.values())
    evidence = f"{share:.1%} of the pixels carry {', '.join(map(str, invalid[:8]))}"
    if used <= set(range(label_space.num_classes)):
        findings.add("train_indices", f"{evidence}, and every id lies in 0..{label_space.num_classes - 1}")
    elif set(invalid) <= {0, 255, label_space.unlabelled_raw_id}:
        findings.add("unlabelled", evidence)
    else:
        findings.add("invalid_ids", evidence)
