// Which layers each task transfers: a cell for each task and layer.

const HEAT_MAPS = {
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
  },

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
  },

  /** The configuration that the tasks were made for, below them. */
  planted(run, left, w, height) {
    const bits = [...run.planted].map((bit, i) => box(left + w * i + 3, height - 21, w - 6, 14, kindOf(bit), { rx: 3 }));
    return el("g", { "data-tip": `what these tasks were made for: transfer ${inWords(run.planted)}` },
      text(left - 8, height - 9, "planted", "end"), bits, text(left + w * run.depth + 8, height - 9, run.planted, "mono"));
  },

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
  },

  tipOfCell(run, task, layer, share) {
    const { epoch } = this.state;
    const family = this.family(run).filter((r) => r.configs.length > task);
    const all = interval(this.data, family.map((r) => this.probability(r, task, layer, epoch)));
    const seeds = `over seeds ${family.map((r) => r.seed).join(", ")}: ${all.text}`;
    return [`task ${task + 1}, layer ${layer + 1}: transferred with probability ${percent(share, 1)} after epoch ${epoch}`,
      `seed ${run.seed}, configuration ${this.used(run, task, epoch)} in use`,
      all.n > 1 ? seeds : "one seed, no interval"].join("\n");
  },

  walkCells(event, key) {
    const moves = { ArrowDown: [1, 0], ArrowUp: [-1, 0], ArrowRight: [0, 1], ArrowLeft: [0, -1] };
    if (!(event.key in moves)) return;
    event.preventDefault();
    const [down, right] = moves[event.key];
    const task = clamp(this.state.task + down, 1, this.run.configs.length);
    const layer = clamp(this.state.layer + right, 1, this.run.depth);
    this.focus = `${key}-${task - 1}-${layer - 1}`;
    this.set({ task, layer });
  },

  legend(signed) {
    return el("p", { class: "legend" }, sample("own", "0 %: task-specific"), sample("blank", "50 %"), sample("shared", "100 %: transferred"),
      signed && [sample("less", "second run transfers more"), sample("more", "first run transfers more")]);
  },
};
