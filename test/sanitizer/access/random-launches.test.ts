import assert from "node:assert/strict"
import { test } from "node:test"
import { captureGraph, defineKernel, type Device, type DeviceArray, type Kernel } from "../../../src/index.js"
import { numbersFrom } from "../../support/random.js"
import { once } from "../../support/kernels.js"
import { openHost, Seen } from "./seen.js"

/**
 * Random launches: views that overlap in any way, with any modes, of a kernel that writes random elements of them. A model
 * that looks at every element knows what must be reported, and what memory contains afterwards.
 */
const SEED = 20261201
const LAUNCHES = Number(process.env["AUXSTREAM_RANDOM_LAUNCHES"] ?? 400)
const ARRAYS = 3
const LENGTH = 24

type Mode = "in" | "out" | "inout"
const modes: readonly Mode[] = ["in", "out", "inout"]

interface View {
  readonly array: number
  readonly begin: number
  readonly end: number
}

/** One launch: its arguments with their modes, the elements that it writes, and what `uses` names. */
interface Launch {
  readonly views: readonly View[]
  readonly modes: readonly Mode[]
  readonly writes: readonly { readonly view: number; readonly index: number; readonly value: number }[]
  readonly reads: readonly View[]
  readonly mayWrite: readonly View[]
}

const kernels = new Map<string, Kernel>()

/** `plan` lists the writes: the argument, the index and the value of each. */
function kernelFor([a = "in", b = "in", c = "in"]: readonly Mode[]): Kernel {
  const name = `${a}_${b}_${c}`
  const known = kernels.get(name)
  if (known !== undefined) return known
  const source = `
    export function ${name}(launch, plan, ...views) {
      for (let at = 0; at < plan.length; at += 3) views[plan[at]][plan[at + 1]] = plan[at + 2]
    }`
  const kernel = defineKernel({
    name,
    signature: ["in int32*", `${a} int32*`, `${b} int32*`, `${c} int32*`],
    host: { source },
  })
  kernels.set(name, kernel)
  return kernel
}

/** The elements of all arrays, numbered one array after another. */
const elementsOf = ({ array, begin, end }: View): number[] =>
  Array.from({ length: end - begin }, (_, index) => array * LENGTH + begin + index)

function randomLaunch(below: (limit: number) => number, value: () => number): Launch {
  const view = (): View => {
    const begin = below(LENGTH)
    return { array: below(ARRAYS), begin, end: begin + 1 + below(LENGTH - begin) }
  }
  const views = [view(), view(), view()]
  const chosen = views.map(() => modes[below(3)] ?? "in")
  const writes = views.flatMap(({ begin, end }, index) => {
    // Many launches write what they declare, others write anything, or nothing.
    const share = chosen[index] === "in" ? [0, 0, 0, 4][below(4)] : [8, 8, 7, 0][below(4)]
    const places = Array.from({ length: end - begin }, (_, place) => place)
    return places.filter(() => below(8) < (share ?? 0)).map((place) => ({ view: index, index: place, value: value() }))
  })
  const some = () => Array.from({ length: Math.max(0, below(4) - 2) }, view)
  return { views, modes: chosen, writes, reads: some(), mayWrite: some() }
}

