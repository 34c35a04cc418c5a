/**
 * Random programs of fork-joins, captured on the host device, launched and traced, against a model that knows nothing of places,
 * plans or unions: every kernel has a name of its own, and intervals are counted piece by piece.
 */
import assert from "node:assert/strict"
import { after, describe, it } from "node:test"
import fc from "fast-check"
import {
  captureGraph,
  defineKernel,
  type Device,
  fork,
  type Graph,
  openDevice,
  parallel,
  startTrace,
  type TraceReport,
  type TraceSpan,
  withMultiStream,
} from "../../src/index.js"
import { once } from "../support/kernels.js"
import { lateness, randomRuns } from "../support/random-runs.js"

/** A program: one kernel, or several programs in one of these ways. */
type Program =
  | { readonly how: "kernel" }
  | {
      readonly how: "after each other" | "side by side" | "in sequence" | "forked" | "in a graph"
      readonly parts: readonly Program[]
    }

const MOST_KERNELS = 40
const kernels = Array.from({ length: MOST_KERNELS }, (_, index) =>
  defineKernel({
    name: `kernel_${index}`,
    signature: [],
    host: {
      source: `export function kernel_${index}() { const end = performance.now() + ${0.01 * (1 + (index % 4))}; while (performance.now() < end); }`,
    },
  }),
)

const { parts: program } = fc.letrec<{ program: Program; parts: readonly Program[] }>((tie) => ({
  program: fc.oneof(
    { maxDepth: 4, withCrossShrink: true },
    fc.constant<Program>({ how: "kernel" }),
    ...(["after each other", "side by side", "side by side", "in sequence", "forked", "in a graph"] as const).map(
      (how) => fc.record({ how: fc.constant(how), parts: tie("parts") }),
    ),
  ),
  parts: fc.array(tie("program"), { minLength: 1, maxLength: 3, size: "max" }),
}))

/** A call of a fork-join, as the model knows it. */
interface Call {
  readonly name: "parallel" | "fork"
  readonly mode: "parallel" | "sequential"
  outer: Place | undefined
  /** Of a fork: the kernels that its caller queued before it joined. */
  readonly beside: number[]
}

/** Inside a function of a call. */
interface Place {
  readonly call: Call
  readonly part: number
}

/** A graph inside a program, captured before: its kernels by number, and its calls that no other one contains. */
interface Inner {
  readonly graph: Graph<void>
  readonly numbers: readonly number[]
  readonly calls: readonly Call[]
}

/** Queues programs, and notes where each kernel was queued. */
class Run {
  readonly places: (Place | undefined)[] = []
  readonly #graphs = new Map<Program, Inner>()
  readonly #device: Device
  /** The forks that are not joined. */
  readonly #open: Call[] = []
  #outermost: Call[] = []
  #isOff = false

  constructor(device: Device) {
    this.#device = device
  }

  capture(parts: readonly Program[]): Graph<void> {
    for (const part of parts) this.#prepare(part)
    return captureGraph(() => parts.forEach((part) => this.#queue(part)), { device: this.#device })
  }

  dispose(): void {
    for (const { graph } of this.#graphs.values()) graph.dispose()
  }

  /** Captures the graphs inside, because a capture cannot begin in another one. */
  #prepare(program: Program): void {
    if (program.how === "kernel") return
    if (program.how !== "in a graph") return program.parts.forEach((part) => this.#prepare(part))
    const from = this.places.length
    const around = this.#outermost
    this.#outermost = []
    const graph = this.capture(program.parts)
    const numbers = this.places.flatMap((_, number) => (number >= from ? [number] : []))
    this.#graphs.set(program, { graph, numbers, calls: this.#outermost })
    this.#outermost = around
  }

  #queue(program: Program, here?: Place): void {
    if (program.how === "kernel") this.#launch(here)
    if (program.how === "after each other") for (const part of program.parts) this.#queue(part, here)
    if (program.how === "side by side") this.#parallel(program.parts, here)
    if (program.how === "in sequence") this.#off(() => this.#parallel(program.parts, here))
    if (program.how === "forked") this.#fork(program.parts, here)
    if (program.how === "in a graph") this.#launchGraph(program, here)
  }

  #launch(here: Place | undefined): void {
    const kernel = kernels[this.places.length]
    if (kernel === undefined) return
    kernel.launch(once)
    this.#queued(here, [this.places.push(here) - 1])
  }

  /** Kernels were queued here, beside the forks that were begun here and are not joined. */
  #queued(here: Place | undefined, numbers: readonly number[]): void {
    for (const { outer, beside } of this.#open) if (outer === here) beside.push(...numbers)
  }

  #launchGraph(program: Program, here: Place | undefined): void {
    const inner = this.#graphs.get(program)
    if (inner === undefined || inner.numbers.length === 0) return
    inner.graph.launch()
    this.#queued(here, inner.numbers)
    for (const call of inner.calls) call.outer = here
    if (here === undefined) this.#outermost.push(...inner.calls)
    for (const number of inner.numbers) this.places[number] ??= here
  }

  #off(run: () => void): void {
    const before = this.#isOff
    this.#isOff = true
    withMultiStream(false, run)
    this.#isOff = before
  }

  #call(name: Call["name"], isParallel: boolean, outer: Place | undefined): Call {
    const mode = isParallel && !this.#isOff ? "parallel" : "sequential"
    const call: Call = { name, mode, outer, beside: [] }
    if (outer === undefined) this.#outermost.push(call)
    return call
  }

  #parallel(parts: readonly Program[], outer: Place | undefined): void {
    const call = this.#call("parallel", parts.length > 1, outer)
    parallel(parts.map((part, index) => () => this.#queue(part, { call, part: index })))
  }

  #fork([first, ...others]: readonly Program[], outer: Place | undefined): void {
    if (first === undefined) return
    const call = this.#call("fork", true, outer)
    const forked = fork(() => this.#queue(first, { call, part: 1 }))
    this.#open.push(call)
    for (const other of others) this.#queue(other, outer)
    this.#open.pop()
    forked.join()
  }
}

