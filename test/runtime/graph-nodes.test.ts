import assert from "node:assert/strict"
import { test } from "node:test"
import { captureGraph, openDevice } from "../../src/index.js"
import { OperationObserver } from "../../src/runtime/order/observer/observer.js"
import type { Operation } from "../../src/runtime/order/observer/operation.js"
import { affine, over } from "../support/kernels.js"

/** Keeps the addresses that each graph's launch uses. */
class Launches extends OperationObserver {
  readonly seen: (readonly number[])[] = []

  override before({ kind, accesses }: Operation): void {
    if (kind === "graph") this.seen.push(accesses.map(({ address }) => address))
  }
}

test("§13 observers see what a launch does after its nodes were changed, and a graph around as it was captured", () => {
  using device = openDevice("host")
  using x = device.zeros("int32", 4)
  using y = device.zeros("int32", 4)
  using inner = captureGraph(() => affine.launch(over(4), 4, x, 1, 1))
  using outer = captureGraph(() => inner.launch())
  const [node] = inner.nodes
  assert.ok(node?.launches(affine))
  const observer = new Launches()
  device.order.observer = observer
  inner.launch()
  node.setArguments(4, y, 1, 1)
  inner.launch()
  outer.launch()
  node.enabled = false
  inner.launch()
  node.setArguments(4, x, 1, 1)
  node.enabled = true
  inner.launch()
  outer.launch()
  device.order.observer = undefined
  assert.deepEqual(observer.seen, [[x.address], [y.address], [x.address], [], [x.address], [x.address]])
  assert.deepEqual([x.readSync()[0], y.readSync()[0]], [4, 1])
})
