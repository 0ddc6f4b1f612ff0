// Compare: one scene of two runs in two frames that are seen from the same place, in the same colours.

const facts = readFacts();
const frames = [byId("left"), byId("right")], choices = [byId("a"), byId("b")];
const state = { scene: 0, runs: [0, 1], rest: "" };
const OWN = ["scene", "a", "b"];

// The address of a page is made of names that this page was written with, never of the fragment's own words.
function load() {
  const { slug, name } = facts.scenes[state.scene];
  byId("name").textContent = name;
  document.title = `${name}, side by side · pointseg`;
  frames.forEach((frame, side) => {
    choices[side].value = String(state.runs[side]);
    const page = `scenes/${slug}.${state.runs[side]}.html`;
    if (frame.dataset.page === page) {
      frame.contentWindow.postMessage({ pointseg: state.rest }, "*");
      return;
    }
    frame.dataset.page = page;
    // Replaced, not added to the history: Back leaves the comparison.
    const source = `${page}#${state.rest}`;
    if (frame.getAttribute("src")) frame.contentWindow.location.replace(new URL(source, location.href));
    else frame.setAttribute("src", source);
  });
  const step = (by, text) => {
    const number = state.scene + by;
    if (!facts.scenes[number]) return "";
    const anchor = makeElement("a", { href: "#", title: facts.scenes[number].name }, text);
    anchor.addEventListener("click", (event) => {
      event.preventDefault();
      const colors = new URLSearchParams(state.rest).get("colors");
      Object.assign(state, { scene: number, rest: colors ? `colors=${colors}` : "" });
      load();
      link.changed();
    });
    return anchor;
  };
  byId("links").replaceChildren(makeElement("a", { href: "index.html" }, "gallery"), step(-1, "‹ previous"), step(1, "next ›"));
}

const link = new Link(() => {
  const said = { scene: facts.scenes[state.scene].slug, a: String(state.runs[0]), b: String(state.runs[1]) };
  return { ...said, ...Object.fromEntries(new URLSearchParams(state.rest)) };
}, (words) => {
  state.scene = Math.max(0, facts.scenes.findIndex(({ slug }) => slug === words.get("scene")));
  state.runs = ["a", "b"].map((key, side) => {
    const number = facts.runs.findIndex((_, i) => String(i) === words.get(key));
    return number < 0 ? side : number;
  });
  OWN.forEach((key) => words.delete(key));
  state.rest = words.toString();
  load();
});

window.addEventListener("message", (event) => {
  const side = frames.findIndex((frame) => frame.contentWindow === event.source);
  if (side < 0 || typeof event.data?.pointseg !== "string" || !byId("linked").checked) return;
  state.rest = event.data.pointseg;
  frames[1 - side].contentWindow.postMessage({ pointseg: state.rest }, "*");
  link.changed();
});

for (const select of choices) facts.runs.forEach((name, number) => select.append(makeElement("option", { value: number }, name)));
choices.forEach((select, side) => select.addEventListener("change", () => {
  state.runs[side] = Number(select.value);
  load();
  link.changed();
}));
document.documentElement.dataset.theme = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
link.show(new URLSearchParams(location.hash.slice(1)));
