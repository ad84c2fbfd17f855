// How often layers are transferred and configurations used, over tasks and seeds.

const BARS = 8; // configurations with a bar

const SHARES = {
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
  },

  layerShare(run, family, layer) {
    const tasks = (r) => range(r.configs.length).map((task) => this.probability(r, task, layer, this.state.epoch));
    const share = mean(tasks(run));
    const seeds = interval(this.data, family.map((r) => mean(tasks(r)))).text;
    const tip = `layer ${layer + 1}: mean over tasks ${percent(share, 1)} at seed ${run.seed}; over seeds ${seeds}`;
    return { name: `layer ${layer + 1}`, share, chosen: layer + 1 === this.state.layer, tip, click: () => this.set({ layer: layer + 1 }) };
  },

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
  },
};
