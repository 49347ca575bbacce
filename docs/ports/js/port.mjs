/* The JSON-lines loop: one request a line on stdin, one reply a line on stdout. */

import { createInterface } from "node:readline";

import { Model } from "./model.mjs";
import { RULES } from "./rules.mjs";

let rule = "lion";
let model = null;

class Unsupported extends Error {}

const METHODS = {
  hello(request) {
    rule = request.rule ?? rule;
    if (!Object.hasOwn(RULES, rule)) throw new Unsupported(`this port knows ${Object.keys(RULES).join(", ")}`);
    const describe = {
      name: "worked JavaScript port",
      version: "1.0",
      rule,
      rules: Object.keys(RULES),
      dtypes: ["float32", "float64"],
      decay: "bracket",
      form: "mul-add",
      ...(rule === "muon" && { momentum_form: "ema", eps_form: "add" }),
      configure: true,
    };
    return { protocol: 1, describe };
  },
  init(request) {
    model = new Model(rule, request.params, request.hyper, request.momentum);
  },
  configure: (request) => model.configure(request.hyper),
  step: (request) => model.apply(request.grads),
  params: () => ({ params: model.spell("param") }),
  momentum: () => ({ momentum: model.spell("momentum") }),
  bye() {},
};

function answer(request) {
  try {
    if (!Object.hasOwn(METHODS, request.method)) throw new Unsupported(`no method ${request.method}`);
    return { id: request.id, ...METHODS[request.method](request) };
  } catch (error) {
    const kind = error instanceof Unsupported ? "unsupported" : "invalid";
    return { id: request.id, error: { kind, message: error.message } };
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  const request = JSON.parse(line);
  process.stdout.write(`${JSON.stringify(answer(request))}\n`);
  if (request.method === "bye") break;
}
