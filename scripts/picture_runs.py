"""Photographs, their labels, and what runs predict for them, in one picture: a row for each photograph.

python scripts/picture_runs.py runs/baseline runs/ceco --images 0001 0101 -o ccp59.png
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from pointseg.core.image import ImageScene
from pointseg.core.labels import IGNORE, LabelSpace
from pointseg.prediction.predict import predict_scene
from pointseg.runs.checkpoint import load_run
from pointseg.view.picture import INK, font

#: Height of a photograph, and space between them, in pixels.
HEIGHT, GAP = 300, 12
HEADING = 34
LEGEND_ROW, LEGEND_COLUMN = 26, 190
#: Classes in the legend: the commonest of what is shown.
MOST_CLASSES = 24
UNLABELLED = (255, 255, 255)


def painted(image: ImageScene, train_index: npt.NDArray[np.int64], space: LabelSpace) -> Image.Image:
    colors = np.vstack([space.color_table, UNLABELLED]).astype(np.uint8)
    index = np.where(train_index == IGNORE, space.num_classes, train_index)
    return Image.fromarray(image.as_picture(colors[index]))


def shrunk(picture: Image.Image) -> Image.Image:
    width = round(picture.width * HEIGHT / picture.height)
    # A class is a colour: nothing between two of them.
    return picture.resize((width, HEIGHT), Image.Resampling.NEAREST)


def draw(
    headings: list[str], rows: list[list[Image.Image]], space: LabelSpace, shown: npt.NDArray[np.int64]
) -> Image.Image:
    """All photographs under their headings, and the legend of the commonest classes."""
    width = max(picture.width for row in rows for picture in row) + GAP
    classes = np.argsort(-shown, kind="stable")[: min(MOST_CLASSES, int((shown > 0).sum()))]
    per_line = max(1, (width * len(headings)) // LEGEND_COLUMN)
    lines = -(-len(classes) // per_line)
    canvas = Image.new(
        "RGB",
        (GAP + width * len(headings), HEADING + (HEIGHT + GAP) * len(rows) + LEGEND_ROW * lines + GAP),
        "white",
    )
    pen = ImageDraw.Draw(canvas)
    for column, heading in enumerate(headings):
        pen.text((GAP + column * width, 8), heading, font=font(17, bold=True), fill=INK)
        for number, row in enumerate(rows):
            canvas.paste(row[column], (GAP + column * width, HEADING + number * (HEIGHT + GAP)))
    top = HEADING + (HEIGHT + GAP) * len(rows)
    for place, index in enumerate(classes.tolist()):
        y, x = top + place // per_line * LEGEND_ROW, GAP + place % per_line * LEGEND_COLUMN
        pen.rounded_rectangle((x, y + 3, x + 17, y + 20), radius=4, fill=space.colors[index])
        pen.text((x + 25, y + 2), space.names[index], font=font(15), fill=INK)
    return canvas


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", type=Path, nargs="+", help="RUN folders")
    parser.add_argument("--images", nargs="+", required=True, help="names of images of the data set")
    parser.add_argument("--data", type=Path, help="the data; those of the runs' configuration if not given")
    parser.add_argument("-o", "--output", type=Path, required=True)
    arguments = parser.parse_args()
    runs = [load_run(folder, checkpoint="last") for folder in arguments.runs]
    store = runs[0].open_data(arguments.data)
    space = store.label_space
    rows, shown = [], np.zeros(space.num_classes, dtype=np.int64)
    for name in arguments.images:
        image = store.load(name)
        if not isinstance(image, ImageScene) or image.raw_label is None:
            parser.error(f"{name} of {store.path} is no labelled image")
        truth = space.encode(image.raw_label)
        shown += np.bincount(truth[truth != IGNORE], minlength=space.num_classes)
        photograph = Image.fromarray(image.as_picture(image.rgb))
        pictures = [photograph.resize(shrunk(photograph).size, Image.Resampling.LANCZOS)]
        pictures.append(shrunk(painted(image, truth, space)))
        for run in runs:
            predicted = predict_scene(run, image).train_index
            shown += np.bincount(predicted, minlength=space.num_classes)
            pictures.append(shrunk(painted(image, predicted, space)))
        rows.append(pictures)
    draw(["photograph", "truth", *(run.name for run in arguments.runs)], rows, space, shown).save(
        arguments.output, optimize=True
    )


if __name__ == "__main__":
    main()
