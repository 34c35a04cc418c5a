/** Saves decisions as its arguments say: see `decision-file.test.ts`. */
import assert from "node:assert/strict"
import { once } from "node:events"
import { writeFileSync } from "node:fs"
import { measuredOverlap } from "../../../src/index.js"
import { decisionKey } from "../../../src/overlap/file/contents.js"
import { DecisionFile } from "../../../src/overlap/file/decision-file.js"
import type { Environment, StoredDecision } from "../../../src/overlap/file/stored.js"
import { TimedDevice } from "../timed-device.js"

const [task, path = "", detail = ""] = process.argv.slice(2)

/** Twenty policies decide, and nothing calls save(). */
async function decide(): Promise<void> {
  process.on("warning", (warning) => assert.fail(warning))
  using timed = new TimedDevice()
  for (let index = 0; index < 20; index++) {
    await timed.decide(measuredOverlap({ name: `policy ${index}`, file: path }), index)
  }
  if (detail === "exit") process.exit()
}

/** Twenty writes, each with one more key. */
function write(): void {
  const file = new DecisionFile(path)
  const environment: Environment = { device: "d", multiprocessors: 1, driver: null, auxstream: "0", runtime: "r" }
  for (let index = 0; index < 20; index++) {
    const decision: StoredDecision = {
      ...{
        call: "eager",
        key: `${detail}${index}`,
        mode: "parallel",
        parallelMicroseconds: 1,
        sequentialMicroseconds: 2,
      },
      ...{ pairs: 16, early: false, decided: new Date().toISOString() },
    }
    const decisions = new Map([[decisionKey(decision), decision]])
    while (!file.add("test", [{ environment, decisions }], true));
  }
}

/** The file becomes something else before the process ends, so that its decisions cannot be saved. */
async function unwritable(): Promise<void> {
  const alive = setInterval(() => {}, 1000) // What saves later does not keep the process alive.
  using timed = new TimedDevice()
  await timed.decide(measuredOverlap({ name: "test", file: path }), 1)
  writeFileSync(path, "mine")
  const warnings: Error[] = []
  process.on("warning", (warning) => warnings.push(warning))
  await once(process, "warning")
  assert.ok(warnings[0] !== undefined && "code" in warnings[0])
  assert.equal(warnings[0].code, "AUX_UNSAVED")
  clearInterval(alive)
}

if (task === "decide") await decide()
else if (task === "write") write()
else await unwritable()
