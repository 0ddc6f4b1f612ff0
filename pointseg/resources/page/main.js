// Main: the page's controls around the view.

const MODES = [
  { key: "input", name: "Input", needs: [] },
  { key: "truth", name: "Truth", needs: ["hasTruth"] },
  { key: "prediction", name: "Prediction", needs: ["hasPrediction"] },
  { key: "error", name: "Error", needs: ["hasTruth", "hasPrediction"] },
  { key: "confidence", name: "Confidence", needs: ["hasConfidence"] },
  { key: "frequency", name: "Frequency", needs: ["hasFrequency"] },
];
// A frame that takes longer than SLOW_MS has too many points, one shorter than QUICK_MS may have more; a browser
// that needs SLUGGISH_MS for a picture draws without a graphics card.
const SLOW_MS = 40, QUICK_MS = 22, SLUGGISH_MS = 80;

async function main() {
  const facts = readFacts(), canvas = byId("canvas");
  describe(facts);
  let arrays, renderer;
  try {
    arrays = await readPoints(facts);
    renderer = facts.picture ? new FlatRenderer(canvas, facts, arrays) : new Renderer(canvas, facts, arrays);
  } catch (error) {
    document.body.classList.add("undrawn");
    byId("message").hidden = false;
    byId("message").textContent = "This browser cannot draw the points: it has no WebGL 2, or it is switched off. " +
      `The classes are listed beside, and the PNG shows the scene. (${error.message})`;
    new Legend(facts, () => {});
    applyTheme();
    return;
  }
  const camera = facts.picture ? new Pan(facts) : new Orbit(facts.camera, facts.extent);
  const points = new Points(facts, arrays, facts.picture ? new FlatPicker(facts, arrays) : new Picker(facts, arrays));
  const first = facts.hasPrediction ? "prediction" : facts.hasTruth ? "truth" : "input";
  const state = { camera, mode: first, cull: true, size: 1, shift: 0, paper: [1, 1, 1], pinned: -1 };
  let link = null, frame = 0, rest = 0, drawn = 0, limit = facts.count, calm = 140, fine = 140, sought = -1;
  const parts = facts.parts.length ? new Parts(facts, renderer, points, () => {
    // A vertex of a link that no point of the overview was.
    if (sought >= 0 && points.pointOf(sought) >= 0) { state.pinned = points.pointOf(sought); sought = -1; }
    sayShown(facts, parts.held);
    redraw();
  }) : null;

  const paint = (samples) => {
    // The middle of the picture moves out from under the list of classes.
    const legend = byId("legend").getBoundingClientRect(), wide = legend.width && legend.width < 0.5 * canvas.clientWidth;
    state.shift = wide ? -legend.width / canvas.clientWidth : 0;
    const count = Number(document.body.dataset.drawn ?? 0), began = performance.now();
    renderer.draw(state, samples, samples > 1 ? Infinity : limit);
    placePin();
    // The first picture waits for the compiler; the second says what a picture costs here.
    if (count === 1 && renderer.settle) {
      renderer.settle();
      if (performance.now() - began > SLUGGISH_MS) [calm, fine] = [300, 2000];
    }
    document.body.dataset.drawn = String(count + 1);
  };
  const redraw = () => {
    if (!frame) {
      frame = requestAnimationFrame((now) => {
        frame = 0;
        // While it moves, as many points as this machine can draw smoothly; all of them at rest.
        const took = now - drawn;
        if (took < 250) limit = Math.min(facts.count, Math.max(30_000, limit * (took > SLOW_MS ? 0.75 : took < QUICK_MS ? 1.2 : 1)));
        drawn = now;
        paint(1);
      });
    }
    clearTimeout(rest);
    // All points once it has come to rest, and smoothed edges: soon, or later where every picture takes its time.
    rest = setTimeout(() => {
      parts?.look(state, canvas.clientWidth, canvas.clientHeight);
      if (fine === calm) { paint(2); return; }
      if (limit < facts.count) { const held = limit; limit = facts.count; paint(1); limit = held; }
      rest = setTimeout(() => paint(2), fine - calm);
    }, calm);
    link?.changed();
  };

  const placePin = () => {
    const place = state.pinned < 0 ? null : points.place(state.pinned, state, canvas.clientWidth, canvas.clientHeight);
    byId("pin").hidden = !place;
    if (!place) { if (state.pinned >= 0) byId("pick").hidden = true; return; }
    byId("pin").style.left = `${place[0]}px`;
    byId("pin").style.top = `${place[1]}px`;
    showPick(state.pinned, ...place);
  };
  const showPick = (point, x, y) => {
    const box = byId("pick");
    box.hidden = point < 0;
    if (point < 0) return;
    if (box.dataset.point !== String(point)) box.replaceChildren(...points.describe(point));
    box.dataset.point = String(point);
    const { width, height } = box.getBoundingClientRect();
    box.style.left = `${Math.max(6, Math.min(x + 16, innerWidth - width - 8))}px`;
    box.style.top = `${Math.max(6, y + 18 + height > innerHeight ? y - height - 12 : y + 18)}px`;
  };
  const pin = (point) => {
    state.pinned = point;
    sought = -1;
    byId("pick").hidden = point < 0;
    redraw();
  };

  const refreshClasses = () => {
    const colors = state.mode === "frequency" ? frequencyColors(facts) : facts.classes.map((entry) => entry.color);
    renderer.setClasses(colors, state.legend);
    redraw();
  };
  state.legend = new Legend(facts, () => { if (state.legend) refreshClasses(); });

  const has = (mode) => mode && mode.needs.every((need) => facts[need]);
  const setMode = (key) => {
    if (!has(MODES.find((mode) => mode.key === key))) return;
    state.mode = key;
    for (const button of byId("modes").children) button.setAttribute("aria-checked", String(button.dataset.mode === key));
    byId("modes").querySelector("[aria-checked=true]")?.scrollIntoView({ block: "nearest", inline: "nearest" });
    showKey(key, facts);
    refreshClasses();
  };
  MODES.forEach((mode, number) => {
    if (!has(mode)) return;
    const button = makeElement("button", { role: "radio", title: `Key ${number + 1}` }, mode.name);
    button.dataset.mode = mode.key;
    button.addEventListener("click", () => setMode(mode.key));
    byId("modes").append(button);
  });

  const slider = byId("size");
  if (facts.picture) {
    byId("size-name").textContent = "Blend";
    Object.assign(slider, { min: 0, max: 1, step: 0.01, title: "How much of the photograph shines through" });
    slider.setAttribute("aria-label", "Strength of the class colours over the photograph");
  }
  const setSize = (size) => {
    state.size = Math.min(Number(slider.max), Math.max(Number(slider.min), size));
    slider.value = state.size;
    redraw();
  };
  const setCull = (cull) => {
    state.cull = cull;
    byId("cull").setAttribute("aria-pressed", String(cull));
    redraw();
  };
  const toggleCull = () => setCull(!state.cull);
  const reset = () => { camera.reset(); setSize(1); };
  const setTheme = (theme) => { state.paper = applyTheme(theme); redraw(); };
  const toggleTheme = () => setTheme(document.documentElement.dataset.theme === "dark" ? "light" : "dark");
  const fold = () => {
    const folded = document.body.classList.toggle("folded");
    byId("fold").setAttribute("aria-expanded", String(!folded));
    redraw();
  };
  byId("cull").hidden = Boolean(facts.picture) || (!facts.canCull && facts.lid > 1e8);
  slider.addEventListener("input", (event) => setSize(Number(event.target.value)));
  byId("cull").addEventListener("click", toggleCull);
  byId("reset").addEventListener("click", reset);
  byId("theme").addEventListener("click", toggleTheme);
  byId("fold").addEventListener("click", fold);

  const keys = { "[": () => setSize(state.size / 1.15), "]": () => setSize(state.size * 1.15), x: toggleCull, r: reset,
    t: toggleTheme, l: fold, "/": () => byId("search").focus(),
    arrowleft: () => camera.turn(-25, 0), arrowright: () => camera.turn(25, 0), arrowup: () => camera.turn(0, 25),
    arrowdown: () => camera.turn(0, -25), "+": () => camera.zoom(0.85), "-": () => camera.zoom(1 / 0.85) };
  document.addEventListener("keydown", (event) => {
    const typing = /^(INPUT|SELECT)$/.test(event.target.tagName ?? "") && event.target.type !== "range";
    if (event.key === "Escape") { pin(-1); event.target.blur(); }
    if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
    if (/^[1-6]$/.test(event.key)) setMode(MODES[Number(event.key) - 1].key);
    const action = keys[event.key.toLowerCase()];
    if (!action || (event.key.startsWith("Arrow") && event.target.type === "range")) return;
    event.preventDefault();
    action();
    redraw();
  });

  let pending = 0;
  const pointAt = (x, y, reach) => points.at(x, y, state, canvas.clientWidth, canvas.clientHeight, reach);
  listen(canvas, camera, {
    move() { if (state.pinned < 0) byId("pick").hidden = true; redraw(); },
    hover(x, y) {
      if (state.pinned >= 0) return;
      cancelAnimationFrame(pending);
      pending = requestAnimationFrame(() => showPick(pointAt(x, y), x, y));
    },
    click(x, y) { pin(pointAt(x, y)); },
    leave() { cancelAnimationFrame(pending); if (state.pinned < 0) byId("pick").hidden = true; },
    anchor(x, y) {
      const point = facts.picture ? -1 : pointAt(x, y, 40);
      return point < 0 ? undefined : points.world(point);
    },
    look(x, y) {
      const point = facts.picture ? -1 : pointAt(x, y);
      if (point >= 0) camera.target = points.world(point);
      camera.zoom(0.6, x, y);
      redraw();
    },
  });
  canvas.addEventListener("webglcontextlost", (event) => {
    event.preventDefault();
    byId("message").hidden = false;
    byId("message").textContent = "The graphics driver took the view away. Load the page again.";
  });
  new ResizeObserver(redraw).observe(canvas);
  if (canvas.clientWidth < 900) fold();
  state.paper = applyTheme();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", (event) => setTheme(event.matches ? "dark" : "light"));
  setMode(state.mode);

  link = new Link(() => {
    const words = { colors: state.mode, view: camera.numbers().map((value) => Number(value.toFixed(4))).join(",") };
    if (state.size !== 1) words.size = String(state.size);
    if (!state.cull) words.inside = "0";
    if (state.pinned >= 0) words.vertex = String(points.vertexOf(state.pinned));
    state.legend.write(words);
    return words;
  }, (words) => {
    const view = numbersOf(words.get("view"), camera.numbers().length), size = numbersOf(words.get("size"), 1);
    if (view) camera.setNumbers(view);
    else camera.reset();
    setSize(size && words.has("size") ? size[0] : 1);
    setCull(words.get("inside") !== "0");
    const vertex = words.has("vertex") ? Number(words.get("vertex")) : -1;
    pin(points.pointOf(vertex));
    if (state.pinned < 0 && parts) sought = vertex;
    state.legend.read(words);
    setMode(has(MODES.find((mode) => mode.key === words.get("colors"))) ? words.get("colors") : first);
  });
  if (location.hash.length > 1) link.restore(location.hash.slice(1));
}

