// The explorer of recorded runs, one ES module without dependencies. Python (bundle.py) packs the runs into one text;
// everything else happens here, so that a page works without a kernel. The same file is an anywidget (`render` below)
// and the script of a self-contained page (`mount` on every .lasem-explorer).
//
//   state ─► render() ─► finding, runs, heat map, shares, posterior, lab, static ranking
//     ▲                        │
//     └────── set({...}) ◄─────┘   a click, a key, a control, or Python's `selection`

const COLOURED = 4; // configurations with a colour of their own in a chart; the rest is grey
const BARS = 8; // configurations with a bar
const SVG = new Set(["svg", "g", "rect", "text", "path", "line", "circle", "tspan"]);
const ROW = 25; // pixels, as in the style sheet
const BLOCK = 40; // rows that are styled and laid out, or not, together
const FILTERS = { data: "Data set", method: "Method", base: "Base", profile: "Profile", seed: "Seed" };
const MEASURES = ["after the last task", "peak at best validation", "peak on test"];
const FOLLOWS = { // what each panel has to be drawn again for
  heat: ["run", "compare", "task", "layer", "epoch"],
  shares: ["run", "layer", "epoch", "config"],
  posterior: ["run", "task", "layer", "epoch", "likelihood", "prior"],
  lab: ["run", "task", "layer", "likelihood", "prior"],
  ranking: ["run", "layer", "config", "measure"],
};
const NO_CHOICE = "This method has no transfer configurations.";

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

/** The four configurations with most belief, a line each, from [name, share]. */
function leading(beliefs) {
  const best = beliefs.sort((a, b) => b[1] - a[1]).slice(0, 4);
  return best.map(([name, share]) => `${name} ${percent(share, 1)}`);
}

// ---------------------------------------------------------------------------------------------------------- data

/** What bundle.py packed: runs, and their histories as bytes. */
async function unpack(text) {
  const packed = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
  const raw = new Uint8Array(await new Response(stream).arrayBuffer());
  const start = 4 + new DataView(raw.buffer).getUint32(0, true);
  return { ...JSON.parse(new TextDecoder().decode(raw.subarray(4, start))), bytes: raw.subarray(start) };
}

/** Curves of n bytes each, from the steps between their bytes. */
function curves(steps, n) {
  const values = steps.slice();
  for (let i = 1; i < values.length; i++) if (i % n) values[i] += values[i - 1];
  return values;
}

/** Readers of the history of one task of one run, made at its first use: many cells ask for it. */
function visit(data, run, task) {
  run.visits ??= [];
  return (run.visits[task] ??= readers(data, run, task));
}

/** The order of the parts is that of bundle.py's `write`. */
function readers(data, run, task) {
  const [E, S, C, d] = [run.shown.length, run.steps.length, run.names.length, run.depth];
  const sizes = [E * d, E, C * S, C * E, run.rules * C * S];
  let at = run.at + task * sizes.reduce((a, b) => a + b);
  const lengths = [E, 1, S, E, S]; // of a curve; `used` are positions, each by itself
  const [transfer, used, steps, epochs, beliefs] = sizes.map((size, part) => curves(data.bytes.subarray(at, (at += size)), lengths[part]));
  const when = (epoch) => Math.max(0, run.shown.findLastIndex((shown) => shown <= epoch));
  return {
    transfer: (epoch, layer) => transfer[layer * E + when(epoch)] / 255,
    config: (epoch) => run.used[used[when(epoch)]],
    step: (s, c) => steps[c * S + s] / 255,
    epoch: (e, c) => epochs[c * E + e] / 255,
    belief: (rule, s, c) => beliefs[(rule * C + c) * S + s] / 255,
  };
}

/** `84.2 ± 1.3 % (n=3)` and its numbers: mean and 95 % t-interval. */
function interval(data, values) {
  const n = values.length;
  const centre = mean(values);
  const spread = Math.sqrt(values.reduce((sum, value) => sum + (value - centre) ** 2, 0) / (n - 1));
  const half = n > 1 ? (data.t[n - 2] * spread) / Math.sqrt(n) : 0;
  const text = `${(100 * centre).toFixed(1)}${n > 1 ? ` ± ${(100 * half).toFixed(1)}` : ""} % (n=${n})`;
  return { centre, half, n, text };
}

// --------------------------------------------------------------------------------------------------------- explorer

class Explorer {
  constructor(root, data, selection, tell) {
    root.dataset.lmSuppressShortcuts = "true"; // JupyterLab leaves arrow keys to us
    Object.assign(this, { root, data, tell, panels: {}, filters: {}, width: 0 });
    this.byId = new Map(data.runs.map((run) => [run.id, run]));
    const first = this.byId.get(selection.run) ?? data.runs[0];
    this.state = { run: first.id, compare: "", task: 2, layer: 1, epoch: 0, config: "", measure: 0 };
    this.build();
    this.set({ ...selection, run: first.id });
    new ResizeObserver(() => this.root.clientWidth !== this.width && this.render()).observe(root);
  }

  get run() { return this.byId.get(this.state.run); }
  get other() { return this.byId.get(this.state.compare); }

  /** Change what is shown; whatever the runs do not have is moved to what they have. */
  set(change) {
    const state = { ...this.state, ...change };
    const run = this.byId.get(state.run) ?? this.run;
    const moved = run.id !== this.state.run || !this.state.epoch;
    if (moved) Object.assign(state, { likelihood: change.likelihood, config: change.config || run.bits || run.configs.at(-1) || "" });
    state.run = run.id;
    state.compare = this.byId.has(state.compare) && state.compare !== run.id ? state.compare : "";
    state.task = clamp(state.task, 1, Math.max(1, run.configs.length));
    state.layer = clamp(state.layer, 1, run.depth);
    state.epoch = clamp((moved && !change.epoch) || !state.epoch ? run.epochs : state.epoch, 1, run.epochs);
    if (!state.likelihood && run.rule >= 0) Object.assign(state, this.anotherRule(run));
    this.state = state;
    this.render();
    this.tell(Object.fromEntries(["run", "compare", "task", "layer", "epoch", "config"].map((key) => [key, state[key]])));
  }

