import assert from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import { captureGraph, type Device, type DeviceArray, type Graph, parallel, type Stream } from "../../src/index.js"
import { forEachDevice } from "../support/devices.js"
import { affine, combine, over, prepare } from "../support/kernels.js"
import { ScriptedPolicy } from "../support/scripted-policy.js"
import { lateness, randomRuns } from "../support/random-runs.js"

/** All elements of an array are equal. The main branch has the first two arrays to itself, the other branch the others. */
const arrays = 4
const length = 5

/** An operation on the arrays of one branch, or on any behind the join. */
interface Operation {
  readonly kind: "affine" | "combine" | "copy" | "fill"
  readonly source: number
  readonly target: number
  readonly a: number
  readonly b: number
}

interface Program {
  readonly main: readonly Operation[]
  readonly aux: readonly Operation[]
  readonly behind: readonly Operation[]
}

type Step =
  | { readonly kind: "launch"; readonly elsewhere: boolean }
  | {
      readonly kind: "arguments"
      readonly node: number
      readonly source: number
      readonly a: number
      readonly b: number
    }
  | { readonly kind: "constant"; readonly node: number; readonly value: number }
  | { readonly kind: "enabled"; readonly node: number; readonly enabled: boolean }
  | { readonly kind: "update"; readonly program: Program }
  | { readonly kind: "outer" }
  | { readonly kind: "decide"; readonly mode: "parallel" | "sequential" }

const small = fc.integer({ min: -3, max: 3 })
const operation: fc.Arbitrary<Operation> = fc.record({
  kind: fc.constantFrom("affine", "combine", "copy", "fill"),
  source: fc.nat(arrays - 1),
  target: fc.nat(arrays - 1),
  a: small,
  b: small,
})
const operations = fc.array(operation, { maxLength: 4 })
const program: fc.Arbitrary<Program> = fc.record({ main: operations, aux: operations, behind: operations })
const node = fc.nat(11)
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("launch"), elsewhere: fc.boolean() }) },
  {
    weight: 3,
    arbitrary: fc.record({ kind: fc.constant("arguments"), node, source: fc.nat(arrays - 1), a: small, b: small }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("constant"), node, value: small }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("enabled"), node, enabled: fc.boolean() }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("update"), program }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("outer") }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("decide"), mode: fc.constantFrom("parallel", "sequential") }) },
)

const many = fc.array(step, { minLength: 1, maxLength: 25 })

/** A node of the model. A `constant` stands in for the source array. */
interface Node {
  readonly kind: Operation["kind"]
  readonly places: readonly number[]
  readonly target: number
  source: number
  constant: number | undefined
  a: number
  b: number
  enabled: boolean
}

const all = [0, 1, 2, 3]
const pick = (places: readonly number[], at: number): number => places[at % places.length] ?? 0

function nodesOf({ main, aux, behind }: Program): Node[] {
  const parts = [
    [main, [0, 1]],
    [aux, [2, 3]],
    [behind, all],
  ] as const
  return parts.flatMap(([list, places]) =>
    list.map(({ kind, source, target, a, b }) => ({
      ...{ kind, places, a, b, constant: undefined, enabled: true },
      source: pick(places, source),
      target: pick(places, target),
    })),
  )
}

function run(nodes: readonly Node[], values: Int32Array): void {
  for (const { kind, source, target, constant, a, b, enabled } of nodes) {
    if (!enabled) continue
    const from = constant ?? values[source] ?? 0
    const to = values[target] ?? 0
    if (kind === "affine") values[target] = Math.imul(to, a) + b
    else if (kind === "combine") values[target] = Math.imul(to, 3) + from
    else if (kind === "copy") values[target] = from
    else values[target] = b
  }
}

/** The same on a device. */
class Runner {
  readonly device: Device
  readonly #arrays: readonly DeviceArray<"int32">[]
  readonly #elsewhere: Stream
  #nodes: Node[]
  readonly #policy = new ScriptedPolicy()
  readonly #graph: Graph<void>
  readonly #expected = new Int32Array(arrays)

  /** @param isMeasured whether launches alternate between both executables of the graph */
  constructor(device: Device, first: Program, isMeasured: boolean) {
    this.device = device
    this.#arrays = all.map(() => device.zeros("int32", length))
    this.#elsewhere = device.createStream()
    this.#nodes = nodesOf(first)
    const options = isMeasured ? { overlap: this.#policy, key: "random" } : {}
    this.#graph = captureGraph(() => this.#queue(this.#nodes, first), options)
  }

  #array(place: number): DeviceArray<"int32"> {
    const array = this.#arrays[place]
    assert.ok(array !== undefined)
    return array
  }

