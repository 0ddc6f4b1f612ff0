// Renderer: points as shaded discs into a texture, then one pass for depth edges and smoothing. WebGL 2 only.

const POINT_VERTEX = `#version 300 es
precision highp float;
precision highp int;
layout(location = 0) in vec3 position;
layout(location = 1) in vec3 normal;
layout(location = 2) in vec3 color;
layout(location = 3) in uint truth;
layout(location = 4) in uint predicted;
layout(location = 5) in float confidence;
uniform mat4 matrix;
uniform vec3 eye, origin, right, up, forward, lamp;
uniform float extent, radius, fine, focal, limit, lid;
uniform int mode, numNear;
// Boxes of which all points are there, not only those of the overview: discs are smaller in them.
uniform vec3 lows[16], highs[16];
uniform bool cull, backs, hasTruth, hasPrediction;
uniform sampler2D classes;
uniform vec3 unlabelled, correct, wrong, paper;
flat out vec3 tint;
flat out float depth;
flat out float size;
flat out vec3 facing;
const uint none = 65535u;

vec4 entry(uint c) { return texelFetch(classes, ivec2(int(c % 256u), int(c / 256u)), 0); }
// 0 hidden, about a half pale, 1 shown.
float shown(uint c) { return entry(c).a; }
vec3 colorOf(uint c) { return c == none ? unlabelled : entry(c).rgb; }
vec3 ramp(float t) {
  vec3 low = vec3(0.55, 0.06, 0.32), middle = vec3(0.96, 0.66, 0.25), high = vec3(0.20, 0.62, 0.50);
  return t < 0.5 ? mix(low, middle, 2.0 * t) : mix(middle, high, 2.0 * t - 1.0);
}
float visible() {
  if (mode == 1) return shown(truth);
  if (mode == 2) return shown(predicted);
  if (hasTruth && hasPrediction) return max(shown(truth), shown(predicted));
  return hasTruth ? shown(truth) : hasPrediction ? shown(predicted) : 1.0;
}
void main() {
  vec3 world = origin + position * extent;
  vec3 toward = eye - world;
  bool flat_ = dot(normal, normal) < 0.01;
  bool hidden = cull && ((backs && !flat_ && dot(normal, toward) < 0.0) || world.z > lid);
  float visibility = visible();
  if (hidden || visibility < 0.25) {
    gl_Position = vec4(2.0, 2.0, 2.0, 1.0);
    gl_PointSize = 1.0;
    return;
  }
  facing = vec3(0.0, 0.0, 1.0);
  tint = mode == 0 ? color : mode == 1 ? colorOf(truth) : mode == 2 ? colorOf(predicted)
    : mode == 3 ? (truth == none ? unlabelled : truth == predicted ? correct : wrong)
    : mode == 4 ? ramp(confidence) : colorOf(hasTruth ? truth : predicted);
  if (visibility < 0.75) tint = mix(paper, vec3(0.5), 0.2);
  if (!flat_) {
    vec3 n = normalize(normal) * sign(dot(normal, toward) + 1e-9);
    tint *= 0.70 + 0.30 * max(dot(n, lamp), 0.0) + 0.08 * max(n.z, 0.0);
    // Turned a little to the viewer: a disc seen edge-on would leave holes along every outline.
    facing = normalize(vec3(dot(n, right), dot(n, up), max(-dot(n, forward), 0.0)) + vec3(0.0, 0.0, 0.3));
  }
  gl_Position = matrix * vec4(world, 1.0);
  depth = dot(world - eye, forward);
  bool near_ = false;
  for (int i = 0; i < numNear; i++) {
    near_ = near_ || (all(greaterThanEqual(world, lows[i])) && all(lessThanEqual(world, highs[i])));
  }
  size = clamp(2.0 * (near_ ? fine : radius) * focal / max(depth, 1e-4), 1.6, limit);
  gl_PointSize = size;
}`;

const POINT_FRAGMENT = `#version 300 es
precision highp float;
flat in vec3 tint;
flat in float depth;
flat in float size;
flat in vec3 facing;
uniform float near, far, focal;
out vec4 pixel;
void main() {
  // The square of the point is the disc's surroundings; cut the disc out where it lies in its surface.
  vec2 p = vec2(2.0, -2.0) * gl_PointCoord + vec2(-1.0, 1.0);
  float nearer = size > 2.5 ? clamp(-dot(p, facing.xy) / facing.z, -2.5, 2.5) : 0.0;
  float away = dot(p, p) + nearer * nearer;
  if (away > 1.0 && size > 2.5) discard;
  // A slight dome, so that neighbours in one plane meet half-way instead of fighting over rounding errors.
  float z = depth + (0.25 * away - 0.5 * nearer) * size * depth / focal;
  gl_FragDepth = clamp((far + near - 2.0 * far * near / z) / (far - near) * 0.5 + 0.5, 0.0, 1.0);
  pixel = vec4(tint, 1.0);
}`;

