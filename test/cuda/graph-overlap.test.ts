import assert from "node:assert/strict"
import { test } from "node:test"
import { openDevice, parallel } from "../../src/index.js"
import { ScriptedPolicy } from "../support/scripted-policy.js"
import { change, twoBranches } from "../support/two-branches.js"
import { onDouble } from "./device.js"
import { double } from "./double.js"

const length = 4

const names = (fn: () => void): (string | number | undefined)[] => double.log(fn).map(([name]) => name)
const alive = (): [graphs: number, executables: number] => {
  const { graphs, executables } = double.alive()
  return [graphs, executables]
}

onDouble("graphs with a policy", () => {
  for (const mode of ["parallel", "sequential"] as const) {
    test(`a launch decided to be ${mode} makes the calls of a launch without a policy, and the other executable is gone`, async () => {
      using device = openDevice("cuda:0")
      using x = device.zeros("int32", length)
      using y = device.zeros("int32", length)
      const policy = new ScriptedPolicy()
      using graph = twoBranches(x, y, policy)
      assert.deepEqual(alive(), [1, 2])
      for (let launch = 0; launch < 4; launch++) graph.launch()
      policy.decision = mode
      graph.launch()
      await device.completed()
      device.trim() // It looks at deferred releases.
      assert.deepEqual(alive(), [1, 1])
      assert.deepEqual(
        names(() => graph.launch()),
        ["cuGraphLaunch"],
      )
      assert.deepEqual(
        [...x.readSync()],
        Array.from({ length }, () => 364),
      )
    })
  }

  test("launches on one stream are measured without waits: an event besides those of the policy", () => {
    using device = openDevice("cuda:0")
    using x = device.zeros("int32", length)
    using y = device.zeros("int32", length)
    using graph = twoBranches(x, y, new ScriptedPolicy())
    graph.launch()
    graph.launch()
    for (const _ of ["parallel", "sequential"]) {
      assert.deepEqual(
        names(() => graph.launch()),
        ["cuGraphLaunch", "cuEventRecord"],
      )
    }
    device.synchronize()
  })

  test("1 000 graphs, measured, decided or neither, leave nothing behind", async () => {
    using device = openDevice("cuda:0")
    using x = device.zeros("int32", length)
    using y = device.zeros("int32", length)
    for (let round = 0; round < 1000; round++) {
      const policy = new ScriptedPolicy()
      using graph = twoBranches(x, y, policy)
      for (let launch = 0; launch < round % 4; launch++) graph.launch()
      if (round % 3 === 0) policy.decision = round % 2 === 0 ? "parallel" : "sequential"
      if (round % 3 === 1) graph.update(() => parallel([() => change(x, 3, 1), () => change(y, 5, 1)]))
      for (let launch = 0; launch < round % 3; launch++) graph.launch()
      if (round % 100 === 0) await device.completed()
    }
    await device.completed()
    for (let look = 0; alive()[1] > 0; look++) {
      assert.ok(look < 10_000, `${alive().join(" and ")} are left`)
      device.trim()
    }
    assert.deepEqual(alive(), [0, 0])
  })
})
