/** Graphs with an overlap policy. The policy is the test's, so that nothing here depends on times. */
import assert from "node:assert/strict"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { test } from "node:test"
import {
  captureGraph,
  currentStream,
  defineKernel,
  type Device,
  type DeviceArray,
  type Graph,
  type MeasuredOverlap,
  measuredOverlap,
  parallel,
  runIf,
  startTrace,
  type Stream,
} from "../../src/index.js"
import { hostBackend } from "../../src/host/backend.js"
import { OutOfMemoryError } from "../../src/common/errors.js"
import { Device as DeviceClass } from "../../src/runtime/device/device.js"
import { OperationObserver } from "../../src/runtime/order/observer/observer.js"
import { observe } from "../../src/runtime/order/observer/observers.js"
import type { Operation } from "../../src/runtime/order/observer/operation.js"
import { forEachOpenDevice, onHost } from "../support/devices.js"
import { refused, thrownBy } from "../support/errors.js"
import { affine, once } from "../support/kernels.js"
import { isHeld, Latch } from "../support/latch.js"
import { unsanitized } from "../support/races.js"
import { RecordingDriver } from "../support/recording-driver.js"
import { ScriptedPolicy } from "../support/scripted-policy.js"
import { change, heldBranches, isParallel, twoBranches, valueOf } from "../support/two-branches.js"

const length = 4

/** It has the name of a kernel that the driver's double knows. */
const resident = defineKernel({
  name: "test_spin",
  signature: ["int32"],
  resident: true,
  cuda: { source: 'extern "C" __global__ void test_spin(int) {}' },
  host: { source: "export function test_spin() {}" },
})

/** A graph of two branches, of which the first holds until the latch is open. */
function behindLatch(latch: Latch, x: DeviceArray<"int32">, overlap: ScriptedPolicy): Graph<unknown> {
  return captureGraph(() => heldBranches(latch, x), { overlap, key: "shape" })
}

