// Milliseconds that each control takes, script, style and layout: the median of seven.
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
  const once = (action, i) => {
    const start = performance.now();
    action(i);
    void root.offsetHeight; // lays the page out
    return performance.now() - start;
  };
  const median = (values) => values.sort((a, b) => a - b)[3];
  const measured = Object.entries(actions).map(([name, act]) => [name, median([0, 1, 2, 3, 4, 5, 6].map((i) => once(act, i)))]);
  return Object.fromEntries(measured);
}
