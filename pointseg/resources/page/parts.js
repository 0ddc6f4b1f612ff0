// Parts: of a scene of more points than its page holds, all those where one looks closely.

// At most MOST_POINTS beyond the page's own are held, in at most MOST_PARTS. A part is wanted where the discs of the
// overview are at least WIDE_PX wide: elsewhere more points would show nothing more. One that does not come within
// PATIENCE_MS is not asked for again.
const MOST_POINTS = 1_000_000, MOST_PARTS = 16, WIDE_PX = 2.5, PATIENCE_MS = 60_000;

// All points of the page by one number each: those of the overview first, then those of each part, held or not.
class Points {
  constructor(facts, arrays, picker) {
    this.pieces = [{ start: 0, facts, arrays, picker }];
  }

  add(start, facts, arrays) {
    this.pieces.push({ start, facts, arrays, picker: new Picker(facts, arrays) });
  }

  remove(start) {
    this.pieces = this.pieces.filter((piece) => piece.start !== start);
  }

  find(point) {
    return this.pieces.find(({ start, facts }) => point >= start && point < start + facts.count);
  }

  at(x, y, state, width, height, least) {
    let best = -1, nearest = Infinity;
    for (const { start, picker } of this.pieces) {
      const point = picker.at(x, y, state, width, height, least);
      if (point < 0 || (this.pieces.length > 1 && picker.depth >= nearest)) continue;
      nearest = picker.depth;
      best = start + point;
    }
    return best;
  }

  place(point, state, width, height) {
    const piece = this.find(point);
    return piece ? piece.picker.place(point - piece.start, state, width, height) : null;
  }

  world(point) {
    const piece = this.find(point);
    return piece.picker.world(point - piece.start);
  }

  describe(point) {
    const { start, facts, arrays } = this.find(point);
    return describePoint(point - start, facts, arrays);
  }

  vertexOf(point) {
    const { start, facts, arrays } = this.find(point);
    return vertexOf(point - start, facts, arrays);
  }

  // -1 for a vertex that no point of what is held is.
  pointOf(vertex) {
    for (const { start, facts, arrays } of this.pieces) {
      const point = pointOf(vertex, facts, arrays);
      if (point >= 0) return start + point;
    }
    return -1;
  }
}

class Parts {
  constructor(facts, renderer, points, changed) {
    Object.assign(this, { facts, renderer, points, changed, queue: [], lost: new Set(), asked: -1 });
    let start = facts.count;
    this.list = facts.parts.map((part) => {
      const made = { ...part, start };
      start += part.count;
      return made;
    });
    addEventListener("message", (event) => {
      if (this.asked >= 0 && event.source === this.frame.contentWindow) this.take(event.data);
    });
  }

  // Points of the parts that are held.
  get held() {
    return [...this.renderer.parts.keys()].reduce((sum, number) => sum + this.list[number].count, 0);
  }

  // Ask for what is seen so near that the overview is coarse, the nearest first, and let go of what there is no room for.
  look(state, width, height) {
    const { camera } = state, eye = camera.eye, focal = height / 2 / Math.tan(camera.fitted(width, height) / 2);
    const matrix = camera.matrix(width, height, state.shift);
    const near = [];
    this.list.forEach(({ low, high, start, count }, number) => {
      const pinned = state.pinned >= start && state.pinned < start + count;
      const away = pinned ? 0 : Math.hypot(...[0, 1, 2].map((a) => Math.max(low[a] - eye[a], 0, eye[a] - high[a])));
      const wide = 2 * this.facts.radius * focal >= WIDE_PX * away;
      if (pinned || (wide && !this.lost.has(number) && isSeen(matrix, low, high))) near.push({ number, away });
    });
    near.sort((a, b) => a.away - b.away || a.number - b.number);
    const wanted = near.map(({ number }) => number), { parts } = this.renderer;
    const kept = new Set();
    let points = 0;
    for (const number of [...wanted, ...[...parts.keys()].filter((held) => !wanted.includes(held))]) {
      points += this.list[number].count;
      if (points > MOST_POINTS || kept.size === MOST_PARTS) break;
      kept.add(number);
    }
    for (const number of [...parts.keys()]) {
      if (kept.has(number)) continue;
      this.renderer.removePart(number);
      this.points.remove(this.list[number].start);
    }
    this.queue = wanted.filter((number) => kept.has(number) && !parts.has(number) && number !== this.asked);
    this.room = kept;
    this.ask();
  }

  ask() {
    if (this.asked >= 0 || !this.queue.length) return;
    this.asked = this.queue.shift();
    this.frame = makeElement("iframe", { src: this.list[this.asked].href, hidden: "", title: "points" });
    document.body.append(this.frame);
    this.patience = setTimeout(() => { this.lost.add(this.asked); this.end(); }, PATIENCE_MS);
  }

  take({ facts, arrays }) {
    const number = this.asked, part = this.list[number];
    // Meanwhile somebody may have turned away.
    if (this.room.has(number)) {
      this.renderer.addPart(number, part, arrays);
      this.points.add(part.start, { ...this.facts, ...facts }, arrays);
    }
    this.end();
    this.changed();
  }

  end() {
    clearTimeout(this.patience);
    this.frame.remove();
    this.asked = -1;
    this.ask();
  }
}

// Whether any of a box may be in the picture.
function isSeen(m, low, high) {
  const corners = [0, 1, 2, 3, 4, 5, 6, 7].map((bits) => {
    const [x, y, z] = [0, 1, 2].map((a) => (bits >> a & 1 ? high[a] : low[a]));
    return [0, 1, 3].map((r) => m[r] * x + m[4 + r] * y + m[8 + r] * z + m[12 + r]);
  });
  const outside = [([x, , w]) => x < -w, ([x, , w]) => x > w, ([, y, w]) => y < -w, ([, y, w]) => y > w, ([, , w]) => w <= 0];
  return !outside.some((isOut) => corners.every(isOut));
}
