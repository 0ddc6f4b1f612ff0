// Flat: a picture instead of points. The same door as Orbit, Renderer and Picker: moved, painted, picked.

class Pan {
  constructor(facts) {
    [this.height, this.width] = facts.picture;
    this.fit = 1;
    this.middle = [0, 0];
    this.reset();
  }

  reset() { Object.assign(this, { x: this.width / 2, y: this.height / 2, scale: 1 }); }

  numbers() { return [this.x, this.y, this.scale]; }

  setNumbers([x, y, scale]) {
    Object.assign(this, { x, y, scale });
    this.zoom(1);
  }

  turn(dx, dy) { this.pan(dx, dy); }

  pan(dx, dy) {
    this.x = Math.min(this.width, Math.max(0, this.x - dx / (this.fit * this.scale)));
    this.y = Math.min(this.height, Math.max(0, this.y - dy / (this.fit * this.scale)));
  }

  // What lies under (x, y) CSS pixels stays there.
  zoom(factor, x = this.middle[0], y = this.middle[1]) {
    const [px, py] = this.toPicture(x, y);
    this.scale = Math.min(80, Math.max(0.3, this.scale / factor));
    this.x = px - (x - this.middle[0]) / (this.fit * this.scale);
    this.y = py - (y - this.middle[1]) / (this.fit * this.scale);
    this.pan(0, 0);
  }

  toPicture(x, y) {
    const size = this.fit * this.scale;
    return [this.x + (x - this.middle[0]) / size, this.y + (y - this.middle[1]) / size];
  }

  toScreen(x, y) {
    const size = this.fit * this.scale;
    return [this.middle[0] + (x - this.x) * size, this.middle[1] + (y - this.y) * size];
  }

  // The picture fits between the bars above and below, beside the list of classes.
  frame(width, height, shift) {
    const narrow = width < 900, top = narrow ? 136 : 112, bottom = narrow ? 70 : 96, right = -shift * width;
    this.fit = Math.max(0.02, Math.min((width - right - 28) / this.width, (height - top - bottom) / this.height));
    this.middle = [(width - right) / 2, top + (height - top - bottom) / 2];
  }
}

class FlatRenderer {
  constructor(canvas, facts, arrays) {
    Object.assign(this, { canvas, facts, arrays, colors: [], legend: null, painted: "" });
    this.context = canvas.getContext("2d");
    const layer = () => Object.assign(document.createElement("canvas"), { width: facts.picture[1], height: facts.picture[0] });
    [this.photo, this.layer] = [layer(), layer()];
    this.fill(this.photo, (i, pixel) => pixel.set(arrays.color.subarray(3 * i, 3 * i + 3)));
  }

  fill(layer, paint) {
    const context = layer.getContext("2d"), image = context.createImageData(layer.width, layer.height);
    for (let i = 0; i < this.facts.count; i++) {
      image.data[4 * i + 3] = 255;
      paint(i, image.data.subarray(4 * i, 4 * i + 4));
    }
    context.putImageData(image, 0, 0);
  }

  setClasses(colors, legend) {
    Object.assign(this, { colors, legend, painted: "" });
  }

  paintLayer(state) {
    const { truth, predicted, confidence } = this.arrays, { colors } = this.facts;
    const scaled = (color) => color.map((v) => 255 * v), pale = scaled(mixed(state.paper, [0.5, 0.5, 0.5], 0.2));
    const unlabelled = scaled(colors.unlabelled), correct = scaled(colors.correct), wrong = scaled(colors.wrong);
    const colorOf = (c) => (c === NO_CLASS ? unlabelled : this.colors[c]);
    const colorAt = {
      truth: (i) => colorOf(truth[i]),
      prediction: (i) => colorOf(predicted[i]),
      error: (i) => (truth[i] === NO_CLASS ? unlabelled : truth[i] === predicted[i] ? correct : wrong),
      confidence: (i) => scaled(ramp(confidence[i] / 255)),
      frequency: (i) => colorOf((truth ?? predicted)[i]),
    }[state.mode];
    this.fill(this.layer, (i, pixel) => {
      const how = pointState(i, this.arrays, state);
      if (how === HIDDEN) pixel[3] = 0;
      else pixel.set(how === PALE ? pale : colorAt(i));
    });
  }

  draw(state) {
    const { canvas, context } = this, ratio = Math.min(window.devicePixelRatio || 1, 2), { camera } = state;
    const width = Math.max(1, Math.round(canvas.clientWidth * ratio)), height = Math.max(1, Math.round(canvas.clientHeight * ratio));
    if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
    camera.frame(canvas.clientWidth, canvas.clientHeight, state.shift);
    const isPhoto = state.mode === "input", wanted = `${state.mode} ${state.paper}`;
    if (!isPhoto && this.painted !== wanted) {
      this.paintLayer(state);
      this.painted = wanted;
    }
    context.fillStyle = cssColor(state.paper.map((v) => Math.round(255 * v)));
    context.fillRect(0, 0, width, height);
    const [left, top] = camera.toScreen(0, 0), size = ratio * camera.fit * camera.scale;
    const place = [ratio * left, ratio * top, size * camera.width, size * camera.height];
    context.imageSmoothingEnabled = size < 3;
    if (isPhoto || state.size < 1) context.drawImage(this.photo, ...place);
    if (isPhoto) return;
    // A class is a colour: nothing between two of them.
    context.imageSmoothingEnabled = false;
    context.globalAlpha = Math.min(1, Math.max(0, state.size));
    context.drawImage(this.layer, ...place);
    context.globalAlpha = 1;
  }
}

class FlatPicker {
  constructor(facts, arrays) {
    Object.assign(this, { facts, arrays });
  }

  place(i, state) {
    const [, width] = this.facts.picture;
    return state.camera.toScreen(i % width + 0.5, Math.floor(i / width) + 0.5);
  }

  at(x, y, state) {
    const [height, width] = this.facts.picture, [column, row] = state.camera.toPicture(x, y).map(Math.floor);
    return row < 0 || column < 0 || row >= height || column >= width ? -1 : row * width + column;
  }
}
