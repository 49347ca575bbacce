/* Runs the vector files of the folder in SIGNOPT_VECTORS: `signopt vectors copy vectors`, then
   `SIGNOPT_VECTORS=vectors node --test`. */

import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";

import { Model } from "./model.mjs";

const folder = process.env.SIGNOPT_VECTORS ?? "vectors";
const DIGITS = { float32: 8, float64: 16 };
const INFINITY = { float32: 0x7f800000n, float64: 0x7ff0000000000000n };

const magnitude = (bits, dtype) => bits & ((1n << BigInt(4 * DIGITS[dtype] - 1)) - 1n);
const isNaNPattern = (bits, dtype) => magnitude(bits, dtype) > INFINITY[dtype];

/* The place of a number among those of its format, counted from zero: the order of values, with -0 equal to +0. */
const rank = (bits, dtype) => (magnitude(bits, dtype) === bits ? bits : -magnitude(bits, dtype));

/* One alternative: "nan", a pattern, or "first..last" by value, ends included. */
function admits(alternative, digits, dtype) {
  const bits = BigInt(`0x${digits}`);
  if (alternative === "nan") return isNaNPattern(bits, dtype);
  const [first, last] = alternative.split("..");
  if (last === undefined) return digits === first;
  const [low, value, high] = [BigInt(`0x${first}`), bits, BigInt(`0x${last}`)].map((b) => rank(b, dtype));
  return !isNaNPattern(bits, dtype) && low <= value && value <= high;
}

function checkSlot(spelled, outcomes, dtype, where) {
  for (const [name, expected] of Object.entries(outcomes)) {
    const { data } = spelled[name];
    expected.forEach((alternatives, i) => {
      const digits = data.slice(i * DIGITS[dtype], (i + 1) * DIGITS[dtype]);
      const ok = alternatives.some((alternative) => admits(alternative, digits, dtype));
      assert.ok(ok, `${where} ${name}[${i}] is ${digits}, allowed are ${alternatives.join(" or ")}`);
    });
  }
}

function checkVector(vector, rule, dtype) {
  const model = new Model(rule, vector.params, vector.hyper, vector.momentum);
  vector.steps.forEach((step, i) => {
    if (step.hyper) model.configure(step.hyper);
    model.set(step.set ?? {});
    model.apply(step.grads);
    checkSlot(model.spell("param"), step.params, dtype, `step ${i}: params`);
    checkSlot(model.spell("momentum"), step.momentum, dtype, `step ${i}: momentum`);
  });
}

/* Why this port skips a vector; a requirement that it does not know stops the run, for it cannot be met by chance. */
function skipped({ id, requires }) {
  const met = { nan: "propagate", subnormals: "keep", roles: "names", momentum_form: "ema", eps_form: "add" };
  for (const [key, value] of Object.entries(requires)) {
    if (!(key in met)) throw new Error(`${id} requires ${key}, which this test does not know`);
    if (met[key] !== value) return `this port has ${key} = ${met[key]}`;
  }
  return false;
}

for (const file of readdirSync(folder).filter((name) => /-float(32|64)\.json$/.test(name))) {
  const { rule, dtype, count, canary, vectors } = JSON.parse(readFileSync(join(folder, file), "utf8"));
  test(`${file}: ${count} vectors`, () => assert.equal(vectors.length, count));
  test(canary.id, () => assert.throws(() => checkVector(canary, rule, dtype), assert.AssertionError));
  for (const vector of vectors) test(vector.id, { skip: skipped(vector) }, () => checkVector(vector, rule, dtype));
}
