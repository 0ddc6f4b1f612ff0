// Legend: the classes of the scene with their share and IoU; shows, hides, isolates and finds them.

const ORDERS = {
  "by size": (a, b) => b.share - a.share || a.index - b.index,
  "by name": (a, b) => a.name.localeCompare(b.name),
  "worst IoU first": (a, b) => (a.iou ?? 2) - (b.iou ?? 2) || b.share - a.share,
  "best IoU first": (a, b) => (b.iou ?? -1) - (a.iou ?? -1) || b.share - a.share,
};

class Legend {
  constructor(facts, changed) {
    Object.assign(this, { facts, changed });
    this.entries = facts.classes.map((entry, index) => ({ ...entry, index }));
    this.shown = this.entries.map(() => true);
    this.unlabelledShown = true;
    this.list = document.getElementById("classes");
    this.items = this.entries.map((entry) => this.item(entry));
    this.unlabelledItem = facts.hasUnlabelled ? this.makeUnlabelledItem() : null;
    const search = document.getElementById("search"), order = document.getElementById("order");
    for (const name of Object.keys(ORDERS)) {
      if (facts.hasTruth && facts.hasPrediction || !name.includes("IoU")) order.append(makeElement("option", {}, name));
    }
    search.addEventListener("input", () => this.arrange());
    order.addEventListener("change", () => this.arrange());
    document.getElementById("all").addEventListener("click", () => this.setAll(true));
    document.getElementById("none").addEventListener("click", () => this.setAll(false));
    this.arrange();
  }

  item(entry) {
    const swatch = makeElement("button", { className: "swatch", title: "Show or hide", role: "switch" });
    swatch.setAttribute("aria-label", `Show ${entry.name}`);
    const color = `rgb(${entry.color.join(" ")})`;
    swatch.style.background = color;
    swatch.style.borderColor = color;
    const name = makeElement("button", { className: "name", title: `${entry.name}: show this class only, or all again` }, entry.name);
    if (entry.group) name.append(makeElement("span", { className: "group" }, entry.group));
    const numbers = makeElement("span", { className: "numbers" }, makeElement("span", {}, entry.share ? percent(entry.share) : "–"));
    if (this.facts.hasTruth && this.facts.hasPrediction) {
      const bar = makeElement("span", { className: "bar", title: "IoU in this scene" }), fill = makeElement("i");
      fill.style.width = `${100 * (entry.iou ?? 0)}%`;
      bar.append(fill);
      numbers.append(bar, makeElement("span", { className: "iou" }, entry.iou === null ? "–" : (100 * entry.iou).toFixed(0)));
    }
    swatch.addEventListener("click", () => { this.shown[entry.index] = !this.shown[entry.index]; this.update(); });
    name.addEventListener("click", () => this.isolate(entry.index));
    return makeElement("li", {}, swatch, name, numbers);
  }

  makeUnlabelledItem() {
    const swatch = makeElement("button", { className: "swatch", role: "switch", "aria-label": "Show unlabelled points" });
    const color = `rgb(${this.facts.colors.unlabelled.map((v) => Math.round(255 * v)).join(" ")})`;
    swatch.style.background = color;
    swatch.style.borderColor = color;
    const toggle = () => { this.unlabelledShown = !this.unlabelledShown; this.update(); };
    const name = makeElement("button", { className: "name" }, "unlabelled");
    swatch.addEventListener("click", toggle);
    name.addEventListener("click", toggle);
    return makeElement("li", {}, swatch, name, makeElement("span", { className: "numbers" }));
  }

  isolate(index) {
    const isAlone = this.shown.every((shown, i) => shown === (i === index)) && !this.unlabelledShown;
    this.shown = this.shown.map((_, i) => isAlone || i === index);
    this.unlabelledShown = isAlone;
    this.update();
  }

  // With words in the search box, only the classes found are switched.
  setAll(shown) {
    const found = new Set(this.found().map((entry) => entry.index));
    this.shown = this.shown.map((old, i) => (found.has(i) ? shown : old));
    if (found.size === this.entries.length) this.unlabelledShown = shown;
    this.update();
  }

  found() {
    const words = document.getElementById("search").value.trim().toLowerCase().split(/\s+/);
    return this.entries.filter((entry) => words.every((word) => `${entry.name} ${entry.group}`.toLowerCase().includes(word)));
  }

  arrange() {
    const order = ORDERS[document.getElementById("order").value] ?? ORDERS["by size"];
    const items = this.found().sort(order).map((entry) => this.items[entry.index]);
    if (this.unlabelledItem && items.length === this.entries.length) items.push(this.unlabelledItem);
    this.list.replaceChildren(...items);
    this.update();
  }

  update() {
    const set = (item, shown) => {
      item.classList.toggle("off", !shown);
      item.firstChild.setAttribute("aria-checked", String(shown));
    };
    this.items.forEach((item, i) => set(item, this.shown[i]));
    if (this.unlabelledItem) set(this.unlabelledItem, this.unlabelledShown);
    const count = this.shown.filter(Boolean).length;
    document.getElementById("legend-foot").textContent = `${count} of ${this.entries.length} classes shown`;
    this.changed();
  }
}
