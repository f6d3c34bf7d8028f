// Color legends of the layers.

import { rampGradient } from "../color.js";
import { createElement } from "../dom.js";
import { MORE_ANSWERS, RIGHT, TWO_ANSWERS, VALUE_RAMP, WRONG } from "./pixels.js";

/** @import { Rgb } from "./types.js" */

/** @param {Rgb} color */
function spot(color) {
  return createElement("i", { class: "spot", style: `background: rgb(${color})` });
}

function valueGradient() {
  return createElement("i", { style: `background: ${rampGradient(VALUE_RAMP)}` });
}

export function confidenceLegend() {
  return createElement("div", { class: "ramp" }, "0%", valueGradient(), "100% confidence");
}

export function entropyLegend() {
  const reading = "Bright where the probability is spread over several classes, dark where one class is likely.";
  return createElement("div", { class: "ramp" }, "0%", valueGradient(), "100% entropy", createElement("span", {}, reading));
}

export function errorLegend() {
  return createElement("div", { class: "ramp" }, spot(RIGHT), "correct", spot(WRONG), "wrong; dark: ignored");
}

export function answersLegend() {
  const two = [spot(TWO_ANSWERS), "two different classes"];
  const more = [spot(MORE_ANSWERS), "three or more; dark: all masks agree"];
  return createElement("div", { class: "ramp" }, ...two, ...more);
}
