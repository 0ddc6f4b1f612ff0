// Legend: the classes of the scene with their vertices and IoU; shows, hides, isolates, finds them, or keeps a group.

const ORDERS = {
  "by size": (a, b) => b.count - a.count || a.index - b.index,
  "by name": (a, b) => a.name.localeCompare(b.name),
  "rarest in training": (a, b) => (a.frequency ?? 2) - (b.frequency ?? 2) || a.index - b.index,
  "worst IoU first": (a, b) => (a.iou ?? 2) - (b.iou ?? 2) || b.count - a.count,
  "best IoU first": (a, b) => (b.iou ?? -1) - (a.iou ?? -1) || b.count - a.count,
};

const GROUPS = ["head", "common", "tail"];
const HIDDEN = 0, PALE = 128, SHOWN = 255;

class Legend {
  constructor(facts, changed) {
    Object.assign(this, { facts, changed, group: "" });
    this.entries = facts.classes.map((entry, index) => ({ ...entry, index }));
    this.shown = this.entries.map(() => true);
    this.unlabelledShown = true;
    this.hasIou = facts.hasTruth && facts.hasPrediction;
    this.list = byId("classes");
    byId("legend").classList.toggle("scored", this.hasIou);
    this.items = this.entries.map((entry) => this.item(entry));
    this.unlabelledItem = facts.hasUnlabelled ? this.makeUnlabelledItem() : null;
    byId("heading-count").textContent = facts.hasTruth || !facts.hasPrediction ? facts.unit : "predicted";
    byId("heading-iou").hidden = !this.hasIou;
    const hasFrequency = facts.classes.some((entry) => entry.frequency !== null);
    for (const name of Object.keys(ORDERS)) {
      if ((this.hasIou || !name.includes("IoU")) && (hasFrequency || !name.includes("training"))) {
        byId("order").append(makeElement("option", {}, name));
      }
    }
    this.groupButtons();
    byId("search").addEventListener("input", () => this.arrange());
    byId("order").addEventListener("change", () => this.arrange());
    byId("all").addEventListener("click", () => this.setAll(true));
    byId("none").addEventListener("click", () => this.setAll(false));
    this.arrange();
  }

  // All, head, common, tail: what is of another group stays in the view as a pale shape.
  groupButtons() {
    const held = GROUPS.filter((group) => this.entries.some((entry) => entry.group === group));
    byId("groups").hidden = !held.length;
    for (const group of ["", ...held]) {
      const count = this.entries.filter((entry) => !group || entry.group === group).length;
      const button = makeElement("button", { className: "small", role: "radio" }, group ? `${group} ` : "all ",
        makeElement("b", {}, String(count)));
      button.title = group ? `Only ${group} classes: ${counted(count, "class", "classes")} of this scene` : "Classes of all groups";
      button.dataset.group = group;
      button.addEventListener("click", () => { this.group = group; this.arrange(); });
      byId("groups").append(button);
    }
  }

  item(entry) {
    const swatch = makeElement("button", { className: "swatch", title: "Show or hide", role: "switch" });
    swatch.setAttribute("aria-label", `Show ${entry.name}`);
    swatch.style.background = swatch.style.borderColor = cssColor(entry.color);
    const name = makeElement("button", { className: "name", title: `${entry.name}: show this class only, or all again` }, entry.name);
    const badge = entry.group ? makeElement("span", { className: `badge ${entry.group}` }, entry.group) : "";
    const count = makeElement("span", { className: "count" }, entry.count ? compact(entry.count) : "–");
    const many = this.facts.hasTruth || !this.facts.hasPrediction ? this.facts.unit : `predicted ${this.facts.unit}`;
    count.title = `${entry.count.toLocaleString("en")} ${many}, ${percent(entry.share)}`;
    if (entry.frequency !== null) count.title += `; ${percent(entry.frequency, 2)} of the training data`;
    const item = makeElement("li", {}, swatch, name, badge, count);
    if (this.hasIou) {
      const bar = makeElement("span", { className: "bar" }), fill = makeElement("i");
      fill.style.width = `${100 * (entry.iou ?? 0)}%`;
      bar.append(fill);
      item.append(makeElement("span", { className: "iou", title: "IoU in this scene, %" }, bar,
        entry.iou === null ? "–" : (100 * entry.iou).toFixed(0)));
    }
    swatch.addEventListener("click", () => { this.shown[entry.index] = !this.shown[entry.index]; this.update(); });
    name.addEventListener("click", () => this.isolate(entry.index));
    return item;
  }

