import type { LaunchAttributes, LaunchLimits } from "../../driver.js"
import { checkInteger, mustBe } from "../../common/check.js"
import { AuxstreamError } from "../../common/errors.js"
import { show } from "../../common/show.js"

/** A grid's or block's size: x, or x, y and z, where what is left out is 1. */
export type Dimensions =
  | number
  | readonly [x: number, y?: number | undefined, z?: number | undefined, ...tooMany: "there are at most three sizes"[]]

const axes = ["x", "y", "z"] as const

/** Refuses what is no size. The sizes themselves are checked by {@link checkShape}. */
export function checkDimensions(value: unknown, what: string, limits: readonly number[]): void {
  if (typeof value === "number") checkInteger(value, what, 1, limits[0] ?? 1)
  else checkAxes(value, what, limits)
}

function checkAxes(value: unknown, what: string, limits: readonly number[]): void {
  if (!Array.isArray(value) || value.length < 1 || value.length > 3) {
    throw mustBe(what, "a number, or an array of one to three: [x, y, z]", value)
  }
  value.forEach((size: unknown, axis) => {
    if (axis === 0 || size !== undefined) checkInteger(size, `${what}.${axes[axis]}`, 1, limits[axis] ?? 1)
  })
}

// Small enough that the engine always compiles them into their callers: each launch asks six times.

/** The first axis of checked dimensions. */
export function width(dimensions: Dimensions): number {
  return typeof dimensions === "number" ? dimensions : dimensions[0]
}

/** Another axis. */
export function sizeOf(dimensions: Dimensions, axis: 1 | 2): number {
  return typeof dimensions === "number" ? 1 : (dimensions[axis] ?? 1)
}

/** Refuses a launch that asks for more than the device has. */
export function checkShape(grid: unknown, block: unknown, sharedMemory: unknown, limits: LaunchLimits): void {
  checkDimensions(grid, "grid", limits.grid)
  checkDimensions(block, "block", limits.block)
  checkInteger(sharedMemory, "sharedMemory", 0, limits.sharedMemory)
}

/** Refuses a block of more threads than the device allows. */
export function checkThreads(threads: number, limits: LaunchLimits): void {
  if (threads <= limits.threadsPerBlock) return
  throw new AuxstreamError(
    "AUX_OUT_OF_RANGE",
    `block has ${threads} threads; it has at most ${limits.threadsPerBlock}: use more blocks of fewer threads`,
  )
}

/** The attributes that few launches need, checked. */
export function launchAttributes(
  cluster: unknown,
  cooperative: unknown,
  grid: Dimensions,
  droppable: boolean,
  structs: Uint8Array | undefined,
): LaunchAttributes {
  if (cooperative !== undefined && typeof cooperative !== "boolean") {
    throw mustBe("cooperative", "true or false", cooperative)
  }
  const blocks = cluster === undefined ? undefined : clusterOf(cluster, grid)
  return { cluster: blocks, cooperative: cooperative ?? false, droppable, structs }
}

/** The most blocks that any GPU has in a cluster. Some have no more than 8, and say so themselves. */
const LARGEST_CLUSTER = 16

function clusterOf(cluster: unknown, grid: Dimensions): readonly [number, number, number] {
  checkDimensions(cluster, "cluster", [LARGEST_CLUSTER, LARGEST_CLUSTER, LARGEST_CLUSTER])
  const given: readonly number[] = typeof cluster === "number" ? [cluster] : Array.isArray(cluster) ? cluster : []
  const [x = 1, y = 1, z = 1] = given
  if (x * y * z > LARGEST_CLUSTER) {
    throw new AuxstreamError(
      "AUX_OUT_OF_RANGE",
      `cluster must have at most ${LARGEST_CLUSTER} blocks; got ${show(cluster)}, which are ${x * y * z}`,
    )
  }
  for (const axis of [0, 1, 2] as const) {
    const [blocks, size] = [axis === 0 ? width(grid) : sizeOf(grid, axis), [x, y, z][axis] ?? 1]
    if (blocks % size === 0) continue
    throw new AuxstreamError(
      "AUX_INVALID_ARGUMENT",
      `grid.${axes[axis]} must be a multiple of cluster.${axes[axis]}; got ${blocks} blocks in clusters of ${size}`,
    )
  }
  return [x, y, z]
}
