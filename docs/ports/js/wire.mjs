/* How numbers are spelled: an array is {dtype, shape, data}, data the hexadecimal of its bits, big-endian, in C order. */

const TYPES = {
  float32: { make: Float32Array, get: "readFloatBE", put: "writeFloatBE", size: 4 },
  float64: { make: Float64Array, get: "readDoubleBE", put: "writeDoubleBE", size: 8 },
};

export function decodeArray({ dtype, data }) {
  const type = TYPES[dtype];
  if (type === undefined) throw new Error(`only float32 and float64 are known, not ${dtype}`);
  const bytes = Buffer.from(data, "hex");
  const array = new type.make(bytes.length / type.size);
  for (let i = 0; i < array.length; ++i) array[i] = bytes[type.get](i * type.size);
  return array;
}

export function bits(array) {
  const type = array instanceof Float32Array ? TYPES.float32 : TYPES.float64;
  const bytes = Buffer.alloc(array.length * type.size);
  array.forEach((value, i) => bytes[type.put](value, i * type.size));
  return bytes.toString("hex");
}

export function encodeArray(array, shape) {
  return { dtype: array instanceof Float32Array ? "float32" : "float64", shape, data: bits(array) };
}

const decodeFloat = (digits) => Buffer.from(digits, "hex").readDoubleBE();

/* A triple or a list of triples, as a list. */
function decodeTriples(given, steps) {
  if (given === undefined) return undefined;
  const triples = (Array.isArray(given[0]) ? given : [given]).map((triple) => triple.map(decodeFloat));
  if (triples.length > 1 && triples.length < steps) throw new Error("fewer triples than steps");
  return triples;
}

export function decodeHyper(hyper) {
  const decoded = { accumulation_steps: 1, shrink: 0.99, schedule: null, roles: null, ...hyper };
  for (const name of ["lr", "beta", "weight_decay", "shrink", "eps"])
    if (typeof decoded[name] === "string") decoded[name] = decodeFloat(decoded[name]);
  decoded.ns_coefficients = decodeTriples(decoded.ns_coefficients, decoded.ns_steps);
  decoded.betas = decoded.betas?.map(decodeFloat);
  decoded.schedule = decoded.schedule?.map(([step, factor]) => [step, decodeFloat(factor)]) ?? null;
  return decoded;
}
