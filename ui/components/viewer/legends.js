// Color legends of the layers.

import { rampGradient } from "../color.js";
import { createElement } from "../dom.js";
import { CONFIDENCE_RAMP, MORE_ANSWERS, RIGHT, TWO_ANSWERS, WRONG } from "./pixels.js";

/** @import { Rgb } from "./types.js" */

/** @param {Rgb} color */
function spot(color) {
  return createElement("i", { class: "spot", style: `background: rgb(${color})` });
}

export function confidenceLegend() {
  const gradient = createElement("i", { style: `background: ${rampGradient(CONFIDENCE_RAMP)}` });
  return createElement("div", { class: "ramp" }, "0%", gradient, "100% confidence");
}

export function errorLegend() {
  return createElement("div", { class: "ramp" }, spot(RIGHT), "correct", spot(WRONG), "wrong; dark: ignored");
}

export function answersLegend() {
  const two = [spot(TWO_ANSWERS), "two different classes"];
  const more = [spot(MORE_ANSWERS), "three or more; dark: all masks agree"];
  return createElement("div", { class: "ramp" }, ...two, ...more);
}