  makeUnlabelledItem() {
    const swatch = makeElement("button", { className: "swatch", role: "switch", "aria-label": "Show unlabelled points" });
    swatch.style.background = swatch.style.borderColor = cssColor(this.facts.colors.unlabelled.map((v) => Math.round(255 * v)));
    const toggle = () => { this.unlabelledShown = !this.unlabelledShown; this.update(); };
    const name = makeElement("button", { className: "name" }, "unlabelled");
    swatch.addEventListener("click", toggle);
    name.addEventListener("click", toggle);
    return makeElement("li", {}, swatch, name);
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
    const words = byId("search").value.trim().toLowerCase().split(/\s+/);
    return this.entries.filter((entry) => (!this.group || entry.group === this.group)
      && words.every((word) => `${entry.name} ${entry.group}`.toLowerCase().includes(word)));
  }

  // How a class, or NO_CLASS, is drawn: SHOWN, PALE or HIDDEN.
  stateOf(index) {
    if (index === NO_CLASS) return this.unlabelledShown ? (this.group ? PALE : SHOWN) : HIDDEN;
    if (this.group && this.entries[index].group !== this.group) return PALE;
    return this.shown[index] ? SHOWN : HIDDEN;
  }

  arrange() {
    const order = ORDERS[byId("order").value] ?? ORDERS["by size"], found = this.found();
    const items = found.sort(order).map((entry) => this.items[entry.index]);
    if (this.unlabelledItem && items.length === this.entries.length) items.push(this.unlabelledItem);
    this.list.replaceChildren(...items);
    for (const button of byId("groups").children) button.setAttribute("aria-checked", String(button.dataset.group === this.group));
    this.update();
  }

  update() {
    const set = (item, shown) => {
      item.classList.toggle("off", !shown);
      item.firstChild.setAttribute("aria-checked", String(shown));
    };
    this.items.forEach((item, i) => set(item, this.shown[i]));
    if (this.unlabelledItem) set(this.unlabelledItem, this.unlabelledShown);
    const among = this.entries.filter((entry) => !this.group || entry.group === this.group);
    const count = among.filter((entry) => this.shown[entry.index]).length;
    byId("legend-foot").textContent = `${count} of ${counted(among.length, "class", "classes")} shown`;
    this.changed();
  }

  // What of it a link holds; classes by their raw id, since two runs list them in other orders.
  write(words) {
    const hidden = this.entries.filter((entry) => !this.shown[entry.index]).map((entry) => entry.rawId);
    const seen = this.entries.filter((entry) => this.shown[entry.index]).map((entry) => entry.rawId);
    if (!this.unlabelledShown) words.unlabelled = "0";
    if (hidden.length > seen.length) words.only = seen.join(",");
    else if (hidden.length) words.hide = hidden.join(",");
    if (this.group) words.group = this.group;
    if (byId("search").value) words.find = byId("search").value;
    if (byId("order").selectedIndex > 0) words.order = byId("order").value;
  }

  read(words) {
    const ids = (name) => new Set((words.get(name) ?? "").split(",").filter((id) => id).map(Number));
    const only = words.has("only") ? ids("only") : null, hide = ids("hide");
    this.shown = this.entries.map((entry) => (only ? only.has(entry.rawId) : !hide.has(entry.rawId)));
    this.unlabelledShown = words.get("unlabelled") !== "0";
    this.group = this.entries.some((entry) => entry.group && entry.group === words.get("group")) ? words.get("group") : "";
    byId("search").value = words.get("find") ?? "";
    byId("order").value = words.get("order") ?? "by size";
    if (byId("order").selectedIndex < 0) byId("order").selectedIndex = 0;
    this.arrange();
  }
}
