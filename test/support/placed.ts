import assert from "node:assert/strict"
import { autoParallel, type Device, type DeviceArray, type PlacementReport } from "../../src/index.js"
import { affine, combine, over } from "./kernels.js"

export type Ints = DeviceArray<"int32">

/** Calls a function in a region. @returns what the region tells of it */
export function placed(fn: () => void, streams?: number): PlacementReport {
  let report: PlacementReport | undefined
  autoParallel(fn, { streams, explain: (placement) => (report = placement) })
  assert.ok(report !== undefined)
  return report
}

/** The stream of each operation. */
export function streamsOf({ operations }: PlacementReport): number[] {
  return operations.map(({ stream }) => stream)
}

/** For each operation, those that it must run after, and how that is kept. */
export function edgesOf({ operations }: PlacementReport): string[] {
  return operations.map(({ edges }) => [...new Set(edges.map(({ from, by }) => `${from} ${by}`))].join(", "))
}

/** `x = x * a + b` */
export function step(x: Ints, a = 3, b = 1): void {
  affine.launch(over(x.length), x.length, x, a, b)
}

/** `y = y * 3 + x` */
export function mix(x: Ints, y: Ints): void {
  combine.launch(over(x.length), x.length, x, y)
}

/** Arrays of 4 elements with the values 1, 2 and so on. */
export function fourArrays(device: Device): readonly [Ints, Ints, Ints, Ints] {
  const make = (value: number) => device.full("int32", 4, value)
  return [make(1), make(2), make(3), make(4)]
}

/** The first element of each array. */
export function firsts(...list: readonly Ints[]): (number | undefined)[] {
  return list.map((x) => x.readSync()[0])
}
