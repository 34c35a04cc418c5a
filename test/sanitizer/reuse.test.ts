import assert from "node:assert/strict"
import { describe, test } from "node:test"
import { openDevice, type Stream } from "../../src/index.js"
import { observe } from "../../src/runtime/order/observer/observers.js"
import { RaceObserver } from "../../src/sanitizer/race-observer.js"
import { unsanitized } from "../support/races.js"

/** Says that memory was freed on a stream, and that other memory was allocated there. */
function reuse(observer: RaceObserver, { state }: Stream, address: number, byteLength: number): void {
  observer.freed(state, {}, address, byteLength)
  observer.allocated(state, {}, address, byteLength)
}

describe("§5.6 the sanitizer and memory that is used again", () => {
  test(
    "uses of the former array are forgotten; those of `wrap`, which the library does not know, are not",
    unsanitized,
    () => {
      using device = openDevice("host")
      let races = 0
      const observer = new RaceObserver(() => (races += 1), false)
      const end = observe(observer)
      const [a, b] = [device.createStream(), device.createStream()]
      const x = device.empty("int32", 8)
      const wrapped = device.wrap(x.address, "int32", 8)
      const write = (stream: Stream, array = x) => void stream.run(() => array.fill(1))

      write(a)
      reuse(observer, b, x.address, 32)
      write(b)
      assert.equal(races, 0)

      write(b, wrapped)
      reuse(observer, b, x.address, 32)
      write(a)
      assert.equal(races, 0, "the free was ordered behind the use, and the next array's birth behind the free")

      write(a, wrapped)
      reuse(observer, b, x.address, 32)
      write(b)
      assert.equal(races, 1, "nothing orders the free, or the next array's use, behind the use by wrap()")
      end()
    },
  )
})
