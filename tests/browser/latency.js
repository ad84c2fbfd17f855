// What each control takes, script, style and layout, as a share of what building and laying out a table of 350 runs
// takes here and now: the median of seven rounds, in each of which everything has its turn.
() => {
  const explorer = document.querySelector(".stage").explorer;
  const { root } = explorer;
  const fields = [...root.querySelectorAll("label")].map((label) => [label.firstChild.textContent, label.lastChild]);
  const selects = Object.fromEntries(fields);
  const turn = (select, i) => {
    select.selectedIndex = i % select.options.length;
    select.dispatchEvent(new Event("change"));
  };
  const click = (mark) => mark.dispatchEvent(new Event("click", { bubbles: true }));
  const actions = {
    run: (i) => click(root.querySelectorAll(".list .row")[460 + i]),
    cell: (i) => click(root.querySelector(`[data-key="a-${i % 3}-${i % 4}"]`)),
    epoch: (i) => {
      explorer.slider.value = 2 * i;
      explorer.slider.dispatchEvent(new Event("input"));
    },
    hover: (i) => root.querySelectorAll("[data-tip]")[i].dispatchEvent(new Event("pointermove", { bubbles: true })),
    open: () => explorer.listOthers(),
    compare: (i) => turn(selects["Compare with"], i + 1),
    likelihood: (i) => turn(selects.likelihood, i),
    prior: (i) => turn(selects.prior, i),
    measure: (i) => turn(selects.accuracy, i),
    config: (i) => click(root.querySelectorAll(".column")[i % 2]),
    filter: (i) => turn(selects["Data set"], i),
  };
  const cells = "CIFAR-100 LASEM HPS 0 10 1111 38.1 %".split(" ");
  const table = () => {
    const rows = Array.from({ length: 350 }, () => {
      const row = document.createElement("div");
      row.append(...cells.map((cell) => Object.assign(document.createElement("span"), { textContent: cell })));
      return row;
    });
    const list = document.createElement("div");
    list.append(...rows);
    root.append(list);
    void root.offsetHeight;
    list.remove();
  };
  const once = (action, i) => {
    const start = performance.now();
    action(i);
    void root.offsetHeight; // lays the page out
    return performance.now() - start;
  };
  const rounds = [0, 1, 2, 3, 4, 5, 6].map((i) => {
    const unit = once(table, i);
    return Object.entries(actions).map(([name, action]) => [name, once(action, i) / unit]);
  });
  const median = (values) => values.sort((a, b) => a - b)[3];
  return Object.fromEntries(Object.keys(actions).map((name, k) => [name, median(rounds.map((round) => round[k][1]))]));
}