  /** What the lab begins with: the run's prior under the other likelihood. */
  anotherRule(run) {
    const [likelihood, prior] = this.data.rules[run.rule];
    return { likelihood: this.data.rules.find((rule) => rule[0] !== likelihood)[0], prior };
  }

  name(run) {
    const method = [run.method, run.method === "static" && run.bits, run.base !== "own network" && run.base].filter(Boolean).join(" ");
    return [method, run.data, `seed ${run.seed}`, run.preset !== "paper" && `preset ${run.preset}`, run.others].filter(Boolean).join(", ");
  }

  probability(run, task, layer, epoch) {
    return "at" in run ? visit(this.data, run, task).transfer(epoch, layer) : Number(run.configs[task][layer]);
  }

  used(run, task, epoch) {
    return "at" in run ? visit(this.data, run, task).config(epoch) : run.configs[task];
  }

  family(run) { return this.data.runs.filter((r) => r.family === run.family); }

  // ------------------------------------------------------------------------------------------------------ controls

  build() {
    const { root } = this;
    this.finding = el("p", { class: "finding", "aria-live": "polite" });
    this.tip = el("div", { class: "tip", role: "tooltip", hidden: "" });
    root.replaceChildren(this.finding, this.buildRuns(), el("div", { class: "panels" },
      this.panel("heat", "Which layers does each task transfer?", this.buildPlayer()),
      this.panel("shares", "How often, over tasks and seeds?"),
      this.panel("posterior", "How did the belief form?", this.buildJump()),
      this.panel("lab", "Posterior lab: another likelihood or prior", this.buildLab()),
      this.panel("ranking", "Against every static configuration", this.buildMeasure())), this.buildFooter(), this.tip);
    for (const event of ["pointermove", "focusin"]) root.addEventListener(event, (e) => this.showTip(e.target.closest?.("[data-tip]")));
    root.addEventListener("pointerleave", () => this.showTip(null));
  }

  panel(name, heading, controls) {
    this.panels[name] = el("div", { class: "body" });
    return el("section", { class: `panel ${name}`, "aria-label": heading }, el("h4", {}, heading), this.panels[name], controls);
  }

  select(label, options, changed) {
    const list = el("select", { change: (e) => changed(e.target.value) },
      options.map(([value, text]) => el("option", { value }, text)));
    return { list, field: el("label", {}, el("span", {}, label), list) };
  }

  buildRuns() {
    const fields = Object.entries(FILTERS).map(([key, label]) => {
      const values = distinct(this.data.runs.map((run) => run[key]));
      const options = [["", "all"], ...values.map((value) => [value, String(value)])];
      return this.select(label, options, (value) => { this.filters[key] = value; this.filter(); }).field;
    });
    this.compare = this.select("Compare with", [["", "no other run"]], (compare) => this.set({ compare }));
    for (const event of ["pointerdown", "focus"]) this.compare.list.addEventListener(event, () => this.listOthers());
    this.counted = el("span", { class: "quiet", "aria-live": "polite" });
    const titles = ["Data set", "Method", "Base", "Seed", "Tasks × epochs", "Choice of each task", "Final accuracy", "Settings"];
    this.rows = this.data.runs.map((run) => this.row(run));
    this.blocks = range(Math.ceil(this.rows.length / BLOCK)).map((n) => el("div", { class: "block", role: "presentation" }, this.rows.slice(n * BLOCK, (n + 1) * BLOCK)));
    this.list = el("div", { class: "list", role: "listbox", tabindex: 0, "aria-label": "recorded runs", keydown: (e) => this.walk(e),
      click: (e) => { const row = e.target.closest(".row"); if (row) this.set({ run: row.dataset.id }); } }, this.blocks);
    return el("section", { class: "panel runs", "aria-label": "Runs" },
      el("div", { class: "controls" }, fields, this.counted),
      el("div", { class: "row head", "aria-hidden": "true" }, titles.map((text) => el("span", {}, text))), this.list,
      el("div", { class: "controls" }, this.compare.field));
  }

  row(run) {
    const cells = [run.data, run.method === "static" ? `static ${run.bits}` : run.method, run.base, run.seed,
      `${run.tasks} × ${run.epochs}`, run.bits ? "" : run.configs.join(" "), run.results[0] == null ? "–" : percent(run.results[0], 1),
      [run.preset === "paper" ? "" : `preset ${run.preset}`, run.others, run.stale ? "older code" : ""].filter(Boolean).join(", ")];
    return el("div", { class: "row", role: "option", id: `run-${run.id}`, "data-id": run.id }, cells.map((text) => el("span", {}, String(text))));
  }

  filter() {
    const wanted = Object.entries(this.filters).filter(([, value]) => value !== "");
    const heights = this.blocks.map(() => 0);
    const visible = this.rows.filter((row, i) => {
      const fits = wanted.every(([key, value]) => String(this.data.runs[i][key]) === value);
      if (row.hidden === fits) row.hidden = !fits;
      heights[Math.floor(i / BLOCK)] += fits ? ROW : 0;
      return fits;
    });
    this.blocks.forEach((block, n) => {
      block.hidden = !heights[n]; // nothing of no height comes into sight
      block.style.containIntrinsicHeight = `${heights[n]}px`; // while it is out of sight
    });
    this.counted.textContent = `${visible.length} of ${count(this.data.runs.length, "run")}`;
    if (visible.length && !visible.some((row) => row.dataset.id === this.state.run)) this.set({ run: visible[0].dataset.id });
  }

