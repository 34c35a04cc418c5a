import assert from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import { captureGraph, type Device, type DeviceArray, fork, KernelError, parallel } from "../../../src/index.js"
import { forEachDevice } from "../../support/devices.js"
import { affine, combine, once, over, prepare, spin, throwing } from "../../support/kernels.js"
import { lateness, randomRuns } from "../../support/random-runs.js"

/** The length of each caller's two parts of the shared array. */
const length = 4

interface Step {
  readonly via: "parallel" | "fork" | "graph"
  /** The number of operations on the current stream, and on another one. */
  readonly main: number
  readonly aux: number
  readonly pause: boolean
}

interface Failure {
  readonly step: number
  readonly where: "main" | "aux"
  /** How it fails: by an exception, or on the host by a kernel that throws. */
  readonly how: "exception" | "kernel"
}

/** An independent caller. */
interface Caller {
  readonly steps: readonly Step[]
  readonly failure: Failure | undefined
  /** Whether its stream is the device's default stream. */
  readonly onDefault: boolean
}

const step = fc.record<Step>({
  via: fc.constantFrom("parallel", "fork", "graph"),
  main: fc.nat({ max: 3 }),
  aux: fc.nat({ max: 3 }),
  pause: fc.boolean(),
})
const failure = fc.record<Failure>({
  step: fc.nat({ max: 5 }),
  where: fc.constantFrom("main", "aux"),
  how: fc.constantFrom("exception", "kernel"),
})
const caller = fc.record<Caller>({
  steps: fc.array(step, { minLength: 1, maxLength: 6 }),
  failure: fc.option(failure, { nil: undefined, freq: 2 }),
  onDefault: fc.nat({ max: 4 }).map((pick) => pick === 0),
})
const callers = fc.array(caller, { minLength: 2, maxLength: 12 })

class Exception extends Error {}

type Ints = DeviceArray<"int32">

/** The contents of a caller's parts after each write if nothing fails: from before a step to the end. */
function valuesOf({ steps, failure: failed }: Caller, initial: number) {
  const [xs, ys] = [[initial], [initial]]
  let [x, y] = [initial, initial]
  let sure = { x: 0, y: 0 }
  steps.forEach(({ main, aux }, index) => {
    for (let count = 0; count < main; count++) xs.push((x = (Math.imul(x, 3) + count) | 0))
    for (let count = 0; count < aux; count++) ys.push((y = (Math.imul(y, 5) + count) | 0))
    ys.push((y = (Math.imul(y, 3) + x) | 0))
    if (failed === undefined || index < failed.step) sure = { x: xs.length - 1, y: ys.length - 1 }
  })
  return { xs, ys, sure }
}

function isFailing({ steps, failure: failed }: Caller): boolean {
  return failed !== undefined && failed.step < steps.length
}

class Run {
  readonly #device: Device
  readonly #x: Ints
  readonly #y: Ints
  readonly #caller: Caller

  constructor(device: Device, own: Ints, asked: Caller) {
    this.#device = device
    this.#x = own.subarray(0, length)
    this.#y = own.subarray(length)
    this.#caller = asked
  }

