"""pointseg view: what a gallery knows, what its server answers, and what is exported."""

import json
import re
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from pointseg.cli import app
from pointseg.core.labels import LabelSpace, distinct_colors
from pointseg.core.prediction import ScenePrediction
from pointseg.core.scene import Scene
from pointseg.evaluation.confusion import Confusion
from pointseg.evaluation.report import Report
from pointseg.prediction.predict import predict_scene
from pointseg.runs.checkpoint import load_run
from pointseg.scans.store import Store
from pointseg.view.gallery.collection import open_collection, short_names
from pointseg.view.gallery.facts import result_of
from pointseg.view.gallery.server import serve
from pointseg.view.gallery.site import Site, _slugs
from pointseg.view.scene_view import SceneSummary, SceneView

Answer = tuple[int, dict[str, str], bytes]


@pytest.fixture(scope="module")
def site(trained_run: Path, second_run: Path) -> Site:
    return Site(open_collection([trained_run, second_run], device="cpu"), live=True)


@pytest.fixture(scope="module")
def port(site: Site) -> Iterator[int]:
    with serve(site, 0) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


def ask(port: int, path: str, *, method: str = "GET", host: str | None = None) -> Answer:
    connection = HTTPConnection("127.0.0.1", port, timeout=20)
    connection.putrequest(method, path, skip_host=True)
    connection.putheader("Host", host if host is not None else f"127.0.0.1:{port}")
    connection.endheaders()
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    return answer.status, dict(answer.getheaders()), content


def facts_in(page: bytes) -> dict[str, Any]:
    match = re.search(rb'id="facts">(.*?)</script>', page, re.DOTALL)
    assert match is not None
    return dict(json.loads(match[1]))


def test_scores_of_a_scene_are_those_of_a_report(trained_run: Path, site: Site) -> None:
    site.prepare((0, 0))
    result = facts_in(site.read("index.html") or b"")["scenes"][0]["results"][0]
    run = load_run(trained_run, device="cpu")
    scene = run.open_data().load("val0")
    truth = run.label_space.encode(scene.raw_label)
    confusion = Confusion(3).update(truth, predict_scene(run, scene).train_index)
    report = Report.from_confusion(confusion, run.label_space)
    assert result["miou"] == pytest.approx(report.miou.present)
    assert result["tail"] == pytest.approx(report.tail.present)
    assert result["accuracy"] == pytest.approx(report.overall_accuracy)


def test_the_worst_class_and_the_tail_are_counted_by_hand() -> None:
    labels = LabelSpace(
        "four", (1, 2, 3, 4), ("a", "b", "c", "d"), ("head", "tail", "tail", "tail"), distinct_colors(4)
    )
    truth = np.array([1] * 6 + [2] * 3 + [3] * 1 + [0], np.int32)
    # a: 5 of 6 found, no false alarm. b: 2 of 3, one false alarm. c: never found. d: absent.
    predicted = np.array([0, 0, 0, 0, 0, 1, 1, 1, 3, 3, 0])
    scene = Scene("s", np.zeros((11, 3), np.float32), raw_label=truth)
    view = SceneView.of(scene, labels, ScenePrediction("s", predicted, np.ones(11, np.float32)))
    result = result_of(SceneSummary.of(view))
    assert result["worst"] == [2, 0.0]
    assert result["tail"] == pytest.approx((2 / 4 + 0) / 2)
    assert result["miou"] == pytest.approx((5 / 6 + 2 / 4 + 0) / 3)
    assert result["found"] == [[0, 6], [1, 3], [2, 1]]


def test_the_gallery_says_which_classes_occur_before_anything_is_predicted(tiny_store: Path) -> None:
    collection = open_collection([tiny_store])
    facts = facts_in(Site(collection, live=False).read("index.html") or b"")
    assert [scene["name"] for scene in facts["scenes"]] == ["val0", "val1"]
    truth = collection.label_space.encode(Store.open(tiny_store).load("val0").raw_label)
    counts = np.bincount(truth[truth >= 0], minlength=3)
    assert dict(map(tuple, facts["scenes"][0]["classes"])) == dict(enumerate(counts.tolist()))
    assert facts["runs"] == [] and facts["panels"] == ["input", "truth"]


