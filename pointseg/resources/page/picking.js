// Picking: which point lies under the pointer. One pass over the points in JavaScript; no second drawing.

// How a point is drawn in this colouring: SHOWN, PALE or HIDDEN.
function pointState(i, arrays, state) {
  const { truth, predicted } = arrays, { legend, mode } = state;
  if (truth && (mode === "truth" || !predicted)) return legend.stateOf(truth[i]);
  if (predicted && (mode === "prediction" || !truth)) return legend.stateOf(predicted[i]);
  return truth ? Math.max(legend.stateOf(truth[i]), legend.stateOf(predicted[i])) : SHOWN;
}

class Picker {
  constructor(facts, arrays) {
    Object.assign(this, { facts, arrays });
  }

  world(i) {
    const { position } = this.arrays, { origin, extent } = this.facts;
    return [0, 1, 2].map((a) => origin[a] + position[3 * i + a] / 65535 * extent);
  }

  // Where point i is on a canvas of this size, in CSS pixels; null behind the camera.
  place(i, state, width, height) {
    const m = state.camera.matrix(width, height, state.shift), [x, y, z] = this.world(i);
    const clip = [0, 1, 3].map((r) => m[r] * x + m[4 + r] * y + m[8 + r] * z + m[12 + r]);
    return clip[2] <= 0 ? null : [(1 + clip[0] / clip[2]) * width / 2, (1 - clip[1] / clip[2]) * height / 2];
  }

  // Index of the point seen at (x, y) CSS pixels, or -1. A point is as large as its disc, and has a radius of `least` pixels.
  at(x, y, state, width, height, least = 2.5) {
    const { position, normal } = this.arrays, { facts } = this, { camera } = state;
    const m = camera.matrix(width, height, state.shift), eye = camera.eye, s = facts.extent / 65535, o = facts.origin;
    const focal = height / 2 / Math.tan(camera.fitted(width, height) / 2);
    const aimX = 2 * x / width - 1, aimY = 1 - 2 * y / height, radius = facts.radius * state.size * focal;
    let best = -1, nearest = Infinity;
    for (let i = 0, j = 0; i < facts.count; i++, j += 3) {
      const px = o[0] + position[j] * s, py = o[1] + position[j + 1] * s, pz = o[2] + position[j + 2] * s;
      const w = m[3] * px + m[7] * py + m[11] * pz + m[15];
      if (w <= 0 || w >= nearest) continue;
      const dx = ((m[0] * px + m[4] * py + m[8] * pz + m[12]) / w - aimX) * width / 2;
      const dy = ((m[1] * px + m[5] * py + m[9] * pz + m[13]) / w - aimY) * height / 2;
      const reach = Math.max(radius / w, least);
      if (dx * dx + dy * dy > reach * reach) continue;
      if (state.cull && pz > facts.lid) continue;
      if (state.cull && facts.canCull && normal &&
        normal[j] * (eye[0] - px) + normal[j + 1] * (eye[1] - py) + normal[j + 2] * (eye[2] - pz) < 0) continue;
      if (pointState(i, this.arrays, state) === HIDDEN) continue;
      nearest = w;
      best = i;
    }
    this.depth = nearest;
    return best;
  }
}

// The box that says what a point is: its classes, the most probable ones, and where it is in the file.
function describePoint(point, facts, arrays) {
  const entryOf = (index) => facts.classes[index] ?? facts.further[index - facts.classes.length];
  const line = (what, index) => {
    const entry = index === NO_CLASS ? null : entryOf(index), swatch = makeElement("i");
    if (entry) swatch.style.background = cssColor(entry.color);
    const badge = entry?.group ? makeElement("span", { className: `badge ${entry.group}` }, entry.group) : "";
    return makeElement("p", {}, makeElement("span", { className: "what" }, what), swatch,
      makeElement("span", {}, entry ? entry.name : "unlabelled"), badge);
  };
  const lines = [];
  if (arrays.truth) lines.push(line("truth", arrays.truth[point]));
  if (arrays.predicted) lines.push(line("prediction", arrays.predicted[point]));
  if (arrays.topClass) {
    const table = makeElement("ol", { className: "top" }), count = facts.blocks.find((block) => block.name === "topClass").width;
    for (let k = 0; k < count; k++) {
      const probability = arrays.topProbability[count * point + k] / 255, bar = makeElement("span", { className: "bar" }), fill = makeElement("i");
      fill.style.width = `${100 * probability}%`;
      bar.append(fill);
      table.append(makeElement("li", {}, makeElement("span", { className: "who" }, entryOf(arrays.topClass[count * point + k]).name),
        bar, makeElement("span", { className: "number" }, probability < 0.005 ? "< 1 %" : percent(probability, 0))));
    }
    lines.push(table);
  } else if (arrays.confidence) {
    lines.push(makeElement("p", {}, makeElement("span", { className: "what" }, "confidence"), percent(arrays.confidence[point] / 255, 0)));
  }
  const vertex = vertexOf(point, facts, arrays), one = facts.picture ? "pixel" : "vertex";
  let where = `${facts.name} · ${one} ${vertex.toLocaleString("en")}`;
  if (facts.picture) where += ` (row ${Math.floor(vertex / facts.fullWidth)}, column ${vertex % facts.fullWidth})`;
  lines.push(makeElement("p", { className: "where" }, where));
  return lines;
}
