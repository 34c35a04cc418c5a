/** A worker thread that dies at each point of the interpreter and of the scheduler, also while it holds the scheduler's lock. */
import assert from "node:assert/strict"
import { after, test } from "node:test"
import { defineKernel, DeviceLostError, openDevice } from "../../src/index.js"
import { showThrown } from "../../src/common/show.js"
import { once } from "../support/kernels.js"
import { checkClear, checkLost, everything, outcome } from "./checks.js"
import { Program } from "./program.js"
import { watching, watchingNothing } from "./watchdog.js"

/**
 * Ends its worker just before the worker's next change number `after` of shared memory. Reads change nothing, so these are all
 * places that differ. A silent worker does not report its end, as if its heap were full.
 */
const poison = defineKernel({
  name: "poison",
  signature: ["int32", "int32"],
  host: {
    source: `
      export function poison(launch, after, silent) {
        if (silent) process.removeAllListeners("exit")
        let left = after
        for (const name of ["store", "add", "sub", "and", "or", "exchange", "compareExchange", "notify"]) {
          const change = Atomics[name]
          Atomics[name] = (...args) => {
            if (left-- === 0) process.exit(9)
            return change(...args)
          }
        }
      }`,
  },
})

/** @returns whether the worker died: it may have changed the memory less often */
async function dieAfter(changes: number, threads: number): Promise<boolean> {
  using device = openDevice("host", { threads })
  const bystander = device.zeros("int32", 1)
  poison.launch(once, changes, changes % 2)
  const program = new Program(device)
  const thrown = await outcome(() => program.run())
  const where = `in "${program.step}"`
  if (thrown !== undefined) {
    checkClear(thrown, where)
    assert.ok(thrown instanceof DeviceLostError, `${where}: ${showThrown(thrown)}`)
    assert.match(thrown.message, /a worker thread (was ended by process\.exit\(9\)|was stopped by Node\.js)/)
    await checkLost(device, thrown, where)
  }
  program.dispose()
  bystander.dispose()
  return thrown !== undefined
}

after(() => watchingNothing())

for (const threads of [1, 2]) {
  test(`a worker that dies before any change of shared memory loses the device, and nothing hangs: ${threads} thread(s)`, async (t) => {
    let deaths = 0
    for (let changes = 0; changes < 400; changes += everything ? 1 : 131) {
      watching(`a worker of ${threads} dies at change ${changes}`)
      if (await dieAfter(changes, threads)) deaths++
    }
    t.diagnostic(`${deaths} deaths`)
    assert.ok(deaths > 1)
    using device = openDevice("host", { threads })
    const program = new Program(device)
    await program.run()
    program.dispose()
  })
}
