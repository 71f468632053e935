// Pictures of the what-if: SVG elements made one by one, so that names are never read as markup.

const SVG = "http://www.w3.org/2000/svg";
const MARGIN = { left: 52, right: 14, top: 30, bottom: 44 };
const HEIGHT = 320;

function element(name, attributes = {}, ...children) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

// Places of round ticks, about `count` of them, from 0 or below to the top.
function ticks(low, high, count) {
  const raw = (high - low) / count || 1;
  const size = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 2.5, 5, 10].map((factor) => factor * size).find((found) => found >= raw * (1 - 1e-9));
  const first = Math.ceil(low / step - 1e-9);
  return Array.from({ length: Math.floor(high / step + 1e-9) - first + 1 }, (_, i) => (first + i) * step);
}

// One unit for the whole axis, and as many digits as tell its ticks apart.
function tickLabels(places) {
  const top = Math.max(...places.map(Math.abs));
  const [size, letter] = UNITS.find(([least]) => top >= least) || UNITS.at(-1);
  const step = places.length > 1 ? Math.abs(places[1] - places[0]) / size : 1;
  const digits = [0, 1, 2, 3, 4].find((count) => Math.abs(step - Number(step.toFixed(count))) < 1e-3 * step) ?? 4;
  return places.map((place) => (place === 0 ? "0" : withMinus(`${(place / size).toFixed(digits)}${letter}`)));
}

class Frame {
  constructor(width, right, low, high) {
    Object.assign(this, { width, right, low, high });
  }

  x(value) {
    return MARGIN.left + (value / this.right) * (this.width - MARGIN.left - MARGIN.right);
  }

  y(value) {
    return HEIGHT - MARGIN.bottom - ((value - this.low) / (this.high - this.low)) * (HEIGHT - MARGIN.top - MARGIN.bottom);
  }

  path(points) {
    return points.map(([x, y], i) => `${i ? "L" : "M"}${this.x(x).toFixed(1)},${this.y(y).toFixed(1)}`).join("");
  }
}

// The curve of one channel: `points` and `now` as {spend, mean, low, high}, marks as levels of spend or null.
function drawCurve(holder, { points, now, marks, observed, names }) {
  const width = Math.max(holder.clientWidth, 240);
  const values = points.flatMap(({ low, high }) => [low, high]);
  const frame = new Frame(width, points.at(-1).spend, Math.min(0, ...values), Math.max(...values) * 1.04 || 1);
  const svg = element("svg", { viewBox: `0 0 ${width} ${HEIGHT}`, role: "img", "aria-label": names.described });
  svg.append(...beyond(frame, observed), ...axes(frame, names), ...band(frame, points), ...lines(frame, marks));
  svg.append(...point(frame, now), ...words(frame, observed));
  holder.replaceChildren(svg);
}

function band(frame, points) {
  const upper = points.map(({ spend, high }) => [spend, high]);
  const lower = points.map(({ spend, low }) => [spend, low]).reverse();
  const middle = points.map((found) => [found.spend, found.mean]);
  return [
    element("path", { d: `${frame.path([...upper, ...lower])}Z`, class: "band" }),
    element("path", { d: frame.path(middle), class: "line" }),
  ];
}

function axes(frame, names) {
  const across = ticks(0, frame.right, Math.max(2, Math.floor(frame.width / 110)));
  const up = ticks(frame.low, frame.high, 5);
  const bottom = HEIGHT - MARGIN.bottom;
  const end = frame.width - MARGIN.right;
  return [
    ...up.map((at) => element("line", { x1: MARGIN.left, x2: end, y1: frame.y(at), y2: frame.y(at), class: "grid" })),
    ...tickTexts(up, (at) => ({ x: MARGIN.left - 6, y: frame.y(at) + 4, "text-anchor": "end" })),
    ...tickTexts(across, (at) => ({ x: frame.x(at), y: bottom + 16, "text-anchor": "middle" })),
    element("text", { x: end, y: HEIGHT - 8, "text-anchor": "end" }, names.across),
    element("text", { x: 4, y: 14 }, names.up),
    element("line", { x1: MARGIN.left, x2: end, y1: frame.y(0), y2: frame.y(0), class: "axis" }),
  ];
}

function tickTexts(places, attributes) {
  const labels = tickLabels(places);
  return places.map((place, i) => element("text", attributes(place), labels[i]));
}

function lines(frame, marks) {
  const ends = { y1: MARGIN.top, y2: HEIGHT - MARGIN.bottom };
  return marks.map(({ spend, kind }) => element("line", { x1: frame.x(spend), x2: frame.x(spend), ...ends, class: kind }));
}

function point(frame, { spend, mean, low, high }) {
  const x = frame.x(spend);
  return [
    element("line", { x1: x, x2: x, y1: frame.y(low), y2: frame.y(high), class: "now" }),
    element("circle", { cx: x, cy: frame.y(mean), r: 6, class: "now" }),
  ];
}

function beyond(frame, observed) {
  if (observed === null || observed >= frame.right) return [];
  const [x, end] = [frame.x(observed), frame.width - MARGIN.right];
  const box = { x, y: MARGIN.top, width: end - x, height: HEIGHT - MARGIN.top - MARGIN.bottom };
  return [hatching(), element("rect", { ...box, class: "beyond" })];
}

function words(frame, observed) {
  if (observed === null || frame.width - MARGIN.right - frame.x(observed) < 160) return [];
  return [element("text", { x: frame.x(observed) + 6, y: MARGIN.top + 14, class: "over" }, "beyond what was observed")];
}

function hatching() {
  const stripe = element("path", { d: "M0,6L6,0", class: "stripe" });
  const size = { width: 6, height: 6, patternUnits: "userSpaceOnUse" };
  return element("defs", {}, element("pattern", { id: "hatching", ...size }, stripe));
}

// A part of a line of the page from one share of its width to another.
function part(kind, from, to = from) {
  const made = document.createElement("span");
  made.className = kind;
  made.style.left = `${100 * from}%`;
  if (to !== from) made.style.width = `${100 * (to - from)}%`;
  return made;
}

// The marks under a slider; `places` are shares of its length.
function drawScale(holder, { plan, reference, observed }) {
  const marks = observed < 1 ? [part("beyond", observed, 1)] : [];
  if (reference !== null) marks.push(part("reference", reference));
  holder.replaceChildren(...marks, part("plan", plan));
}

// A channel's response as a bar with its interval; all bars share one scale from `low` to `high`.
function drawBar(holder, { mean, low, high }, range, planned) {
  const at = (value) => (value - range.low) / (range.high - range.low);
  const [start, end] = [Math.min(at(0), at(mean)), Math.max(at(0), at(mean))];
  holder.replaceChildren(part("brought", start, end), part("interval", at(low), at(high)), part("plan", at(planned)));
}
