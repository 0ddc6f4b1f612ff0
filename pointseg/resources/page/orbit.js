// Orbit: a camera that turns about a point, +Z up, with mouse, touch and keys.

const subtract = (a, b) => [a[0] - b[0], a[1] - b[1], a[2] - b[2]];
const addScaled = (a, b, s) => [a[0] + b[0] * s, a[1] + b[1] * s, a[2] + b[2] * s];
const dot = (a, b) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
const cross = (a, b) => [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]];
const unit = (a) => { const l = Math.hypot(...a) || 1; return [a[0] / l, a[1] / l, a[2] / l]; };

class Orbit {
  constructor(start, extent) {
    this.start = start;
    this.extent = extent;
    this.reset();
  }

  reset() {
    const back = subtract(this.start.eye, this.start.target);
    this.target = [...this.start.target];
    this.distance = 1.1 * Math.hypot(...back);
    this.azimuth = Math.atan2(back[1], back[0]);
    this.elevation = Math.asin(back[2] / Math.hypot(...back));
    this.fov = this.start.fov * Math.PI / 180;
  }

  // The camera as six numbers, and from them.
  numbers() {
    return [this.azimuth, this.elevation, this.distance, ...this.target];
  }

  setNumbers(numbers) {
    const [azimuth, elevation, distance, ...target] = numbers;
    Object.assign(this, { azimuth, target });
    this.elevation = Math.min(1.5533, Math.max(-1.5533, elevation));
    this.distance = distance;
    this.zoom(1);
  }

  get back() {
    const c = Math.cos(this.elevation);
    return [c * Math.cos(this.azimuth), c * Math.sin(this.azimuth), Math.sin(this.elevation)];
  }

  get eye() { return addScaled(this.target, this.back, this.distance); }

  // Right, up and back of the camera in world coordinates.
  get axes() {
    const back = this.back;
    const right = [-Math.sin(this.azimuth), Math.cos(this.azimuth), 0];
    return { right, up: cross(back, right), back };
  }

  turn(dx, dy) {
    this.azimuth -= dx * 0.006;
    this.elevation = Math.min(1.5533, Math.max(-1.5533, this.elevation + dy * 0.006));
  }

  pan(dx, dy, height) {
    const { right, up } = this.axes;
    const metres = 2 * this.distance * Math.tan(this.fov / 2) / height;
    this.target = addScaled(addScaled(this.target, right, -dx * metres), up, dy * metres);
  }

  // Towards a point in world coordinates, which keeps its place in the picture, and never through it: what one turns about
  // may lie under the ground. Towards the middle without one.
  zoom(factor, x, y, about = this.target) {
    const before = this.distance;
    this.distance = Math.min(20 * this.extent, Math.max(0.002 * this.extent, before * factor));
    this.target = addScaled(about, subtract(this.target, about), this.distance / before);
  }

  // Column-major world -> clip. `shift` moves the middle of the picture out from under the legend; a little
  // down, out from under the header, it is moved always.
  matrix(width, height, shift) {
    const { right, up, back } = this.axes, eye = this.eye;
    const f = 1 / Math.tan(this.fitted(width, height) / 2), aspect = width / height;
    const near = this.near, far = this.far;
    const a = (far + near) / (near - far), b = 2 * far * near / (near - far);
    const view = [right, up, back].map((axis) => [...axis, -dot(axis, eye)]);
    const rows = [
      view[0].map((v, i) => v * f / aspect - shift * view[2][i]),
      view[1].map((v, i) => v * f + 0.05 * view[2][i]),
      view[2].map((v, i) => v * a + (i === 3 ? b : 0)),
      view[2].map((v) => -v),
    ];
    const columns = new Float32Array(16);
    for (let r = 0; r < 4; r++) for (let c = 0; c < 4; c++) columns[4 * c + r] = rows[r][c];
    return columns;
  }

  // Upright screens see the same width as wide ones.
  fitted(width, height) {
    return 2 * Math.atan(Math.tan(this.fov / 2) * Math.max(1, 1.25 * height / width));
  }

  get near() { return Math.max(this.distance - 3 * this.extent, this.distance * 0.02, this.extent * 0.0005); }

  get far() { return this.distance + 4 * this.extent; }
}

// Mouse and touch. `on` has move(), hover(x, y), click(x, y), leave(), look(x, y), and anchor(x, y): the point in world
// coordinates that a zoom there goes to, or undefined.
function listen(canvas, orbit, on) {
  const pointers = new Map();
  let moved = 0, anchor = { until: 0 };
  // Looked for once a gesture: events that follow one another closely at about one place.
  const zoom = (factor, x, y) => {
    const now = performance.now();
    if (now > anchor.until || Math.hypot(x - anchor.x, y - anchor.y) > 24) anchor = { x, y, point: on.anchor(x, y) };
    anchor.until = performance.now() + 400;
    orbit.zoom(factor, x, y, anchor.point);
  };
  const center = () => {
    const all = [...pointers.values()];
    const x = all.reduce((s, p) => s + p.x, 0) / all.length, y = all.reduce((s, p) => s + p.y, 0) / all.length;
    return { x, y, spread: all.length > 1 ? Math.hypot(all[0].x - all[1].x, all[0].y - all[1].y) : 0 };
  };
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    canvas.focus({ preventScroll: true });
    pointers.set(event.pointerId, { x: event.clientX, y: event.clientY });
    moved = 0;
    canvas.classList.add("moving");
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!pointers.has(event.pointerId)) { on.hover(event.clientX, event.clientY); return; }
    const before = center();
    pointers.set(event.pointerId, { x: event.clientX, y: event.clientY });
    const after = center(), dx = after.x - before.x, dy = after.y - before.y;
    moved += Math.abs(dx) + Math.abs(dy);
    if (pointers.size > 1) {
      orbit.pan(dx, dy, canvas.clientHeight);
      if (before.spread && after.spread) zoom(before.spread / after.spread, after.x, after.y);
    } else if (event.buttons & 6 || event.shiftKey || event.ctrlKey) orbit.pan(dx, dy, canvas.clientHeight);
    else orbit.turn(dx, dy);
    on.move();
  });
  const release = (event) => {
    if (!pointers.delete(event.pointerId)) return;
    if (!pointers.size) canvas.classList.remove("moving");
    if (moved < 5 && event.type === "pointerup") on.click(event.clientX, event.clientY);
  };
  canvas.addEventListener("pointerup", release);
  canvas.addEventListener("pointercancel", release);
  // A finger leaves whenever it is lifted, and what it has tapped on is to be read after that.
  canvas.addEventListener("pointerleave", (event) => {
    if (!pointers.size && event.pointerType === "mouse") on.leave();
  });
  canvas.addEventListener("contextmenu", (event) => event.preventDefault());
  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    const lines = event.deltaMode === 1 ? 30 : event.deltaMode === 2 ? 400 : 1;
    zoom(Math.exp(event.deltaY * lines * 0.0012), event.clientX, event.clientY);
    on.move();
  }, { passive: false });
  canvas.addEventListener("dblclick", (event) => on.look(event.clientX, event.clientY));
}
