// What bundle.py packed, read back; statistics over seeds.

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