  /** Arrow keys in the table of runs. */
  walk(event) {
    const step = { ArrowDown: 1, ArrowUp: -1, PageDown: 8, PageUp: -8, Home: -1e6, End: 1e6 }[event.key];
    if (!step) return;
    event.preventDefault();
    const visible = this.rows.filter((row) => !row.hidden);
    const now = visible.findIndex((row) => row.dataset.id === this.state.run);
    if (visible.length) this.set({ run: visible[clamp(now + step, 0, visible.length - 1)].dataset.id });
  }

  buildPlayer() {
    this.slider = el("input", { type: "range", min: 0, "aria-label": "epoch", input: (e) => this.set({ epoch: this.epochs()[e.target.value] }) });
    this.playing = el("button", { click: () => this.play() }, "▶ play");
    this.speed = this.select("", [2, 5, 10, 20].map((n) => [n, `${n} epochs/s`]), () => this.timer && (this.play(), this.play()));
    this.speed.list.value = 5;
    this.speed.list.setAttribute("aria-label", "speed");
    this.now = el("span", { class: "now" });
    return el("div", { class: "controls" }, this.playing, this.slider, this.now, this.speed.field);
  }

  epochs() { return this.run.shown ?? [this.run.epochs]; }

  play() {
    const stop = () => { clearInterval(this.timer); this.timer = 0; this.playing.textContent = "▶ play"; };
    if (this.timer) return stop();
    if (this.state.epoch >= this.epochs().at(-1)) this.set({ epoch: this.epochs()[0] });
    this.playing.textContent = "❚❚ pause";
    this.timer = setInterval(() => {
      const next = this.epochs().find((epoch) => epoch > this.state.epoch);
      if (next && this.root.isConnected) this.set({ epoch: next });
      if (!next || next === this.epochs().at(-1) || !this.root.isConnected) stop();
    }, 1000 / this.speed.list.value);
  }

  buildJump() {
    this.jump = el("button", { click: () => this.set({ epoch: this.lastSwitch().epoch }) }, "jump to last switch");
    return el("div", { class: "controls" }, this.jump);
  }

  buildLab() {
    this.rules = Object.fromEntries([["likelihood", 0], ["prior", 1]].map(([key, i]) => {
      const values = distinct(this.data.rules.map((rule) => rule[i]));
      return [key, this.select(key, values.map((v) => [v, v]), (value) => this.set({ [key]: value }))];
    }));
    return el("div", { class: "controls" }, this.rules.likelihood.field, this.rules.prior.field);
  }

  buildMeasure() {
    const measure = this.select("accuracy", MEASURES.map((name, i) => [i, name]), (value) => this.set({ measure: Number(value) }));
    this.against = el("button", { click: () => this.set({ compare: this.static().id }) }, "compare");
    return el("div", { class: "controls" }, measure.field, this.against);
  }

  buildFooter() {
    this.command = el("code", {});
    const copy = el("button", { click: async () => {
      try { await navigator.clipboard.writeText(this.command.textContent); copy.textContent = "copied"; }
      catch { getSelection().selectAllChildren(this.command); copy.textContent = "selected: press Ctrl+C"; }
      setTimeout(() => { copy.textContent = "copy as papermill command"; }, 2000);
    } }, "copy as papermill command");
    const thinned = `Of longer runs the page keeps ${this.data.epochs} epochs a task, the last switches among them, and ` +
      `${this.data.steps} of the first mini-batches, evenly spaced on the log axis.`;
    return el("footer", { class: "controls" }, el("button", { click: () => this.exportCsv() }, "CSV"),
      el("button", { click: () => this.exportSvg() }, "SVG"), copy, this.command, note(thinned));
  }

  showTip(mark) {
    this.tip.hidden = !mark;
    if (!mark) return;
    this.tip.textContent = mark.dataset.tip;
    const [box, root] = [mark.getBoundingClientRect(), this.root.getBoundingClientRect()];
    this.tip.style.left = `${clamp(box.left + box.width / 2 - root.left - this.tip.offsetWidth / 2, 0, root.width - this.tip.offsetWidth)}px`;
    const above = box.top - root.top - this.tip.offsetHeight - 6;
    this.tip.style.top = `${above > 0 ? above : box.bottom - root.top + 6}px`;
  }

  // -------------------------------------------------------------------------------------------------------- render

  render() {
    this.width = this.root.clientWidth;
    if (!this.width) return; // in a hidden tab; the ResizeObserver calls again
    const held = this.root.getRootNode().activeElement?.dataset?.key;
    this.renderControls();
    this.panels.heat.parentNode.classList.toggle("wide", Boolean(this.other));
    const widths = Object.entries(this.panels).map(([name, body]) => [name, body, body.clientWidth]); // measured once: layout is dear
    for (const [name, body, width] of widths) {
      const key = [width, ...FOLLOWS[name].map((part) => this.state[part])].join();
      if (body.dataset.drawn !== key) body.replaceChildren(...this[name](width));
      body.dataset.drawn = key;
    }
    this.finding.textContent = this.say();
    this.root.setAttribute("aria-label", this.finding.textContent);
    const key = this.focus ?? held;
    this.focus = undefined;
    if (key) this.root.querySelector(`[data-key="${key}"]`)?.focus({ preventScroll: true });
  }

  renderControls() {
    const { run, state } = this;
    for (const row of this.list.querySelectorAll("[aria-selected]")) row.removeAttribute("aria-selected");
    const row = this.rows[this.data.runs.indexOf(run)];
    row.setAttribute("aria-selected", "true");
    this.list.setAttribute("aria-activedescendant", row.id);
    if (this.held !== run.id) this.scrollTo(row);
    this.held = run.id;
    if (!this.counted.textContent) this.filter();
    const other = this.other && el("option", { value: state.compare, selected: "" }, this.name(this.other));
    if (this.compare.list.value !== state.compare) this.compare.list.replaceChildren(el("option", { value: "" }, "no other run"), ...(other ? [other] : []));
    this.slider.max = this.epochs().length - 1;
    this.slider.value = this.epochs().findLastIndex((epoch) => epoch <= state.epoch);
    this.now.textContent = `epoch ${state.epoch} of ${run.epochs}`;
    this.slider.disabled = this.playing.disabled = !("at" in run);
    this.jump.disabled = !("at" in run);
    for (const [key, { list }] of Object.entries(this.rules)) {
      list.disabled = !(run.rule >= 0);
      list.value = state[key] ?? "";
    }
    const values = { run: `-r run ${run.id}`, compare: state.compare && `-r compare ${state.compare}` };
    const numbers = ["task", "layer", "epoch"].map((key) => `-p ${key} ${state[key]}`);
    this.command.textContent = ["papermill", this.data.notebook, "explorer.ipynb", values.run, values.compare, ...numbers].filter(Boolean).join(" ");
  }