const SHADE_VERTEX = `#version 300 es
void main() { gl_Position = vec4(gl_VertexID == 1 ? 3.0 : -1.0, gl_VertexID == 2 ? 3.0 : -1.0, 0.0, 1.0); }`;

// Eye-dome lighting (Boucheny 2009): what lies just behind an edge is darker.
const SHADE_FRAGMENT = `#version 300 es
precision highp float;
uniform sampler2D colors, depths;
uniform vec3 paper;
uniform float near, far, reach;
uniform int samples;
out vec4 pixel;
float logDepth(ivec2 at) {
  float d = texelFetch(depths, clamp(at, ivec2(0), textureSize(depths, 0) - 1), 0).r;
  float ndc = 2.0 * d - 1.0;
  return log2(d >= 1.0 ? 1e6 : 2.0 * far * near / (far + near - ndc * (far - near)));
}
vec3 shaded(ivec2 at) {
  vec4 c = texelFetch(colors, at, 0);
  if (c.a < 0.5) return paper;
  float here = logDepth(at), sum = 0.0;
  for (int i = 0; i < 8; i++) {
    float angle = float(i) * 0.785398;
    vec2 step_ = vec2(cos(angle), sin(angle));
    sum += 0.6 * clamp(here - logDepth(at + ivec2(round(step_ * reach))), 0.0, 0.06);
    sum += 0.4 * clamp(here - logDepth(at + ivec2(round(step_ * reach * 3.5))), 0.0, 0.06);
  }
  return c.rgb * max(exp(-4.0 * sum), 0.4);
}
void main() {
  ivec2 at = ivec2(gl_FragCoord.xy) * samples;
  vec3 sum = vec3(0.0);
  for (int y = 0; y < samples; y++) for (int x = 0; x < samples; x++) sum += shaded(at + ivec2(x, y));
  pixel = vec4(sum / float(samples * samples), 1.0);
}`;

// The points in an order of which every beginning is an even choice of all: steps of the golden section.
function spreadOrder(count) {
  const divides = (a, b) => (b ? divides(b, a % b) : a === 1);
  let step = Math.max(1, Math.round(count * 0.6180339887));
  while (count > 1 && !divides(count, step)) step++;
  const order = new Uint32Array(count);
  for (let i = 1; i < count; i++) order[i] = (order[i - 1] + step) % count;
  return order;
}

function rearranged(values, width, order) {
  const moved = new values.constructor(values.length);
  for (let i = 0; i < order.length; i++) {
    for (let k = 0; k < width; k++) moved[width * i + k] = values[width * order[i] + k];
  }
  return moved;
}

class Renderer {
  constructor(canvas, facts, arrays) {
    const gl = canvas.getContext("webgl2", { antialias: false, alpha: false, powerPreference: "high-performance" });
    if (!gl) throw new Error("no WebGL 2");
    Object.assign(this, { canvas, gl, facts, targets: new Map() });
    this.points = this.program(POINT_VERTEX, POINT_FRAGMENT);
    this.shade = this.program(SHADE_VERTEX, SHADE_FRAGMENT);
    this.all = this.upload(arrays, facts.count);
    // Parts of a large scene by their number: what upload() made, and the part's box.
    this.parts = new Map();
    this.empty = gl.createVertexArray();
    this.classes = gl.createTexture();
    this.limit = gl.getParameter(gl.ALIASED_POINT_SIZE_RANGE)[1];
  }

  program(vertex, fragment) {
    const gl = this.gl, program = gl.createProgram();
    for (const [kind, source] of [[gl.VERTEX_SHADER, vertex], [gl.FRAGMENT_SHADER, fragment]]) {
      const shader = gl.createShader(kind);
      gl.shaderSource(shader, source);
      gl.compileShader(shader);
      gl.attachShader(program, shader);
      if (!gl.getShaderParameter(shader, gl.COMPILE_STATUS)) throw new Error(gl.getShaderInfoLog(shader));
    }
    gl.linkProgram(program);
    if (!gl.getProgramParameter(program, gl.LINK_STATUS)) throw new Error(gl.getProgramInfoLog(program));
    const places = new Map();
    const place = (name) => {
      if (!places.has(name)) places.set(name, gl.getUniformLocation(program, name));
      return places.get(name);
    };
    return { program, place };
  }

