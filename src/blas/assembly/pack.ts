// Packing: a matrix is copied into panels that the micro kernel reads from end to end. A panel is `width` rows of the
// left matrix, or `width` columns of the right one, laid out [depth][width] in float32; missing elements at the edge are
// zero. Type conversion and transposition happen here, once an element, so that nothing after it knows of them.

import { PANEL_PADDING } from "../blocks"
import { loadFour, loadOne } from "./element"

/** Bytes from a panel to the next. */
@inline
export function panelBytes(depth: usize, width: usize): usize {
  return ((depth * width) << 2) + PANEL_PADDING
}

/**
 * Packs `lanes` rows (or columns) into panels, one after another.
 * @param laneStride from a row (or column) to the next, in elements
 * @param depthStride from a step along the shared dimension to the next, in elements; one of the two strides is 1
 */
export function packPanels<T>(
  target: usize,
  source: usize,
  laneStride: usize,
  depthStride: usize,
  lanes: usize,
  depth: usize,
  width: usize,
): void {
  const panels = lanes / width
  const whole = panels * width
  if (laneStride == 1) packAlongLanes<T>(target, source, depthStride, panels, depth, width)
  else packAlongDepth<T>(target, source, laneStride, panels, depth, width)
  if (whole == lanes) return
  const rest = source + ((whole * laneStride) << alignof<T>())
  packEdge<T>(target + panels * panelBytes(depth, width), rest, laneStride, depthStride, lanes - whole, depth, width)
}

/** The lanes of a step lie side by side in the source: each step is read through once, across all panels. */
function packAlongLanes<T>(
  target: usize,
  source: usize,
  depthStride: usize,
  panels: usize,
  depth: usize,
  width: usize,
): void {
  const stepBytes = width << alignof<T>()
  const nextPanel = panelBytes(depth, width)
  for (let step: usize = 0; step < depth; step++) {
    const end = source + panels * stepBytes
    let panel = target
    for (let lanes = source; lanes < end; lanes += stepBytes) {
      if (width == 8) copyEight<T>(panel, lanes)
      else copyOneByOne<T>(panel, lanes, width)
      panel += nextPanel
    }
    target += width << 2
    source += depthStride << alignof<T>()
  }
}

/** The steps of a lane lie side by side in the source: blocks of four by four are transposed in registers. */
function packAlongDepth<T>(
  target: usize,
  source: usize,
  laneStride: usize,
  panels: usize,
  depth: usize,
  width: usize,
): void {
  const steps = depth & ~3
  const lanes = width & ~3
  for (let panel: usize = 0; panel < panels; panel++) {
    for (let step: usize = 0; step < steps; step += 4) {
      for (let lane: usize = 0; lane < lanes; lane += 4) {
        const corner = source + ((lane * laneStride + step) << alignof<T>())
        transposeFour<T>(target + ((step * width + lane) << 2), corner, laneStride, width)
      }
    }
    for (let lane: usize = 0; lane < width; lane++) {
      for (let step = lane < lanes ? steps : 0; step < depth; step++) {
        const value = loadOne<T>(source + ((lane * laneStride + step) << alignof<T>()))
        store<f32>(target + ((step * width + lane) << 2), value)
      }
    }
    target += panelBytes(depth, width)
    source += (width * laneStride) << alignof<T>()
  }
}

/** The last panel, which has fewer lanes than `width`. Zeros, since leftovers that are subnormal would be slow. */
function packEdge<T>(
  target: usize,
  source: usize,
  laneStride: usize,
  depthStride: usize,
  present: usize,
  depth: usize,
  width: usize,
): void {
  memory.fill(target, 0, (depth * width) << 2)
  for (let lane: usize = 0; lane < present; lane++) {
    for (let step: usize = 0; step < depth; step++) {
      const value = loadOne<T>(source + ((lane * laneStride + step * depthStride) << alignof<T>()))
      store<f32>(target + ((step * width + lane) << 2), value)
    }
  }
}

@inline
function copyEight<T>(target: usize, source: usize): void {
  v128.store(target, loadFour<T>(source))
  v128.store(target, loadFour<T>(source + (4 << alignof<T>())), 16)
}

@inline
function copyOneByOne<T>(target: usize, source: usize, count: usize): void {
  for (let i: usize = 0; i < count; i++) store<f32>(target + (i << 2), loadOne<T>(source + (i << alignof<T>())))
}

@inline
function transposeFour<T>(target: usize, source: usize, laneStride: usize, width: usize): void {
  const bytes = laneStride << alignof<T>()
  const a = loadFour<T>(source)
  const b = loadFour<T>(source + bytes)
  const c = loadFour<T>(source + 2 * bytes)
  const d = loadFour<T>(source + 3 * bytes)
  const abLow = v128.shuffle<u32>(a, b, 0, 4, 1, 5)
  const abHigh = v128.shuffle<u32>(a, b, 2, 6, 3, 7)
  const cdLow = v128.shuffle<u32>(c, d, 0, 4, 1, 5)
  const cdHigh = v128.shuffle<u32>(c, d, 2, 6, 3, 7)
  const next = width << 2
  v128.store(target, v128.shuffle<u64>(abLow, cdLow, 0, 2))
  v128.store(target + next, v128.shuffle<u64>(abLow, cdLow, 1, 3))
  v128.store(target + 2 * next, v128.shuffle<u64>(abHigh, cdHigh, 0, 2))
  v128.store(target + 3 * next, v128.shuffle<u64>(abHigh, cdHigh, 1, 3))
}
