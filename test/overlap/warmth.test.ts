import assert from "node:assert/strict"
import { test } from "node:test"
import { measuredOverlap } from "../../src/index.js"
import { TimedDevice } from "./timed-device.js"

// Alone in its file, and so in its process, because fork-joins are counted from the start of the process.
test("§14: decisions made before the process's 1 000th fork-join are measured again once", async () => {
  using timed = new TimedDevice()
  const policy = measuredOverlap({ name: "test" })
  await timed.decide(policy, "early")
  assert.equal(policy.decisions[0]?.state, "early")
  timed.truth = { parallel: 300, sequential: 100 } // As if warm code changed everything.
  const rest = 1000 - timed.messages.length - 1
  timed.calls(rest, measuredOverlap({ name: "other" }), "other")
  timed.take()
  timed.call(policy, "early")
  assert.deepEqual(timed.take(), ["warm-up parallel"], "the 1 000th")
  while (policy.decisions[0]?.state === "early") {
    timed.calls(4, policy, "early")
    await new Promise((resolve) => setImmediate(resolve))
  }
  const [decision] = policy.decisions
  assert.deepEqual([decision?.mode, decision?.state, decision?.checks], ["sequential", "decided", 0])
  timed.take()
  await timed.decide(policy, "late")
  assert.equal(policy.decisions[1]?.state, "decided")
  timed.calls(60, policy, "early")
  assert.ok(!timed.take().some((message) => message.includes("early") || message.includes("warm-up sequential early")))
})
