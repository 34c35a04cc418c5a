import assert from "node:assert/strict"
import { test } from "node:test"
import { OperationObserver } from "../../../src/runtime/order/observer.js"
import type { Operation } from "../../../src/runtime/order/operation.js"
import { openDevice } from "../../../src/index.js"

/** Keeps what each operation does with memory. */
class Accesses extends OperationObserver {
  readonly seen: string[] = []

  override before({ kind, accesses }: Operation): void {
    for (const { mode, rows, byteLength } of accesses) {
      const what = rows === undefined ? `${byteLength} bytes` : `${rows.rows} x ${rows.width} of ${rows.pitch} bytes`
      this.seen.push(`${kind}: ${mode} ${what}`)
    }
  }
}

test("§13 copies and fills of rows say which bytes they use, not the range around them", () => {
  using device = openDevice("host")
  using x = device.zeros("int32", 12)
  using y = device.zeros("int32", 12)
  const observer = new Accesses()
  device.order.observer = observer
  x.copyFrom2D(y, { width: 1, height: 3, pitch: 4, sourcePitch: 2 })
  x.fill2D(1, { width: 2, height: 3, pitch: 4 })
  x.copyFrom2D(new Int32Array(6), { width: 2, height: 3, pitch: 4 })
  x.copyFrom2D(y, { width: 4, height: 3 })
  device.order.observer = undefined
  assert.deepEqual(observer.seen, [
    "copy: write 3 x 4 of 16 bytes",
    "copy: read 3 x 4 of 8 bytes",
    "fill: write 3 x 8 of 16 bytes",
    "upload: write 3 x 8 of 16 bytes",
    "upload: read 24 bytes",
    "copy: overwrite 48 bytes",
    "copy: read 48 bytes",
  ])
})
