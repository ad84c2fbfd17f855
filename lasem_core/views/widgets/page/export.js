// The runs that are shown as CSV, the charts as one SVG.

const EXPORT = {
  exportCsv() {
    const table = [["run", "data", "method", "base", "preset", "profile", "seed", "task", "epoch", "configuration", "layer", "transferred"]];
    for (const run of [this.run, this.other].filter((r) => r?.configs.length)) {
      const own = [run.id, run.data, run.method, run.base, run.preset, run.profile, run.seed];
      for (const task of range(run.configs.length)) {
        for (const epoch of run.shown ?? [run.epochs]) {
          const used = this.used(run, task, epoch);
          for (const layer of range(run.depth)) {
            table.push([...own, task + 1, epoch, used, layer + 1, this.probability(run, task, layer, epoch).toFixed(3)]);
          }
        }
      }
    }
    const quote = (cell) => (/[",]/.test(cell) ? `"${String(cell).replaceAll('"', '""')}"` : cell);
    this.download("csv", "text/csv", table.map((cells) => cells.map(quote).join(",")).join("\n") + "\n");
  },

  /** All charts in one picture, where they stand on the page, with the theme's colours written into it. */
  exportSvg() {
    const frame = this.root.querySelector(".panels").getBoundingClientRect();
    const head = 44; // pixels for what the picture shows
    const page = el("svg", { xmlns: "http://www.w3.org/2000/svg", width: frame.width, height: frame.height + head });
    page.append(el("rect", { width: "100%", height: "100%", fill: getComputedStyle(this.root).backgroundColor }));
    const words = [this.run, this.other].filter(Boolean).map((run) => this.name(run)).join(" | ");
    page.append(styled(this.root.querySelector("h4"), text(14, 24, `${words}, epoch ${this.state.epoch}`)));
    for (const node of this.root.querySelectorAll(".panels h4, .panels svg")) {
      const box = node.getBoundingClientRect();
      const [x, y] = [box.left - frame.left, box.top - frame.top + head];
      const heading = node.tagName === "H4" && styled(node, text(x, y + 14, node.textContent));
      page.append(heading || el("g", { transform: `translate(${x} ${y})` }, [...node.children].map(frozen)));
    }
    this.download("svg", "image/svg+xml", new XMLSerializer().serializeToString(page));
  },

  download(ending, type, text) {
    const href = URL.createObjectURL(new Blob([text], { type }));
    el("a", { href, download: `lasem-${this.run.id}.${ending}` }).click();
    setTimeout(() => URL.revokeObjectURL(href), 1000);
  },
};

const LOOK = ["fill", "fill-opacity", "stroke", "stroke-width", "stroke-opacity", "stroke-dasharray", "opacity",
  "font-family", "font-size", "font-weight", "text-anchor", "paint-order"];

/** `copy` with the look that the page's style sheet gives to `node`. */
function styled(node, copy) {
  const look = getComputedStyle(node);
  for (const name of LOOK) copy.style.setProperty(name, look.getPropertyValue(name));
  if (node.tagName === "H4") copy.style.setProperty("fill", look.color);
  return copy;
}

function frozen(node) {
  const copy = styled(node, node.cloneNode(false));
  copy.append(...[...node.childNodes].map((child) => (child.nodeType === Node.TEXT_NODE ? child.cloneNode() : frozen(child))));
  return copy;
}
