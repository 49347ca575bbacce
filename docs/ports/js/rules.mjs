/* Lion, Signum, Tiger and Muon on one typed array: the library under test. Everything else here is glue.
   JavaScript computes in double; Math.fround after every operation makes it single precision. */

const round = (array) => (array instanceof Float32Array ? Math.fround : (x) => x);

/* Math.sign(-0) is -0; the rules say 0. */
const sign = (x) => (x === 0 ? 0 : Math.sign(x));

export function lion(tensor, grad, hyper) {
  const { param: p, momentum: m } = tensor;
  const r = round(p);
  const [B1, B2] = hyper.betas.map(r);
  const [A1, A2] = hyper.betas.map((beta) => r(1 - beta));
  const lr = r(hyper.lr);
  const decay = r(hyper.weight_decay);
  for (let i = 0; i < p.length; ++i) {
    const c = r(r(B1 * m[i]) + r(A1 * grad[i]));
    p[i] = r(p[i] - r(lr * r(sign(c) + r(decay * p[i]))));
    m[i] = r(r(B2 * m[i]) + r(A2 * grad[i]));
  }
}

export function signum(tensor, grad, hyper) {
  const { param: p, momentum: m } = tensor;
  const r = round(p);
  const B = r(hyper.beta);
  const A = r(1 - hyper.beta);
  const lr = r(hyper.lr);
  const decay = r(hyper.weight_decay);
  for (let i = 0; i < p.length; ++i) {
    m[i] = r(r(B * m[i]) + r(A * grad[i]));
    p[i] = r(p[i] - r(lr * r(sign(m[i]) + r(decay * p[i]))));
  }
}

function scheduleFactor(schedule, step) {
  if (schedule === null) return 1;
  const points = schedule[0][0] === 0 ? schedule : [[0, 0], ...schedule];
  const after = points.findIndex(([at]) => step < at);
  if (after < 0) return points.at(-1)[1];
  const [[t0, f0], [t1, f1]] = [points[after - 1], points[after]];
  return f0 + ((f1 - f0) * (step - t0)) / (t1 - t0);
}

function rms(values) {
  let sum = 0;
  for (const value of values) sum += value * value;
  return Math.sqrt(sum / values.length);
}

function shrink(p, centre, s, r) {
  for (let i = 0; i < p.length; ++i) p[i] = r(r(r(p[i] - centre) * s) + centre);
}

function move(p, m, rate, decay, r) {
  for (let i = 0; i < p.length; ++i) p[i] = r(p[i] - r(rate * r(sign(m[i]) + r(decay * p[i]))));
}

export function tiger(tensor, grad, hyper, step) {
  const { param: p, momentum: m, role, rowSize } = tensor;
  const r = round(p);
  const k = hyper.accumulation_steps;
  if (grad.some(Number.isNaN)) {
    shrink(p, role === "scale" ? 1 : 0, r(hyper.shrink), r);
    return;
  }
  const b1 = step % k === 0 ? r(hyper.beta) : 1;
  const b2 = r((1 - hyper.beta) / k);
  for (let i = 0; i < p.length; ++i) m[i] = r(r(b1 * m[i]) + r(b2 * grad[i]));
  if ((step + 1) % k !== 0) return;
  const lr = hyper.lr * scheduleFactor(hyper.schedule, step);
  if (role === "bias" || role === "scale") {
    move(p, m, r(0.5 * lr), 0, r);
    return;
  }
  const length = role === "embedding" ? rowSize : p.length;
  for (let from = 0; from < p.length; from += length) {
    const [row, rowMomentum] = [p.subarray(from, from + length), m.subarray(from, from + length)];
    move(row, rowMomentum, r(r(lr) * r(rms(row))), r(hyper.weight_decay), r);
  }
}

/* Tiger's role of a parameter by its name, as the source decides it. */
export function roleOf(name) {
  if (name.includes("gamma")) return "scale";
  if (name.includes("bias") || name.includes("beta")) return "bias";
  return name.includes("embeddings") ? "embedding" : "matrix";
}

/* a·b; a has k columns, b has m. */
function product(a, b, k, m, r) {
  const rows = a.length / k;
  const out = new a.constructor(rows * m);
  for (let i = 0; i < rows; ++i)
    for (let l = 0; l < k; ++l)
      for (let j = 0; j < m; ++j) out[i * m + j] = r(out[i * m + j] + r(a[i * k + l] * b[l * m + j]));
  return out;
}

function transposed(x, columns) {
  const rows = x.length / columns;
  const out = new x.constructor(x.length);
  for (let i = 0; i < rows; ++i) for (let j = 0; j < columns; ++j) out[j * rows + i] = x[i * columns + j];
  return out;
}

/* a·x + (b·A + c·A²)·x with A = x·xᵀ. */
function newtonSchulz(x, rows, columns, [a, b, c], r) {
  const gram = product(x, transposed(x, columns), columns, rows, r);
  const square = product(gram, gram, rows, rows, r);
  const inner = gram.map((value, i) => r(r(b * value) + r(c * square[i])));
  const moved = product(inner, x, rows, columns, r);
  return x.map((value, i) => r(r(a * value) + moved[i]));
}

function muonScale(rows, columns, adjust) {
  return adjust === "match_rms_adamw" ? 0.2 * Math.sqrt(Math.max(rows, columns)) : Math.sqrt(Math.max(1, rows / columns));
}

function orthogonalised(u, rows, columns, hyper, r) {
  const norm = r(Math.sqrt(u.reduce((sum, value) => sum + value * value, 0)));
  const divisor = r(norm + r(hyper.eps));
  let x = divisor === 0 ? u : u.map((value) => r(value / divisor));
  for (let i = 0; i < hyper.ns_steps; ++i) {
    const triple = hyper.ns_coefficients[hyper.ns_coefficients.length === 1 ? 0 : i];
    x = newtonSchulz(x, rows, columns, triple.map(r), r);
  }
  return x;
}

export function muon(tensor, grad, hyper) {
  const { param: p, momentum: m, rows } = tensor;
  if (p.length === 0) return;
  const r = round(p);
  const [B, A, lr, decay] = [hyper.beta, 1 - hyper.beta, hyper.lr, hyper.weight_decay].map(r);
  const columns = p.length / rows;
  for (let i = 0; i < p.length; ++i) m[i] = r(r(B * m[i]) + r(A * grad[i]));
  const u = hyper.nesterov ? m.map((value, i) => r(r(B * value) + r(A * grad[i]))) : m.slice();
  const x = orthogonalised(u, rows, columns, hyper, r);
  const scale = r(muonScale(rows, columns, hyper.adjust_lr_fn));
  for (let i = 0; i < p.length; ++i) p[i] = r(p[i] - r(lr * r(r(scale * x[i]) + r(decay * p[i]))));
}

export const RULES = { lion, signum, tiger, muon };