forEachOpenDevice("graphs with a policy", (open) => {
  test(
    "§14 launches take the executable that the policy wants: in parallel, or one operation after another",
    unsanitized,
    () => {
      using device = open()
      using x = device.zeros("int32", length)
      for (const mode of ["parallel", "sequential"] as const) {
        const policy = new ScriptedPolicy()
        policy.fixed = mode
        using latch = new Latch(device)
        using graph = behindLatch(latch, x, policy)
        assert.equal(isParallel(graph, latch, x), mode === "parallel")
        assert.deepEqual(graph.overlap, { mode, policy: { name: "scripted", key: "shape", phase: "measuring" } })
      }
    },
  )

  test(
    "§14 an update that brings in a resident kernel has the graph run one operation after another",
    unsanitized,
    () => {
      using device = open()
      using x = device.zeros("int32", length)
      resident.load(device)
      for (const decision of [undefined, "parallel"] as const) {
        const policy = new ScriptedPolicy()
        policy.decision = decision
        using latch = new Latch(device)
        using graph = behindLatch(latch, x, policy)
        graph.update(() => {
          heldBranches(latch, x)
          resident.launch(once, 1)
        })
        assert.deepEqual([graph.overlap?.mode, policy.take().includes("wasResident")], ["sequential", true])
        assert.equal(isParallel(graph, latch, x), false)
        using again = new Latch(device)
        graph.update(() => heldBranches(again, x))
        assert.deepEqual([graph.overlap?.mode, isParallel(graph, again, x)], ["sequential", false])
      }
    },
  )

  test("§14 each launch of a measurement is timed once, from directly before it to directly after it", () => {
    using device = open()
    using x = device.zeros("int32", length)
    using y = device.zeros("int32", length)
    const policy = new ScriptedPolicy()
    using graph = twoBranches(x, y, policy)
    using stream = device.createStream({ name: "mine" })
    const { tick } = stream.state
    for (let launch = 0; launch < 3; launch++) graph.launch(stream)
    device.synchronize()
    const modes = ["parallel", "sequential", "parallel"]
    assert.deepEqual(
      policy.take(),
      modes.flatMap((mode, place) => [
        `${mode} begins on ${stream.state.name} at ${tick + place}`,
        `${mode} done on ${stream.state.name} at ${tick + place + 1}`,
      ]),
    )
    assert.deepEqual([valueOf(x), valueOf(y)], [13, 31])
  })

  test("§14 launches of both executables run one after another, on whatever streams, and wait for nothing else", () => {
    using device = open()
    using x = device.zeros("int32", length)
    using y = device.zeros("int32", length)
    const policy = new ScriptedPolicy()
    using graph = twoBranches(x, y, policy)
    const streams: Stream[] = [device.createStream(), device.createStream()]
    const [first, second] = streams as [Stream, Stream]
    using before = new Latch(device).hold(first)
    graph.launch(first)
    graph.launch(second)
    assert.ok(isHeld(second))
    before.open()
    second.synchronize()
    using after = new Latch(device)
    graph.launch(first)
    after.hold(first)
    graph.launch(second) // It must not wait for the latch.
    second.synchronize()
    after.open()
    device.synchronize()
    const times = (scale: number): number => [1, 2, 3, 4].reduce((value) => value * scale + 1, 0)
    assert.deepEqual([valueOf(x), valueOf(y)], [times(3), times(5)])
    assert.deepEqual([before.timedOut, after.timedOut], [false, false])
    for (const stream of streams) stream.dispose()
  })

  test("§14 what a launch waits for is not part of its time", () => {
    using device = open()
    using x = device.zeros("int32", length)
    using y = device.zeros("int32", length)
    const policy = new ScriptedPolicy()
    using graph = twoBranches(x, y, policy)
    using other = device.createStream({ name: "other" })
    const waits: string[] = []
    class Waits extends OperationObserver {
      override waited(stream: Stream["state"]): void {
        if (stream === other.state) waits.push(`${stream.name} waits after ${policy.log.at(-1)}`)
      }
    }
    graph.launch()
    const unobserve = observe(new Waits())
    graph.launch(other)
    unobserve()
    assert.match(waits.join(), /^other of .* waits after parallel done on /)
    device.synchronize()
  })

  for (const mode of ["parallel", "sequential"] as const) {
    test(`§14 once decided, all launches are ${mode}, and the policy is asked no more`, unsanitized, () => {
      using device = open()
      using x = device.zeros("int32", length)
      const policy = new ScriptedPolicy()
      policy.fixed = mode === "parallel" ? "sequential" : "parallel"
      using warm = new Latch(device)
      warm.open()
      using latch = new Latch(device)
      using graph = captureGraph(
        () =>
          parallel([
            () => {
              change(x, 1, 0)
              latch.hold()
            },
            () => change(x.subarray(0, length), 0, 1),
          ]),
        { overlap: policy, key: 1 },
      )
      latch.open()
      graph.launch()
      device.synchronize()
      policy.decision = mode
      policy.take()
      using fresh = new Latch(device)
      using decided = behindLatch(fresh, x, policy)
      graph.launch()
      graph.launch()
      device.synchronize()
      assert.equal(isParallel(decided, fresh, x), mode === "parallel")
      assert.deepEqual(policy.take(), [])
      const note = { name: "scripted", key: 1, phase: "decided" }
      assert.deepEqual(graph.overlap, { mode, policy: note })
    })

    test(`§14 a graph that is decided while it is measured runs ${mode} from its next launch on`, unsanitized, () => {
      using device = open()
      using x = device.zeros("int32", length)
      const policy = new ScriptedPolicy()
      using opened = new Latch(device)
      using latch = new Latch(device)
      using graph = behindLatch(latch, x, policy)
      opened.open()
      policy.decision = mode
      assert.equal(isParallel(graph, latch, x), mode === "parallel")
      assert.deepEqual(policy.take(), [])
      assert.equal(graph.overlap?.policy.phase, "decided")
      for (let launch = 0; launch < 3; launch++) graph.launch()
      assert.equal(valueOf(x), 1)
    })

    test(`§14 after the decision for ${mode}, launches still run one after another on whatever streams`, () => {
      using device = open()
      using x = device.zeros("int32", length)
      using y = device.zeros("int32", length)
      const policy = new ScriptedPolicy()
      using graph = twoBranches(x, y, policy)
      using first = device.createStream()
      using second = device.createStream()
      graph.launch(first)
      graph.launch(first)
      policy.decision = mode
      using latch = new Latch(device)
      latch.hold(first)
      graph.launch(first)
      graph.launch(second)
      assert.ok(isHeld(second))
      latch.open()
      device.synchronize()
      assert.deepEqual([valueOf(x), valueOf(y), latch.timedOut], [40, 156, false])
    })

    test(`§14 changes of nodes count for both executables, and after the decision for ${mode}`, () => {
      using device = open()
      using x = device.zeros("int32", length)
      using y = device.zeros("int32", length)
      using z = device.zeros("int32", length)
      const policy = new ScriptedPolicy()
      using graph = twoBranches(x, y, policy)
      const node = graph.nodes[1]
      assert.ok(node?.launches(affine))
      node.setArguments(length, z, 0, 7)
      for (const _ of ["parallel", "sequential"]) {
        z.fill(0)
        graph.launch()
        assert.deepEqual([valueOf(y), valueOf(z)], [0, 7])
      }
      node.enabled = false
      for (const _ of ["parallel", "sequential"]) {
        z.fill(0)
        graph.launch()
        assert.equal(valueOf(z), 0)
      }
      policy.decision = mode
      graph.launch()
      assert.deepEqual([valueOf(z), node.enabled], [0, false])
      node.enabled = true
      graph.launch()
      assert.equal(valueOf(z), 7)
      node.setArguments(length, y, 0, 9)
      graph.launch()
      assert.equal(valueOf(y), 9)
      assert.equal(
        valueOf(x),
        [1, 2, 3, 4, 5, 6, 7].reduce((value) => Math.imul(value, 3) + 1, 0),
      )
    })

    test(`§14 update() of a graph that was decided to be ${mode} keeps that`, unsanitized, () => {
      using device = open()
      using x = device.zeros("int32", length)
      const policy = new ScriptedPolicy()
      policy.decision = mode
      using first = new Latch(device)
      using latch = new Latch(device)
      using graph = behindLatch(first, x, policy)
      first.open()
      graph.launch()
      assert.equal(
        graph.update(() => heldBranches(latch, x)),
        true,
      )
      assert.equal(isParallel(graph, latch, x), mode === "parallel")
      // Another shape.
      using last = new Latch(device)
      const more = (): void => change(x, 1, 0)
      assert.equal(
        graph.update(() => parallel([() => last.hold(), () => (change(x, 0, 1), more())])),
        false,
      )
      assert.equal(isParallel(graph, last, x), mode === "parallel")
      assert.equal(graph.overlap?.mode, mode)
    })

    test(`§14 inside another capture, a graph that was decided to be ${mode} stays it`, unsanitized, () => {
      using device = open()
      using x = device.zeros("int32", length)
      const policy = new ScriptedPolicy()
      policy.decision = mode
      using latch = new Latch(device)
      using inner = behindLatch(latch, x, policy)
      using graph = captureGraph(() => inner.launch())
      using reader = device.createStream()
      const read = (): number => reader.run(() => valueOf(x))
      device.synchronize()
      graph.launch()
      latch.waitUntilEntered()
      if (mode === "sequential") assert.ok(isHeld(currentStream(device)))
      else if (device.kind === "host") while (read() === 0) assert.equal(latch.timedOut, false)
      if (mode === "sequential") assert.equal(read(), 0)
      latch.open()
      assert.equal(valueOf(x), 1)
    })
  }

  test("§14 update() ends the measurement with the parallel way", unsanitized, () => {
    using device = open()
    using x = device.zeros("int32", length)
    using y = device.zeros("int32", length)
    const policy = new ScriptedPolicy()
    using graph = twoBranches(x, y, policy)
    for (let launch = 0; launch < 2; launch++) graph.launch()
    policy.take()
    assert.throws(() =>
      graph.update(() => {
        throw new Error("no update")
      }),
    )
    assert.deepEqual([policy.take(), graph.overlap?.policy.phase], [[], "measuring"])
    graph.launch()
    policy.take()
    using latch = new Latch(device)
    assert.equal(
      graph.update(() => parallel([() => change(x, 0, 5), () => change(y, 0, 6)])),
      true,
    )
    assert.deepEqual(policy.take(), ["abandon"])
    for (let launch = 0; launch < 3; launch++) graph.launch()
    assert.deepEqual([valueOf(x), valueOf(y)], [5, 6])
    assert.deepEqual(policy.take(), [])
    assert.deepEqual(graph.overlap, { mode: "parallel", policy: { name: "scripted", key: 64, phase: "unmeasured" } })
    graph.update(() => heldBranches(latch, x))
    assert.equal(isParallel(graph, latch, x), true)
  })

  test("§14 a launch inside another capture ends the measurement with the parallel way", () => {
    using device = open()
    using x = device.zeros("int32", length)
    using y = device.zeros("int32", length)
    const policy = new ScriptedPolicy()
    using inner = twoBranches(x, y, policy)
    inner.launch()
    policy.take()
    using graph = captureGraph(() => inner.launch())
    assert.deepEqual(policy.take(), ["abandon"])
    graph.launch()
    inner.launch()
    assert.deepEqual([valueOf(x), valueOf(y)], [13, 31])
    assert.deepEqual([policy.take(), inner.overlap?.mode, inner.overlap?.policy.phase], [[], "parallel", "unmeasured"])
    assert.equal(graph.overlap, undefined)
  })

  test("§14 a graph with conditionals, or with one branch, is parallel and unmeasured", () => {
    using device = open()
    using x = device.zeros("int32", length)
    using y = device.zeros("int32", length)
    using flag = device.full("int32", 1, 1)
    const policy = new ScriptedPolicy()
    const options = { overlap: policy, key: "k" }
    using conditional = captureGraph(() => {
      parallel([() => change(x, 1, 1), () => change(y, 1, 1)])
      runIf(flag, () => change(x, 1, 1))
    }, options)
    using single = captureGraph(() => change(x, 1, 1), options)
    policy.decision = "sequential"
    using later = captureGraph(() => {
      parallel([() => change(x, 1, 1), () => change(y, 1, 1)])
      runIf(flag, () => change(x, 1, 1))
    }, options)
    for (const graph of [conditional, single, later]) {
      graph.launch()
      assert.deepEqual(graph.overlap, { mode: "parallel", policy: { name: "scripted", key: "k", phase: "unmeasured" } })
    }
    assert.deepEqual([valueOf(x), valueOf(y), policy.take()], [5, 2, []])
  })

  test("§14 two graphs with one key share its measurement and its decision", () => {
    using device = open()
    using x = device.zeros("int32", length)
    using y = device.zeros("int32", length)
    const policy = new ScriptedPolicy()
    using one = twoBranches(x, y, policy)
    using two = twoBranches(x, y, policy)
    one.launch()
    two.launch()
    device.synchronize()
    assert.deepEqual([one.overlap?.mode, two.overlap?.mode], ["parallel", "sequential"])
    policy.decision = "sequential"
    one.launch()
    two.launch()
    assert.deepEqual([valueOf(x), valueOf(y)], [40, 156])
    assert.deepEqual([one.overlap?.policy.phase, two.overlap?.policy.phase], ["decided", "decided"])
  })

  test("§14 an async capture has the policy's decision from when it ends", unsanitized, async () => {
    using device = open()
    using x = device.zeros("int32", length)
    const policy = new ScriptedPolicy()
    using latch = new Latch(device)
    const promise = captureGraph(
      async () => {
        await Promise.resolve()
        parallel([() => latch.hold(), () => change(x, 0, 1)])
      },
      { overlap: policy, key: 1 },
    )
    policy.decision = "sequential"
    using graph = await promise
    assert.equal(graph.overlap?.policy.phase, "decided")
    assert.equal(isParallel(graph, latch, x), false)
  })

  test("§14 a graph can be disposed of while it is measured and its launches are queued", () => {
    using device = open()
    using x = device.zeros("int32", length)
    using y = device.zeros("int32", length)
    const policy = new ScriptedPolicy()
    const graph = twoBranches(x, y, policy)
    using latch = new Latch(device).hold()
    for (let launch = 0; launch < 4; launch++) graph.launch()
    graph.dispose()
    latch.open()
    assert.deepEqual([valueOf(x), valueOf(y)], [40, 156])
    assert.deepEqual(graph.overlap?.policy.phase, "measuring")
  })

  test("§14 arrays made inside are the same memory in both executables", unsanitized, () => {
    using device = open()
    using x = device.full("int32", length, 2)
    const policy = new ScriptedPolicy()
    using graph = captureGraph(
      () => {
        const made = device.zeros("int32", length)
        const [, out] = parallel([() => change(made, 1, 1), () => device.full("int32", length, 5)])
        change(made, 3, 0)
        change(out, 2, 1)
        change(x, 2, 0)
        return { made, out }
      },
      { overlap: policy, key: 1 },
    )
    for (let launch = 1; launch <= 4; launch++) {
      graph.launch()
      assert.deepEqual([valueOf(graph.result.made), valueOf(graph.result.out), valueOf(x)], [3, 11, 2 ** (launch + 1)])
    }
  })

  test("§14 an observer sees how each launch runs", unsanitized, () => {
    using device = open()
    using x = device.zeros("int32", length)
    using y = device.zeros("int32", length)
    const policy = new ScriptedPolicy()
    const seen: string[] = []
    class Launches extends OperationObserver {
      override accepted({ overlap }: Operation): void {
        seen.push(overlap === undefined ? "none" : `${overlap.mode} ${overlap.policy.phase} ${overlap.policy.key}`)
      }
    }
    using graph = twoBranches(x, y, policy)
    using plain = captureGraph(() => change(x, 1, 0))
    const unobserve = observe(new Launches())
    graph.launch()
    graph.launch()
    policy.decision = "sequential"
    graph.launch()
    graph.launch()
    plain.launch()
    unobserve()
    assert.deepEqual(seen, [
      "parallel measuring 64",
      "sequential measuring 64",
      "sequential decided 64",
      "sequential decided 64",
      "none",
    ])
    device.synchronize()
  })

  test("§14 the trace shows how each launch ran: mode, policy, key and phase", async () => {
    using device = open()
    using x = device.zeros("int32", length)
    using y = device.zeros("int32", length)
    const policy = new ScriptedPolicy()
    using graph = twoBranches(x, y, policy)
    const trace = startTrace()
    graph.launch()
    graph.launch()
    policy.decision = "sequential"
    graph.launch()
    await device.completed()
    const report = await trace.stop()
    const launches = report.data.spans.filter(({ kind }) => kind === "graph")
    const note = (phase: "measuring" | "decided") => ({ name: "scripted", key: 64, phase })
    assert.deepEqual(
      launches.map(({ overlap }) => overlap),
      [
        { mode: "parallel", policy: note("measuring") },
        { mode: "sequential", policy: note("measuring") },
        { mode: "sequential", policy: note("decided") },
      ],
    )
    assert.ok(report.data.spans.every(({ kind, overlap }) => kind === "graph" || overlap === undefined))
  })

  test("§14 with measuredOverlap, a graph is decided by its own launches, and a later one uses that at once", async () => {
    using device = open()
    using x = device.zeros("int32", length)
    using y = device.zeros("int32", length)
    const policy = measuredOverlap({ name: "graphs" })
    using graph = captureGraph(() => parallel([() => change(x, 1, 1), () => change(y, 1, 1)]), {
      overlap: policy,
      key: "two",
    })
    const phases = new Set<string | undefined>()
    let launches = 0
    while (graph.overlap?.policy.phase !== "decided") {
      graph.launch()
      launches++
      phases.add(graph.overlap?.policy.phase)
      await device.completed()
      assert.ok(launches < 1000, `${launches} launches: ${policy.report(() => {})}`)
    }
    assert.deepEqual([...phases].filter((phase) => phase !== "unmeasured").slice(0, 3), [
      "warm-up",
      "measuring",
      "decided",
    ])
    assert.deepEqual([valueOf(x), valueOf(y)], [launches, launches])
    const [decision] = policy.decisions
    assert.deepEqual(
      [decision?.call, decision?.key, decision?.state, decision?.mode],
      ["captured", "two", "decided", graph.overlap.mode],
    )
    using later = captureGraph(() => parallel([() => change(x, 1, 1), () => change(y, 1, 1)]), {
      overlap: policy,
      key: "two",
    })
    assert.deepEqual(later.overlap, { mode: graph.overlap.mode, policy: graph.overlap.policy })
    // A fork-join inside another capture takes the key's decision, too.
    using around = captureGraph(() => {
      parallel([() => change(x, 1, 1), () => change(y, 1, 1)], { overlap: policy, key: "two" })
    })
    assert.equal(around.branchCount, graph.overlap.mode === "parallel" ? 2 : 1)
    for (const each of [later, around]) each.launch()
    assert.deepEqual([valueOf(x), valueOf(y)], [launches + 2, launches + 2])
  })

  // Decisions that were made under an observer are not stored.
  test(
    "§14 a decision in the policy's file is used at once by the graphs of another process",
    unsanitized,
    async () => {
      using device = open()
      using x = device.zeros("int32", length)
      using y = device.zeros("int32", length)
      const folder = mkdtempSync(join(tmpdir(), "auxstream-graph-overlap-"))
      try {
        const file = join(folder, "decisions.json")
        const capture = (overlap: MeasuredOverlap) =>
          captureGraph(() => parallel([() => change(x, 1, 1), () => change(y, 1, 1)]), { overlap, key: 64 })
        const first = measuredOverlap({ name: "steps", file })
        using graph = capture(first)
        for (let launches = 0; graph.overlap?.policy.phase !== "decided"; launches++) {
          graph.launch()
          await device.completed()
          assert.ok(
            launches < 1000,
            first.report(() => {}),
          )
        }
        first.save()
        using later = capture(measuredOverlap({ name: "steps", file }))
        assert.deepEqual(later.overlap, graph.overlap)
        using other = capture(measuredOverlap({ name: "others", file }))
        assert.equal(other.overlap?.policy.phase, "warm-up")
      } finally {
        rmSync(folder, { recursive: true, force: true })
      }
    },
  )

  test("§14 bad options are refused by name, before anything is captured", () => {
    using device = open()
    const overlap = new ScriptedPolicy()
    const capture = (options: object) => () => void captureGraph(() => assert.fail("called"), options)
    refused(capture({ overlap: {}, key: 1 }), "AUX_INVALID_ARGUMENT", "`overlap` must be a policy or undefined; got")
    refused(capture({ overlap }), "AUX_INVALID_ARGUMENT", "`key` must be", "got undefined")
    refused(capture({ overlap, key: NaN }), "AUX_INVALID_ARGUMENT", "`key` must be", "got NaN")
    refused(capture({ overlap, key: 1, device: 5 }), "AUX_INVALID_ARGUMENT", "`device` must be")
    refused(capture({ overlap, keys: 1 }), "AUX_INVALID_ARGUMENT", "must have only these names: device, overlap, key")
    assert.equal(device.order.capturing, 0)
  })
})

