// Picking: which point lies under the pointer. One pass over the points in JavaScript; no second drawing.

class Picker {
  constructor(facts, arrays) {
    Object.assign(this, { facts, arrays });
  }

  isVisible(i, state) {
    const { truth, predicted } = this.arrays, { legend, mode } = state;
    const shown = (c) => (c === NO_CLASS ? legend.unlabelledShown : legend.shown[c]);
    if (truth && (mode === 1 || !predicted)) return shown(truth[i]);
    if (predicted && (mode === 2 || !truth)) return shown(predicted[i]);
    return !truth || shown(truth[i]) || shown(predicted[i]);
  }

  world(i) {
    const { position } = this.arrays, { origin, extent } = this.facts;
    return [0, 1, 2].map((a) => origin[a] + position[3 * i + a] / 65535 * extent);
  }

  // Index of the point seen at (x, y) CSS pixels, or -1.
  at(x, y, state, width, height) {
    const { position, normal } = this.arrays, { facts } = this, { orbit } = state;
    const m = orbit.matrix(width, height, state.shift), eye = orbit.eye, s = facts.extent / 65535, o = facts.origin;
    const focal = height / 2 / Math.tan(orbit.fitted(width, height) / 2);
    const aimX = 2 * x / width - 1, aimY = 1 - 2 * y / height, radius = facts.radius * state.size * focal;
    let best = -1, nearest = Infinity;
    for (let i = 0, j = 0; i < facts.count; i++, j += 3) {
      const px = o[0] + position[j] * s, py = o[1] + position[j + 1] * s, pz = o[2] + position[j + 2] * s;
      const w = m[3] * px + m[7] * py + m[11] * pz + m[15];
      if (w <= 0 || w >= nearest) continue;
      const dx = ((m[0] * px + m[4] * py + m[8] * pz + m[12]) / w - aimX) * width / 2;
      const dy = ((m[1] * px + m[5] * py + m[9] * pz + m[13]) / w - aimY) * height / 2;
      const reach = Math.max(radius / w, 2.5);
      if (dx * dx + dy * dy > reach * reach) continue;
      if (state.cull && pz > facts.lid) continue;
      if (state.cull && facts.canCull && normal &&
        normal[j] * (eye[0] - px) + normal[j + 1] * (eye[1] - py) + normal[j + 2] * (eye[2] - pz) < 0) continue;
      if (!this.isVisible(i, state)) continue;
      nearest = w;
      best = i;
    }
    return best;
  }
}
