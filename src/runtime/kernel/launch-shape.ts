import type { LaunchAttributes, LaunchLimits } from "../../driver.js"
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

// Small enough that the engine always inlines them: each launch calls them six times.

/** The size along x. */
export function width(dimensions: Dimensions): number {
  return typeof dimensions === "number" ? dimensions : dimensions[0]
}

/** The size along y (1) or z (2). */
export function sizeOf(dimensions: Dimensions, axis: 1 | 2): number {
  return typeof dimensions === "number" ? 1 : (dimensions[axis] ?? 1)
}

/** Throws if the launch exceeds the limits of the device. */
export function checkShape(grid: Dimensions, block: Dimensions, sharedMemory: unknown, limits: LaunchLimits): void {
  checkDimensions(grid, "grid", limits.grid)
  checkDimensions(block, "block", limits.block)
  checkInteger(sharedMemory, "sharedMemory", 0, limits.sharedMemory)
  checkThreads(width(block) * sizeOf(block, 1) * sizeOf(block, 2), limits)
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