def test_the_five_most_probable_classes_begin_with_the_prediction(trained_run: Path) -> None:
    run = load_run(trained_run, device="cpu")
    scene = run.open_data().load("val0")
    plain, ranked = predict_scene(run, scene), predict_scene(run, scene, top=2)
    assert plain.top_index is None
    assert ranked.top_index is not None and ranked.top_probability is not None
    assert np.array_equal(plain.train_index, ranked.train_index)
    assert np.array_equal(plain.confidence, ranked.confidence)
    assert np.array_equal(ranked.top_index[:, 0], plain.train_index)
    assert (ranked.top_probability[:, 0] >= ranked.top_probability[:, 1]).all()
    assert (ranked.top_index[:, 0] != ranked.top_index[:, 1]).all()
    assert ranked.top_probability.sum(axis=1).max() <= 1 + 1e-5


def test_every_address_of_the_site_is_answered(site: Site, port: int) -> None:
    paths = list(site.paths())
    assert len(paths) == 2 * 2 * (1 + 4) + 2
    for path in ["", *paths, "facts.json"]:
        status, headers, content = ask(port, f"/{path}")
        assert status == 200 and len(content) == int(headers["Content-Length"]) > 0, path
    assert json.loads(ask(port, "/facts.json")[2])["done"] == 4


def test_a_picture_of_a_gallery_is_a_jpeg_and_nothing_is_remembered_by_the_browser(port: int) -> None:
    status, headers, content = ask(port, "/thumbs/val0.0.error.jpg")
    assert status == 200 and headers["Content-Type"] == "image/jpeg" and content.startswith(b"\xff\xd8")
    assert headers["Cache-Control"] == "no-store" and headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Content-Security-Policy"] == "frame-ancestors 'self'"


@pytest.mark.parametrize(
    "path",
    [
        "/../../etc/passwd",
        "/%2e%2e/%2e%2e/etc/passwd",
        "//etc/passwd",
        "/scenes/../../etc/passwd",
        "/scenes/..%2f..%2fval0.0.html",
        "/scenes/val0.2.html",
        "/scenes/val0.00.html",
        "/scenes/val0.0.jpg",
        "/scenes/train0.0.html",
        "/thumbs/val0.0.html",
        "/thumbs/val0.0.secret.jpg",
        "/config.yaml",
        "/scenes/val0.0.html%00",
        "http://example.org/etc/passwd",
    ],
)
def test_what_is_no_page_of_the_gallery_is_not_there(path: str, port: int) -> None:
    assert ask(port, path)[0] == 404


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:80", "", "localhost.evil.example:1", "[::2]:1"]
)
def test_a_name_that_a_stranger_has_made_to_point_here_is_not_answered(host: str, port: int) -> None:
    status, _, content = ask(port, "/", host=host)
    assert status == 421 and b"localhost" in content


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:9", "127.0.0.1:8770", "[::1]:1"])
def test_names_of_this_machine_are_answered(host: str, port: int) -> None:
    assert ask(port, "/", host=host)[0] == 200


def test_nothing_can_be_sent_to_the_gallery(port: int) -> None:
    assert ask(port, "/", method="POST")[0] == 501
    status, headers, content = ask(port, "/", method="HEAD")
    assert status == 200 and content == b"" and int(headers["Content-Length"]) > 0


def test_the_server_listens_on_the_loopback_interface_alone(site: Site) -> None:
    with serve(site, 0) as server:
        assert server.server_address[0] == "127.0.0.1"


def test_a_port_that_is_taken_is_refused_with_what_to_do(site: Site) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(OSError, match="--port"):
        serve(site, taken.getsockname()[1])