/** What the model says of one run of a call: its intervals by function. */
class Sides {
  readonly #byPart = new Map<number, TraceSpan[]>()

  add(part: number, span: TraceSpan): void {
    const spans = this.#byPart.get(part) ?? []
    this.#byPart.set(part, [...spans, span])
  }

  get all(): TraceSpan[] {
    return [...this.#byPart.values()].flat()
  }

  get count(): number {
    return this.#byPart.size
  }

  /** Counts time piece by piece. */
  figures(): { busy: number; union: number; longest: number; wall: number } {
    const times = [...new Set(this.all.flatMap(({ start, end }) => [start, end]))].toSorted((a, b) => a - b)
    const parts = new Map<number, number>()
    let union = 0
    times.slice(1).forEach((to, index) => {
      const from = times[index] ?? to
      const active = [...this.#byPart].filter(([, spans]) => spans.some(({ start, end }) => start <= from && end >= to))
      for (const [part] of active) parts.set(part, (parts.get(part) ?? 0) + to - from)
      if (active.length > 0) union += to - from
    })
    const busy = [...parts.values()].reduce((sum, time) => sum + time, 0)
    return { busy, union, longest: Math.max(0, ...parts.values()), wall: (times.at(-1) ?? 0) - (times[0] ?? 0) }
  }
}

/** The sides of every call in one launch. */
function sidesOf(places: readonly (Place | undefined)[], spans: readonly TraceSpan[]): Map<Call, Sides> {
  const sides = new Map<Call, Sides>()
  const add = ({ call, part }: Place, span: TraceSpan) => {
    const own = sides.get(call) ?? new Sides()
    sides.set(call, own)
    own.add(part, span)
  }
  places.forEach((innermost, index) => {
    const span = spans[index]
    assert.ok(span !== undefined)
    for (let place = innermost; place !== undefined; place = place.call.outer) add(place, span)
  })
  for (const call of sides.keys()) {
    if (call.mode === "sequential") continue
    for (const index of call.beside) {
      const span = spans[index]
      if (span !== undefined) add({ call, part: 0 }, span)
    }
  }
  return sides
}

/** The spans of a launch, by the numbers of their kernels. */
function nodesOf({ data }: TraceReport, launch: number): TraceSpan[] {
  const nodes: TraceSpan[] = []
  for (const span of data.spans) if (span.parent === launch) nodes[Number(span.name.slice("kernel_".length))] = span
  return nodes
}

function check(report: TraceReport, launch: number, places: readonly (Place | undefined)[]): void {
  const { data, figures } = report
  const nodes = nodesOf(report, launch)
  assert.equal(nodes.length, places.length)
  const regions = new Map<Call, number>()
  places.forEach((innermost, index) => {
    let { region, branch } = nodes[index] ?? {}
    for (let place = innermost; place !== undefined; place = place.call.outer) {
      const found = data.regions[region ?? -1]
      assert.ok(found !== undefined && region !== undefined)
      assert.deepEqual(
        [found.name, found.mode, found.graph, branch],
        [place.call.name, place.call.mode, launch, place.part],
      )
      assert.equal(regions.get(place.call) ?? region, region)
      regions.set(place.call, region)
      ;({ parent: region, branch } = found)
    }
    assert.equal(region, undefined)
  })
  for (const [call, sides] of sidesOf(places, nodes)) {
    const own = figures.regions[regions.get(call) ?? -1]
    const { busy, union, longest, wall } = sides.figures()
    assert.deepEqual([own?.busy, own?.union, own?.longest, own?.gained], [busy, union, longest, busy - union])
    const lost = new Map(own?.lost.map(({ why, time }) => [why, time]))
    if (call.mode === "sequential") {
      assert.deepEqual([...lost], busy > longest ? [["sequential", busy - longest]] : [])
    } else if (sides.count > 1) {
      const parts = (["launch gaps", "waits", "unexplained"] as const).map((why) => lost.get(why) ?? 0)
      // Each part is rounded.
      assert.ok(Math.abs(parts.reduce((sum, time) => sum + time, 0) - Math.max(0, wall - longest)) <= 2)
    }
  }
}

describe("§12: what each fork-join in a graph gained and lost", () => {
  const device = openDevice("host", { threads: 4 })
  after(() => device.dispose())

  it("every launch of a random program agrees with the model, call by call", async () => {
    const isLate = lateness()
    await fc.assert(
      fc.asyncProperty(program, fc.boolean(), async (parts, isTracedBefore) => {
        if (isLate()) return
        const early = isTracedBefore ? startTrace() : undefined
        const run = new Run(device)
        using graph = run.capture(parts)
        const trace = startTrace()
        for (let launch = 0; launch < 2; launch++) graph.launch()
        const report = await trace.stop()
        await early?.stop()
        run.dispose()
        if (run.places.length === 0) return
        const launches = report.data.spans.flatMap(({ kind }, index) => (kind === "graph" ? [index] : []))
        assert.equal(launches.length, 2)
        for (const launch of launches) check(report, launch, run.places)
        const calls = new Set(run.places.flatMap((place) => outwards(place)))
        assert.equal(report.data.regions.length, 2 * calls.size)
      }),
      randomRuns(60),
    )
  })
})

/** A place's call and those around it. */
function outwards(place: Place | undefined): Call[] {
  return place === undefined ? [] : [place.call, ...outwards(place.call.outer)]
}
