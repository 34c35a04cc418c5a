import assert from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import {
  captureGraph,
  type Device,
  type DeviceArray,
  type Event,
  fork,
  maybeExecuteInParallel,
  parallel,
  runIf,
  runWhile,
  type Stream,
} from "../../src/index.js"
import { forEachDevice } from "../support/devices.js"
import { affine, combine, once, prepare } from "../support/kernels.js"
import { lateness, randomRuns } from "../support/random-runs.js"

/** How many numbers a program works on. Each is an array of one element, so that any can be a condition. */
const count = 8

/** The number at `index` of those that a body may use, counted round if there are fewer. */
type Index = number
type Body = readonly Step[]
type Step =
  | { readonly kind: "affine"; readonly target: Index; readonly a: number; readonly b: number }
  | { readonly kind: "combine" | "temporary"; readonly source: Index; readonly target: Index }
  | { readonly kind: "if"; readonly condition: Index; readonly then: Body; readonly otherwise: Body }
  | { readonly kind: "while"; readonly turns: number; readonly body: Body }
  /** Each branch has half of the numbers to itself. */
  | { readonly kind: "beside"; readonly via: "aux" | "fork" | "parallel"; readonly left: Body; readonly right: Body }

const index = fc.nat(count - 1)
const simple = fc.oneof(
  fc.record({ kind: fc.constant("affine"), target: index, a: fc.integer({ min: -3, max: 3 }), b: fc.nat(9) }),
  fc.record({ kind: fc.constantFrom("combine", "temporary"), source: index, target: index }),
)
const { body: bodies } = fc.letrec<{ body: Body; step: Step }>((tie) => ({
  body: fc.array(tie("step"), { maxLength: 5, depthIdentifier: "program" }),
  step: fc.oneof(
    { depthIdentifier: "program", depthSize: "medium" },
    simple,
    fc.record({ kind: fc.constant("if"), condition: index, then: tie("body"), otherwise: tie("body") }),
    fc.record({ kind: fc.constant("while"), turns: fc.nat(3), body: tie("body") }),
    fc.record({
      kind: fc.constant("beside"),
      via: fc.constantFrom("aux", "fork", "parallel"),
      left: tie("body"),
      right: tie("body"),
    }),
  ),
}))

const pick = (names: readonly number[], at: Index) => names[at % names.length] ?? 0

function halves(names: readonly number[]): [left: readonly number[], right: readonly number[]] {
  const middle = Math.ceil(names.length / 2)
  return [names.slice(0, middle), names.length === 1 ? names : names.slice(middle)]
}

/** The result of a program. */
function model(values: Int32Array, body: Body, names: readonly number[]): void {
  const combined = (x: number, y: number) => (Math.imul(y, 3) + x) | 0
  for (const step of body) {
    const value = (at: Index) => values[pick(names, at)] ?? 0
    switch (step.kind) {
      case "affine":
        values[pick(names, step.target)] = Math.imul(value(step.target), step.a) + step.b
        break
      case "combine":
        values[pick(names, step.target)] = combined(value(step.source), value(step.target))
        break
      case "temporary":
        values[pick(names, step.target)] = combined(combined(value(step.source), 7), value(step.target))
        break
      case "if":
        model(values, value(step.condition) === 0 ? step.otherwise : step.then, names)
        break
      case "while":
        for (let turn = 0; turn < step.turns; turn++) model(values, step.body, names)
        break
      case "beside": {
        const [left, right] = halves(names)
        model(values, step.left, left)
        model(values, step.right, right)
      }
    }
  }
}

/** Queues programs on a device. */
class Runner {
  readonly #device: Device
  readonly numbers: readonly DeviceArray<"int32">[]
  /** Aux streams by the first number of the branch that runs there: parallel branches never share one. */
  readonly #auxes: readonly { readonly stream: Stream; readonly start: Event; readonly done: Event }[]

  constructor(device: Device) {
    this.#device = device
    this.numbers = Array.from({ length: count }, () => device.zeros("int32", 1))
    this.#auxes = this.numbers.map(() => ({
      stream: device.createStream(),
      start: device.createEvent(),
      done: device.createEvent(),
    }))
  }

  queue(body: Body, names: readonly number[]): void {
    for (const step of body) this.#step(step, names)
  }

  #step(step: Step, names: readonly number[]): void {
    switch (step.kind) {
      case "affine":
        return affine.launch(once, 1, this.#at(names, step.target), step.a, step.b)
      case "combine":
        return combine.launch(once, 1, this.#at(names, step.source), this.#at(names, step.target))
      case "temporary": {
        using made = this.#device.full("int32", 1, 7)
        combine.launch(once, 1, this.#at(names, step.source), made)
        return combine.launch(once, 1, made, this.#at(names, step.target))
      }
      case "if":
        return runIf(
          this.#at(names, step.condition),
          () => this.queue(step.then, names),
          () => this.queue(step.otherwise, names),
        )
      case "while":
        return this.#repeat(step.turns, () => this.queue(step.body, names))
      case "beside":
        return this.#beside(step.via, step.left, step.right, names)
    }
  }

  #repeat(turns: number, body: () => void): void {
    using left = this.#device.full("int32", 1, turns)
    runWhile(left, () => {
      body()
      affine.launch(once, 1, left, 1, -1)
    })
  }

  #beside(via: "aux" | "fork" | "parallel", left: Body, right: Body, names: readonly number[]): void {
    const [leftNames, rightNames] = halves(names)
    const [fn0, fn1] = [() => this.queue(left, leftNames), () => this.queue(right, rightNames)]
    const aux = this.#auxes[rightNames[0] ?? 0]
    if (names.length === 1 || aux === undefined) {
      fn0()
      fn1()
    } else if (via === "aux") {
      maybeExecuteInParallel(fn0, fn1, aux.start, aux.done, aux.stream)
    } else if (via === "parallel") {
      parallel([fn0, fn1])
    } else {
      const forked = fork(fn1)
      fn0()
      forked.join()
    }
  }

  #at(names: readonly number[], at: Index): DeviceArray<"int32"> {
    const number = this.numbers[pick(names, at)]
    assert.ok(number)
    return number
  }

  [Symbol.dispose](): void {
    for (const number of this.numbers) number.dispose()
    for (const { stream, start, done } of this.#auxes) {
      stream.dispose()
      start.dispose()
      done.dispose()
    }
  }
}

/**
 * Random programs of nested conditionals with parallel branches around and inside them, captured and launched several times,
 * give the same results as a sequential run.
 */
forEachDevice("§5 rule 9 random conditionals", (open) => {
  test("give the results of a sequential model", async () => {
    using device = open()
    await prepare(device)
    const names = Array.from({ length: count }, (_, name) => name)
    const { used } = device.memory
    {
      using runner = new Runner(device)
      const isLate = lateness()
      fc.assert(
        fc.property(bodies, fc.integer({ min: 1, max: 3 }), (body, launches) => {
          if (isLate()) return
          const expected = Int32Array.from(names, (name) => name % 3)
          runner.numbers.forEach((number, name) => number.copyFrom(Int32Array.of(name % 3)))
          using graph = captureGraph(() => runner.queue(body, names))
          for (let launch = 0; launch < launches; launch++) {
            graph.launch()
            model(expected, body, names)
          }
          const found = runner.numbers.map((number) => number.readSync()[0])
          assert.deepEqual(found, [...expected])
        }),
        randomRuns(250),
      )
    }
    device.synchronize()
    assert.equal(device.memory.used, used)
  })
})
