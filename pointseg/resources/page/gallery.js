// Gallery: all scenes as cards; sorted, filtered, and the choice kept in the address.

const PAGE_OF_CARDS = 120, POLL_MS = 3000;
const score = (value) => (value === null ? "–" : (100 * value).toFixed(1));
const resultOf = (scene) => scene.results[state.run] ?? null;

// What scenes can be sorted by: a name for people, a value (null comes last), and whether large ones come first.
const SORTS = {
  name: { text: "name", value: (scene) => scene.name },
  size: { text: "size", value: (scene) => scene.vertices, falls: true },
  classes: { text: "number of classes", value: (scene) => scene.classes.length, falls: true },
  miou: { text: "mIoU", value: (scene) => resultOf(scene)?.miou ?? null, needs: "scored" },
  tail: { text: "tail mIoU", value: (scene) => resultOf(scene)?.tail ?? null, needs: "tail" },
  worst: { text: "IoU of the worst class", value: (scene) => resultOf(scene)?.worst?.[1] ?? null, needs: "scored" },
  gain: { text: "mIoU above the other run", value: (scene) => gainOf(scene), needs: "pair", falls: true },
};
const RANGES = {
  miou: { text: "mIoU, %", needs: "scored", value: (scene) => share(resultOf(scene)?.miou) },
  tail: { text: "tail mIoU, %", needs: "tail", value: (scene) => share(resultOf(scene)?.tail) },
  size: { text: "", value: (scene) => scene.vertices },
};
const share = (value) => (value === null || value === undefined ? null : 100 * value);

const facts = readFacts();
const state = { run: 0, panel: "", sort: "name", turned: false, find: "", worst: "", group: "", search: "", classes: new Set(), ranges: {}, limit: PAGE_OF_CARDS };
const has = { scored: facts.runs.length > 0 && facts.hasTruth, pair: facts.runs.length > 1 && facts.hasTruth };
has.tail = has.scored && facts.classes.some((entry) => entry.group === "tail");
const cards = new Map();
const link = new Link(words, show);

function gainOf(scene) {
  const mine = resultOf(scene)?.miou, other = scene.results[state.run === 0 ? 1 : 0]?.miou;
  return mine === null || mine === undefined || other === null || other === undefined ? null : mine - other;
}

function classesOf(scene) {
  return scene.classes.length ? scene.classes : resultOf(scene)?.found ?? [];
}

function fits(scene) {
  if (!scene.name.toLowerCase().includes(state.find.toLowerCase())) return false;
  if (state.classes.size) {
    const held = new Set(classesOf(scene).map(([index]) => index));
    for (const index of state.classes) if (!held.has(index)) return false;
  }
  if (state.worst !== "" && resultOf(scene)?.worst?.[0] !== Number(state.worst)) return false;
  return Object.entries(state.ranges).every(([name, [low, high]]) => {
    const value = RANGES[name].value(scene);
    return value !== null && (low === null || value >= low) && (high === null || value <= high);
  });
}

function sorted(scenes) {
  const { value, falls } = SORTS[state.sort], sign = Boolean(falls) === state.turned ? 1 : -1;
  const compare = (a, b) => (typeof a === "string" ? a.localeCompare(b, "en", { numeric: true }) : a - b);
  return [...scenes].sort((a, b) => {
    const [x, y] = [value(a), value(b)];
    if (x === null || y === null) return (x === null) - (y === null) || compare(a.name, b.name);
    return sign * compare(x, y) || compare(a.name, b.name);
  });
}

