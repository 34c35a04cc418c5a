/** Graphs whose branches change arrays: for tests of graphs with a policy and of their chains. */
import assert from "node:assert/strict"
import { captureGraph, currentStream, type DeviceArray, type Graph, parallel } from "../../src/index.js"
import { affine, over } from "./kernels.js"
import { isHeld, type Latch } from "./latch.js"
import type { ScriptedPolicy } from "./scripted-policy.js"

type Ints = DeviceArray<"int32">

/** x = x * scale + offset */
export function change(x: Ints, scale: number, offset: number): void {
  affine.launch(over(x.length), x.length, x, scale, offset)
}

/** The one number in all elements. */
export function valueOf(x: Ints): number {
  const [value, ...others] = new Set(x.readSync())
  assert.deepEqual(others, [])
  return value ?? NaN
}

/** A graph of two branches that change different arrays. */
export function twoBranches(x: Ints, y: Ints, overlap?: ScriptedPolicy): Graph<unknown> {
  const policy = overlap === undefined ? {} : { overlap, key: 64 }
  return captureGraph(() => parallel([() => change(x, 3, 1), () => change(y, 5, 1)]), { device: x.device, ...policy })
}

/** Two branches: the first holds until the latch is open; the second sets `x` to 1. */
export function heldBranches(latch: Latch, x: Ints): void {
  parallel([() => latch.hold(), () => change(x, 0, 1)])
}

/** Whether the second of {@link heldBranches} runs while the first is held. Opens the latch. */
export function isParallel(graph: Graph<unknown>, latch: Latch, x: Ints): boolean {
  using reader = graph.device.createStream()
  const read = (): number => reader.run(() => valueOf(x))
  x.fill(0)
  graph.device.synchronize()
  graph.launch()
  latch.waitUntilEntered()
  const isSequential = graph.overlap?.mode === "sequential"
  if (isSequential) assert.ok(isHeld(currentStream(graph.device)))
  else while (read() === 0) assert.equal(latch.timedOut, false)
  const ran = read() === 1
  latch.open()
  graph.device.synchronize()
  assert.deepEqual([read(), latch.timedOut], [1, false])
  return ran
}