  #queue(nodes: readonly Node[], { main, aux }: Program): void {
    const part = (begin: number, end?: number) => () => nodes.slice(begin, end).forEach((one) => this.#queueOne(one))
    parallel([part(0, main.length), part(main.length, main.length + aux.length)])
    part(main.length + aux.length)()
  }

  #queueOne({ kind, source, target, a, b }: Node): void {
    const to = this.#array(target)
    if (kind === "affine") affine.launch(over(length), length, to, a, b)
    else if (kind === "combine") combine.launch(over(length), length, this.#array(source), to)
    else if (kind === "copy" && source !== target) to.copyFrom(this.#array(source))
    else to.fill(b)
  }

  take(step: Step): void {
    if (step.kind === "launch") this.#launch(step.elsewhere)
    else if (step.kind === "update") this.#update(step.program)
    else if (step.kind === "outer") this.#launchInside()
    else if (step.kind === "decide") this.#policy.decision ??= step.mode
    else this.#change(step)
  }

  #launch(elsewhere: boolean): void {
    run(this.#nodes, this.#expected)
    if (!elsewhere) return this.#graph.launch()
    this.#elsewhere.wait(this.device.defaultStream)
    this.#graph.launch(this.#elsewhere)
    this.device.defaultStream.wait(this.#elsewhere)
  }

  #update(next: Program): void {
    this.#nodes = nodesOf(next)
    this.#graph.update(() => this.#queue(this.#nodes, next))
  }

  /** In a graph that includes this one: with its arguments of that time. */
  #launchInside(): void {
    if (this.#nodes.some(({ enabled }) => !enabled)) return
    using outer = captureGraph(() => this.#graph.launch())
    outer.launch()
    run(this.#nodes, this.#expected)
  }

  #change(step: Extract<Step, { node: number }>): void {
    const place = step.node % Math.max(1, this.#nodes.length)
    const [model, found] = [this.#nodes[place], this.#graph.nodes[place]]
    if (model === undefined || found === undefined) return
    if (step.kind === "enabled") {
      if (found.kind !== "kernel") return
      model.enabled = step.enabled
      found.enabled = step.enabled
      assert.equal(found.enabled, step.enabled)
    } else if (found.launches(affine)) {
      if (step.kind === "constant") return
      Object.assign(model, { a: step.a, b: step.b })
      found.setArguments(length, this.#array(model.target), step.a, step.b)
    } else if (found.launches(combine)) {
      if (step.kind === "arguments") {
        Object.assign(model, { source: pick(model.places, step.source), constant: undefined })
        found.setArguments(length, this.#array(model.source), this.#array(model.target))
      } else {
        model.constant = step.value
        // The graph alone keeps it.
        using constant = this.device.full("int32", length, step.value)
        found.setArguments(length, constant, this.#array(model.target))
      }
    }
  }

  check(): void {
    const found = this.#arrays.map((array) => [...new Set(array.readSync())])
    assert.deepEqual(
      found,
      [...this.#expected].map((value) => [value]),
    )
  }

  [Symbol.dispose](): void {
    this.#graph.dispose()
    this.#elsewhere.dispose()
    for (const array of this.#arrays) array.dispose()
  }
}

/** Copies onto themselves are no operations: a fill stands in for them, in the model, too. */
function withoutSelfCopies(steps: Program): Program {
  const mend =
    (places: readonly number[]) =>
    (one: Operation): Operation =>
      one.kind === "copy" && pick(places, one.source) === pick(places, one.target) ? { ...one, kind: "fill" } : one
  return {
    main: steps.main.map(mend([0, 1])),
    aux: steps.aux.map(mend([2, 3])),
    behind: steps.behind.map(mend(all)),
  }
}

forEachDevice("§11 random changes of graphs' nodes", (open) => {
  test("give the results of a sequential model, and leave no memory behind", async () => {
    using device = open()
    await prepare(device)
    device.synchronize()
    const { used } = device.memory
    const isLate = lateness()
    fc.assert(
      fc.property(program.map(withoutSelfCopies), fc.boolean(), many, (first, isMeasured, steps) => {
        if (isLate()) return
        using runner = new Runner(device, first, isMeasured)
        for (const one of steps) {
          runner.take(one.kind === "update" ? { ...one, program: withoutSelfCopies(one.program) } : one)
        }
        runner.check()
      }),
      randomRuns(300),
    )
    device.synchronize()
    await device.completed()
    assert.equal(device.memory.used, used)
  })
})