  upload(arrays, count) {
    const gl = this.gl, layout = gl.createVertexArray(), order = spreadOrder(count), buffers = [];
    gl.bindVertexArray(layout);
    const attributes = [
      ["position", 3, gl.UNSIGNED_SHORT, true], ["normal", 3, gl.BYTE, true], ["color", 3, gl.UNSIGNED_BYTE, true],
      ["truth", 1, gl.UNSIGNED_SHORT, false], ["predicted", 1, gl.UNSIGNED_SHORT, false],
      ["confidence", 1, gl.UNSIGNED_BYTE, true],
    ];
    attributes.forEach(([name, width, kind, scaled], location) => {
      if (!arrays[name]) {
        if (scaled) gl.vertexAttrib3f(location, 0, 0, 0);
        else gl.vertexAttribI4ui(location, NO_CLASS, 0, 0, 0);
        return;
      }
      buffers.push(gl.createBuffer());
      gl.bindBuffer(gl.ARRAY_BUFFER, buffers.at(-1));
      gl.bufferData(gl.ARRAY_BUFFER, rearranged(arrays[name], width, order), gl.STATIC_DRAW);
      gl.enableVertexAttribArray(location);
      if (scaled) gl.vertexAttribPointer(location, width, kind, true, 0, 0);
      else gl.vertexAttribIPointer(location, width, kind, 0, 0);
    });
    gl.bindVertexArray(null);
    return { layout, buffers, count };
  }

  addPart(number, part, arrays) {
    this.parts.set(number, { ...this.upload(arrays, part.count), low: part.low, high: part.high });
  }

  removePart(number) {
    const { layout, buffers } = this.parts.get(number);
    buffers.forEach((buffer) => this.gl.deleteBuffer(buffer));
    this.gl.deleteVertexArray(layout);
    this.parts.delete(number);
  }