  scrollTo(row) {
    const top = ROW * this.rows.slice(0, this.rows.indexOf(row)).filter((r) => !r.hidden).length;
    const { scrollTop, clientHeight } = this.list;
    this.list.scrollTop = clamp(scrollTop, top + ROW - clientHeight, top);
  }

  /** The runs to compare with, listed when somebody opens the list: the same data and depth, the same seed first. */
  listOthers() {
    const { run, state } = this;
    const near = (r) => (r.tasks === run.tasks ? 0 : 4) + (r.seed === run.seed ? 0 : 2) + (r.epochs === run.epochs ? 0 : 1);
    const others = this.data.runs.filter((r) => r !== run && r.configs.length && r.data === run.data && r.depth === run.depth);
    const options = others.sort((a, b) => near(a) - near(b)).map((r) => el("option", { value: r.id }, `${this.name(r)} (${r.tasks} × ${r.epochs})`));
    this.compare.list.replaceChildren(el("option", { value: "" }, "no other run"), ...options);
    this.compare.list.value = state.compare;
    if (this.compare.list.value !== state.compare) this.compare.list.prepend(el("option", { value: state.compare, selected: "" }, this.name(this.other)));
  }

  /** The finding: what the picture says, for reading and for screen readers. */
  say() {
    const { run, state } = this;
    if (!run.configs.length) return `${this.name(run)}: ${NO_CHOICE} Accuracy after the last task ${percent(run.results[0], 1)}.`;
    const config = this.used(run, state.task - 1, state.epoch);
    const share = this.probability(run, state.task - 1, state.layer - 1, state.epoch);
    const words = [`${this.name(run)}: after epoch ${state.epoch} of ${run.epochs}, task ${state.task} uses configuration ` +
      `${inWords(config)} and transfers layer ${state.layer} with probability ${percent(share)}.`];
    if (run.planted && !run.bits) {
      const later = run.configs.slice(1);
      words.push(`The planted answer is ${run.planted}: ${later.filter((c) => c === run.planted).length} of ${later.length} later tasks end in it.`);
    }
    const { measured, ours } = this.standings();
    if (ours && measured.length > 1) {
      const beaten = measured.filter((entry) => entry.value.centre < ours.value.centre).length;
      words.push(`${ours.name} reaches ${ours.value.text} ${MEASURES[state.measure]}, above ${beaten} of ${measured.length} static configurations.`);
    }
    if (this.other) words.push(this.sayDifference());
    return words.join(" ");
  }

  sayDifference() {
    const { run, other, state } = this;
    if (other.depth !== run.depth || !other.configs.length) return `Beside it ${this.name(other)}, of another shape.`;
    const tasks = range(Math.min(run.configs.length, other.configs.length));
    const cells = tasks.flatMap((task) => range(run.depth).map((layer) => [run, other].map((r) => this.probability(r, task, layer, state.epoch))));
    const apart = cells.filter(([here, there]) => Math.abs(here - there) > 0.5);
    return `Beside it ${this.name(other)}: they differ by more than 50 points in ${apart.length} of ${cells.length} cells.`;
  }

  // ------------------------------------------------------------------------------------------------------ heat maps

  heat(width) {
    const { run, other, state } = this;
    if (!run.configs.length) return [note(NO_CHOICE)];
    const of = (r) => (task, layer) => this.probability(r, task, layer, state.epoch);
    const maps = [{ key: "a", run, title: other && this.name(run), value: of(run) }];
    if (other?.configs.length) maps.push({ key: "b", run: other, title: this.name(other), value: of(other) });
    if (maps[1]?.run.depth === run.depth) {
      const value = (task, layer) => of(run)(task, layer) - of(other)(task, layer);
      const shorter = other.configs.length < run.configs.length ? other : run;
      maps.push({ key: "d", run: shorter, title: "difference, first minus second", signed: true, value });
    }
    const columns = width > 700 ? maps.length : 1;
    const each = Math.min(Math.floor((width - 24 * (columns - 1)) / columns), 720);
    return [el("div", { class: "maps" }, maps.map((map) => this.heatMap(map, each))), this.legend(maps.length > 2)];
  }

  heatMap({ key, run, title, value, signed }, width) {
    const { state } = this;
    const [tasks, depth, left, top] = [run.configs.length, run.depth, 54, title ? 46 : 24];
    const right = signed ? 8 : 12 + 8.2 * depth; // the configuration in use
    const [w, h] = [(width - left - right) / depth, tasks > 6 ? 25 : 36];
    const answer = run.planted && !signed;
    const height = top + h * tasks + (answer ? 34 : 4);
    const strong = (chosen, kind) => (chosen ? `${kind} strong` : kind);
    const head = range(depth).map((i) =>
      text(left + w * (i + 0.5), top - 8, w > 52 ? `layer ${i + 1}` : i + 1, strong(i + 1 === state.layer, "middle")));
    const rows = range(tasks).map((task) => {
      const [y, middle] = [top + h * task, top + h * (task + 0.5) + 4];
      const name = text(left - 8, middle, `task ${task + 1}`, strong(task + 1 === state.task, "end"));
      const place = (layer) => ({ x: left + w * layer + 1, y: y + 1, width: w - 2, height: h - 2, rx: 4 });
      const cells = range(depth).map((layer) => this.cell({ key, run, task, layer, signed, share: value(task, layer) }, place(layer)));
      return el("g", { role: "row" }, name, cells, !signed && text(width - right + 8, middle, this.used(run, task, state.epoch), "mono"));
    });
    const what = signed ? title : `Probability of transfer, ${this.name(run)}, epoch ${state.epoch}`;
    const label = `${what}: ${count(tasks, "task")} by ${count(depth, "layer")}`;
    return el("svg", { role: "grid", width, height, "aria-label": label, keydown: (e) => this.walkCells(e, key) },
      title && text(left, 14, title, "title"), head, rows, answer && this.planted(run, left, w, height));
  }

