import assert from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import { KernelError } from "../../src/common/errors.js"
import type { StreamFailures } from "../../src/driver/streams.js"
import { Writes } from "../../src/runtime/memory/writes.js"

const size = 12

/** A stream that fails on demand: later operations are skipped. */
class FakeStream implements StreamFailures {
  readonly arePossible = true
  position = 0
  failsAt = Infinity
  readonly error: KernelError

  constructor(name: string) {
    this.error = new KernelError(`${name} failed`, name, "")
  }

  hasPassed(): boolean {
    return this.failsAt < Infinity
  }

  before(position: number): KernelError | undefined {
    return this.failsAt <= position ? this.error : undefined
  }
}

/** The writes that matter to each byte, kept in a plain list without shortcuts. */
class Model {
  readonly #bytes: { stream: FakeStream; position: number }[][] = Array.from({ length: size }, () => [])

  write(stream: FakeStream, begin: number, end: number, overwrites: boolean): void {
    for (let byte = begin; byte < end; byte++) {
      const write = { stream, position: stream.position }
      if (overwrites) this.#bytes[byte] = [write]
      else this.#bytes[byte]?.push(write)
    }
  }

  isGarbage(begin: number, end: number, by?: FakeStream): boolean {
    const writes = this.#bytes.slice(begin, end).flat()
    return writes.some(({ stream, position }) => stream !== by && stream.before(position) !== undefined)
  }
}

const place = fc.tuple(fc.nat(size), fc.nat(size)).map(([a, b]) => [Math.min(a, b), Math.max(a, b)] as const)
const step = fc.record({
  what: fc.constantFrom("write", "overwrite", "fail", "check"),
  stream: fc.nat(3),
  place,
})

test("exactly the bytes that a failure has left as garbage are refused, for any writes, overwrites and failures", () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 120 }), (steps) => {
      const streams = Array.from({ length: 4 }, (_, index) => new FakeStream(`stream ${index}`))
      const writes = new Writes()
      const model = new Model()
      for (const {
        what,
        stream: index,
        place: [begin, end],
      } of steps) {
        const stream = streams[index] as FakeStream
        const isWrite = what === "write" || what === "overwrite"
        if (isWrite && begin < end) {
          stream.position += 1
          if (what === "write") writes.note(stream, begin, end - begin)
          else writes.overwrite(stream, begin, end - begin)
          model.write(stream, begin, end, what === "overwrite")
        } else if (what === "fail") {
          stream.failsAt = Math.min(stream.failsAt, stream.position)
        } else if (what === "check") {
          for (const by of [undefined, stream]) {
            const check = () => writes.check(begin, end - begin, by)
            if (model.isGarbage(begin, end, by)) assert.throws(check, KernelError)
            else check()
          }
        }
      }
    }),
    { numRuns: 500 },
  )
})

/** The time of this many writes in milliseconds, each to a part of its own, none of them over. */
function timeFor(count: number, write: (writes: Writes, stream: FakeStream, begin: number) => void): number {
  const writes = new Writes()
  const stream = new FakeStream("stream")
  const start = performance.now()
  for (let part = 0; part < count; part++) {
    stream.position += 1
    write(writes, stream, 4 * part)
  }
  return performance.now() - start
}

test("eight times as many parts of an array cost about eight times as much", () => {
  for (const write of [
    (writes: Writes, stream: FakeStream, begin: number) => writes.note(stream, begin, 4),
    (writes: Writes, stream: FakeStream, begin: number) => writes.overwrite(stream, begin, 4),
  ]) {
    timeFor(1000, write) // So that the engine has compiled it.
    const [few, many] = [timeFor(1000, write), timeFor(8000, write)]
    assert.ok(many < 20 * few + 300, `${few} ms for 1000 parts, ${many} ms for 8000`)
  }
})