  // Colours of the classes, with how they are drawn (HIDDEN, PALE, SHOWN) in alpha; entry 65535 is "no class".
  // 256 x 256 texels.
  setClasses(colors, legend) {
    const gl = this.gl, texels = new Uint8Array(256 * 256 * 4);
    colors.forEach((color, i) => texels.set([...color, legend.stateOf(i)], 4 * i));
    texels.set([0, 0, 0, legend.stateOf(NO_CLASS)], 4 * NO_CLASS);
    gl.bindTexture(gl.TEXTURE_2D, this.classes);
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA8, 256, 256, 0, gl.RGBA, gl.UNSIGNED_BYTE, texels);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MIN_FILTER, gl.NEAREST);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MAG_FILTER, gl.NEAREST);
  }

  target(samples, width, height) {
    const gl = this.gl, old = this.targets.get(samples);
    if (old && old.width === width && old.height === height) return old;
    if (old) { gl.deleteTexture(old.color); gl.deleteTexture(old.depth); gl.deleteFramebuffer(old.frame); }
    const texture = (inside, format, kind) => {
      const made = gl.createTexture();
      gl.bindTexture(gl.TEXTURE_2D, made);
      gl.texImage2D(gl.TEXTURE_2D, 0, inside, width, height, 0, format, kind, null);
      gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MIN_FILTER, gl.NEAREST);
      gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MAG_FILTER, gl.NEAREST);
      return made;
    };
    const color = texture(gl.RGBA8, gl.RGBA, gl.UNSIGNED_BYTE);
    const depth = texture(gl.DEPTH_COMPONENT24, gl.DEPTH_COMPONENT, gl.UNSIGNED_INT);
    const frame = gl.createFramebuffer();
    gl.bindFramebuffer(gl.FRAMEBUFFER, frame);
    gl.framebufferTexture2D(gl.FRAMEBUFFER, gl.COLOR_ATTACHMENT0, gl.TEXTURE_2D, color, 0);
    gl.framebufferTexture2D(gl.FRAMEBUFFER, gl.DEPTH_ATTACHMENT, gl.TEXTURE_2D, depth, 0);
    const made = { width, height, color, depth, frame };
    this.targets.set(samples, made);
    return made;
  }

  // state: camera, mode, cull, size, paper, shift. `samples` is 1 while moving, 2 at rest. At most `limit` points
  // of the overview are drawn, an even choice, and as large a share of each part; as they are fewer, they are larger.
  draw(state, samples, limit = Infinity) {
    const { gl, canvas, facts } = this, { camera: orbit } = state, count = Math.min(facts.count, Math.ceil(limit));
    const ratio = Math.min(window.devicePixelRatio || 1, 2);
    const width = Math.max(1, Math.round(canvas.clientWidth * ratio));
    const height = Math.max(1, Math.round(canvas.clientHeight * ratio));
    if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
    const target = this.target(samples, width * samples, height * samples);
    const focal = target.height / 2 / Math.tan(orbit.fitted(width, height) / 2);
    gl.bindFramebuffer(gl.FRAMEBUFFER, target.frame);
    gl.viewport(0, 0, target.width, target.height);
    gl.clearColor(0, 0, 0, 0);
    gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
    gl.enable(gl.DEPTH_TEST);
    const { program, place } = this.points;
    gl.useProgram(program);
    const { right, up, back } = orbit.axes;
    const share = count / facts.count, radius = facts.radius * state.size / Math.sqrt(share), parts = [...this.parts.values()];
    const floats = { extent: facts.extent, radius, fine: radius * Math.sqrt(facts.count / facts.numVertices), focal, limit: this.limit, lid: facts.lid,
      near: orbit.near, far: orbit.far };
    const vectors = { eye: orbit.eye, origin: facts.origin, right, up, forward: back.map((v) => -v),
      lamp: unit([0, 1, 2].map((i) => back[i] + 0.6 * up[i] - 0.35 * right[i])),
      unlabelled: facts.colors.unlabelled, correct: facts.colors.correct, wrong: facts.colors.wrong, paper: state.paper };
    const switches = { mode: MODES.findIndex((mode) => mode.key === state.mode), cull: state.cull, backs: facts.canCull, hasTruth: facts.hasTruth,
      hasPrediction: facts.hasPrediction, classes: 0, numNear: parts.length };
    for (const [name, value] of Object.entries(floats)) gl.uniform1f(place(name), value);
    for (const [name, value] of Object.entries(vectors)) gl.uniform3fv(place(name), value);
    for (const [name, value] of Object.entries(switches)) gl.uniform1i(place(name), Number(value));
    gl.uniformMatrix4fv(place("matrix"), false, orbit.matrix(width, height, state.shift));
    gl.activeTexture(gl.TEXTURE0);
    gl.bindTexture(gl.TEXTURE_2D, this.classes);
    if (parts.length) {
      gl.uniform3fv(place("lows[0]"), parts.flatMap((part) => part.low));
      gl.uniform3fv(place("highs[0]"), parts.flatMap((part) => part.high));
    }
    for (const some of [this.all, ...parts]) {
      gl.bindVertexArray(some.layout);
      gl.drawArrays(gl.POINTS, 0, Math.ceil(some.count * share));
    }
    this.finish(target, state, samples, ratio, width, height);
  }

  // Wait until what was drawn is there.
  settle() {
    this.gl.readPixels(0, 0, 1, 1, this.gl.RGBA, this.gl.UNSIGNED_BYTE, new Uint8Array(4));
  }

  finish(target, state, samples, ratio, width, height) {
    const gl = this.gl, { program, place } = this.shade;
    gl.bindFramebuffer(gl.FRAMEBUFFER, null);
    gl.viewport(0, 0, width, height);
    gl.disable(gl.DEPTH_TEST);
    gl.useProgram(program);
    [target.color, target.depth].forEach((texture, unitNumber) => {
      gl.activeTexture(gl.TEXTURE0 + unitNumber);
      gl.bindTexture(gl.TEXTURE_2D, texture);
    });
    gl.uniform1i(place("colors"), 0);
    gl.uniform1i(place("depths"), 1);
    gl.uniform1i(place("samples"), samples);
    gl.uniform1f(place("reach"), ratio * samples);
    gl.uniform1f(place("near"), state.camera.near);
    gl.uniform1f(place("far"), state.camera.far);
    gl.uniform3fv(place("paper"), state.paper);
    gl.bindVertexArray(this.empty);
    gl.drawArrays(gl.TRIANGLES, 0, 3);
    gl.activeTexture(gl.TEXTURE0);
  }
}