function cardOf(scene) {
  if (!cards.has(scene.slug)) {
    const image = makeElement("img", { loading: "lazy", width: 320, height: 240 }), text = makeElement("div", { className: "text" });
    const anchor = makeElement("a", {}, image);
    cards.set(scene.slug, { item: makeElement("li", { className: "card" }, anchor, text), image, text, anchor });
  }
  const card = cards.get(scene.slug), result = resultOf(scene), page = `scenes/${scene.slug}.${state.run}.html#colors=${state.panel}`;
  const learned = facts.learned?.[facts.scenes.indexOf(scene)];
  // Of another step another address, or the browser would keep the old picture.
  const source = `thumbs/${scene.slug}.${state.run}.${state.panel}.jpg${learned ? `?step=${learned}` : ""}`;
  if (card.image.getAttribute("src") !== source) card.image.setAttribute("src", source);
  card.image.alt = `${scene.name}, ${state.panel}`;
  card.anchor.setAttribute("href", page);
  const held = classesOf(scene).length, size = counted(scene.vertices, facts.one, facts.unit);
  const lines = [makeElement("h3", {}, makeElement("a", { href: page }, scene.name)),
    makeElement("p", {}, held || result ? `${size} · ${counted(held, "class", "classes")}` : size)];
  if (has.scored) {
    const pair = (name, value) => makeElement("span", {}, makeElement("span", {}, `${name} `), makeElement("b", {}, value));
    const scores = makeElement("p", { className: "scores" }, pair("mIoU", result ? score(result.miou) : "…"));
    if (has.tail) scores.append(pair("tail", result ? score(result.tail) : "…"));
    const gain = gainOf(scene);
    if (gain !== null) scores.append(pair("gain", `${gain >= 0 ? "+" : "−"}${Math.abs(100 * gain).toFixed(1)}`));
    lines.push(scores);
    if (result?.worst) lines.push(makeElement("p", {}, `worst: ${facts.classes[result.worst[0]].name} (IoU ${score(result.worst[1])})`));
  }
  if (facts.runs.length > 1) {
    const other = state.run === 0 ? 1 : 0;
    const compare = `compare.html#scene=${encodeURIComponent(scene.slug)}&a=${state.run}&b=${other}&colors=${state.panel}`;
    lines.push(makeElement("p", {}, makeElement("a", { href: compare }, "side by side")));
  }
  if (facts.failures[scene.slug]) lines.push(makeElement("p", {}, facts.failures[scene.slug]));
  card.text.replaceChildren(...lines);
  return card.item;
}

function render() {
  const found = sorted(facts.scenes.filter(fits)), shown = found.slice(0, state.limit);
  byId("cards").replaceChildren(...shown.map(cardOf));
  byId("found").textContent = found.length === facts.scenes.length ? counted(found.length, facts.member, facts.members)
    : `${found.length.toLocaleString("en")} of ${counted(facts.scenes.length, facts.member, facts.members)}`;
  byId("nothing").hidden = found.length > 0;
  byId("nothing").textContent = `No ${facts.member} fits all of these filters.`;
  byId("more").hidden = shown.length === found.length;
  byId("more").textContent = `Show more (${(found.length - shown.length).toLocaleString("en")} left)`;
  byId("direction").textContent = (SORTS[state.sort].falls ?? false) === state.turned ? "↑" : "↓";
  byId("chosen").replaceChildren(...[...state.classes].map((index) => {
    const button = makeElement("button", { className: "small", title: "Drop this filter" }, `${facts.classes[index].name} ×`);
    button.addEventListener("click", () => choose(index));
    return button;
  }));
  const any = state.find || state.worst !== "" || state.classes.size || Object.keys(state.ranges).length;
  byId("clear").hidden = !any;
  describe();
  link.changed();
}

function describe() {
  const words = [`split ${facts.split}`, counted(facts.scenes.length, facts.member, facts.members)];
  if (facts.runs.length) words.push(facts.runs.length === 1 ? facts.runs[0] : counted(facts.runs.length, "run", "runs"));
  const learned = facts.learned && Math.max(...facts.learned);
  if (facts.learned) words.push(learned ? `step ${learned.toLocaleString("en")}` : "before the first validation");
  else if (facts.live && facts.done < facts.total) words.push(`${facts.done} of ${facts.total} ${facts.runs.length ? "predicted" : "drawn"}`);
  byId("facts-line").textContent = words.join(" · ");
}

