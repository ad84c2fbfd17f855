// What chose for itself against every static configuration.

const RANKING = {
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
  },

  /** The static run of the chosen configuration, at the run's seed if there is one. */
  static() {
    const runs = this.standings().entries.find((entry) => entry.config === this.state.config)?.runs ?? [];
    return runs.find((r) => r.seed === this.run.seed) ?? runs[0];
  },

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
  },

  sayRanking(entries, measured, ours) {
    const { run, state } = this;
    const chosen = entries.find((entry) => entry.config === state.config);
    const reached = (entry) => (entry.value ? `${entry.value.text}, rank ${measured.indexOf(entry) + 1} of ${measured.length}` : "not run");
    return [chosen && `${inWords(chosen.config)} as a static configuration: ${reached(chosen)}.`,
      ours ? `${ours.name}, its own choice per task: ${ours.value.text}.` : "LASEM was not run here.",
      run.planted && `Planted answer: ${run.planted}.`].filter(Boolean).join(" ");
  },

  namedColumns(measured) {
    const { run } = this;
    const missing = 2 ** run.depth - measured.length;
    const rest = missing ? `; ${missing} of ${2 ** run.depth} configurations not run` : "";
    return el("p", { class: "legend" }, sample("shared", "transferred"), sample("own", "task-specific, layer 1 on top"),
      run.planted && el("span", {}, "◆ planted answer"), el("span", { class: "quiet" }, `mean, 95 % t-interval and single seeds${rest}`));
  },

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
  },

  walkColumns(event, measured) {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const now = measured.findIndex((entry) => entry.config === this.state.config);
    const { config } = measured[clamp(now + step, 0, measured.length - 1)];
    this.focus = `pick-${config}`;
    this.set({ config });
  },
};
