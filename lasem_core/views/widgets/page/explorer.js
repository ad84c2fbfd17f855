// The explorer of recorded runs: its state, and what is drawn when it changes. Python (bundle.py) packs the runs into one
// text; everything else happens here, so that a page works without a kernel. The files of this folder are joined into one
// ES module without dependencies (`PARTS` in explorer.py): an anywidget (`render` below), and the script of a
// self-contained page (`mount` on every .lasem-explorer). Each of the other files has methods of `Explorer`.
//
//   state ─► render() ─► finding, runs, heat map, shares, posterior, lab, static ranking
//     ▲                        │
//     └────── set({...}) ◄─────┘   a click, a key, a control, or Python's `selection`

const FOLLOWS = { // what each panel has to be drawn again for
  heat: ["run", "compare", "task", "layer", "epoch"],
  shares: ["run", "layer", "epoch", "config"],
  posterior: ["run", "task", "layer", "epoch", "likelihood", "prior"],
  lab: ["run", "task", "layer", "likelihood", "prior"],
  ranking: ["run", "layer", "config", "measure"],
};

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
}

Object.assign(Explorer.prototype, CONTROLS, HEAT_MAPS, SHARES, BELIEFS, RANKING, EXPORT);

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
