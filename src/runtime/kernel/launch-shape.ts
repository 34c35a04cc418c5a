import type { LaunchAttributes, LaunchLimits } from "../../driver/kernels.js"
import { LaunchShape } from "../../common/facts/launch-shape.js"
import { checkBoolean, checkInteger, mustBe } from "../../common/check.js"
import { AuxstreamError } from "../../common/errors.js"
import { show } from "../../common/show.js"

/** The size of a grid, block or cluster: x, or `[x, y, z]`. An omitted size is 1. */
export type Dimensions =
  | number
  | readonly [x: number, y?: number | undefined, z?: number | undefined, ...tooMany: "there are at most three sizes"[]]

const axes = ["x", "y", "z"] as const

/** Throws unless the value is a number or a list of up to three numbers within the limits. */
export function checkDimensions(value: unknown, what: string, limits: readonly number[]): void {
  if (typeof value === "number") checkInteger(value, what, 1, limits[0] ?? 1)
  else checkAxes(value, what, limits)
}

function checkAxes(value: unknown, what: string, limits: readonly number[]): void {
  if (!Array.isArray(value) || value.length < 1 || value.length > 3) {
    throw mustBe(what, "a number or an array of one to three numbers, as in [x, y, z]", value)
  }
  value.forEach((size: unknown, axis) => {
    if (axis === 0 || size !== undefined) checkInteger(size, `${what}.${axes[axis]}`, 1, limits[axis] ?? 1)
  })
}

/** The size along x. */
function width(dimensions: Dimensions): number {
  return typeof dimensions === "number" ? dimensions : dimensions[0]
}

/** The size along y (1) or z (2). */
function sizeOf(dimensions: Dimensions, axis: 1 | 2): number {
  return typeof dimensions === "number" ? 1 : (dimensions[axis] ?? 1)
}

// The shape of the launch that is being queued: a new object for each launch would cost more than these checks.
const shape = new LaunchShape()
/** The same for most launches, which have sizes along x alone. Nothing else ever changes here. */
const row = new LaunchShape()

/**
 * Throws if the launch exceeds the limits of the device.
 *
 * @returns the shape for the driver, which reads it at once: the next call changes it
 */
export function shapeOf(grid: Dimensions, block: Dimensions, sharedMemory: unknown, limits: LaunchLimits): LaunchShape {
  if (
    isWidth(grid, limits.grid[0]) &&
    isWidth(block, limits.block[0]) &&
    block <= limits.threadsPerBlock &&
    sharedMemory === 0
  ) {
    row.gridX = grid
    row.blockX = block
    return row
  }
  return anyShape(grid, block, sharedMemory, limits)
}

/** Whether this is a size along x alone, as most launches have it. Small enough for the engine to inline it. */
function isWidth(value: unknown, most: number): value is number {
  return typeof value === "number" && (value | 0) === value && value > 0 && value <= most
}

function anyShape(grid: Dimensions, block: Dimensions, sharedMemory: unknown, limits: LaunchLimits): LaunchShape {
  checkDimensions(grid, "grid", limits.grid)
  checkDimensions(block, "block", limits.block)
  checkInteger(sharedMemory, "sharedMemory", 0, limits.sharedMemory)
  checkThreads(threadsOf(block), limits)
  shape.gridX = width(grid)
  shape.gridY = sizeOf(grid, 1)
  shape.gridZ = sizeOf(grid, 2)
  shape.blockX = width(block)
  shape.blockY = sizeOf(block, 1)
  shape.blockZ = sizeOf(block, 2)
  shape.sharedMemory = sharedMemory
  return shape
}

/** The number of threads in a block. */
export function threadsOf(block: Dimensions): number {
  return width(block) * sizeOf(block, 1) * sizeOf(block, 2)
}

/** Throws if the block has more threads than the device allows. */
export function checkThreads(threads: number, limits: LaunchLimits): void {
  if (threads > limits.threadsPerBlock) throw tooManyThreads(threads, limits)
}

function tooManyThreads(threads: number, { threadsPerBlock }: LaunchLimits): AuxstreamError {
  return new AuxstreamError(
    "AUX_OUT_OF_RANGE",
    `\`block\` must have at most ${threadsPerBlock} threads; got ${threads}. Use more blocks with fewer threads.`,
  )
}

/** Checks what few launches need. Undefined if this one needs nothing of it. */
export function launchAttributes(
  { cluster, cooperative }: { readonly cluster?: unknown; readonly cooperative?: unknown },
  grid: Dimensions,
  droppable: boolean,
  structs: Uint8Array | undefined,
): LaunchAttributes | undefined {
  const isPlain = cluster === undefined && cooperative === undefined && !droppable && structs === undefined
  return isPlain ? undefined : checkedAttributes(cluster, cooperative, grid, droppable, structs)
}

function checkedAttributes(
  cluster: unknown,
  cooperative: unknown,
  grid: Dimensions,
  droppable: boolean,
  structs: Uint8Array | undefined,
): LaunchAttributes {
  if (cooperative !== undefined) checkBoolean(cooperative, "cooperative")
  const blocks = cluster === undefined ? undefined : clusterOf(cluster, grid)
  return { cluster: blocks, cooperative: cooperative ?? false, droppable, structs }
}

/** The largest cluster on any GPU, in blocks. If a GPU allows only 8, the driver reports that. */
const LARGEST_CLUSTER = 16

function clusterOf(cluster: unknown, grid: Dimensions): readonly [number, number, number] {
  checkDimensions(cluster, "cluster", [LARGEST_CLUSTER, LARGEST_CLUSTER, LARGEST_CLUSTER])
  const given: readonly number[] = typeof cluster === "number" ? [cluster] : Array.isArray(cluster) ? cluster : []
  const [x = 1, y = 1, z = 1] = given
  if (x * y * z > LARGEST_CLUSTER) {
    throw new AuxstreamError(
      "AUX_OUT_OF_RANGE",
      `\`cluster\` must have at most ${LARGEST_CLUSTER} blocks; got ${show(cluster)} = ${x * y * z}`,
    )
  }
  for (const axis of [0, 1, 2] as const) {
    const [blocks, size] = [axis === 0 ? width(grid) : sizeOf(grid, axis), [x, y, z][axis] ?? 1]
    if (blocks % size === 0) continue
    throw new AuxstreamError(
      "AUX_INVALID_ARGUMENT",
      `\`grid.${axes[axis]}\` must be a multiple of \`cluster.${axes[axis]}\`; got ${blocks} and ${size}`,
    )
  }
  return [x, y, z]
}