function renderClasses() {
  const scenes = new Map(), vertices = new Map();
  for (const scene of facts.scenes) {
    for (const [index, count] of classesOf(scene)) {
      scenes.set(index, (scenes.get(index) ?? 0) + 1);
      vertices.set(index, (vertices.get(index) ?? 0) + count);
    }
  }
  const held = [...scenes.keys()], wanted = state.search.trim().toLowerCase().split(/\s+/);
  const found = held.filter((index) => {
    const { name, group } = facts.classes[index];
    return (!state.group || group === state.group) && wanted.every((word) => `${name} ${group}`.toLowerCase().includes(word));
  }).sort((a, b) => vertices.get(b) - vertices.get(a) || a - b);
  byId("classes").replaceChildren(...found.map((index) => {
    const { name, group, color } = facts.classes[index], swatch = makeElement("span", { className: "swatch" });
    swatch.style.background = cssColor(color);
    const button = makeElement("button", { className: "name", title: `Only ${facts.members} with ${name}` }, name);
    button.setAttribute("aria-pressed", String(state.classes.has(index)));
    button.addEventListener("click", () => choose(index));
    return makeElement("li", { className: state.classes.has(index) ? "chosen" : "" }, swatch, button,
      group ? makeElement("span", { className: `badge ${group}` }, group) : "",
      makeElement("span", { className: "count scenes" }, scenes.get(index).toLocaleString("en")),
      makeElement("span", { className: "count vertices", title: vertices.get(index).toLocaleString("en") }, compact(vertices.get(index))));
  }));
  const groups = ["head", "common", "tail"].filter((group) => held.some((index) => facts.classes[index].group === group));
  byId("groups").hidden = !groups.length;
  byId("groups").replaceChildren(...["", ...groups].map((group) => {
    const count = held.filter((index) => !group || facts.classes[index].group === group).length;
    const button = makeElement("button", { className: "small", role: "radio", "aria-checked": String(group === state.group) },
      `${group || "all"} `, makeElement("b", {}, String(count)));
    button.addEventListener("click", () => { state.group = group; renderClasses(); link.changed(); });
    return button;
  }));
}

function renderWorst() {
  const counts = new Map();
  for (const scene of facts.scenes) {
    const worst = resultOf(scene)?.worst;
    if (worst) counts.set(worst[0], (counts.get(worst[0]) ?? 0) + 1);
  }
  const order = [...counts.keys()].sort((a, b) => counts.get(b) - counts.get(a) || a - b);
  byId("worst").replaceChildren(makeElement("option", { value: "" }, "any"),
    ...order.map((index) => makeElement("option", { value: index }, `${facts.classes[index].name} (${counts.get(index)})`)));
  byId("worst").value = state.worst;
  if (byId("worst").selectedIndex < 0) byId("worst").value = "";
}

function choose(index) {
  if (!state.classes.delete(index)) state.classes.add(index);
  state.limit = PAGE_OF_CARDS;
  renderClasses();
  render();
}

function renderRanges() {
  byId("ranges").replaceChildren(...Object.entries(RANGES).filter(([, { needs }]) => !needs || has[needs]).map(([name, { text }]) => {
    const field = (place, placeholder) => {
      const input = makeElement("input", { type: "number", placeholder, "aria-label": `${text || facts.unit}, ${placeholder}`, min: 0, "data-range": name });
      input.value = state.ranges[name]?.[place] ?? "";
      input.addEventListener("input", () => {
        const range = state.ranges[name] ?? [null, null];
        range[place] = input.value === "" ? null : Number(input.value);
        if (range.every((end) => end === null)) delete state.ranges[name];
        else state.ranges[name] = range;
        render();
      });
      return input;
    };
    return makeElement("div", { className: "field range" }, makeElement("label", {}, text || facts.unit), field(0, "from"), makeElement("span", {}, "–"), field(1, "to"));
  }));
}

// What is on screen as texts, and back; see link.js.
function words() {
  const said = { show: state.panel, sort: state.sort };
  if (state.turned) said.turned = "1";
  if (state.run) said.run = String(state.run);
  if (state.find) said.find = state.find;
  if (state.worst !== "") said.worst = String(state.worst);
  if (state.group) said.group = state.group;
  if (state.search) said.search = state.search;
  if (state.classes.size) said.classes = [...state.classes].join(",");
  for (const [name, [low, high]] of Object.entries(state.ranges)) said[name] = `${low ?? ""},${high ?? ""}`;
  return said;
}

