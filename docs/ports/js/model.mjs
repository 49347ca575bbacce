/* Named tensors under one rule, read from and written to the suite's JSON. Shared by port.mjs and vectors.test.mjs. */

import { RULES, roleOf } from "./rules.mjs";
import { decodeArray, decodeHyper, encodeArray } from "./wire.mjs";

export class Model {
  constructor(rule, params, hyper, momentum) {
    this.rule = rule;
    this.hyper = decodeHyper(hyper);
    this.step = 0;
    this.tensors = new Map();
    for (const [name, spelled] of Object.entries(params)) this.#add(name, spelled, momentum?.[name]);
  }

  #add(name, spelled, spelledMomentum) {
    const param = decodeArray(spelled);
    const momentum = spelledMomentum ? decodeArray(spelledMomentum) : new param.constructor(param.length);
    const { shape } = spelled;
    if (this.rule === "muon" && shape.length < 2) throw new Error(`${name} has fewer than two axes: it is no matrix`);
    const role = this.hyper.roles?.[name] ?? roleOf(name);
    this.tensors.set(name, { param, momentum, role, shape, rowSize: shape.at(-1) ?? 1, rows: shape[0] ?? 1 });
  }

  configure(hyper) {
    this.hyper = decodeHyper(hyper);
  }

  set(params) {
    for (const [name, spelled] of Object.entries(params)) this.tensors.get(name).param.set(decodeArray(spelled));
  }

  apply(grads) {
    for (const [name, tensor] of this.tensors) {
      const grad = decodeArray(grads[name]);
      if (grad.length !== tensor.param.length) throw new Error(`the gradient of ${name} has another size`);
      RULES[this.rule](tensor, grad, this.hyper, this.step);
    }
    this.step += 1;
  }

  spell(slot) {
    const spelled = ([name, tensor]) => [name, encodeArray(tensor[slot], tensor.shape)];
    return Object.fromEntries([...this.tensors].map(spelled));
  }
}
