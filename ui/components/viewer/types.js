// The types of the viewer. `PackedHeader` is one half of the wire format; the other half is `pack` in __init__.py.

/** @typedef {import("../color.js").Rgb} Rgb */
/** @typedef {{ x: number, y: number }} Point Of the photo as it is shown, or of a pane: in its pixels, with fractions. */
/** @typedef {{ width: number, height: number }} Size */
/** @typedef {[offset: number, length: number]} Section Where bytes lie after the header. */
/** @typedef {"photo" | "mask" | "truth" | "disagreement" | "awaited"} PaneKind */
/** @typedef {"overlay" | "mask" | "outlines" | "confidence" | "entropy" | "error" | "disagreement"} Layer */
/** @typedef {[first: number, second: number]} ClassPair Train ids: the class in the first pane of a pair, and in the second. */

/**
 * @typedef {object} ClassInfo
 * @property {string} name
 * @property {Rgb} color
 * @property {Rgb} safe the color that stays apart from all others in any color vision
 */

/**
 * @typedef {object} PresentClass
 * @property {number} id
 * @property {number} share the largest share of it in any mask
 */

/**
 * The facts of a pane that are the same in the packed header and in the model.
 *
 * @typedef {object} PaneFacts
 * @property {string} id
 * @property {string} title
 * @property {PaneKind} kind
 * @property {string} note
 * @property {boolean} shown until the visitor chooses
 * @property {[width: number, height: number] | null} working_size the working resolution
 * @property {number | null} stride of the finest output grid, in working pixels
 */

/**
 * @typedef {object} PackedArrays
 * @property {string[]} compared ids of the panes of a disagreement map
 * @property {Section | null} ids deflated
 * @property {Section | null} confidence deflated
 * @property {Section | null} runner_up deflated
 * @property {Section | null} entropy deflated
 */

/** @typedef {PaneFacts & PackedArrays} PackedPane */

/**
 * @typedef {object} HeaderFacts
 * @property {string} digest of all that is packed
 * @property {string} photo_digest
 * @property {[width: number, height: number]} photo_size the photo's own
 * @property {number} width of the photo as it is shown
 * @property {number} height of the photo as it is shown
 * @property {boolean} own whether the photo is an upload, which links cannot contain
 * @property {boolean} waiting whether more panes will follow
 * @property {ClassInfo[]} classes by train id
 * @property {PresentClass[]} present the largest first
 */

/** @typedef {HeaderFacts & { photo: Section, panes: PackedPane[] }} PackedHeader */

/**
 * @typedef {object} PaneArrays
 * @property {Uint8Array | null} ids train ids of the photo as it is shown; null: the pane shows the photo alone
 * @property {Uint8Array | null} confidence at working resolution, 255 times
 * @property {Uint8Array | null} runnerUp train ids at working resolution
 * @property {Uint8Array | null} entropy at working resolution, 255 times
 */

/** @typedef {PaneFacts & PaneArrays & { compared: string[] }} UnpackedPane */
/** @typedef {(place: Section) => Uint8Array} ReadSection */

/** @typedef {PaneFacts & PaneArrays & { compared: Pane[] }} Pane */
/** @typedef {Pane & { ids: Uint8Array }} MaskPane A pane that names classes. */

/** @typedef {HeaderFacts & { bitmap: ImageBitmap, panes: Pane[], truth: Pane | null }} Model What the viewer draws from. */
/** @typedef {Pick<Model, "width" | "height" | "classes" | "panes" | "truth">} MaskModel A model without its photo. */

/**
 * The visitor's choices.
 *
 * @typedef {object} ViewerState
 * @property {Layer} layer
 * @property {number} opacity 0 to 1
 * @property {number} threshold of the confidence, 0 to 1
 * @property {boolean} grid
 * @property {boolean} safe whether the colors are those for any color vision
 * @property {boolean} swipe whether two panes share a canvas
 * @property {number} divider its place, 0 to 1
 * @property {Set<number>} hidden train ids
 * @property {number | null} solo the one class that is shown
 * @property {number | null} highlighted the class under the pointer in the list
 * @property {ClassPair | null} cell of the difference table
 * @property {[string, string] | null} pair the panes that are compared, by id
 * @property {Map<string, boolean>} panes which a person showed or hid
 * @property {Point | null} crosshair
 * @property {Point | null} pinned
 * @property {boolean} help
 */

/** @typedef {{ x: number, y: number, across: number }} Region A middle, and how many of the photo's pixels are seen across. */
/** @typedef {Partial<Omit<ViewerState, "panes">> & { panes?: Set<string>, region?: Region }} LinkChoices The choices in a link. */

/**
 * The view of a canvas: the photo's point in its middle, and canvas pixels per photo pixel.
 *
 * @typedef {object} CanvasView
 * @property {number} x
 * @property {number} y
 * @property {number} scale
 */

/** @typedef {{ columns: Int32Array, rows: Int32Array }} Samples The photo's column and row under each pixel; -1: outside. */

/** @typedef {{ id: number, name: string, confidence?: number, runnerUp?: string }} Probe The prediction of a pane at a point. */

export {};
