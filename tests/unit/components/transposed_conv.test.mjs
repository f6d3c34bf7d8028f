// The demo's transposed convolution against its definition.

import assert from "node:assert/strict";
import { test } from "node:test";
import {
  contributions,
  INPUTS,
  kernelSide,
  limitedPadding,
  outputSide,
  outputSize,
  verdict,
} from "../../../ui/components/transposed_conv_demo/arithmetic.js";

const SETTINGS = [1, 2, 3, 4].flatMap((stride) =>
  [1, 2, 3, 4, 5, 8].flatMap((kernel) => ["bilinear", "ones"].map((kind) => ({ stride, kernel, padding: 0, kind }))),
);

/** Lays the kernel down at every input, adds, and cuts the padding off. */
function byDefinition(settings) {
  const { stride, kernel, padding } = settings;
  const full = Array((INPUTS - 1) * stride + kernel).fill(0);
  const side = kernelSide(settings);
  for (let input = 0; input < INPUTS; input++) for (let tap = 0; tap < kernel; tap++) full[input * stride + tap] += side[tap];
  return full.slice(padding, full.length - padding);
}

test("outputs are the sum of the kernels that are laid down", () => {
  for (const settings of SETTINGS) {
    for (const padding of new Set([0, 1, 3].map((most) => limitedPadding({ ...settings, padding: most })))) {
      const padded = { ...settings, padding };
      const expected = byDefinition(padded);
      assert.equal(outputSize(padded), expected.length);
      outputSide(padded).forEach((value, index) => {
        assert.ok(Math.abs(value - expected[index]) < 1e-9, JSON.stringify(padded));
      });
    }
  }
});

test("a bilinear kernel of twice the stride leaves what is even as it is", () => {
  const side = outputSide({ stride: 2, kernel: 4, padding: 1, kind: "bilinear" });
  assert.deepEqual(side.slice(1, -1), Array(8).fill(1));
  assert.deepEqual(kernelSide({ stride: 2, kernel: 4, padding: 1, kind: "bilinear" }), [0.25, 0.75, 0.75, 0.25]);
});

test("an output names the inputs that reach it", () => {
  const settings = { stride: 2, kernel: 4, padding: 1, kind: "bilinear" };
  assert.deepEqual(contributions(settings, 2), [
    { input: 0, tap: 3 },
    { input: 1, tap: 1 },
  ]);
});

test("the verdict tells checkerboards, gaps and even outputs apart", () => {
  const say = (stride, kernel, kind = "ones") => verdict({ stride, kernel, padding: 0, kind });
  assert.match(say(2, 4, "bilinear"), /is a multiple of 2: .* receives 4 inputs, and equal inputs give equal outputs\.$/);
  assert.match(say(2, 3), /is not a multiple of 2: .* receive 1 to 4 inputs\. .* a checkerboard\.$/);
  assert.match(say(3, 2), /smaller than the stride/);
  assert.match(say(3, 3), /receives 1 input, and equal/);
  assert.match(say(1, 8), /the border affects every output/);
});
