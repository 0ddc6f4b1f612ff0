// Main: the page's controls around the view.

const MODES = [
  { name: "Input", needs: [] },
  { name: "Truth", needs: ["hasTruth"] },
  { name: "Prediction", needs: ["hasPrediction"] },
  { name: "Error", needs: ["hasTruth", "hasPrediction"] },
  { name: "Confidence", needs: ["hasConfidence"] },
];

const byId = (id) => document.getElementById(id);

function main() {
  const facts = readFacts();
  describe(facts);
  const arrays = readPoints(facts), canvas = byId("canvas");
  let renderer;
  try {
    renderer = new Renderer(canvas, facts, arrays);
  } catch (error) {
    document.body.classList.add("undrawn");
    byId("message").hidden = false;
    byId("message").textContent = "This browser cannot draw the points: it has no WebGL 2, or it is switched off. " +
      `The classes are listed beside, and the PNG shows the scene. (${error.message})`;
    new Legend(facts, () => {});
    applyTheme();
    return;
  }
  const orbit = new Orbit(facts.camera, facts.extent);
  const state = { orbit, mode: facts.hasPrediction ? 2 : facts.hasTruth ? 1 : 0, cull: true, size: 1, shift: 0, paper: [1, 1, 1] };
  const picker = new Picker(facts, arrays);
  let frame = 0, rest = 0;
  const paint = (samples) => {
    // The middle of the picture moves out from under the list of classes.
    const legend = byId("legend").getBoundingClientRect(), wide = legend.width && legend.width < 0.5 * canvas.clientWidth;
    state.shift = wide ? -legend.width / canvas.clientWidth : 0;
    renderer.draw(state, samples);
  };
  const redraw = () => {
    if (!frame) frame = requestAnimationFrame(() => { frame = 0; paint(1); });
    clearTimeout(rest);
    rest = setTimeout(() => paint(2), 140);
  };
  state.legend = new Legend(facts, () => {
    if (!state.legend) return;
    refreshClasses();
  });
  const refreshClasses = () => {
    renderer.setClasses(facts.classes.map((c) => c.color), state.legend.shown, state.legend.unlabelledShown);
    redraw();
  };

  const setMode = (mode) => {
    if (!MODES[mode] || !MODES[mode].needs.every((need) => facts[need])) return;
    state.mode = mode;
    for (const button of byId("modes").children) button.setAttribute("aria-checked", String(Number(button.dataset.mode) === mode));
    showKey(mode, facts);
    redraw();
  };
  MODES.forEach((mode, number) => {
    if (!mode.needs.every((need) => facts[need])) return;
    const button = makeElement("button", { role: "radio", title: `Key ${number + 1}` }, mode.name);
    button.dataset.mode = number;
    button.addEventListener("click", () => setMode(number));
    byId("modes").append(button);
  });

  const setSize = (size) => {
    state.size = Math.min(3, Math.max(0.3, size));
    byId("size").value = state.size;
    redraw();
  };
  const toggleCull = () => {
    state.cull = !state.cull;
    byId("cull").setAttribute("aria-pressed", String(state.cull));
    redraw();
  };
  const reset = () => { orbit.reset(); setSize(1); };
  const setTheme = (theme) => { state.paper = applyTheme(theme); redraw(); };
  const toggleTheme = () => setTheme(document.documentElement.dataset.theme === "dark" ? "light" : "dark");
  const fold = () => {
    const folded = document.body.classList.toggle("folded");
    byId("fold").setAttribute("aria-expanded", String(!folded));
    redraw();
  };
  byId("cull").hidden = !facts.canCull && facts.lid > 1e8;
  byId("size").addEventListener("input", (event) => setSize(Number(event.target.value)));
  byId("cull").addEventListener("click", toggleCull);
  byId("reset").addEventListener("click", reset);
  byId("theme").addEventListener("click", toggleTheme);
  byId("fold").addEventListener("click", fold);

  const keys = { "[": () => setSize(state.size / 1.15), "]": () => setSize(state.size * 1.15), x: toggleCull, r: reset,
    t: toggleTheme, l: fold, "/": () => byId("search").focus(),
    arrowleft: () => orbit.turn(-25, 0), arrowright: () => orbit.turn(25, 0), arrowup: () => orbit.turn(0, 25),
    arrowdown: () => orbit.turn(0, -25), "+": () => orbit.zoom(0.85), "-": () => orbit.zoom(1 / 0.85) };
  document.addEventListener("keydown", (event) => {
    const typing = /^(INPUT|SELECT)$/.test(event.target.tagName ?? "") && event.target.type !== "range";
    if (event.key === "Escape") { byId("pick").hidden = true; event.target.blur(); }
    if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
    if (/^[1-5]$/.test(event.key)) setMode(Number(event.key) - 1);
    const action = keys[event.key.toLowerCase()];
    if (!action || (event.key.startsWith("Arrow") && event.target.type === "range")) return;
    event.preventDefault();
    action();
    redraw();
  });

  let pending = 0;
  listen(canvas, orbit, {
    move() { byId("pick").hidden = true; redraw(); },
    hover(x, y) {
      cancelAnimationFrame(pending);
      pending = requestAnimationFrame(() => {
        const point = picker.at(x, y, state, canvas.clientWidth, canvas.clientHeight);
        showPick(point, x, y, facts, arrays);
      });
    },
    leave() { cancelAnimationFrame(pending); byId("pick").hidden = true; },
    look(x, y) {
      const point = picker.at(x, y, state, canvas.clientWidth, canvas.clientHeight);
      if (point < 0) return;
      orbit.target = picker.world(point);
      orbit.zoom(0.6);
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
  refreshClasses();
  setMode(state.mode);
}

function describe(facts) {
  byId("name").textContent = facts.name;
  const words = [facts.labelSpace, `${facts.numVertices.toLocaleString("en")} vertices`];
  if (facts.count < facts.numVertices) words.push(`${facts.count.toLocaleString("en")} shown`);
  if (facts.miou !== null) words.push(`mIoU ${(100 * facts.miou).toFixed(1)}`, `accuracy ${(100 * facts.accuracy).toFixed(1)} %`);
  byId("facts-line").textContent = words.join(" · ");
}

function applyTheme(theme) {
  const dark = theme ? theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  document.documentElement.dataset.theme = dark ? "dark" : "light";
  return dark ? [0.078, 0.09, 0.106] : [0.984, 0.988, 0.992];
}

function showKey(mode, facts) {
  const key = byId("key"), css = (color) => `rgb(${color.map((v) => Math.round(255 * v)).join(" ")})`;
  key.hidden = mode < 3;
  key.replaceChildren();
  if (mode === 3) {
    for (const [name, color] of [["wrong", "wrong"], ["right", "correct"], ["unlabelled", "unlabelled"]]) {
      const swatch = makeElement("i");
      swatch.style.background = css(facts.colors[color]);
      key.append(makeElement("span", {}, swatch, name));
    }
  } else if (mode === 4) {
    const ramp = makeElement("div", { className: "ramp" });
    ramp.style.background = `linear-gradient(90deg, ${css([0.55, 0.06, 0.32])}, ${css([0.96, 0.66, 0.25])}, ${css([0.2, 0.62, 0.5])})`;
    key.append("0 %", ramp, "100 %");
  }
}

function showPick(point, x, y, facts, arrays) {
  const box = byId("pick");
  box.hidden = point < 0;
  if (point < 0) return;
  const line = (what, classIndex) => {
    const entry = facts.classes[classIndex], swatch = makeElement("i");
    if (entry) swatch.style.background = `rgb(${entry.color.join(" ")})`;
    const name = entry ? entry.name + (entry.group ? ` (${entry.group})` : "") : "unlabelled";
    return makeElement("p", {}, makeElement("span", { className: "what" }, what), swatch, makeElement("span", {}, name));
  };
  const lines = [];
  if (arrays.truth) lines.push(line("truth", arrays.truth[point]));
  if (arrays.predicted) lines.push(line("prediction", arrays.predicted[point]));
  if (arrays.confidence) {
    lines.push(makeElement("p", {}, makeElement("span", { className: "what" }, "confidence"), percent(arrays.confidence[point] / 255, 0)));
  }
  if (!lines.length) lines.push(makeElement("p", {}, "no classes in this view"));
  box.replaceChildren(...lines);
  const { width, height } = box.getBoundingClientRect();
  box.style.left = `${Math.max(6, Math.min(x + 16, innerWidth - width - 8))}px`;
  box.style.top = `${y + 18 + height > innerHeight ? y - height - 12 : y + 18}px`;
}

main();