  /** The configuration that the tasks were made for, below them. */
  planted(run, left, w, height) {
    const bits = [...run.planted].map((bit, i) => box(left + w * i + 3, height - 21, w - 6, 14, kindOf(bit), { rx: 3 }));
    return el("g", { "data-tip": `what these tasks were made for: transfer ${inWords(run.planted)}` },
      text(left - 8, height - 9, "planted", "end"), bits, text(left + w * run.depth + 8, height - 9, run.planted, "mono"));
  }

  cell({ key, run, task, layer, share, signed }, place) {
    const chosen = task + 1 === this.state.task && layer + 1 === this.state.layer;
    const strength = signed ? Math.abs(share) : Math.abs(2 * share - 1);
    const side = signed ? (share > 0 ? "more" : "less") : share > 0.5 ? "shared" : "own";
    const words = signed ? points(share) : Math.round(100 * share);
    const tip = signed ? `task ${task + 1}, layer ${layer + 1}: ${words} points` : this.tipOfCell(run, task, layer, share);
    const name = `${key}-${task}-${layer}`;
    const click = () => { this.focus = name; this.set({ task: task + 1, layer: layer + 1 }); };
    const [x, y] = [place.x + place.width / 2, place.y + place.height / 2 + 4];
    return el("g", { role: "gridcell", class: chosen ? "cell chosen" : "cell", tabindex: chosen ? 0 : -1, "aria-selected": String(chosen),
      "data-key": name, "data-tip": tip, "aria-label": tip, click },
      el("rect", { ...place, class: "blank" }),
      el("rect", { ...place, class: side, "fill-opacity": strength.toFixed(3) }),
      place.width > 28 && text(x, y, words, `middle ${strength > 0.6 ? `on-${side}` : ""}`),
      chosen && el("rect", { ...place, class: "frame" }));
  }

  tipOfCell(run, task, layer, share) {
    const { epoch } = this.state;
    const family = this.family(run).filter((r) => r.configs.length > task);
    const all = interval(this.data, family.map((r) => this.probability(r, task, layer, epoch)));
    const seeds = `over seeds ${family.map((r) => r.seed).join(", ")}: ${all.text}`;
    return [`task ${task + 1}, layer ${layer + 1}: transferred with probability ${percent(share, 1)} after epoch ${epoch}`,
      `seed ${run.seed}, configuration ${this.used(run, task, epoch)} in use`,
      all.n > 1 ? seeds : "one seed, no interval"].join("\n");
  }

  walkCells(event, key) {
    const moves = { ArrowDown: [1, 0], ArrowUp: [-1, 0], ArrowRight: [0, 1], ArrowLeft: [0, -1] };
    if (!(event.key in moves)) return;
    event.preventDefault();
    const [down, right] = moves[event.key];
    const task = clamp(this.state.task + down, 1, this.run.configs.length);
    const layer = clamp(this.state.layer + right, 1, this.run.depth);
    this.focus = `${key}-${task - 1}-${layer - 1}`;
    this.set({ task, layer });
  }

  legend(signed) {
    return el("p", { class: "legend" }, sample("own", "0 %: task-specific"), sample("blank", "50 %"), sample("shared", "100 %: transferred"),
      signed && [sample("less", "second run transfers more"), sample("more", "first run transfers more")]);
  }

  // ----------------------------------------------------------------------------------------------------------- bars

  shares(width) {
    const { run, state } = this;
    if (!run.configs.length) return [note(NO_CHOICE)];
    const family = this.family(run);
    const each = width > 520 ? (width - 24) / 2 : width;
    const layers = range(run.depth).map((layer) => this.layerShare(run, family, layer));
    const used = family.flatMap((r) => range(r.configs.length).map((task) => this.used(r, task, state.epoch)));
    const configs = distinct(used).map((config) => {
      const n = used.filter((other) => other === config).length;
      const tip = `${inWords(config)}: in use by ${n} of ${count(used.length, "task")} (${count(family.length, "seed")})`;
      return { name: config, share: n / used.length, chosen: config === state.config, tip, click: () => this.set({ config }) };
    }).sort((a, b) => b.share - a.share);
    const more = configs.length > BARS ? ` (${BARS} of ${configs.length})` : "";
    return [el("div", { class: "maps" }, this.bars("share", "layers transferred, mean over tasks", layers, each, "shared"),
      this.bars("use", `configurations in use${more}`, configs.slice(0, BARS), each, "neutral"))];
  }

  layerShare(run, family, layer) {
    const tasks = (r) => range(r.configs.length).map((task) => this.probability(r, task, layer, this.state.epoch));
    const share = mean(tasks(run));
    const seeds = interval(this.data, family.map((r) => mean(tasks(r)))).text;
    const tip = `layer ${layer + 1}: mean over tasks ${percent(share, 1)} at seed ${run.seed}; over seeds ${seeds}`;
    return { name: `layer ${layer + 1}`, share, chosen: layer + 1 === this.state.layer, tip, click: () => this.set({ layer: layer + 1 }) };
  }

