// The table of runs with its filters, the player, and every other control.

const ROW = 25; // pixels, as in the style sheet
const BLOCK = 40; // rows that are styled and laid out, or not, together
const FILTERS = { data: "Data set", method: "Method", base: "Base", profile: "Profile", seed: "Seed" };
const MEASURES = ["after the last task", "peak at best validation", "peak on test"];

const CONTROLS = {
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
  },

  panel(name, heading, controls) {
    this.panels[name] = el("div", { class: "body" });
    return el("section", { class: `panel ${name}`, "aria-label": heading }, el("h4", {}, heading), this.panels[name], controls);
  },

  select(label, options, changed) {
    const list = el("select", { change: (e) => changed(e.target.value) },
      options.map(([value, text]) => el("option", { value }, text)));
    return { list, field: el("label", {}, el("span", {}, label), list) };
  },

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
  },

  row(run) {
    const cells = [run.data, run.method === "static" ? `static ${run.bits}` : run.method, run.base, run.seed,
      `${run.tasks} × ${run.epochs}`, run.bits ? "" : run.configs.join(" "), run.results[0] == null ? "–" : percent(run.results[0], 1),
      [run.preset === "paper" ? "" : `preset ${run.preset}`, run.others, run.stale ? "older code" : ""].filter(Boolean).join(", ")];
    return el("div", { class: "row", role: "option", id: `run-${run.id}`, "data-id": run.id }, cells.map((text) => el("span", {}, String(text))));
  },

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
  },

  /** Arrow keys in the table of runs. */
  walk(event) {
    const step = { ArrowDown: 1, ArrowUp: -1, PageDown: 8, PageUp: -8, Home: -1e6, End: 1e6 }[event.key];
    if (!step) return;
    event.preventDefault();
    const visible = this.rows.filter((row) => !row.hidden);
    const now = visible.findIndex((row) => row.dataset.id === this.state.run);
    if (visible.length) this.set({ run: visible[clamp(now + step, 0, visible.length - 1)].dataset.id });
  },

  buildPlayer() {
    this.slider = el("input", { type: "range", min: 0, "aria-label": "epoch", input: (e) => this.set({ epoch: this.epochs()[e.target.value] }) });
    this.playing = el("button", { click: () => this.play() }, "▶ play");
    this.speed = this.select("", [2, 5, 10, 20].map((n) => [n, `${n} epochs/s`]), () => this.timer && (this.play(), this.play()));
    this.speed.list.value = 5;
    this.speed.list.setAttribute("aria-label", "speed");
    this.now = el("span", { class: "now" });
    return el("div", { class: "controls" }, this.playing, this.slider, this.now, this.speed.field);
  },

  epochs() { return this.run.shown ?? [this.run.epochs]; },

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
  },

  buildJump() {
    this.jump = el("button", { click: () => this.set({ epoch: this.lastSwitch().epoch }) }, "jump to last switch");
    return el("div", { class: "controls" }, this.jump);
  },

  buildLab() {
    this.rules = Object.fromEntries([["likelihood", 0], ["prior", 1]].map(([key, i]) => {
      const values = distinct(this.data.rules.map((rule) => rule[i]));
      return [key, this.select(key, values.map((v) => [v, v]), (value) => this.set({ [key]: value }))];
    }));
    return el("div", { class: "controls" }, this.rules.likelihood.field, this.rules.prior.field);
  },

  buildMeasure() {
    const measure = this.select("accuracy", MEASURES.map((name, i) => [i, name]), (value) => this.set({ measure: Number(value) }));
    this.against = el("button", { click: () => this.set({ compare: this.static().id }) }, "compare");
    return el("div", { class: "controls" }, measure.field, this.against);
  },

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
  },

  showTip(mark) {
    this.tip.hidden = !mark;
    if (!mark) return;
    this.tip.textContent = mark.dataset.tip;
    const [box, root] = [mark.getBoundingClientRect(), this.root.getBoundingClientRect()];
    this.tip.style.left = `${clamp(box.left + box.width / 2 - root.left - this.tip.offsetWidth / 2, 0, root.width - this.tip.offsetWidth)}px`;
    const above = box.top - root.top - this.tip.offsetHeight - 6;
    this.tip.style.top = `${above > 0 ? above : box.bottom - root.top + 6}px`;
  },
};
