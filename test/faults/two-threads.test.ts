/** Two threads use one GPU, and a call of one of them fails: the other continues, unless the GPU itself is lost. */
import assert from "node:assert/strict"
import { once as nextOf } from "node:events"
import { after, describe, test } from "node:test"
import { Worker } from "node:worker_threads"
import { double, skip } from "../cuda/double.js"
import { collectUntil } from "../support/collect.js"
import { everything } from "./checks.js"
import type { Ended } from "./two-threads.worker.js"
import { runOnce } from "./two-threads.worker.js"
import { watching, watchingNothing } from "./watchdog.js"

const statuses = { unknown: 999, "out of memory": 2, fault: 700 }

/** Calls that every part of the program makes. */
const calls = ["cuLaunchKernelEx", "cuEventRecord", "cuStreamWaitEvent", "cuMemcpyAsync", "cuStreamCreateWithPriority"]

/** Another thread that runs the program when it is told to. */
class Other {
  readonly #worker = new Worker(new URL("two-threads.worker.js", import.meta.url))

  async run(): Promise<Ended> {
    this.#worker.postMessage("run")
    const [ended] = (await nextOf(this.#worker, "message")) as [Ended]
    return ended
  }

  async end(): Promise<void> {
    await this.#worker.terminate()
  }
}

/** What happened to the two threads must be clear, and only a fault may reach both. */
function check(ends: readonly Ended[], status: number): void {
  for (const { problem } of ends) assert.equal(problem, undefined)
  const failed = ends.filter(({ code }) => code !== undefined)
  if (status === statuses.fault) {
    // A fault while the other thread opens the GPU makes it unavailable there.
    for (const { code } of failed) assert.match(code ?? "", /^AUX_DEVICE_(LOST|UNAVAILABLE)$/)
    return
  }
  assert.ok(failed.length <= 1, `both failed: ${failed.map(({ code }) => code).join(", ")}`)
}

describe("two threads on one GPU", { skip }, () => {
  after(() => watchingNothing())

  test("a call that fails on either fails that one only; a fault loses both; afterwards both work again", async () => {
    const other = new Other()
    let failed = 0
    try {
      for (const call of everything ? calls : calls.slice(0, 1)) {
        for (let nth = 1; nth <= (everything ? 40 : 7); nth += everything ? 1 : 5) {
          for (const [kind, status] of Object.entries(statuses)) {
            watching(`two threads, ${kind} at ${call} number ${nth}`)
            double.fail(call, nth, status)
            const ends = await Promise.all([runOnce(), other.run()])
            const wasMade = double.failuresLeft() === 0
            double.failNothing()
            if (wasMade) check(ends, status)
            if (ends.some(({ code }) => code !== undefined)) failed++
            await collectUntil(() => double.alive().contexts === 0, "both contexts are released")
            double.forgetLost()
          }
        }
      }
      assert.ok(failed > 2)
      for (const { code, problem } of await Promise.all([runOnce(), other.run()])) {
        assert.deepEqual([code, problem], [undefined, undefined])
      }
    } finally {
      await other.end()
    }
  })
})