  bars(key, title, items, width, kind) {
    const [left, h, top] = [Math.max(58, 9 * items[0].name.length + 10), 25, 24];
    const scale = width - left - 46;
    const bar = (item, i) => {
      const y = top + h * i;
      const press = (e) => ["Enter", " "].includes(e.key) && (e.preventDefault(), item.click());
      return el("g", { class: item.chosen ? "bar chosen" : "bar", role: "button", tabindex: 0, "data-key": `${key}-${item.name}`,
        "data-tip": item.tip, "aria-label": item.tip, click: item.click, keydown: press },
        text(left - 8, y + 16, item.name, `end ${key === "use" ? "mono" : ""} ${item.chosen ? "strong" : ""}`),
        box(left, y + 3, scale, h - 7, "blank", { rx: 3 }),
        box(left, y + 3, Math.max(scale * item.share, 1), h - 7, kind, { rx: 3 }),
        text(left + scale + 6, y + 16, percent(item.share)));
    };
    const label = `${title}: ${items.map((item) => `${item.name} ${percent(item.share)}`).join(", ")}`;
    return el("svg", { width, height: top + h * items.length + 4, role: "group", "aria-label": label }, text(0, 13, title, "title"), items.map(bar));
  }

  // ----------------------------------------------------------------------------------------------------- line charts

  /** Lines over a log axis. lines: {name, dashed, points [[x, share]]}, the most important first; marks: {x, words, kind};
   *  tips: {x, words}, one per place where the pointer may be. */
  chart({ width, height, title, axis, most, lines, marks, tips, label }) {
    const [left, right, top, bottom] = [34, 8, title ? 22 : 8, 32];
    const x = (value) => left + ((width - left - right) * Math.log(Math.max(value, 1))) / Math.log(Math.max(most, 2));
    const y = (share) => top + (height - top - bottom) * (1 - share);
    const path = (all) => all.map(([a, b], i) => `${i ? "L" : "M"}${x(a).toFixed(1)} ${y(b).toFixed(1)}`).join("");
    const rule = (share) => [line(left, y(share), width - right, y(share), "rule"), text(left - 5, y(share) + 4, 100 * share, "end quiet")];
    const tick = (n) => [line(x(n), y(0), x(n), y(0) + 4, "rule"), text(x(n), height - 17, n, "middle quiet")];
    const curve = (one, rank) => el("path", { class: `line ${one.dashed ? "dashed" : ""} l${Math.min(rank, COLOURED)}`, d: path(one.points) });
    const mark = ({ x: at, words, kind }) => [line(x(at), y(1), x(at), y(0), `mark ${kind}`),
      words && text(clamp(x(at), left + 34, width - right - 34), y(1) - 2, words, "middle quiet halo")];
    const edges = [left, ...tips.slice(1).map((tip, i) => (x(tips[i].x) + x(tip.x)) / 2), width - right];
    const hits = tips.map((tip, i) => box(edges[i], y(1), Math.max(edges[i + 1] - edges[i], 1), y(0) - y(1), "hit", { "data-tip": tip.words }));
    return el("svg", { width, height, role: "img", "aria-label": label }, title && text(left, 13, title, "title"), [0, 0.5, 1].map(rule),
      range(6).map((n) => 10 ** n).filter((n) => n <= most).map(tick), text(width - right, height - 3, axis, "end quiet"),
      lines.map(curve).reverse(), marks.map(mark), hits);
  }

  /** The key to a chart's lines. */
  named(lines) {
    const words = (one) => el("span", { class: "mono" }, one.name);
    return el("p", { class: "legend" },
      lines.slice(0, COLOURED).map((one, i) => sample(`swatch l${i} ${one.dashed ? "dashed" : ""}`, words(one))),
      lines.length > COLOURED && sample(`swatch l${COLOURED}`, `${lines.length - COLOURED} others`),
      el("span", { class: "quiet" }, `solid: layer ${this.state.layer} transferred, dashed: its own`));
  }

  /** Configurations by belief, recorded and replayed: a configuration has the same colour in every chart. */
  byBelief() {
    const { run, data, state } = this;
    const history = visit(data, run, state.task - 1);
    const [steps, last] = [range(run.steps.length), run.shown.length - 1];
    const rules = run.rule >= 0 ? [run.rule, this.wanted()] : [];
    const weights = run.names.map((_, c) => history.epoch(last, c) + mean([0, ...steps.map((s) => history.step(s, c))]) +
      rules.reduce((sum, rule) => sum + history.belief(rule, steps.length - 1, c), 0));
    return range(run.names.length).sort((a, b) => weights[b] - weights[a]);
  }

  /** The number of the rule that the lab replays. */
  wanted() {
    const { likelihood, prior } = this.state;
    return this.data.rules.findIndex((rule) => rule[0] === likelihood && rule[1] === prior);
  }

  isOwn(config) { return config[this.state.layer - 1] !== "1"; }

  /** The last change of the choice in the task: as a place on the axis, as an epoch and in words. */
  lastSwitch() {
    const { run, state } = this;
    const task = state.task - 1;
    const step = run.rule >= 0 ? run.replays[task][run.rule] : run.wins[task]; // counted from 0; -1: not recorded
    const epoch = run.switches[task];
    if (run.batches && step >= 0 && (epoch - 1) * run.batches < run.steps.at(-1)) {
      const during = clamp(Math.ceil((step + 1) / run.batches), 1, run.epochs);
      return { x: step + 1, epoch: during, words: step && `mini-batch ${step + 1}` };
    }
    return { x: epoch * (run.batches || 1), epoch, words: epoch > 1 && `epoch ${epoch}` };
  }

