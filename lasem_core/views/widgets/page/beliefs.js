// How the belief formed, as recorded and as replayed under another likelihood or prior.

const COLOURED = 4; // configurations with a colour of their own in a chart; the rest is grey

/** The four configurations with most belief, a line each, from [name, share]. */
function leading(beliefs) {
  const best = beliefs.sort((a, b) => b[1] - a[1]).slice(0, 4);
  return best.map(([name, share]) => `${name} ${percent(share, 1)}`);
}

const BELIEFS = {
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
  },

  /** The key to a chart's lines. */
  named(lines) {
    const words = (one) => el("span", { class: "mono" }, one.name);
    return el("p", { class: "legend" },
      lines.slice(0, COLOURED).map((one, i) => sample(`swatch l${i} ${one.dashed ? "dashed" : ""}`, words(one))),
      lines.length > COLOURED && sample(`swatch l${COLOURED}`, `${lines.length - COLOURED} others`),
      el("span", { class: "quiet" }, `solid: layer ${this.state.layer} transferred, dashed: its own`));
  },

  /** Configurations by belief, recorded and replayed: a configuration has the same colour in every chart. */
  byBelief() {
    const { run, data, state } = this;
    const history = visit(data, run, state.task - 1);
    const [steps, last] = [range(run.steps.length), run.shown.length - 1];
    const rules = run.rule >= 0 ? [run.rule, this.wanted()] : [];
    const weights = run.names.map((_, c) => history.epoch(last, c) + mean([0, ...steps.map((s) => history.step(s, c))]) +
      rules.reduce((sum, rule) => sum + history.belief(rule, steps.length - 1, c), 0));
    return range(run.names.length).sort((a, b) => weights[b] - weights[a]);
  },

  /** The number of the rule that the lab replays. */
  wanted() {
    const { likelihood, prior } = this.state;
    return this.data.rules.findIndex((rule) => rule[0] === likelihood && rule[1] === prior);
  },

  isOwn(config) { return config[this.state.layer - 1] !== "1"; },

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
  },

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
  },

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
  },
};
