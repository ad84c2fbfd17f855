// Elements of a page or a picture, and how numbers and configurations are said.

const NO_CHOICE = "This method has no transfer configurations.";
const SVG = new Set(["svg", "g", "rect", "text", "path", "line", "circle", "tspan"]);

/** An element with attributes (functions are listeners) and children (text or elements; empty ones are left out). */
function el(name, attributes = {}, ...children) {
  const node = SVG.has(name) ? document.createElementNS("http://www.w3.org/2000/svg", name) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (typeof value === "function") node.addEventListener(key, value);
    else if (value !== undefined && value !== false) node.setAttribute(key, value);
  }
  node.append(...children.flat(Infinity).filter((child) => child || child === 0));
  return node;
}

const percent = (share, digits = 0) => `${(100 * share).toFixed(digits)} %`;
const range = (n) => Array.from({ length: n }, (_, i) => i);
const points = (share) => `${Math.round(100 * share) > 0 ? "+" : ""}${Math.round(100 * share) || 0}`.replace("-", "−");
const mean = (values) => values.reduce((a, b) => a + b, 0) / values.length;
const distinct = (values) => [...new Set(values)];
const clamp = (value, low, high) => Math.min(Math.max(value, low), high);
const count = (n, what) => `${n} ${what}${n === 1 ? "" : "s"}`;
const layersOf = (config) => [...config].flatMap((bit, i) => (bit === "1" ? [i + 1] : []));
const inWords = (config) => {
  const layers = layersOf(config);
  return `${config} (${layers.length ? `layer${layers.length > 1 ? "s" : ""} ${layers.join(", ")}` : "no layer"})`;
};
const kindOf = (bit) => (bit === "1" ? "shared" : "own");

const text = (x, y, words, kind = "") => el("text", { x, y, class: kind }, words);
const box = (x, y, width, height, kind, more = {}) => el("rect", { x, y, width, height, class: kind, ...more });
const line = (x1, y1, x2, y2, kind) => el("line", { x1, y1, x2, y2, class: kind });
const note = (words, kind = "quiet") => el("p", { class: kind }, words);
const sample = (kind, words) => el("span", {}, el("i", { class: kind }), words);
