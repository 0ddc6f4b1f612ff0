// Data: the facts as JSON, the points as one base64 block of gzipped typed arrays, one after the other.

const NO_CLASS = 65535;

const byId = (id) => document.getElementById(id);

function readFacts() {
  return JSON.parse(byId("facts").textContent);
}

async function readPoints(facts) {
  if (typeof DecompressionStream === "undefined") throw new Error("it is older than 2023 and cannot unpack the points");
  const element = byId("points"), text = atob(element.textContent.trim());
  element.remove();
  const packed = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) packed[i] = text.charCodeAt(i);
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  const buffer = await new Response(stream).arrayBuffer();
  const kinds = { u8: Uint8Array, i8: Int8Array, u16: Uint16Array, u32: Uint32Array };
  const arrays = {};
  for (const block of facts.blocks) {
    arrays[block.name] = new kinds[block.kind](buffer, block.offset, facts.count * block.width);
  }
  return arrays;
}

// Number of a point in the file of its scene, and back: of large scenes the page holds a choice only.
function vertexOf(point, facts, arrays) {
  if (!facts.picture) return arrays.vertex ? arrays.vertex[point] : point;
  const [, width] = facts.picture, { step, fullWidth } = facts;
  return Math.floor(point / width) * step * fullWidth + (point % width) * step;
}

function pointOf(vertex, facts, arrays) {
  if (!Number.isInteger(vertex) || vertex < 0 || vertex >= facts.numVertices) return -1;
  if (facts.picture) {
    const [, width] = facts.picture, { step, fullWidth } = facts;
    const row = Math.floor(vertex / fullWidth) / step, column = (vertex % fullWidth) / step;
    return Number.isInteger(row) && Number.isInteger(column) ? row * width + column : -1;
  }
  if (!arrays.vertex) return vertex;
  let low = 0, high = arrays.vertex.length - 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (arrays.vertex[middle] < vertex) low = middle + 1;
    else high = middle;
  }
  return arrays.vertex[low] === vertex ? low : -1;
}

function makeElement(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "className") element.className = value;
    else element.setAttribute(name, value);
  }
  // Text nodes only: class names come from anybody's files and are never read as HTML.
  element.append(...children);
  return element;
}

const cssColor = (color) => `rgb(${color.join(" ")})`;

function percent(share, digits = 1) {
  return share > 0 && share < 0.0005 ? "< 0.1 %" : `${(100 * share).toFixed(digits)} %`;
}

function compact(number) {
  return number >= 1e6 ? `${(number / 1e6).toFixed(1)} M` : number >= 1e4 ? `${Math.round(number / 1e3)} k` : number.toLocaleString("en");
}

function counted(number, one, many) {
  return `${number.toLocaleString("en")} ${number === 1 ? one : many}`;
}
