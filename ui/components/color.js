// Colors as a canvas holds them: one unsigned number, red in its lowest byte. That is the order of little-endian machines, which is
// what every browser runs on.

/** @typedef {readonly [number, number, number]} Rgb Red, green and blue, 0 to 255. */

/**
 * @param {number} red
 * @param {number} green
 * @param {number} blue
 * @param {number} alpha
 * @returns {number}
 */
export function rgba(red, green, blue, alpha) {
  return ((alpha << 24) | (blue << 16) | (green << 8) | red) >>> 0;
}

/**
 * The same color, opaque.
 *
 * @param {number} color
 * @returns {number}
 */
export function opaque(color) {
  return (color | 0xff000000) >>> 0;
}

/**
 * A color for each of 256 values, with the stops evenly spaced.
 *
 * @param {readonly Rgb[]} stops
 * @returns {Uint32Array}
 */
export function colorRamp(stops) {
  return Uint32Array.from({ length: 256 }, (_, value) => {
    const position = (value / 255) * (stops.length - 1);
    const index = Math.floor(position);
    const low = stops[index];
    const high = stops[Math.min(stops.length - 1, index + 1)];
    const mix = (/** @type {number} */ channel) => Math.round(low[channel] + (high[channel] - low[channel]) * (position % 1));
    return rgba(mix(0), mix(1), mix(2), 255);
  });
}

/**
 * The colors of a ramp as a CSS gradient from left to right.
 *
 * @param {Uint32Array} ramp
 * @returns {string}
 */
export function rampGradient(ramp) {
  return `linear-gradient(90deg, ${[0, 64, 128, 192, 255].map((value) => cssColor(ramp[value])).join()})`;
}

/**
 * @param {number} color
 * @returns {string}
 */
export function cssColor(color) {
  return `rgb(${color & 255},${(color >> 8) & 255},${(color >> 16) & 255})`;
}
