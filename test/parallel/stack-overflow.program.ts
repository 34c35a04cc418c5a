/** Calls maybeExecuteInParallel closer and closer to the end of the stack, a few bytes at a time, and catches its errors. */
import assert from "node:assert/strict"
import { compileFunction } from "node:vm"
import { currentStream, maybeExecuteInParallel, openDevice } from "../../src/index.js"

const device = openDevice("host")
const [main, aux] = [device.defaultStream, device.createStream()]
const [event0, event1] = [device.createEvent(), device.createEvent()]
const nothing = () => 0
const call = () => maybeExecuteInParallel(nothing, nothing, event0, event1, aux)

type Fn = () => unknown
const atDepth = (depth: number, fn: Fn): unknown => (depth === 0 ? fn() : [atDepth(depth - 1, fn)])

/** Calls a function from a frame that is this many words larger than the smallest. */
function padded(words: number): (fn: Fn) => unknown {
  const names = Array.from({ length: words }, (_, index) => `word${index}`)
  const code = [...names.map((name) => `let ${name} = fn`), `const result = fn()`, `return [${names.join(", ")}]`].join(
    "; ",
  )
  return compileFunction(code, ["fn"]) as (fn: Fn) => unknown
}

const paddings = Array.from({ length: 12 }, (_, words) => padded(words))

call()
for (const padding of paddings) padding(nothing)
for (let depth = 100, overflows = 0; overflows < 40 * paddings.length; depth++) {
  for (const padding of paddings) {
    try {
      atDepth(depth, () => padding(call))
    } catch (error) {
      assert.ok(error instanceof RangeError, String(error))
      overflows += 1
    }
    assert.ok(currentStream(device) === main, "the current stream is the one that it was before")
  }
}
device.dispose()