  get parts(): { x: Ints; y: Ints } {
    return { x: this.#x, y: this.#y }
  }

  /** Runs one caller from beginning to end, as a server would. */
  async run(): Promise<void> {
    const { onDefault } = this.#caller
    const main = onDefault ? this.#device.defaultStream : this.#device.createStream()
    try {
      await main.run(async () => {
        for (const [index, one] of this.#caller.steps.entries()) {
          this.#step(one, index)
          if (one.pause) await new Promise(setImmediate)
        }
        await this.#y.read()
      })
    } finally {
      if (!onDefault) main.dispose()
    }
  }

  #step({ via, main, aux }: Step, index: number): void {
    const beside = () => this.#operations("aux", index, aux)
    const here = () => this.#operations("main", index, main)
    const inParallel = () => {
      parallel([here, beside])
      combine.launch(over(length), length, this.#x, this.#y)
    }
    if (via === "parallel") return inParallel()
    if (via === "graph") {
      using graph = captureGraph(inParallel, { device: this.#device })
      return graph.launch()
    }
    using forked = fork(beside)
    here()
    forked.join()
    combine.launch(over(length), length, this.#x, this.#y)
  }

  #operations(where: "main" | "aux", index: number, count: number): void {
    const failed = this.#caller.failure
    if (failed?.step === index && failed.where === where) {
      if (failed.how === "exception" || this.#device.kind === "cuda") throw new Exception()
      spin.launch(once, 2000)
      throwing.launch(once, 1)
    }
    const [array, factor] = where === "main" ? ([this.#x, 3] as const) : ([this.#y, 5] as const)
    for (let number = 0; number < count; number++) affine.launch(over(length), length, array, factor, number)
  }
}

/** The contents of an array; undefined if its use throws. */
function valueOf(array: Ints): number | undefined {
  let values: Int32Array
  try {
    values = array.readSync()
  } catch (error) {
    assert.ok(error instanceof KernelError, String(error))
    return undefined
  }
  assert.equal(new Set(values).size, 1)
  return values[0]
}

/**
 * A value must never lack the effect of a skipped operation: it must be the value after one of the writes, with all writes
 * before the failing step included.
 */
function checkPart(array: Ints, values: readonly number[], sure: number, may: { fail: boolean; throw: boolean }): void {
  const value = valueOf(array)
  if (!may.fail) return assert.equal(value, values.at(-1))
  if (value === undefined) return assert.ok(may.throw)
  assert.ok(values.slice(sure).includes(value), `${value} is none of ${values.slice(sure).join(", ")}`)
}

forEachDevice("§5.12 random strangers", (open) => {
  test("independent callers that do not fail get their results, and none reads garbage", async () => {
    using device = open()
    await prepare(device)
    const { used } = device.memory
    const isLate = lateness()
    const runAll = async (asked: readonly Caller[]) => {
      if (isLate()) return
      using shared = device.from(Int32Array.from({ length: 2 * length * asked.length }, (_, at) => 1 + (at >> 3)))
      const arrays = asked.map((one, index) => {
        // Graphs that share an array run one after another, so a caller with graphs has an array of its own.
        const hasGraphs = one.steps.some(({ via }) => via === "graph")
        if (hasGraphs) return device.full("int32", 2 * length, 1 + index)
        return shared.subarray(2 * index * length, 2 * (index + 1) * length)
      })
      await device.completed()
      const runs = asked.map((one, index) => new Run(device, arrays[index] ?? assert.fail(), one))
      const outcomes = await Promise.allSettled(runs.map((run) => run.run()))
      await device.completed().catch((error: unknown) => assert.ok(error instanceof KernelError))
      const isDefaultBroken = asked.some((one) => one.onDefault && isFailing(one) && one.failure?.how === "kernel")
      asked.forEach((one, index) => {
        const fail = isFailing(one) || (one.onDefault && isDefaultBroken)
        if (!fail) assert.deepEqual(outcomes[index], { status: "fulfilled", value: undefined }, `caller ${index}`)
        if (isFailing(one)) assert.equal(outcomes[index]?.status, "rejected", `caller ${index}`)
        const { xs, ys, sure } = valuesOf(one, 1 + index)
        const least = isFailing(one) && !(one.onDefault && isDefaultBroken) ? sure : { x: 0, y: 0 }
        const mayThrow = device.kind === "host"
        const { x, y } = runs[index]?.parts ?? assert.fail()
        checkPart(x, xs, least.x, { fail, throw: mayThrow })
        checkPart(y, ys, least.y, { fail, throw: mayThrow })
        x.fill(index)
        affine.launch(over(length), length, x, 2, 1)
        assert.equal(valueOf(x), 2 * index + 1)
      })
      for (const array of arrays) array.dispose()
    }
    await fc.assert(fc.asyncProperty(callers, runAll), randomRuns(200))
    device.synchronize()
    assert.equal(device.memory.used, used)
  })
})
