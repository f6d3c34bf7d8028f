// A transposed convolution by hand: n x n inputs, all 1, each laid out as a k x k kernel every s cells, p cut off around.
// Output size (n - 1) s - 2 p + k: Dumoulin, Visin 2016, chapter 4. Uneven overlap as checkerboard: Odena et al. 2016.

/** @typedef {"bilinear" | "ones"} KernelKind */

/**
 * @typedef {object} Settings
 * @property {number} stride
 * @property {number} kernel its size
 * @property {number} padding
 * @property {KernelKind} kind
 */

/** @typedef {{ input: number, tap: number }} Contribution An input that reaches an output, and its place in the kernel. */

export const INPUTS = 5;

/**
 * One side of the kernel: the outer product of two is the kernel.
 *
 * @param {Settings} settings
 * @returns {number[]}
 */
export function kernelSide({ kernel, stride, kind }) {
  if (kind === "ones") return Array(kernel).fill(1);
  const middle = (kernel - 1) / 2;
  const reach = Math.max(kernel / 2, 0.5 + 1e-9); // a tent as wide as the kernel
  const tent = Array.from({ length: kernel }, (_, i) => 1 - Math.abs(i - middle) / reach);
  const total = tent.reduce((sum, value) => sum + value, 0);
  return tent.map((value) => (value * stride) / total); // so that what is even stays as it is
}

/**
 * @param {Settings} settings
 * @returns {number}
 */
export function outputSize({ stride, kernel, padding }) {
  return (INPUTS - 1) * stride - 2 * padding + kernel;
}

/**
 * The padding that is possible; more would cut off whole inputs.
 *
 * @param {Settings} settings
 * @returns {number}
 */
export function limitedPadding({ padding, kernel }) {
  return Math.min(padding, Math.floor((kernel - 1) / 2));
}

/**
 * Along one side: every input that reaches an output.
 *
 * @param {Settings} settings
 * @param {number} output
 * @returns {Contribution[]}
 */
export function contributions({ stride, padding, kernel }, output) {
  const result = [];
  for (let input = 0; input < INPUTS; input++) {
    const tap = output + padding - input * stride;
    if (tap >= 0 && tap < kernel) result.push({ input, tap });
  }
  return result;
}

/**
 * The outputs along one side; the product of two is an output of the grid.
 *
 * @param {Settings} settings
 * @returns {number[]}
 */
export function outputSide(settings) {
  const side = kernelSide(settings);
  return Array.from({ length: outputSize(settings) }, (_, output) =>
    contributions(settings, output).reduce((sum, { tap }) => sum + side[tap], 0),
  );
}

/**
 * A sentence on the outputs that the border does not change: how many inputs reach them, and whether their values are equal.
 *
 * @param {Settings} settings
 * @returns {string}
 */
export function verdict(settings) {
  const { stride, kernel, padding } = settings;
  const side = outputSide(settings);
  const isInner = (/** @type {number} */ output) =>
    Math.ceil((output + padding - kernel + 1) / stride) >= 0 && Math.floor((output + padding) / stride) < INPUTS;
  const inner = [...side.keys()].filter(isInner);
  if (!inner.length) return "The kernel is so large that the border affects every output of this small grid.";
  const counts = inner.map((output) => contributions(settings, output).length);
  const values = inner.map((output) => side[output]);
  const least = Math.min(...counts);
  const most = Math.max(...counts);
  if (least === 0) return "The kernel is smaller than the stride: some outputs receive no input.";
  const isEven = Math.max(...values) - Math.min(...values) < 1e-6;
  const inputs = (/** @type {number} */ n) => `${n} input${n === 1 ? "" : "s"}`;
  if (kernel % stride) {
    const end = isEven ? "These kernel values compensate for it." : "Equal inputs give unequal outputs: a checkerboard.";
    return `${kernel} is not a multiple of ${stride}: away from the border, outputs receive ${least ** 2} to ${inputs(most ** 2)}. ${end}`;
  }
  const end = isEven ? ", and equal inputs give equal outputs" : "";
  return `${kernel} is a multiple of ${stride}: away from the border, every output receives ${inputs(most ** 2)}${end}.`;
}