/** What must be reported, in order. `memory` becomes what it must be after the launch. */
function expected({ views, modes: chosen, writes, reads, mayWrite }: Launch, memory: Int32Array): string[] {
  const written = new Set<number>()
  for (const { view, index, value } of writes) {
    const element = elementsOf(views[view] ?? { array: 0, begin: 0, end: 0 })[index] ?? 0
    written.add(element)
    memory[element] = value
  }
  const ofMode = (...wanted: Mode[]) => views.filter((_, index) => wanted.includes(chosen[index] ?? "in"))
  const name = chosen.join("_")
  const line = (argument: string, kind: string, view: View, bad: readonly number[], width: number) => {
    if (bad.length === 0) return []
    const first = elementsOf(view)[0] ?? 0
    const [begin, end] = [Math.min(...bad) - first, Math.max(...bad) - first + 1]
    return width === 4 ? [`${name}(${argument}) ${kind} ${4 * begin}..${4 * end}`] : [`${name}(${argument}) ${kind}`]
  }
  const allowed = new Set([...ofMode("out", "inout"), ...mayWrite].flatMap(elementsOf))
  const wrong = (view: View) => elementsOf(view).filter((element) => written.has(element) && !allowed.has(element))
  const used = new Set([...ofMode("in", "inout"), ...reads, ...mayWrite].flatMap(elementsOf))
  return [
    ...views.flatMap((view, index) =>
      chosen[index] === "in" ? line(`${index + 1}`, "written", view, wrong(view), 4) : [],
    ),
    ...reads.flatMap((view) => line("", "written", view, wrong(view), 1)).slice(0, 1),
    ...views.flatMap((view, index) => {
      if (chosen[index] !== "out") return []
      const left = elementsOf(view).filter((element) => !used.has(element) && !written.has(element))
      for (const element of elementsOf(view)) used.add(element)
      return line(`${index + 1}`, "unwritten", view, left, 4)
    }),
  ]
}

function queue(device: Device, arrays: readonly DeviceArray<"int32">[], launch: Launch): () => void {
  const plan = device.from(Int32Array.from(launch.writes.flatMap(({ view, index, value }) => [view, index, value])))
  const viewOf = ({ array, begin, end }: View) => arrays[array]?.subarray(begin, end)
  const uses = { reads: launch.reads.map(viewOf), writes: launch.mayWrite.map(viewOf) }
  const kernel = kernelFor(launch.modes)
  return () => {
    Reflect.apply(kernel.launch, kernel, [{ ...once, uses }, plan, ...launch.views.map(viewOf)])
  }
}

/** Of memory that is no argument, only that something changed. */
const withoutBytes = (lines: readonly string[]) =>
  lines.map((line) => (line.includes("()") ? line.replace(/ [-\d]+\.\.[-\d]+$/, "") : line))

test("§13 random launches: exactly the bytes are reported that a model finds, and unwritten elements keep their contents", async () => {
  using seen = new Seen({ accessModes: true, unwritten: true })
  using device = openHost()
  const below = numbersFrom(SEED)
  let last = 1000
  const arrays = Array.from({ length: ARRAYS }, () => device.zeros("int32", LENGTH))
  const memory = new Int32Array(ARRAYS * LENGTH)
  let reported = 0
  for (let count = 0; count < LAUNCHES; count++) {
    const launch = randomLaunch(below, () => ++last)
    const lines = expected(launch, memory)
    queue(device, arrays, launch)()
    assert.deepEqual(withoutBytes(await seen.on(device)), lines, `launch ${count}: ${JSON.stringify(launch)}`)
    assert.deepEqual(
      arrays.flatMap((array) => [...array.readSync()]),
      [...memory],
      `launch ${count}`,
    )
    reported += lines.length
  }
  assert.ok(reported > LAUNCHES / 4, `only ${reported} violations`)
})

test("§13 the same in graphs of several launches, captured before the checks began", async () => {
  using device = openHost()
  const below = numbersFrom(SEED + 1)
  let last = 1000
  const arrays = Array.from({ length: ARRAYS }, () => device.zeros("int32", LENGTH))
  const memory = new Int32Array(ARRAYS * LENGTH)
  for (let count = 0; count < LAUNCHES / 10; count++) {
    const launches = Array.from({ length: 5 }, () => ({
      ...randomLaunch(below, () => ++last),
      reads: [],
      mayWrite: [],
    }))
    const queued = launches.map((launch) => queue(device, arrays, launch))
    using graph = captureGraph(() => queued.forEach((launch) => launch()), { device })
    using seen = new Seen({ accessModes: true, unwritten: true })
    const lines = launches.flatMap((launch) => expected(launch, memory))
    graph.launch()
    assert.deepEqual(await seen.on(device), lines, `graph ${count}`)
    assert.deepEqual(
      arrays.flatMap((array) => [...array.readSync()]),
      [...memory],
      `graph ${count}`,
    )
  }
})
