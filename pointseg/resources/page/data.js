// Data: the facts as JSON, the points as one base64 block of typed arrays, one after the other.

const NO_CLASS = 65535;

function readFacts() {
  return JSON.parse(document.getElementById("facts").textContent);
}

function readPoints(facts) {
  const element = document.getElementById("points");
  const text = atob(element.textContent.trim());
  element.remove();
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  const kinds = { u8: Uint8Array, i8: Int8Array, u16: Uint16Array };
  const arrays = {};
  for (const block of facts.blocks) {
    const length = facts.count * block.width;
    arrays[block.name] = new kinds[block.kind](bytes.buffer, block.offset, length);
  }
  return arrays;
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

function percent(share, digits = 1) {
  return share > 0 && share < 0.0005 ? "< 0.1 %" : `${(100 * share).toFixed(digits)} %`;
}
