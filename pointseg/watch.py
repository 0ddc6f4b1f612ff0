"""Watch: a few validation scenes in a browser while a network learns them, and as pictures in TensorBoard."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from http.server import ThreadingHTTPServer
from io import BytesIO

import numpy as np
from PIL import Image
from rich.console import Console

from pointseg.core.member import Member
from pointseg.core.prediction import ScenePrediction
from pointseg.data.source import Source
from pointseg.experiment import Experiment
from pointseg.training.callback import Callback, Pictures
from pointseg.view.gallery.collection import Collection, shares
from pointseg.view.gallery.server import LOOPBACK, serve
from pointseg.view.gallery.site import Site

#: Scenes that are shown: enough to see what is learned, and drawn in no time beside a validation.
NUM_SCENES = 4


class Watch(Callback):
    """Serves the gallery of a few fixed validation scenes, anew after each validation.

    Nothing is predicted for it: it shows what the validation predicts. Until the first one there is the input
    and the truth. The server answers this machine alone, and ends with the training.

    Args:
        port: on 127.0.0.1; 0 is any that is free, None the first free one from 8770 on.
        console: for the address.
    """

    def __init__(self, *, port: int | None = None, console: Console | None = None) -> None:
        self._port, self._console = port, console or Console(quiet=True)
        self._predictions: dict[str, ScenePrediction] = {}
        self._site: Site | None = None
        self._server: ThreadingHTTPServer | None = None

    def on_start(self, experiment: Experiment, data: Source, scenes: Sequence[str]) -> None:
        """Open the gallery.

        Raises:
            ValueError: if there is no validation scene to show.
            OSError: if the port is taken.
        """
        split = experiment.data.val_split
        shown = [name for name in scenes if data.num_vertices(name)]
        if split is None or not shown:
            raise ValueError(
                "--view shows scenes of the validation, and there are none: set data.val_split to a split "
                "with labelled scenes, or leave --view out."
            )
        # Those with the most classes have the most to see; among equals the first by name.
        shown.sort(key=lambda name: (-len(data.entry(name)["class_points"]), name))
        points = data.class_statistics(experiment.data.train_split).points.numpy()
        collection = Collection(
            data,
            split,
            tuple(sorted(shown[:NUM_SCENES])),
            data.label_space,
            ((experiment.name, lambda scene: self._predictions.get(scene.name)),),
            shares(points),
        )
        self._site = Site(collection, live=True, learns=True)
        self._server = serve(self._site, self._port)
        threading.Thread(target=self._server.serve_forever, daemon=True, name="watch").start()
        self._console.print(
            f"{self.address}  shows {len(collection.names)} {data.members} while they are learned"
        )

    @property
    def address(self) -> str:
        """Where the gallery is; empty before and after the training."""
        return "" if self._server is None else f"http://{LOOPBACK}:{self._server.server_address[1]}/"

    def on_scene(self, step: int, scene: Member, prediction: ScenePrediction) -> Pictures:
        site = self._site
        if site is None or scene.name not in site.collection.names:
            return None
        self._predictions[scene.name] = prediction
        try:
            pictures = site.renew(scene.name, step)
        except ValueError:
            # The gallery says what is wrong with it; the training does not end for that.
            return None
        panels = [np.asarray(Image.open(BytesIO(pictures[panel])).convert("RGB")) for panel in site.panels]
        return {f"scenes/{scene.name}": np.concatenate(panels, axis=1)}

    def on_end(self) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None