  posterior(width) {
    const { run, state } = this;
    if (!("at" in run)) return [note(run.bits ? `A static configuration has no belief: every task uses ${run.bits}.` : NO_CHOICE)];
    const history = visit(this.data, run, state.task - 1);
    const per = run.batches || 1;
    const later = run.shown.map((epoch, e) => [epoch * per, e]).filter(([x]) => !run.steps.length || x > run.steps.at(-1));
    const lines = this.byBelief().map((c) => ({ name: run.names[c], dashed: this.isOwn(run.names[c]),
      points: [...run.steps.map((x, s) => [x, history.step(s, c)]), ...later.map(([x, e]) => [x, history.epoch(e, c)])] }));
    const tips = lines[0].points.map(([x], i) => ({ x, words: [i < run.steps.length ? `mini-batch ${x}` : `epoch ${x / per}`,
      ...leading(lines.map((one) => [one.name, one.points[i][1]]))].join("\n") }));
    const last = this.lastSwitch();
    const marks = [{ x: last.x, kind: "switch", words: "last switch" }, { x: state.epoch * per, kind: "present" }];
    const [leader, share] = lines.map((one) => [one.name, one.points.at(-1)[1]]).reduce((best, next) => (next[1] > best[1] ? next : best));
    const change = last.words ? `the choice last switches at ${last.words}; afterwards` : "the choice never switches;";
    const said = `Task ${state.task}: ${change} ${leader} leads with ${percent(share)} of the posterior.`;
    const axis = run.batches ? `mini-batches (log); ${run.batches} an epoch` : "epoch (log)";
    return [this.chart({ width, height: 214, most: run.epochs * per, axis, lines, marks, tips, label: said }), this.named(lines), note(said, "said")];
  }

  // ------------------------------------------------------------------------------------------------------------- lab

  lab(width) {
    const { run, state, data } = this;
    if (!(run.rule >= 0)) return [note("Only a LASEM run whose first posteriors were recorded in full can be replayed.")];
    const wanted = this.wanted();
    const history = visit(data, run, state.task - 1);
    const last = run.steps.length - 1;
    const final = (rule, c) => history.belief(rule, last, c);
    const order = this.byBelief();
    const say = (rule) => {
      const leader = run.names[order.reduce((best, c) => (final(rule, c) > final(rule, best) ? c : best))];
      const change = run.replays[state.task - 1][rule];
      return `${leader} leads and the choice ${change ? `last changes at mini-batch ${change + 1}` : "never changes"}`;
    };
    const linesOf = (rule) => order.map((c) => ({ name: run.names[c], dashed: this.isOwn(run.names[c]),
      points: run.steps.map((x, s) => [x, history.belief(rule, s, c)]) }));
    const draw = (how, rule) => this.chart({ width: width > 380 ? Math.floor((width - 16) / 2) : width, height: 176,
      title: `${how}: ${data.rules[rule].join(", ")}`, label: `${how}, ${data.rules[rule].join(" likelihood, ")} prior: ${say(rule)}`,
      axis: "mini-batches (log)", most: run.steps[last], lines: linesOf(rule), marks: [{ x: run.replays[state.task - 1][rule] + 1, kind: "switch" }],
      tips: run.steps.map((x, s) => ({ x, words: [`mini-batch ${x}`, ...leading(order.map((c) => [run.names[c], history.belief(rule, s, c)]))].join("\n") })) });
    const said = `After ${run.steps[last]} mini-batches as recorded, ${say(run.rule)}; replayed, ${say(wanted)}. ` +
      "The weights stay as trained: this replays the belief, not the learning.";
    return [el("div", { class: "maps" }, draw("recorded", run.rule), draw("replayed", wanted)), this.named(linesOf(run.rule)), note(said, "said")];
  }

  // --------------------------------------------------------------------------------------------------------- ranking

  /** Static configurations on the run's ground, best first, those that were not run last; and what chose for itself. */
  standings() {
    const { run, state, data } = this;
    const result = (r) => r.results[state.measure];
    const ground = data.runs.filter((r) => r.ground === run.ground && result(r) != null);
    const ranked = (runs) => (runs.length ? interval(data, runs.map(result)) : null);
    const every = range(2 ** run.depth).map((n) => n.toString(2).padStart(run.depth, "0"));
    const configs = run.depth <= 4 ? every : distinct(ground.filter((r) => r.bits).map((r) => r.bits));
    const entries = configs.map((config) => {
      const runs = ground.filter((r) => r.bits === config);
      return { config, runs, value: ranked(runs) };
    }).sort((a, b) => (b.value?.centre ?? -1) - (a.value?.centre ?? -1));
    const chooser = run.configs.length && !run.bits ? run : ground.find((r) => r.method === "LASEM");
    const own = chooser ? this.family(chooser).filter((r) => result(r) != null) : [];
    const ours = own.length ? { name: `${chooser.method} ${chooser.base}`, value: ranked(own) } : null;
    return { entries, measured: entries.filter((entry) => entry.value), ours };
  }

  /** The static run of the chosen configuration, at the run's seed if there is one. */
  static() {
    const runs = this.standings().entries.find((entry) => entry.config === this.state.config)?.runs ?? [];
    return runs.find((r) => r.seed === this.run.seed) ?? runs[0];
  }