function show(said) {
  const among = (name, known, otherwise) => (known.includes(said.get(name)) ? said.get(name) : otherwise);
  state.panel = among("show", facts.panels, facts.panels.includes("prediction") ? "prediction" : facts.panels.at(-1));
  state.sort = among("sort", sortsThere(), "name");
  state.group = among("group", ["head", "common", "tail"], "");
  state.turned = said.get("turned") === "1";
  state.run = Math.max(0, facts.runs.findIndex((_, number) => String(number) === said.get("run")));
  state.find = said.get("find") ?? "";
  state.worst = facts.classes[said.get("worst")] ? said.get("worst") : "";
  state.search = said.get("search") ?? "";
  state.classes = new Set((said.get("classes") ?? "").split(",").filter((text) => text).map(Number).filter((index) => facts.classes[index]));
  state.ranges = {};
  for (const name of Object.keys(RANGES)) {
    const ends = (said.get(name) ?? "").split(",").map((text) => (text === "" || !Number.isFinite(Number(text)) ? null : Number(text)));
    if (ends.length === 2 && ends.some((end) => end !== null)) state.ranges[name] = ends;
  }
  byId("find").value = state.find;
  byId("search").value = state.search;
  byId("sort").value = state.sort;
  byId("run").value = String(state.run);
  for (const button of byId("panels").children) button.setAttribute("aria-checked", String(button.dataset.panel === state.panel));
  renderRanges();
  renderClasses();
  renderWorst();
  render();
}

const sortsThere = () => Object.keys(SORTS).filter((name) => !SORTS[name].needs || has[SORTS[name].needs]);

function theme(wanted) {
  const dark = wanted ? wanted === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  document.documentElement.dataset.theme = dark ? "dark" : "light";
}

async function poll() {
  try {
    const answer = await fetch("facts.json"), news = await answer.json();
    const isNew = news.done !== facts.done || String(news.learned) !== String(facts.learned);
    Object.assign(facts, { done: news.done, total: news.total, failures: news.failures, learned: news.learned });
    news.results.forEach((results, number) => { facts.scenes[number].results = results; });
    if (isNew) { renderClasses(); renderWorst(); render(); }
  } catch {
    const what = facts.learned === null ? "pointseg view" : "The training";
    byId("facts-line").textContent = `${what} has ended; what is on screen stays, and nothing new comes.`;
    return;
  }
  if (comesMore()) setTimeout(poll, POLL_MS);
}

// Whether anything on screen may still change: scenes that are to be predicted, or a network that learns.
const comesMore = () => facts.learned !== null || facts.done < facts.total;


function main() {
  theme();
  byId("name").textContent = facts.title;
  byId("heading-scenes").textContent = facts.members;
  byId("heading-count").textContent = facts.unit;
  byId("worst-field").hidden = !has.scored;
  byId("run-label").hidden = facts.runs.length < 2;
  facts.runs.forEach((name, number) => byId("run").append(makeElement("option", { value: number }, name)));
  sortsThere().forEach((name) => byId("sort").append(makeElement("option", { value: name }, SORTS[name].text)));
  for (const panel of facts.panels) {
    const button = makeElement("button", { className: "small", role: "radio" }, panel[0].toUpperCase() + panel.slice(1));
    button.dataset.panel = panel;
    button.addEventListener("click", () => { state.panel = panel; changed(); });
    byId("panels").append(button);
  }
  const changed = () => { show(new URLSearchParams(words())); };
  const on = (id, event, set) => byId(id).addEventListener(event, (e) => { set(e.target.value); state.limit = PAGE_OF_CARDS; });
  on("run", "change", (value) => { state.run = Number(value); changed(); });
  on("sort", "change", (value) => { state.sort = value; state.turned = false; render(); });
  on("direction", "click", () => { state.turned = !state.turned; render(); });
  on("find", "input", (value) => { state.find = value; render(); });
  on("worst", "change", (value) => { state.worst = value; render(); });
  on("search", "input", (value) => { state.search = value; renderClasses(); link.changed(); });
  on("clear", "click", () => { Object.assign(state, { find: "", worst: "", classes: new Set(), ranges: {} }); changed(); });
  byId("more").addEventListener("click", () => { state.limit += PAGE_OF_CARDS; render(); });
  const turnTheme = () => theme(document.documentElement.dataset.theme === "dark" ? "light" : "dark");
  byId("theme").addEventListener("click", turnTheme);
  if (innerWidth < 900) byId("filters").open = false;
  show(new URLSearchParams(location.hash.slice(1)));
  if (facts.live && comesMore()) setTimeout(poll, POLL_MS);
}

main();