function describe(facts) {
  // In a comparison the page around says which scene it is.
  const isFramed = window.parent !== window;
  byId("name").textContent = isFramed && facts.run ? facts.run : facts.name;
  const words = [facts.labelSpace, counted(facts.numVertices, facts.picture ? "pixel" : "vertex", facts.unit)];
  if (facts.run && !isFramed) words.unshift(facts.run);
  if (facts.miou !== null) words.push(`mIoU ${(100 * facts.miou).toFixed(1)}`, `accuracy ${(100 * facts.accuracy).toFixed(1)} %`);
  byId("facts-line").textContent = words.join(" · ");
  byId("facts-line").title = words.join(" · ");
  if (facts.count < facts.numVertices) byId("facts-line").append(" · ", makeElement("span", { id: "shown" }));
  sayShown(facts, 0);
  byId("hint").textContent = facts.picture ? "drag: move · wheel or pinch: zoom · click: keep a pixel's classes · 1–6: colours"
    : "drag: turn · right drag or two fingers: move · wheel or pinch: zoom · click: keep a point's classes · double click: look there · 1–6: colours";
  for (const { text, title, href, keep } of facts.links) {
    const anchor = makeElement(href ? "a" : "b", { title, ...(href ? { href } : {}) }, text);
    // The same scene of another run is seen from the same place; another scene in the same colours.
    if (keep) anchor.addEventListener("click", () => {
      const words = new URLSearchParams(location.hash.slice(1)), colors = words.get("colors");
      const along = keep === "view" ? String(words) : colors ? `colors=${colors}` : "";
      anchor.setAttribute("href", along ? `${href}${href.includes("#") ? "&" : "#"}${along}` : href);
    });
    byId("links").append(anchor);
  }
  byId("links").hidden = isFramed || !facts.links.length;
}

// How many of the points are drawn, where that is not all: numbers of the page count all, whatever is drawn.
function sayShown(facts, more) {
  const shown = facts.count + more, all = facts.numVertices, span = byId("shown");
  if (!span) return;
  const share = all >= 1e6 ? `${(shown / 1e6).toFixed(1)} of ${(all / 1e6).toFixed(1)} million` : `${shown.toLocaleString("en")} of ${all.toLocaleString("en")}`;
  span.textContent = `${share} shown${facts.parts.length && shown < all ? ", more where you go near" : ""}`;
  span.dataset.shown = String(shown);
}

function applyTheme(theme) {
  const dark = theme ? theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  document.documentElement.dataset.theme = dark ? "dark" : "light";
  return dark ? [0.078, 0.09, 0.106] : [0.984, 0.988, 0.992];
}

main();
