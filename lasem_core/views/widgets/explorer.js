// The explorer of recorded runs, one ES module without dependencies. Python (bundle.py) packs the runs into one text;
// everything else happens here, so that a page works without a kernel. The same file is an anywidget (`render` below)
// and the script of a self-contained page (`mount` on every .lasem-explorer).
//
//   state ─► render() ─► finding, runs, heat map, shares, posterior, lab, static ranking
//     ▲                        │
//     └────── set({...}) ◄─────┘   a click, a key, a control, or Python's `selection`

const COLOURED = 4; // configurations with a colour of their own in a chart; the rest is grey
const SVG = new Set(["svg", "g", "rect", "text", "path", "line", "circle", "tspan"]);
const ROW = 25; // pixels, as in the style sheet
const FILTERS = { data: "Data set", method: "Method", base: "Base", profile: "Profile", seed: "Seed" };
const MEASURES = ["after the last task", "peak at best validation", "peak on test"];
const FOLLOWS = { // what each panel has to be drawn again for
  heat: ["run", "compare", "task", "layer", "epoch"],
  shares: ["run", "layer", "epoch", "config"],
  posterior: ["run", "task", "layer", "epoch"],
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
const inWords = (config) => `${config} (${config.includes("1") ? `layer${layersOf(config).length > 1 ? "s" : ""} ${layersOf(config).join(", ")}` : "no layer"})`;

// ---------------------------------------------------------------------------------------------------------- data

/** What bundle.py packed: runs, and their histories as bytes. */
async function unpack(text) {
  const packed = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
  const raw = new Uint8Array(await new Response(stream).arrayBuffer());
  const start = 4 + new DataView(raw.buffer).getUint32(0, true);
  return { ...JSON.parse(new TextDecoder().decode(raw.subarray(4, start))), bytes: raw.subarray(start) };
}

/** Readers of the history of one task of one run; the order of its parts is that of bundle.py's `write`. */
function visit(data, run, task) {
  const [E, S, C, d] = [run.shown.length, run.steps.length, run.names.length, run.depth];
  const sizes = [E * d, E, S * C, E * C, run.rules * S * C];
  let at = run.at + task * sizes.reduce((a, b) => a + b);
  const [transfer, used, steps, epochs, beliefs] = sizes.map((size) => data.bytes.subarray(at, (at += size)));
  const when = (epoch) => Math.max(0, run.shown.findLastIndex((shown) => shown <= epoch));
  return {
    transfer: (epoch, layer) => transfer[when(epoch) * d + layer] / 255,
    config: (epoch) => run.used[used[when(epoch)]],
    step: (s, c) => steps[s * C + c] / 255,
    epoch: (e, c) => epochs[e * C + c] / 255,
    belief: (rule, s, c) => beliefs[(rule * S + s) * C + c] / 255,
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
    this.list = el("div", { class: "list", role: "listbox", tabindex: 0, "aria-label": "recorded runs", keydown: (e) => this.walk(e),
      click: (e) => { const row = e.target.closest(".row"); if (row) this.set({ run: row.dataset.id }); } }, this.rows);
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
    let shown = 0;
    this.data.runs.forEach((run, i) => {
      const fits = Object.entries(this.filters).every(([key, value]) => value === "" || String(run[key]) === value);
      if (this.rows[i].hidden === fits) this.rows[i].hidden = !fits;
      shown += fits;
    });
    this.counted.textContent = `${shown} of ${count(this.data.runs.length, "run")}`;
    const visible = this.rows.filter((row) => !row.hidden);
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
    const note = `Of longer runs the page keeps ${this.data.epochs} epochs a task, the last switches among them, and ${this.data.steps} of the first mini-batches, evenly spaced on the log axis.`;
    return el("footer", { class: "controls" }, el("button", { click: () => this.exportCsv() }, "CSV"),
      el("button", { click: () => this.exportSvg() }, "SVG"), copy, this.command, el("p", { class: "quiet" }, note));
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
    const text = (r) => `${this.name(r)} (${r.tasks} × ${r.epochs})`;
    this.compare.list.replaceChildren(el("option", { value: "" }, "no other run"), ...others.sort((a, b) => near(a) - near(b)).map((r) => el("option", { value: r.id }, text(r))));
    this.compare.list.value = state.compare;
    if (this.compare.list.value !== state.compare) this.compare.list.prepend(el("option", { value: state.compare, selected: "" }, this.name(this.other)));
  }

  /** The finding: what the picture says, for reading and for screen readers. */
  say() {
    const { run, state } = this;
    if (!run.configs.length) return `${this.name(run)}: ${NO_CHOICE} Accuracy after the last task ${percent(run.results[0], 1)}.`;
    const config = this.used(run, state.task - 1, state.epoch);
    const share = this.probability(run, state.task - 1, state.layer - 1, state.epoch);
    const words = [`${this.name(run)}: after epoch ${state.epoch} of ${run.epochs}, task ${state.task} uses configuration ${inWords(config)} and transfers layer ${state.layer} with probability ${percent(share)}.`];
    if (run.planted && !run.bits) {
      const later = run.configs.slice(1);
      words.push(`The planted answer is ${run.planted}: ${later.filter((c) => c === run.planted).length} of ${later.length} later tasks end in it.`);
    }
    const { entries, ours } = this.standings();
    const measured = entries.filter((entry) => entry.runs.length);
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
    const cells = range(Math.min(run.configs.length, other.configs.length)).flatMap((task) => range(run.depth).map((layer) => [task, layer]));
    const apart = cells.filter(([task, layer]) => Math.abs(this.probability(run, task, layer, state.epoch) - this.probability(other, task, layer, state.epoch)) > 0.5);
    return `Beside it ${this.name(other)}: they differ by more than 50 points in ${apart.length} of ${cells.length} cells.`;
  }

  // ------------------------------------------------------------------------------------------------------ heat maps

  heat(width) {
    const { run, other, state } = this;
    if (!run.configs.length) return [el("p", { class: "quiet" }, NO_CHOICE)];
    const value = (r) => (task, layer) => this.probability(r, task, layer, state.epoch);
    const maps = [{ key: "a", run, title: other && this.name(run), value: value(run) }];
    if (other?.configs.length) maps.push({ key: "b", run: other, title: this.name(other), value: value(other) });
    if (maps[1]?.run.depth === run.depth) {
      maps.push({ key: "d", run: run.tasks < other.tasks ? run : other, title: "difference, first minus second", signed: true,
        value: (task, layer) => value(run)(task, layer) - value(other)(task, layer) });
    }
    const columns = width > 700 ? maps.length : 1;
    const each = Math.floor((width - 24 * (columns - 1)) / columns);
    return [el("div", { class: "maps" }, maps.map((map) => this.heatMap(map, Math.min(each, 720)))), this.legend(maps.length > 2)];
  }

  heatMap({ key, run, title, value, signed }, width) {
    const { state } = this;
    const [tasks, depth, left, right, top] = [run.configs.length, run.depth, 54, signed ? 8 : 12 + 8.2 * run.depth, title ? 46 : 24];
    const answer = run.planted && !signed;
    const [w, h] = [(width - left - right) / depth, tasks > 6 ? 25 : 36];
    const height = top + h * tasks + (answer ? 34 : 4);
    const text = (x, y, words, more = {}) => el("text", { x, y, ...more }, words);
    const rows = range(tasks).map((task) => el("g", { role: "row" },
      text(left - 8, top + h * (task + 0.5) + 4, `task ${task + 1}`, { class: task + 1 === state.task ? "end strong" : "end" }),
      range(depth).map((layer) => this.cell({ key, run, task, layer, share: value(task, layer), signed, x: left + w * layer, y: top + h * task, w, h })),
      !signed && text(left + w * depth + 8, top + h * (task + 0.5) + 4, this.used(run, task, state.epoch), { class: "mono" })));
    const head = range(depth).map((layer) => text(left + w * (layer + 0.5), top - 8, w > 52 ? `layer ${layer + 1}` : layer + 1, { class: layer + 1 === state.layer ? "middle strong" : "middle" }));
    const planted = answer && el("g", { "data-tip": `what these tasks were made for: transfer ${inWords(run.planted)}` },
      text(left - 8, height - 9, "planted", { class: "end" }), [...run.planted].map((bit, i) => el("rect", { class: bit === "1" ? "shared" : "own", x: left + w * i + 3, y: height - 21, width: w - 6, height: 14, rx: 3 })),
      text(left + w * depth + 8, height - 9, run.planted, { class: "mono" }));
    return el("svg", { role: "grid", width, height, "aria-label": `${signed ? title : `Probability of transfer, ${this.name(run)}, epoch ${state.epoch}`}: ${tasks} tasks by ${depth} layers`, keydown: (e) => this.walkCells(e, key) },
      title && text(left, 14, title, { class: "title" }), head, rows, planted);
  }

  cell({ key, run, task, layer, share, signed, x, y, w, h }) {
    const chosen = task + 1 === this.state.task && layer + 1 === this.state.layer;
    const strength = signed ? Math.abs(share) : Math.abs(2 * share - 1);
    const side = signed ? (share > 0 ? "more" : "less") : share > 0.5 ? "shared" : "own";
    const tip = signed ? `task ${task + 1}, layer ${layer + 1}: ${points(share)} points` : this.tipOfCell(run, task, layer, share);
    const words = signed ? points(share) : Math.round(100 * share);
    return el("g", { role: "gridcell", class: chosen ? "cell chosen" : "cell", tabindex: chosen ? 0 : -1, "data-key": `${key}-${task}-${layer}`, "data-tip": tip, "aria-label": tip, "aria-selected": chosen,
      click: () => { this.focus = `${key}-${task}-${layer}`; this.set({ task: task + 1, layer: layer + 1 }); } },
    el("rect", { class: "blank", x: x + 1, y: y + 1, width: w - 2, height: h - 2, rx: 4 }),
    el("rect", { class: side, x: x + 1, y: y + 1, width: w - 2, height: h - 2, rx: 4, "fill-opacity": strength.toFixed(3) }),
    w > 30 && el("text", { x: x + w / 2, y: y + h / 2 + 4, class: `middle ${strength > 0.6 ? `on-${side}` : ""}` }, words),
    chosen && el("rect", { class: "frame", x: x + 1, y: y + 1, width: w - 2, height: h - 2, rx: 4 }));
  }

  tipOfCell(run, task, layer, share) {
    const { epoch } = this.state;
    const family = this.family(run).filter((r) => r.configs.length > task);
    const all = interval(this.data, family.map((r) => this.probability(r, task, layer, epoch)));
    return `task ${task + 1}, layer ${layer + 1}: transferred with probability ${percent(share, 1)} after epoch ${epoch}\nseed ${run.seed}, configuration ${this.used(run, task, epoch)} in use\n${all.n > 1 ? `over seeds ${family.map((r) => r.seed).join(", ")}: ${all.text}` : "one seed, no interval"}`;
  }

  walkCells(event, key) {
    const [task, layer] = { ArrowDown: [1, 0], ArrowUp: [-1, 0], ArrowRight: [0, 1], ArrowLeft: [0, -1] }[event.key] ?? [0, 0];
    if (!task && !layer) return;
    event.preventDefault();
    const to = { task: clamp(this.state.task + task, 1, this.run.configs.length), layer: clamp(this.state.layer + layer, 1, this.run.depth) };
    this.focus = `${key}-${to.task - 1}-${to.layer - 1}`;
    this.set(to);
  }

  legend(signed) {
    const key = (kind, text) => el("span", {}, el("i", { class: kind }), text);
    return el("p", { class: "legend" }, key("own", "0 %: task-specific"), key("blank", "50 %"), key("shared", "100 %: transferred"),
      signed && key("less", "second run transfers more"), signed && key("more", "first run transfers more"));
  }

  // ----------------------------------------------------------------------------------------------------------- bars

  shares(width) {
    const { run, state } = this;
    if (!run.configs.length) return [el("p", { class: "quiet" }, NO_CHOICE)];
    const family = this.family(run);
    const layers = range(run.depth).map((layer) => {
      const shares = family.map((r) => mean(range(r.configs.length).map((task) => this.probability(r, task, layer, state.epoch))));
      return { name: `layer ${layer + 1}`, share: shares[family.indexOf(run)], chosen: layer + 1 === state.layer,
        tip: `layer ${layer + 1}: mean over tasks ${percent(shares[family.indexOf(run)], 1)} at seed ${run.seed}; over seeds ${interval(this.data, shares).text}`,
        click: () => this.set({ layer: layer + 1 }) };
    });
    const used = family.flatMap((r) => range(r.configs.length).map((task) => this.used(r, task, state.epoch)));
    const configs = distinct(used).map((config) => {
      const n = used.filter((other) => other === config).length;
      return { name: config, share: n / used.length, chosen: config === state.config, mono: true,
        tip: `${inWords(config)}: in use by ${n} of ${used.length} tasks (${count(family.length, "seed")})`, click: () => this.set({ config }) };
    }).sort((a, b) => b.share - a.share);
    const half = width > 520 ? (width - 24) / 2 : width;
    const more = configs.length > 8 ? ` (8 of ${configs.length})` : "";
    return [el("div", { class: "maps" }, this.bars("share", "layers transferred, mean over tasks", layers, half, "shared"),
      this.bars("use", `configurations in use${more}`, configs.slice(0, 8), half, "neutral"))];
  }

  bars(key, title, items, width, kind) {
    const [left, h, top] = [items[0].mono ? Math.max(52, 9 * items[0].name.length + 10) : 58, 25, 24];
    const scale = width - left - 46;
    return el("svg", { width, height: top + h * items.length + 4, role: "group", "aria-label": `${title}: ${items.map((i) => `${i.name} ${percent(i.share)}`).join(", ")}` },
      el("text", { x: 0, y: 13, class: "title" }, title),
      items.map((item, i) => el("g", { class: item.chosen ? "bar chosen" : "bar", role: "button", tabindex: 0, "data-key": `${key}-${item.name}`, "data-tip": item.tip, "aria-label": item.tip,
        click: item.click, keydown: (e) => ["Enter", " "].includes(e.key) && (e.preventDefault(), item.click()) },
      el("text", { x: left - 8, y: top + h * i + 16, class: `end ${item.mono ? "mono" : ""} ${item.chosen ? "strong" : ""}` }, item.name),
      el("rect", { class: "blank", x: left, y: top + h * i + 3, width: scale, height: h - 7, rx: 3 }),
      el("rect", { class: kind, x: left, y: top + h * i + 3, width: Math.max(scale * item.share, 1), height: h - 7, rx: 3 }),
      el("text", { x: left + scale + 6, y: top + h * i + 16 }, percent(item.share)))));
  }

  // ----------------------------------------------------------------------------------------------------- line charts

  /** Lines over a log axis. lines: {name, points [[x, share]]}, the most important first; marks: {x, text, kind}. */
  chart({ width, height = 190, title, axis, most, lines, marks = [], tips = [], label }) {
    const [left, right, top, bottom] = [34, 8, title ? 22 : 8, 32];
    const x = (value) => left + ((width - left - right) * Math.log(Math.max(value, 1))) / Math.log(Math.max(most, 2));
    const y = (share) => top + (height - top - bottom) * (1 - share);
    const path = (points) => points.map(([a, b], i) => `${i ? "L" : "M"}${x(a).toFixed(1)} ${y(b).toFixed(1)}`).join("");
    const ticks = range(6).map((n) => 10 ** n).filter((n) => n <= most);
    const edges = tips.map((tip, i) => (i ? (x(tips[i - 1].x) + x(tip.x)) / 2 : left));
    return el("svg", { width, height, role: "img", "aria-label": label },
      title && el("text", { x: left, y: 13, class: "title" }, title),
      [0, 0.5, 1].map((share) => [el("line", { class: "rule", x1: left, x2: width - right, y1: y(share), y2: y(share) }), el("text", { x: left - 5, y: y(share) + 4, class: "end quiet" }, `${100 * share}`)]),
      ticks.map((n) => [el("line", { class: "rule", x1: x(n), x2: x(n), y1: y(0), y2: y(0) + 4 }), el("text", { x: x(n), y: height - 17, class: "middle quiet" }, n)]),
      el("text", { x: width - right, y: height - 3, class: "end quiet" }, axis),
      lines.map((line, i) => el("path", { class: `line l${Math.min(lines.length - 1 - i, COLOURED)} ${lines.at(-1 - i).dashed ? "dashed" : ""}`, d: path(lines.at(-1 - i).points) })),
      marks.map((mark) => [el("line", { class: `mark ${mark.kind}`, x1: x(mark.x), x2: x(mark.x), y1: y(1), y2: y(0) }),
        mark.text && el("text", { x: clamp(x(mark.x), left + 34, width - right - 34), y: y(1) - 2, class: "middle quiet halo" }, mark.text)]),
      tips.map((tip, i) => el("rect", { class: "hit", x: edges[i], y: y(1), width: Math.max((edges[i + 1] ?? width - right) - edges[i], 1), height: y(0) - y(1), "data-tip": tip.text })));
  }

  named(lines) {
    const { layer } = this.state;
    return el("p", { class: "legend" }, lines.slice(0, COLOURED).map((line, i) => el("span", {}, el("i", { class: `swatch l${i} ${line.dashed ? "dashed" : ""}` }), el("span", { class: "mono" }, line.name))),
      lines.length > COLOURED && el("span", {}, el("i", { class: `swatch l${COLOURED}` }), `${lines.length - COLOURED} others`), el("span", { class: "quiet" }, `solid: layer ${layer} transferred, dashed: its own`));
  }

  /** The last change of the choice in the task: as a place on the axis, as an epoch and in words. */
  lastSwitch() {
    const { run, state } = this;
    const [epoch, step] = [run.switches[state.task - 1], run.rule >= 0 ? run.replays[state.task - 1][run.rule] : run.wins[state.task - 1]];
    if (run.batches && (epoch - 1) * run.batches < run.steps.at(-1) && step >= 0) {
      return { x: step + 1, epoch: clamp(Math.ceil((step + 1) / run.batches), 1, run.epochs), text: step ? `mini-batch ${step + 1}` : "never changed" };
    }
    return { x: epoch * (run.batches || 1), epoch, text: epoch > 1 ? `epoch ${epoch}` : "never changed" };
  }

  posterior(width) {
    const { run, state, data } = this;
    if (!("at" in run)) return [el("p", { class: "quiet" }, run.configs.length ? `A static configuration has no belief: every task uses ${run.bits}.` : NO_CHOICE)];
    const history = visit(data, run, state.task - 1);
    const per = run.batches || 1;
    const epochs = run.shown.map((epoch, e) => [epoch * per, e, epoch]).filter(([x]) => !run.steps.length || x > run.steps.at(-1));
    const lines = run.names.map((name, c) => ({ name, dashed: name[state.layer - 1] !== "1",
      points: [...run.steps.map((x, s) => [x, history.step(s, c)]), ...epochs.map(([x, e]) => [x, history.epoch(e, c)])] }));
    lines.sort((a, b) => mean(b.points.map((p) => p[1])) + b.points.at(-1)[1] - mean(a.points.map((p) => p[1])) - a.points.at(-1)[1]);
    const tips = lines[0].points.map(([x], i) => ({ x, text: `${i < run.steps.length ? `mini-batch ${x}` : `epoch ${x / per}`}\n` +
      lines.map((line) => [line.points[i][1], line.name]).sort((a, b) => b[0] - a[0]).slice(0, 4).map(([share, name]) => `${name} ${percent(share, 1)}`).join("\n") }));
    const last = this.lastSwitch();
    const marks = [{ x: last.x, kind: "switch", text: "last switch" }, { x: state.epoch * per, kind: "present" }];
    const said = `Task ${state.task}: the choice last switches at ${last.text}; afterwards ${lines[0].name} leads with ${percent(lines[0].points.at(-1)[1])} of the posterior.`;
    return [this.chart({ width, height: 214, most: run.epochs * per, axis: run.batches ? `mini-batches (log); ${run.batches} an epoch` : "epoch (log)", lines, marks, tips, label: said }),
      this.named(lines), el("p", { class: "said" }, last.text === "never changed" ? said.replace("the choice last switches at never changed; afterwards", "the choice never changed;") : said)];
  }

  // ------------------------------------------------------------------------------------------------------------- lab

  lab(width) {
    const { run, state, data } = this;
    if (!(run.rule >= 0)) return [el("p", { class: "quiet" }, "Only a LASEM run whose first posteriors were recorded in full can be replayed.")];
    const wanted = data.rules.findIndex(([likelihood, prior]) => likelihood === state.likelihood && prior === state.prior);
    const history = visit(data, run, state.task - 1);
    const last = run.steps.length - 1;
    const order = range(run.names.length).sort((a, b) => history.belief(run.rule, last, b) + history.belief(wanted, last, b) - history.belief(run.rule, last, a) - history.belief(wanted, last, a));
    const lines = (rule) => order.map((c) => ({ name: run.names[c], dashed: run.names[c][state.layer - 1] !== "1", points: run.steps.map((x, s) => [x, history.belief(rule, s, c)]) }));
    const each = width > 380 ? Math.floor((width - 16) / 2) : width;
    const change = (rule) => run.replays[state.task - 1][rule];
    const changes = (rule) => (change(rule) ? `the choice last changes at mini-batch ${change(rule) + 1}` : "the choice never changes");
    const leader = (rule) => run.names[order.reduce((best, c) => (history.belief(rule, last, c) > history.belief(rule, last, best) ? c : best))];
    const draw = (title, rule) => this.chart({ width: each, height: 176, title: `${title}: ${data.rules[rule].join(", ")}`, axis: "mini-batches (log)", most: run.steps[last], lines: lines(rule),
      marks: [{ x: change(rule) + 1, kind: "switch" }], label: `${title}, ${data.rules[rule].join(" likelihood, ")} prior: ${leader(rule)} leads, ${changes(rule)}`,
      tips: run.steps.map((x, s) => ({ x, text: `mini-batch ${x}\n${order.slice(0, 4).map((c) => `${run.names[c]} ${percent(history.belief(rule, s, c), 1)}`).join("\n")}` })) });
    return [el("div", { class: "maps" }, draw("recorded", run.rule), draw("replayed", wanted)), this.named(lines(run.rule)),
      el("p", { class: "said" }, `After ${run.steps[last]} mini-batches as recorded, ${leader(run.rule)} leads and ${changes(run.rule)}; replayed, ${leader(wanted)} leads and ${changes(wanted)}. The weights stay as trained: this replays the belief, not the learning.`)];
  }

  // --------------------------------------------------------------------------------------------------------- ranking

  /** Static configurations on the run's ground, best first, those that were not run last; and what chose for itself. */
  standings() {
    const { run, state, data } = this;
    const ground = data.runs.filter((r) => r.ground === run.ground && r.results[state.measure] != null);
    const value = (runs) => (runs.length ? interval(data, runs.map((r) => r.results[state.measure])) : null);
    const bits = distinct(ground.filter((r) => r.bits).map((r) => r.bits));
    const all = run.depth <= 4 ? range(2 ** run.depth).map((n) => n.toString(2).padStart(run.depth, "0")) : bits;
    const entries = all.map((config) => ground.filter((r) => r.bits === config)).map((runs, i) => ({ config: all[i], runs, value: value(runs) }));
    entries.sort((a, b) => (b.value?.centre ?? -1) - (a.value?.centre ?? -1));
    const chooser = run.configs.length && !run.bits ? run : ground.find((r) => r.method === "LASEM");
    const own = chooser ? this.family(chooser).filter((r) => r.results[state.measure] != null) : [];
    return { entries, ours: own.length ? { name: `${chooser.method} ${chooser.base}`, value: value(own) } : null };
  }

  static() {
    const runs = this.standings().entries.find((entry) => entry.config === this.state.config)?.runs ?? [];
    return runs.find((r) => r.seed === this.run.seed) ?? runs[0];
  }

  ranking(width) {
    const { run, state, data } = this;
    const { entries, ours } = this.standings();
    const measured = entries.filter((entry) => entry.value);
    this.against.disabled = !this.static() || this.static() === run;
    if (!measured.length) return [el("p", { class: "quiet" }, `No static configuration was run on ${run.data} with ${run.base}, ${run.tasks} tasks of ${run.epochs} epochs.`)];
    const ends = [...measured.map((entry) => entry.value), ...(ours ? [ours.value] : [])].flatMap((v) => [v.centre - v.half, v.centre + v.half]);
    const [low, high] = [Math.max(0, Math.floor(10 * Math.min(...ends) - 0.2) / 10), Math.min(1, Math.ceil(10 * Math.max(...ends) + 0.2) / 10)];
    const [left, top, height, bottom] = [40, 20, 280, 30 + 11 * run.depth];
    const w = (width - left - 6) / entries.length;
    const y = (share) => top + (height - top - bottom) * (1 - (clamp(share, low, high) - low) / (high - low || 1));
    const ticks = range(5).map((n) => low + ((high - low) * n) / 4);
    const column = (entry, i) => this.column({ entry, x: left + w * i, w, y, top, height, bottom, rank: measured.indexOf(entry) + 1, of: measured.length });
    const line = ours && [el("rect", { class: "band", x: left, width: width - left - 6, y: y(ours.value.centre + ours.value.half), height: Math.max(y(ours.value.centre - ours.value.half) - y(ours.value.centre + ours.value.half), 0) }),
      el("line", { class: "ours", x1: left, x2: width - 6, y1: y(ours.value.centre), y2: y(ours.value.centre) })];
    const chosen = entries.find((entry) => entry.config === state.config);
    const said = `${chosen ? `${inWords(chosen.config)} as a static configuration: ${chosen.value ? `${chosen.value.text}, rank ${measured.indexOf(chosen) + 1} of ${measured.length}` : "not run"}. ` : ""}` +
      `${ours ? `${ours.name}, its own choice per task: ${ours.value.text}. ` : "LASEM was not run here. "}${run.planted ? `Planted answer: ${run.planted}.` : ""}`;
    const missing = 2 ** run.depth - measured.length;
    return [el("svg", { width, height, role: "radiogroup", "aria-label": said, keydown: (e) => this.walkColumns(e, measured) },
      ticks.map((tick) => [el("line", { class: "rule", x1: left, x2: width - 6, y1: y(tick), y2: y(tick) }), el("text", { x: left - 6, y: y(tick) + 4, class: "end quiet" }, (100 * tick).toFixed(high - low > 0.1 ? 0 : 1))]),
      el("text", { x: 0, y: 11, class: "quiet" }, `accuracy ${MEASURES[state.measure]} (%)`),
      ours && el("text", { x: width - 6, y: 11, class: "end" }, el("tspan", { class: "shared" }, "━ "), `${ours.name}, its own choice: ${ours.value.text}`), line, entries.map(column)),
    el("p", { class: "legend" }, el("span", {}, el("i", { class: "shared" }), "transferred"), el("span", {}, el("i", { class: "own" }), "task-specific, layer 1 on top"), run.planted && el("span", {}, "◆ planted answer"), el("span", { class: "quiet" }, `mean, 95 % t-interval and single seeds${missing ? `; ${missing} of ${2 ** run.depth} configurations not run` : ""}`)),
    el("p", { class: "said" }, said)];
  }

  column({ entry, x, w, y, top, height, bottom, rank, of }) {
    const { state, run } = this;
    const { config, value } = entry;
    const chosen = config === state.config;
    const middle = x + w / 2;
    const size = clamp(w - 6, 5, 16);
    const tip = value ? `${inWords(config)}: ${value.text}, rank ${rank} of ${of}\nseeds ${entry.runs.map((r) => `${r.seed}: ${percent(r.results[state.measure], 1)}`).join(", ")}` : `${inWords(config)}: not run`;
    const away = config[state.layer - 1] === "1" ? "" : "away";
    const pick = () => { this.focus = `pick-${config}`; this.set({ config }); };
    return el("g", { class: `column ${chosen ? "chosen" : ""} ${value ? "" : "missing"}`, role: "radio", "aria-checked": String(chosen), "aria-disabled": String(!value), "aria-label": tip, tabindex: value && (chosen || (rank === 1 && !entry.runs.length)) ? 0 : value ? -1 : undefined,
      "data-key": `pick-${config}`, "data-tip": tip, click: value ? pick : undefined },
    el("rect", { class: "hit", x, y: top, width: w, height: height - top }),
    value && [el("line", { class: "whisker", x1: middle, x2: middle, y1: y(value.centre - value.half), y2: y(value.centre + value.half) }),
      entry.runs.map((r) => el("circle", { class: "seed", cx: middle, cy: y(r.results[state.measure]), r: 2.5 })),
      el("circle", { class: `dot ${away}`, cx: middle, cy: y(value.centre), r: clamp(w / 5, 4, 7) })],
    [...config].map((bit, i) => el("rect", { class: bit === "1" ? "shared" : "own", x: middle - size / 2, y: height - bottom + 10 + 11 * i, width: size, height: 9, rx: 2 })),
    config === run.planted && el("text", { class: "middle", x: middle, y: height - 3 }, "◆"));
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
    const lines = [["run", "data", "method", "base", "preset", "profile", "seed", "task", "epoch", "configuration", "layer", "transferred"]];
    for (const run of [this.run, this.other].filter((r) => r?.configs.length)) {
      for (const task of range(run.configs.length)) for (const epoch of run.shown ?? [run.epochs]) for (const layer of range(run.depth)) {
        lines.push([run.id, run.data, run.method, run.base, run.preset, run.profile, run.seed, task + 1, epoch, this.used(run, task, epoch), layer + 1, this.probability(run, task, layer, epoch).toFixed(3)]);
      }
    }
    const quote = (cell) => (/[",]/.test(cell) ? `"${String(cell).replaceAll('"', '""')}"` : cell);
    this.download("csv", "text/csv", lines.map((cells) => cells.map(quote).join(",")).join("\n") + "\n");
  }

  /** All charts in one picture, where they stand on the page, with the theme's colours written into it. */
  exportSvg() {
    const frame = this.root.querySelector(".panels").getBoundingClientRect();
    const head = 44; // pixels for what the picture shows
    const page = el("svg", { xmlns: "http://www.w3.org/2000/svg", width: frame.width, height: frame.height + head });
    page.append(el("rect", { width: "100%", height: "100%", fill: getComputedStyle(this.root).backgroundColor }));
    const words = [this.run, this.other].filter(Boolean).map((run) => this.name(run)).join(" | ");
    page.append(styled(this.root.querySelector("h4"), el("text", { x: 14, y: 24 }, `${words}, epoch ${this.state.epoch}`)));
    for (const node of this.root.querySelectorAll(".panels h4, .panels svg")) {
      const box = node.getBoundingClientRect();
      const [x, y] = [box.left - frame.left, box.top - frame.top + head];
      page.append(node.tagName === "H4" ? styled(node, el("text", { x, y: y + 14 }, node.textContent)) : el("g", { transform: `translate(${x} ${y})` }, [...node.children].map((child) => frozen(child))));
    }
    this.download("svg", "image/svg+xml", new XMLSerializer().serializeToString(page));
  }

  download(ending, type, text) {
    const href = URL.createObjectURL(new Blob([text], { type }));
    el("a", { href, download: `lasem-${this.run.id}.${ending}` }).click();
    setTimeout(() => URL.revokeObjectURL(href), 1000);
  }
}

/** `copy` with the look that the page's style sheet gives to `node`. */
function styled(node, copy) {
  const look = getComputedStyle(node);
  for (const name of ["fill", "fill-opacity", "stroke", "stroke-width", "stroke-opacity", "stroke-dasharray", "opacity", "font-family", "font-size", "font-weight", "text-anchor", "paint-order"]) {
    copy.style.setProperty(name, node.tagName === "H4" && name === "fill" ? look.color : look.getPropertyValue(name));
  }
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