def test_a_scene_that_cannot_be_read_is_named_and_the_others_go_on(
    tiny_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = tmp_path / "store"
    shutil.copytree(tiny_store, store)
    (store / "scenes" / "val0" / "rgb.npy").write_bytes(b"broken")
    result = CliRunner().invoke(app, ["view", str(store), "--export", str(tmp_path / "out")])
    assert result.exit_code == 0, result.output
    assert "val0 cannot be shown" in result.output
    pages = sorted(path.name for path in (tmp_path / "out" / "scenes").iterdir())
    assert pages == ["val1.0.html"]
    assert "val0" in facts_in((tmp_path / "out" / "index.html").read_bytes())["failures"]


def test_an_export_holds_every_page_and_a_gallery_that_asks_nobody(
    trained_run: Path, second_run: Path, tmp_path: Path
) -> None:
    out = tmp_path / "gallery"
    command = ["view", str(trained_run), str(second_run), "--export", str(out), "--device", "cpu"]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    assert str(out / "index.html") in result.output.replace("\n", "")
    files = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}
    assert len(files) == 22 and {"index.html", "compare.html", "scenes/val0.1.html"} <= files
    facts = facts_in((out / "index.html").read_bytes())
    assert not facts["live"] and all(None not in scene["results"] for scene in facts["scenes"])
    # Runs of the same name are told apart by their parents.
    assert facts["runs"] == ["/".join(path.parts[-2:]) for path in (trained_run, second_run)]


def test_photographs_have_pages_of_their_pixels(photo_run: Path) -> None:
    site = Site(open_collection([photo_run], device="cpu"), live=False)
    facts = facts_in(site.read("scenes/3.0.html") or b"")
    assert facts["picture"] == [40, 50] and facts["fullWidth"] == 50 and facts["step"] == 1
    assert [entry["name"] for entry in facts["classes"]] == ["grey", "red"]
    assert [entry["count"] for entry in facts["classes"]] == [40 * 32, 40 * 18]
    assert facts_in(site.read("index.html") or b"")["member"] == "image"


@pytest.mark.parametrize(
    ("sources", "words"),
    [
        (["nothing"], "neither a training run"),
        (["store", "store"], "One store"),
        (["store", "--split", "nowhere"], "no split 'nowhere'"),
    ],
)
def test_sources_that_cannot_be_shown_are_refused(
    sources: list[str], words: str, tiny_store: Path, tmp_path: Path
) -> None:
    named = {"store": str(tiny_store), "nothing": str(tmp_path)}
    result = CliRunner().invoke(app, ["view", *(named.get(word, word) for word in sources)])
    assert result.exit_code == 2 and words in result.output.replace("\n", " ")


def test_runs_of_other_classes_or_kinds_are_refused_beside_each_other(
    trained_run: Path, photo_run: Path
) -> None:
    result = CliRunner().invoke(app, ["view", str(trained_run), str(photo_run)])
    assert result.exit_code == 2 and "need the same classes" in result.output.replace("\n", " ")


def test_names_of_scenes_become_addresses_that_differ() -> None:
    slugs = _slugs(("a/b", "a b", "A-B", "..", "ä", "x" * 200))
    assert len({slug.lower() for slug in slugs}) == 6
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{1,90}", slug) for slug in slugs)


def test_folders_are_called_by_as_little_as_tells_them_apart(tmp_path: Path) -> None:
    assert short_names([tmp_path / "a" / "run", tmp_path / "b" / "run"]) == ["a/run", "b/run"]
    assert short_names([tmp_path / "a", tmp_path / "b"]) == ["a", "b"]


def test_a_choice_of_a_large_scene_keeps_the_numbers_of_its_vertices(tiny_store: Path) -> None:
    opened = Store.open(tiny_store)
    view = SceneView.of(opened.load("val0"), opened.label_space)
    few = view.thinned(50).thinned(20)
    assert few.vertex is not None and few.truth is not None and view.truth is not None
    assert np.array_equal(few.truth, view.truth[few.vertex])
    assert np.array_equal(few.scan.xyz_m, view.scan.xyz_m[few.vertex])
    assert replace(view, vertex=None).vertex is None


def test_the_script_that_installs_the_browser_never_fails_the_tests(tmp_path: Path) -> None:
    script = Path(__file__).parents[2] / "scripts" / "install_chromium.sh"
    # A PATH with no package manager and no browser.
    for tool in ("bash", "id"):
        (tmp_path / tool).symlink_to(Path("/usr/bin") / tool)
    environment = {"PATH": str(tmp_path)}
    done = subprocess.run(["/bin/bash", str(script)], env=environment, capture_output=True, text=True)
    assert done.returncode == 0 and "browser tests are skipped" in done.stdout
