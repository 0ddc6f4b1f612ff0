// Colours that are no classes: the ramp from little to much, and how often a class is in the training data.

const RAMP = [[0.55, 0.06, 0.32], [0.96, 0.66, 0.25], [0.20, 0.62, 0.50]];
const NEVER = [30, 30, 36];

const mixed = (a, b, t) => a.map((v, i) => v + (b[i] - v) * t);

function ramp(t) {
  return t < 0.5 ? mixed(RAMP[0], RAMP[1], 2 * t) : mixed(RAMP[1], RAMP[2], 2 * t - 1);
}

// Colour of every class of the legend by its share of the training data, on a logarithmic scale.
function frequencyColors(facts) {
  const { low, high } = frequencyRange(facts), span = Math.log(high / low) || 1;
  return facts.classes.map(({ frequency }) => (frequency ? ramp(Math.log(frequency / low) / span).map((v) => Math.round(255 * v)) : NEVER));
}

function frequencyRange(facts) {
  const held = facts.classes.map((entry) => entry.frequency).filter((share) => share > 0);
  return held.length ? { low: Math.min(...held), high: Math.max(...held) } : { low: 1, high: 1 };
}

// What the colours of a colouring mean, where they are no classes.
function showKey(mode, facts) {
  const key = byId("key"), css = (color) => cssColor(color.map((v) => Math.round(255 * v)));
  key.hidden = !["error", "confidence", "frequency"].includes(mode);
  key.replaceChildren();
  const swatch = (name, color) => {
    const mark = makeElement("i");
    mark.style.background = color;
    key.append(makeElement("span", {}, mark, name));
  };
  const scale = (low, high) => {
    const bar = makeElement("div", { className: "ramp" });
    bar.style.background = `linear-gradient(90deg, ${RAMP.map(css).join(", ")})`;
    key.append(low, bar, high);
  };
  if (mode === "error") {
    swatch("wrong", css(facts.colors.wrong));
    swatch("right", css(facts.colors.correct));
    if (facts.hasUnlabelled) swatch("unlabelled", css(facts.colors.unlabelled));
  } else if (mode === "confidence") scale("0 %", "100 % sure");
  else if (mode === "frequency") {
    const { low, high } = frequencyRange(facts);
    const share = (value) => `${Number((100 * value).toPrecision(2))} %`;
    scale(share(low), `${share(high)} of the training`);
    if (facts.classes.some((entry) => !entry.frequency)) swatch("none of it", cssColor(NEVER));
  }
}