  ranking(width) {
    const { run, state } = this;
    const { entries, measured, ours } = this.standings();
    const rival = this.static();
    this.against.disabled = !rival || rival === run;
    if (!measured.length) return [note(`No static configuration was run on ${run.data} with ${run.base}, ${run.tasks} tasks of ${run.epochs} epochs.`)];
    const values = [...measured, ...(ours ? [ours] : [])].map((entry) => entry.value);
    const low = Math.max(0, Math.floor(10 * Math.min(...values.map((v) => v.centre - v.half)) - 0.2) / 10);
    const high = Math.min(1, Math.ceil(10 * Math.max(...values.map((v) => v.centre + v.half)) + 0.2) / 10);
    const [left, right, top, height, bottom] = [40, width - 6, 20, 280, 30 + 11 * run.depth];
    const y = (share) => top + (height - top - bottom) * (1 - (clamp(share, low, high) - low) / (high - low || 1));
    const w = (right - left) / entries.length;
    const tick = (share) => [line(left, y(share), right, y(share), "rule"),
      text(left - 6, y(share) + 4, (100 * share).toFixed(high - low > 0.1 ? 0 : 1), "end quiet")];
    const band = () => {
      const [upper, lower] = [y(ours.value.centre + ours.value.half), y(ours.value.centre - ours.value.half)];
      return [box(left, upper, right - left, lower - upper, "band"), line(left, y(ours.value.centre), right, y(ours.value.centre), "ours"),
        el("text", { x: right, y: 11, class: "end" }, el("tspan", { class: "shared" }, "━ "), `${ours.name}, its own choice: ${ours.value.text}`)];
    };
    const said = this.sayRanking(entries, measured, ours);
    const columns = entries.map((entry, i) => this.column(entry, measured, { x: left + w * i, w, y, top, height, bottom }));
    return [el("svg", { width, height, role: "radiogroup", "aria-label": said, keydown: (e) => this.walkColumns(e, measured) },
      range(5).map((n) => tick(low + ((high - low) * n) / 4)), text(0, 11, `accuracy ${MEASURES[state.measure]} (%)`, "quiet"), ours && band(), columns),
      this.namedColumns(measured), note(said, "said")];
  }

  sayRanking(entries, measured, ours) {
    const { run, state } = this;
    const chosen = entries.find((entry) => entry.config === state.config);
    const reached = (entry) => (entry.value ? `${entry.value.text}, rank ${measured.indexOf(entry) + 1} of ${measured.length}` : "not run");
    return [chosen && `${inWords(chosen.config)} as a static configuration: ${reached(chosen)}.`,
      ours ? `${ours.name}, its own choice per task: ${ours.value.text}.` : "LASEM was not run here.",
      run.planted && `Planted answer: ${run.planted}.`].filter(Boolean).join(" ");
  }

  namedColumns(measured) {
    const { run } = this;
    const missing = 2 ** run.depth - measured.length;
    const rest = missing ? `; ${missing} of ${2 ** run.depth} configurations not run` : "";
    return el("p", { class: "legend" }, sample("shared", "transferred"), sample("own", "task-specific, layer 1 on top"),
      run.planted && el("span", {}, "◆ planted answer"), el("span", { class: "quiet" }, `mean, 95 % t-interval and single seeds${rest}`));
  }

  column({ config, runs, value }, measured, { x, w, y, top, height, bottom }) {
    const { state, run } = this;
    const chosen = config === state.config;
    const [middle, size] = [x + w / 2, clamp(w - 6, 5, 16)];
    const rank = measured.findIndex((entry) => entry.config === config) + 1;
    const seeds = runs.map((r) => `${r.seed}: ${percent(r.results[state.measure], 1)}`).join(", ");
    const tip = value ? `${inWords(config)}: ${value.text}, rank ${rank} of ${measured.length}\nseeds ${seeds}` : `${inWords(config)}: not run`;
    const entrance = chosen || (rank === 1 && !measured.some((entry) => entry.config === state.config)); // of the Tab key
    const pick = () => { this.focus = `pick-${config}`; this.set({ config }); };
    return el("g", { class: `column ${chosen ? "chosen" : ""} ${value ? "" : "missing"}`, role: "radio", "aria-checked": String(chosen),
      "aria-disabled": String(!value), "aria-label": tip, tabindex: value ? (entrance ? 0 : -1) : undefined,
      "data-key": `pick-${config}`, "data-tip": tip, click: value ? pick : undefined },
      box(x, top, w, height - top, "hit"),
      value && [line(middle, y(value.centre - value.half), middle, y(value.centre + value.half), "whisker"),
        runs.map((r) => el("circle", { class: "seed", cx: middle, cy: y(r.results[state.measure]), r: 2.5 })),
        el("circle", { class: this.isOwn(config) ? "dot away" : "dot", cx: middle, cy: y(value.centre), r: clamp(w / 5, 4, 7) })],
      [...config].map((bit, i) => box(middle - size / 2, height - bottom + 10 + 11 * i, size, 9, kindOf(bit), { rx: 2 })),
      config === run.planted && text(middle, height - 3, "◆", "middle"));
  }

  walkColumns(event, measured) {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const now = measured.findIndex((entry) => entry.config === this.state.config);
    const { config } = measured[clamp(now + step, 0, measured.length - 1)];
    this.focus = `pick-${config}`;
    this.set({ config });
  }

  // --------------------------------------------------------------------------------------------------------- export

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
  }

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
  }

  download(ending, type, text) {
    const href = URL.createObjectURL(new Blob([text], { type }));
    el("a", { href, download: `lasem-${this.run.id}.${ending}` }).click();
    setTimeout(() => URL.revokeObjectURL(href), 1000);
  }
}

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

// ---------------------------------------------------------------------------------------------------------- entrances

async function mount(root, { bundle, selection, notebook }, tell = () => {}) {
  const explorer = new Explorer(root, { ...(await unpack(bundle)), notebook }, selection, tell);
  root.explorer = explorer;
  return explorer;
}

/** anywidget: Python's `selection` follows the page's, and the other way round. */
async function render({ model, el: place }) {
  const root = el("div", { class: "stage" });
  place.classList.add("lasem-explorer");
  place.append(root);
  const given = Object.fromEntries(["bundle", "selection", "notebook"].map((key) => [key, model.get(key)]));
  const tell = (selection) => { model.set("selection", selection); model.save_changes(); };
  const explorer = await mount(root, given, tell);
  model.on("change:selection", () => {
    const wanted = model.get("selection");
    if (Object.entries(wanted).some(([key, value]) => explorer.state[key] !== value)) explorer.set(wanted);
  });
}

export default { render };

for (const place of document.querySelectorAll(".lasem-explorer:not([data-started])")) {
  place.dataset.started = "";
  const given = place.querySelector('script[type="application/json"]');
  if (given) mount(place.querySelector(".stage"), JSON.parse(given.textContent));
}
