import assert from "node:assert/strict"
import { test } from "node:test"
import { readRecords } from "../../src/cuda/cupti/records.js"

const KERNEL = 10
const KERNEL_BYTES = 216

/** A buffer with records of kernels: their correlation and when they ended, 0 for one that runs. */
function bufferOf(...kernels: readonly (readonly [correlation: number, end: number])[]): DataView<ArrayBuffer> {
  const bytes = new DataView(new ArrayBuffer(KERNEL_BYTES * (kernels.length + 1)))
  kernels.forEach(([correlation, end], index) => {
    const at = KERNEL_BYTES * index
    bytes.setUint32(at, KERNEL, true)
    bytes.setUint32(at + 24, end, true)
    bytes.setUint32(at + 92, correlation, true)
    bytes.setBigUint64(at + 144, (7n << 32n) | 3n, true)
  })
  return bytes
}

test("§12 CUPTI's record of a kernel that still runs is passed over; a node's number has its graph and its place", () => {
  const found: unknown[] = []
  const bytes = bufferOf([1, 100], [2, 0], [3, 200])
  readRecords(
    { sizeOf: () => KERNEL_BYTES },
    { address: 0, bytes },
    {
      linked: () => {},
      text: () => "kernel",
      ran: ({ correlation, node }) => void found.push([correlation, node]),
    },
  )
  assert.deepEqual(found, [
    [1, { graph: 7, place: 3 }],
    [3, { graph: 7, place: 3 }],
  ])
})