/** A device whose driver fails on demand. */
function openRecorded(): { device: Device; driver: RecordingDriver } {
  const driver = new RecordingDriver(hostBackend.open(0, { threads: 2 }))
  return { device: new DeviceClass("host", driver.driver, () => {}), driver }
}

onHost("graphs with a policy, when calls of the driver fail", () => {
  test("§14 a decided graph destroys the other executable once its launches are over", async () => {
    const { device, driver } = openRecorded()
    using _device = device
    using x = device.zeros("int32", length)
    using y = device.zeros("int32", length)
    const policy = new ScriptedPolicy()
    using graph = twoBranches(x, y, policy)
    const chains = driver.take("graphs.chain").length
    using latch = new Latch(device).hold()
    graph.launch()
    graph.launch()
    policy.decision = "parallel"
    graph.launch()
    graph.launch()
    assert.deepEqual([chains, driver.take("graphs.destroy").length], [1, 0])
    latch.open()
    await device.completed()
    device.trim() // It looks at deferred releases.
    assert.equal(driver.take("graphs.destroy").length, 1)
    graph.launch()
    assert.deepEqual([valueOf(x), valueOf(y)], [121, 781])
  })

  test("§14 with a stored decision only one executable is made", () => {
    const { device, driver } = openRecorded()
    using _device = device
    using x = device.zeros("int32", length)
    using y = device.zeros("int32", length)
    const policy = new ScriptedPolicy()
    for (const mode of ["parallel", "sequential"] as const) {
      policy.decision = mode
      driver.take()
      using _graph = twoBranches(x, y, policy)
      const calls = driver.take("graphs.endCapture", "graphs.chain")
      assert.deepEqual(
        calls.map(({ name, args }) => [name, args[3]]),
        [["graphs.endCapture", mode === "sequential"]],
      )
    }
  })

  test("§14 if the second executable cannot be made, the graph is parallel and unmeasured", () => {
    const { device, driver } = openRecorded()
    using _device = device
    using x = device.zeros("int32", length)
    using y = device.zeros("int32", length)
    const policy = new ScriptedPolicy()
    driver.failAt("graphs.chain", 1, new OutOfMemoryError("no room"))
    using graph = twoBranches(x, y, policy)
    graph.launch()
    assert.deepEqual([valueOf(x), valueOf(y), policy.take()], [1, 1, []])
    assert.deepEqual([graph.overlap?.mode, graph.overlap?.policy.phase], ["parallel", "unmeasured"])
  })

  test("§14 a launch that fails ends its measurement, throws, and changes nothing", () => {
    const { device, driver } = openRecorded()
    using _device = device
    using x = device.zeros("int32", length)
    using y = device.zeros("int32", length)
    const policy = new ScriptedPolicy()
    using graph = twoBranches(x, y, policy)
    device.synchronize()
    const { tick } = device.defaultStream.state
    const error = new Error("refused")
    driver.failAt("graphs.launch", 1, error)
    assert.equal(
      thrownBy(() => graph.launch()),
      error,
    )
    const where = `on ${device.defaultStream.state.name} at ${tick}`
    assert.deepEqual(policy.take(), [`parallel begins ${where}`, `parallel threw ${where}`])
    graph.launch()
    assert.deepEqual([valueOf(x), valueOf(y)], [1, 1])
  })

  for (const nth of [1, 2]) {
    test(`§14 if a node cannot be changed in executable ${nth}, the measurement ends and the graph is as before`, () => {
      const { device, driver } = openRecorded()
      using _device = device
      using x = device.zeros("int32", length)
      using y = device.zeros("int32", length)
      const policy = new ScriptedPolicy()
      using graph = twoBranches(x, y, policy)
      const node = graph.nodes[0]
      assert.ok(node?.launches(affine))
      const error = new OutOfMemoryError("no room")
      driver.failAt("graphs.setNodeArguments", nth, error)
      assert.equal(
        thrownBy(() => node.setArguments(length, x, 0, 9)),
        error,
      )
      assert.deepEqual([policy.take(), graph.overlap?.policy.phase], [["abandon"], "unmeasured"])
      graph.launch()
      assert.deepEqual([valueOf(x), valueOf(y)], [1, 1])
      node.setArguments(length, x, 0, 9)
      graph.launch()
      assert.equal(valueOf(x), 9)
    })
  }
})
