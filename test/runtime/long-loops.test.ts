import assert from "node:assert/strict"
import { describe, test } from "node:test"
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import { captureGraph, type Device, fork, openDevice } from "../../src/index.js"

setFlagsFromString("--expose-gc")
const collect = runInNewContext("gc") as () => void

/** Bytes of the JavaScript heap that each turn of a loop leaves behind, before control returns to the event loop. */
function leftBehind(turn: () => void): number {
  const turns = 20_000
  for (let i = 0; i < turns; i++) turn()
  collect()
  const before = process.memoryUsage().heapUsed
  for (let i = 0; i < turns; i++) turn()
  collect()
  return (process.memoryUsage().heapUsed - before) / turns
}

describe("a long loop without an await does not keep objects that it disposes of or joins", () => {
  const turns: [string, (device: Device) => void][] = [
    ["arrays", (device) => device.empty("int32", 4).dispose()],
    ["events", (device) => device.createEvent().dispose()],
    ["streams", (device) => device.createStream().dispose()],
    ["forks", () => fork(() => {}).join()],
    ["graphs", (device) => captureGraph(() => void fork(() => device.zeros("int32", 4)).join(), { device }).dispose()],
  ]
  for (const [what, turn] of turns) {
    test(what, () => {
      using device = openDevice("host")
      const bytes = leftBehind(() => turn(device))
      assert.ok(bytes < 20, `${bytes} bytes for each`)
    })
  }
})
