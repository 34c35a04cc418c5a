import assert from "node:assert/strict"
import { setImmediate as turn } from "node:timers/promises"
import { test } from "node:test"
import { openDevice } from "../../src/index.js"

test("§4 completed: one signal for a device of many streams is no leak of listeners", async () => {
  const warnings: Error[] = []
  const note = (warning: Error) => warnings.push(warning)
  process.on("warning", note)
  using device = openDevice("host", { threads: 2 })
  const streams = Array.from({ length: 40 }, () => device.createStream())
  await device.completed({ signal: new AbortController().signal })
  const reason = new Error("enough")
  await assert.rejects(device.completed({ signal: AbortSignal.abort(reason) }), (error) => error === reason)
  await turn()
  process.off("warning", note)
  assert.deepEqual(
    warnings.filter(({ name }) => name === "MaxListenersExceededWarning"),
    [],
  )
  for (const stream of streams) stream.dispose()
})
